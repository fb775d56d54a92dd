"""A run that is told to stop does so, wherever it waits: it rolls back, and leaves no lock and no scratch."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import duckdb
import interrupted_loads
import pytest
from adbc_driver_postgresql import dbapi
from postgres_server import clean_database

import dlt_orchestrate as dlt
from dlt_orchestrate.destinations.duckdb_file.connection import DuckDBFile
from dlt_orchestrate.destinations.duckdb_file.transaction import DuckDBTransaction
from dlt_orchestrate.destinations.postgresql.sql import lock_key
from dlt_orchestrate.errors import RunStoppedError, TerminatedError
from dlt_orchestrate.protocols.clock import SystemClock
from dlt_orchestrate.protocols.interruption import interruptible, interruptible_steps, interruption
from soak.processes import Processes

SECONDS_TO_STOP = 30
"""Ten are promised; a busy machine may take longer. Nothing here would end by itself in a thousand."""


@pytest.fixture(scope="module")
def processes() -> Processes:
    return Processes()


def until(happened) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


@contextmanager
def signalled(number: int):
    """This process gets a signal a moment later."""
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@pytest.fixture(autouse=True)
def handlers():
    """The handlers of a fresh process: runs of Dagster in the tests before leave theirs."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("wait", "number", "raised"),
    [
        *(
            (wait.__name__, signal.SIGTERM, "dlt_orchestrate.errors.TerminatedError: 143")
            for wait in interrupted_loads.WAITS
        ),
        *((wait, signal.SIGINT, "KeyboardInterrupt") for wait in ("in_a_retry_of_a_parallel_resource", "in_the_commit")),
    ],
)
def test_a_run_stops_wherever_it_waits(wait, number, raised, project, httpserver, processes) -> None:
    httpserver.expect_request("/busy").respond_with_data("", 503, {"Retry-After": "1000"})
    httpserver.expect_request("/busy-fine").respond_with_json({})
    file, holder = project / "interrupted.duckdb", None

    started = processes.start(interrupted_loads.load, wait, project, httpserver.url_for("/busy"))
    until(lambda: (project / "ready").exists() or httpserver.log or file.exists())
    if wait == "for_the_file":
        holder = processes.start(interrupted_loads.hold, file)
        until((project / "held").exists)
    started.signal(number)
    ended = started.end(SECONDS_TO_STOP)

    assert str(ended.error).splitlines()[-1] == raised
    if holder is not None:
        holder.signal(signal.SIGKILL)
        holder.end()
    assert list(project.rglob("run-*")) == []
    if file.exists():
        with duckdb.connect(file) as connection:
            assert connection.sql("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'data'").fetchall() == []


def test_a_query_of_duckdb_is_interrupted_by_what_the_signal_handler_raised(project) -> None:
    file = DuckDBFile(Path("shop.duckdb"), lock_timeout_seconds=1, memory_limit="100MB", threads=1, clock=SystemClock())

    # In one thread, as a commit: with more of them the main thread may wait for the others, and hear nothing meanwhile.
    with pytest.raises(TerminatedError), interruptible(), signalled(signal.SIGTERM), file.turn_to_write() as connection:
        connection.execute("SELECT max(a.range * b.range) FROM range(1000000000) a, range(1000000000) b").fetchall()


def test_a_commit_of_duckdb_hears_signals_also_with_several_threads(project) -> None:
    file = DuckDBFile(Path("shop.duckdb"), lock_timeout_seconds=1, memory_limit="100MB", threads=3, clock=SystemClock())

    with interruptible(), file.turn_to_write() as connection:
        connection.execute(
            "CREATE SCHEMA data; CREATE VIEW data.products AS "
            "SELECT a.range * b.range AS n FROM range(1000000000) a, range(1000000000) b"
        )
        with pytest.raises(TerminatedError), signalled(signal.SIGTERM):
            DuckDBTransaction(connection, "data", threads=3).integer_range("products", "n")


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, TerminatedError), (signal.SIGINT, KeyboardInterrupt)])
def test_a_wait_for_postgresql_is_interrupted_by_what_the_signal_handler_raised(number, raised) -> None:
    with clean_database() as url, dbapi.connect(url, autocommit=True) as holder, holder.cursor() as cursor:
        destination = dlt.destinations.postgres(url, lock_timeout_seconds=1000)
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT pg_advisory_xact_lock({lock_key('data')})")
        cursor.fetchall()

        with pytest.raises(raised), interruptible(), signalled(number):
            dlt.pipeline("shop", destination=destination, dataset_name="data").run([{"id": 1}], table_name="rows")

        cursor.execute("ROLLBACK")
        assert "data" not in destination.datasets()


def test_steps_of_a_generator_are_interruptible_one_by_one() -> None:
    def steps():
        for number in range(2):
            yield number, interruption()

    before = signal.getsignal(signal.SIGTERM)
    seen = []
    for number, told in interruptible_steps(steps()):
        assert signal.getsignal(signal.SIGTERM) is before
        seen.append((number, told))

    assert [number for number, _ in seen] == [0, 1]
    assert len({id(told) for _, told in seen}) == 1
    assert interruption() not in [told for _, told in seen]


def test_handlers_are_put_back_and_those_of_others_are_heard() -> None:
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with interruptible() as told:
            os.kill(os.getpid(), signal.SIGTERM)
            told.expect_none()
        after = signal.getsignal(signal.SIGTERM)
    finally:
        ours = signal.signal(signal.SIGTERM, before)

    assert heard == [signal.SIGTERM]
    assert after is ours
    assert signal.getsignal(signal.SIGTERM) is before is signal.SIG_DFL


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_of_a_run_a_wait_is_a_wait() -> None:
    SystemClock().sleep(0.001)
    interruption().expect_none()


def test_a_thread_of_a_stopped_run_begins_nothing_new() -> None:
    with interruptible() as told:
        told.tell(KeyboardInterrupt())
        found = []

        def go_on() -> None:
            try:
                told.sleep(1000)
            except RunStoppedError as error:
                found.append(error)

        thread = threading.Thread(target=go_on)
        thread.start()
        thread.join()

    assert len(found) == 1
