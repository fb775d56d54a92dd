"""What goes wrong says where, what was expected and what to do, and leaves the destination as it was."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import (
    CursorFieldMissingError,
    DestinationLockedError,
    DestinationUnavailableError,
    IngestError,
    InvalidResourceDataError,
    PipelineStepFailed,
    RequestFailedError,
    ResourceNameMissingError,
    ResponseNotJsonError,
    TooManyRejectsError,
    UnknownDestinationError,
)
from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.sources.helpers.rest_client.client import RESTClient


@pytest.fixture
def warehouse(project: Path) -> Path:
    """A DuckDB file with one load in it."""
    pipeline().run([{"id": 1}], table_name="kept")
    return project / "shop.duckdb"


def pipeline(**settings) -> dlt.Pipeline:
    return dlt.pipeline("shop", destination="duckdb", dataset_name="shop_data", **settings)


@contextmanager
def leaves_as_it_was(file: Path) -> Iterator[None]:
    before = file.read_bytes()
    yield
    assert file.read_bytes() == before
    with duckdb.connect(str(file)) as connection:
        assert connection.sql("SELECT id FROM shop_data.kept").fetchall() == [(1,)]
        assert connection.sql("SELECT count(*) FROM shop_data._dlt_loads").fetchall() == [(1,)]


def fails(data, *, cause: type[Exception], words: list[str], **arguments) -> PipelineStepFailed:
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline().run(data, **arguments)
    assert isinstance(caught.value.__cause__, cause), repr(caught.value.__cause__)
    missing = [word for word in ["'shop'", *words] if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"
    return caught.value


# --- the API -----------------------------------------------------------------------------------------------------


def items(url: str, path: str = "items"):
    @dlt.resource(name="items")
    def read():
        session = Session(retry=RetryPolicy(max_attempts=1), request_timeout=5)
        yield from RESTClient(url, session=session).paginate(path)

    return read()


def test_an_unreachable_api(warehouse: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"

    with leaves_as_it_was(warehouse):
        error = fails(items(url), cause=RequestFailedError, words=["'items'", f"GET {url}items", "1 attempt"])

    assert (error.step, error.resources) == ("extract", ("items",))


def test_an_api_that_asks_for_credentials(warehouse: Path, httpserver) -> None:
    httpserver.expect_request("/items").respond_with_json({"message": "who are you?"}, status=401)

    with leaves_as_it_was(warehouse):
        fails(items(httpserver.url_for("/")), cause=Exception, words=["'items'", httpserver.url_for("/items"), "401"])


def test_an_api_that_answers_with_broken_json(warehouse: Path, httpserver) -> None:
    httpserver.expect_request("/items").respond_with_data("<html>log in</html>", content_type="text/html")

    with leaves_as_it_was(warehouse):
        fails(
            items(httpserver.url_for("/")),
            cause=ResponseNotJsonError,
            words=["'items'", httpserver.url_for("/items"), "is not valid JSON", "<html>", "Check the address"],
        )


# --- the call ----------------------------------------------------------------------------------------------------


def test_data_without_a_table_name(warehouse: Path) -> None:
    with leaves_as_it_was(warehouse), pytest.raises(ResourceNameMissingError, match=r"Pass table_name='\.\.\.' to run"):
        pipeline().run([{"id": 2}])


def test_a_dict_where_a_list_is_due(warehouse: Path) -> None:
    with leaves_as_it_was(warehouse), pytest.raises(InvalidResourceDataError) as caught:
        pipeline().run({"id": 2}, table_name="kept")

    assert "Resource 'kept': data of type dict cannot be loaded; expected a list" in str(caught.value)


def test_a_text_where_a_list_is_due(warehouse: Path) -> None:
    with leaves_as_it_was(warehouse), pytest.raises(InvalidResourceDataError, match=r"'kept'.* type str "):
        pipeline().run("id", table_name="kept")


def test_an_unknown_destination(project: Path) -> None:
    with pytest.raises(UnknownDestinationError) as caught:
        dlt.pipeline("shop", destination="duckbd")

    assert (
        "Pipeline 'shop': there is no destination 'duckbd'. Did you mean 'duckdb'? Known are: duckdb, memory, postgres."
        in str(caught.value)
    )
    assert not list(project.iterdir())


def test_no_destination(project: Path) -> None:
    with pytest.raises(UnknownDestinationError, match="Pipeline 'shop': no destination was given"):
        dlt.pipeline("shop").run([{"id": 1}], table_name="t")


@pytest.mark.parametrize("name", ["", "a/b", "a*b", ".."])
def test_a_pipeline_name_that_cannot_name_a_file(project: Path, name: str) -> None:
    with pytest.raises(IngestError, match="cannot be used: it names files"):
        dlt.pipeline(name, destination="duckdb")


# --- the destination ---------------------------------------------------------------------------------------------

HOLDER = "import sys, duckdb; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def holder(warehouse: Path) -> Iterator[subprocess.Popen]:
    """Another process that has the file open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(warehouse)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


