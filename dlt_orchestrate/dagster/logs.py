"""The package's log, shown in the event log of the step that causes it."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dlt_orchestrate.config.redaction import redact

LOGGER = "dlt_orchestrate"


@contextmanager
def logs_to(target: logging.Logger, *, level: int = logging.INFO, max_records: int = 1_000) -> Iterator[None]:
    """Hand on what the package logs to `target`, such as `context.log`, while the block runs.

    Each line of an event log is a write to its database, so after `max_records` the rest goes to the captured output only.
    """
    logger = logging.getLogger(LOGGER)
    bridge = _Bridge(target, level=level, max_records=max_records)
    level_before = logger.level
    logger.addHandler(bridge)
    if logger.getEffectiveLevel() > level:
        logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(bridge)
        logger.setLevel(level_before)


class _Bridge(logging.Handler):
    def __init__(self, target: logging.Logger, *, level: int, max_records: int) -> None:
        super().__init__(level)
        self._target = target
        self._records_left = max_records
        self._emitting = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        if self._records_left <= 0 or getattr(self._emitting, "now", False):
            return
        self._emitting.now = True
        try:
            self._hand_on(record)
        finally:
            self._emitting.now = False

    def _hand_on(self, record: logging.LogRecord) -> None:
        self._records_left -= 1
        self._target.log(record.levelno, redact(record.getMessage()))
        if self._records_left == 0:
            self._target.warning(f"No more lines of {LOGGER!r} are shown here; see the captured output of the step.")
