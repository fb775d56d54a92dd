import logging

from dlt_orchestrate.config.redaction import learn
from dlt_orchestrate.dagster.logs import LOGGER, logs_to


class Shown(logging.Handler):
    """Keeps the lines it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


def event_log() -> tuple[logging.Logger, list[str]]:
    shown = Shown()
    logger = logging.Logger("event log")
    logger.addHandler(shown)
    return logger, shown.lines


def test_what_the_package_logs_is_shown_while_the_block_runs() -> None:
    target, lines = event_log()

    with logs_to(target):
        logging.getLogger("dlt_orchestrate.load").info("committed %s rows", 7)
        logging.getLogger("dlt_orchestrate.load").debug("a detail")
        logging.getLogger("elsewhere").warning("not ours")
    logging.getLogger("dlt_orchestrate.load").warning("too late")

    assert lines == ["INFO committed 7 rows"]


def test_a_secret_is_masked() -> None:
    target, lines = event_log()

    with logs_to(target):
        learn("open-sesame-42")
        logging.getLogger("dlt_orchestrate.http").warning("asked with open-sesame-42")

    assert lines == ["WARNING asked with ***"]


def test_the_logger_of_the_package_is_as_it_was_afterwards() -> None:
    logger = logging.getLogger(LOGGER)
    before = logger.level, list(logger.handlers)

    with logs_to(event_log()[0]):
        assert len(logger.handlers) == len(before[1]) + 1

    assert (logger.level, logger.handlers) == before


def test_past_the_limit_one_line_says_that_there_are_more() -> None:
    target, lines = event_log()

    with logs_to(target, max_records=2):
        for number in range(5):
            logging.getLogger(LOGGER).info("line %d", number)

    assert lines[:2] == ["INFO line 0", "INFO line 1"]
    assert len(lines) == 3
    assert "No more lines" in lines[2]