class FakeClock:
    """A clock that only moves when someone waits; `on_sleep` may do something in the meantime."""

    def __init__(self, on_sleep=lambda: None) -> None:
        self.slept: list[float] = []
        self.on_sleep = on_sleep

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.on_sleep()


def on_clock(file: Path, clock: FakeClock, lock_timeout_seconds: float) -> dlt.Pipeline:
    from dlt_orchestrate.destinations.duckdb_file.destination import DuckDB

    destination = DuckDB(file, lock_timeout_seconds=lock_timeout_seconds, clock=clock)
    return dlt.pipeline("shop", destination=destination, dataset_name="shop_data")


def test_a_file_that_another_process_holds_is_waited_for_and_then_named_with_its_holder(warehouse: Path, holder) -> None:
    clock = FakeClock()

    with pytest.raises(PipelineStepFailed) as caught:
        on_clock(warehouse, clock, 10).run([{"id": 2}], table_name="kept")

    error = caught.value.__cause__
    assert isinstance(error, DestinationLockedError)
    assert f"PID {holder.pid}" in str(error)
    assert str(warehouse) in str(error)
    assert "waited 10 s. Nothing was changed. Close that process, or let loads wait longer" in str(error)
    assert (caught.value.step, caught.value.pipeline_name) == ("sync", "shop")
    assert sum(clock.slept) == pytest.approx(10)
    assert clock.slept[1] > clock.slept[0] * 0.6
    holder.kill()
    holder.wait()
    with leaves_as_it_was(warehouse):
        pass


def test_a_load_goes_on_when_the_other_process_lets_go(warehouse: Path, holder) -> None:
    def let_go() -> None:
        holder.kill()
        holder.wait()

    on_clock(warehouse, FakeClock(let_go), 10).run([{"id": 2}], table_name="kept")

    with duckdb.connect(str(warehouse)) as connection:
        assert connection.sql("SELECT id FROM shop_data.kept ORDER BY id").fetchall() == [(1,), (2,)]


@contextmanager
def as_nobody() -> Iterator[None]:
    """File permissions do not hold for root."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was_root:
            os.seteuid(0)


def test_a_read_only_file(warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Where that user may look for configuration.
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HOME", folder)
        file = Path(folder) / "shop.duckdb"
        file.write_bytes(warehouse.read_bytes())
        file.chmod(0o444)
        Path(folder).chmod(0o555)
        try:
            with leaves_as_it_was(file), as_nobody():
                error = fails(
                    [{"id": 2}],
                    table_name="kept",
                    destination=dlt.destinations.duckdb(file),
                    cause=DestinationUnavailableError,
                    words=[str(file), "ermission", "Check the path"],
                )
            assert error.step == "sync"
        finally:
            Path(folder).chmod(0o755)


def test_a_file_that_is_no_database(project: Path) -> None:
    (project / "shop.duckdb").write_text("not a database, but long enough to be read as a header " * 200)

    fails([{"id": 2}], table_name="t", cause=DestinationUnavailableError, words=["shop.duckdb", "choose another path"])


def test_a_folder_that_does_not_exist(project: Path) -> None:
    fails(
        [{"id": 2}],
        table_name="t",
        destination=dlt.destinations.duckdb(project / "nowhere" / "shop.duckdb"),
        cause=DestinationUnavailableError,
        words=[f"the folder {project / 'nowhere'} does not exist", "Create it"],
    )


def test_a_file_that_this_process_has_open_for_reading_only(warehouse: Path) -> None:
    with duckdb.connect(str(warehouse), read_only=True):
        fails(
            [{"id": 2}],
            table_name="t",
            cause=DestinationUnavailableError,
            words=[str(warehouse), "This process has the file open with other settings"],
        )


# --- the records -------------------------------------------------------------------------------------------------


def test_a_cursor_field_that_is_missing(warehouse: Path) -> None:
    @dlt.resource
    def changes(updated_at=dlt.sources.incremental("updated_at")):
        yield [{"id": 2, "changed": "2024-01-01"}]

    with leaves_as_it_was(warehouse):
        fails(
            changes(),
            cause=CursorFieldMissingError,
            words=["'changes'", "'updated_at'", "changed", "on_cursor_value_missing"],
        )


def test_a_value_that_no_type_can_hold_rejects_its_row_with_the_cause(warehouse: Path) -> None:
    records = [{"id": 2}, {"id": 3, "bad": {1, 2}}, {"id": 4, "deep": [{"text": "\ud800"}]}]

    info = pipeline().run(records, table_name="kept")

    with duckdb.connect(str(warehouse)) as connection:
        assert connection.sql("SELECT id FROM shop_data.kept ORDER BY id").fetchall() == [(1,), (2,)]
        found = connection.sql("SELECT * FROM shop_data._dlt_rejects ORDER BY row").fetchall()
    assert [(reject[0], reject[1], reject[2], reject[4]) for reject in found] == [
        (info.loads_ids[0], "kept", "kept", "bad"),
        (info.loads_ids[0], "kept", "kept", "deep.text"),
    ]
    assert "no column holds a value of type set; make it a list" in found[0][5]
    assert "half of a surrogate pair" in found[1][5]
    assert '"id":3' in found[0][3].replace(" ", "")
    report = info.resources["kept"]
    assert (report.rows_loaded, report.rows_rejected, report.total_rows) == (1, 2, 2)
    assert [reject.column for reject in report.rejects] == ["bad", "deep.text"]


def test_a_load_of_rejects_alone_is_recorded(warehouse: Path) -> None:
    info = pipeline().run([{"id": 3, "bad": {1, 2}}], table_name="kept")

    assert (info.resources["kept"].rows_loaded, info.resources["kept"].rows_rejected) == (0, 1)
    assert pipeline().dataset()["_dlt_rejects"].count() == 1


@pytest.mark.parametrize(
    ("good", "bad", "limit"), [(0, 1_001, "the 1,000 that are allowed"), (989, 11, "the 1 % that are allowed")]
)
def test_too_many_rejects_fail_the_load(warehouse: Path, good: int, bad: int, limit: str) -> None:
    records = [{"id": n} for n in range(good)] + [{"id": n, "bad": object()} for n in range(bad)]

    with leaves_as_it_was(warehouse):
        error = fails(
            records,
            table_name="kept",
            cause=TooManyRejectsError,
            words=[
                f"Resource 'kept': {bad} of {good + bad} rows were rejected",
                limit,
                "column 'bad'",
                "Nothing of this load was committed",
            ],
        )

    assert (error.step, error.resources) == ("normalize", ("kept",))


@pytest.mark.parametrize(("good", "bad"), [(0, 999), (990, 10)])
def test_rejects_within_the_limits_are_kept(project: Path, good: int, bad: int) -> None:
    records = [{"id": n} for n in range(good)] + [{"id": n, "bad": object()} for n in range(bad)]

    info = pipeline().run(records, table_name="kept")

    assert info.resources["kept"].rows_rejected == bad
    assert pipeline().dataset()["_dlt_rejects"].count() == bad


def test_rows_that_lack_a_key_which_others_carry_are_rejected(project: Path) -> None:
    info = pipeline().run([{"id": 1}, {"id": None}, {"v": 1}], table_name="t", write_disposition="merge", primary_key="id")

    assert (info.resources["t"].rows_loaded, info.resources["t"].rows_rejected) == (1, 2)
    causes = pipeline().dataset()["_dlt_rejects"].select("column_name", "cause").fetchall()
    assert causes == [("id", "the row lacks primary key 'id', which other rows carry")] * 2
