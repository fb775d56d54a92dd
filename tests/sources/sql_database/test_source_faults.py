"""Servers that stop, connections that break, tables that change: a run fails with a reason or gets it all, never a part."""

from __future__ import annotations

import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import mariadb_server
import postgres_server
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DatabaseReadError, DeclarationError, IngestError, PipelineStepFailed
from dlt_orchestrate.sources.sql_database import sql_database, sql_table

Stored = Callable[..., list[dict[str, Any]]]
LoadAfter = Callable[..., tuple[str, ...]]
LARGE = 40_000
"""Rows of one and a half kilobytes: more than a connection holds on its way."""


@pytest.fixture(scope="module", params=["postgres", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Callable[..., None], str]]:
    """A database with a table `large`, what carries out statements there, and the one that ends who reads from it."""
    url = request.getfixturevalue(f"{request.param}_url")
    if request.param == "postgres":

        def execute(*statements: str) -> None:
            for statement in statements:
                postgres_server.execute(url, statement)

        rows = f"SELECT n AS id, repeat('x', 1500) AS filling FROM generate_series(1, {LARGE}) n"
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dlt_orchestrate'"
    else:

        def execute(*statements: str) -> None:
            mariadb_server.execute(url, *statements)

        rows = f"SELECT seq AS id, repeat('x', 1500) AS filling FROM seq_1_to_{LARGE}"
        end = ""
    execute(f"CREATE TABLE large AS {rows}")
    yield url, execute, end
    execute("DROP TABLE large")


def kill_readers(url: str, end: str, execute: Callable[..., None]) -> None:
    """End the sessions of those who read, as a server does that is shut down."""
    if end:
        postgres_server.rows(url, end)
        return
    with closing(mariadb_server.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()")
        for (session,) in cursor.fetchall():
            cursor.execute(f"KILL {session}")


def test_a_session_that_the_server_ends_in_the_middle_of_a_table_loads_nothing_and_the_next_run_all(
    server: tuple[str, Callable[..., None], str], pipeline: dlt.Pipeline
) -> None:
    url, execute, end = server
    chunks: list[int] = []

    def kill(chunk: Any) -> Any:
        chunks.append(len(chunk))
        if len(chunks) == 1:
            kill_readers(url, end, execute)
        return chunk

    with pytest.raises(PipelineStepFailed, match="table 'large'") as caught:
        pipeline.run(sql_table(url, "large", chunk_size=1000).add_map(kill))

    assert isinstance(caught.value.__cause__, DatabaseReadError)
    assert caught.value.__cause__.is_outage
    assert sum(chunks) < LARGE
    pipeline.run(sql_table(url, "large"))
    counted = "SELECT count(*), count(DISTINCT id) FROM large"
    assert pipeline.dataset().query(counted).fetchall() == [(LARGE, LARGE)]


LOADED = 5_000
"""Rows that were loaded before the server is restarted."""


@pytest.mark.parametrize("way", ["plain", "incremental", "checkpointed"])
def test_a_server_that_is_restarted_in_the_middle_of_a_table_loses_and_doubles_nothing(
    server: tuple[str, Callable[..., None], str], pipeline: dlt.Pipeline, way: str
) -> None:
    url, _, end = server
    restart = postgres_server.restart if end else mariadb_server.restart
    chunks: list[int] = []

    def table(row_order: Any = None, **options: Any) -> Any:
        since = None if way == "plain" else dlt.sources.incremental("id", row_order=row_order)
        return sql_table(url, "large", chunk_size=1_000, incremental=since, **options)

    def interrupt(chunk: Any) -> Any:
        chunks.append(chunk.num_rows)
        if len(chunks) == 4:
            restart()
        return chunk

    order = "asc" if way == "checkpointed" else None
    if way == "incremental":
        pipeline.run(table(query_adapter_callback=lambda query, table: query.where(table.c.id <= LOADED)))

    with pytest.raises(PipelineStepFailed, match=r"Pipeline 'reading', .* resource 'large' .* table 'large'") as caught:
        pipeline.run(table(order).add_map(interrupt), checkpoint={"pages": 2} if order else None)

    assert caught.value.__cause__.is_outage
    assert "Run again when the database can be reached" in str(caught.value)
    pipeline.run(table(order))
    counted = "SELECT count(*), count(DISTINCT id) FROM large"
    assert pipeline.dataset().query(counted).fetchall() == [(LARGE, LARGE)]


def test_a_snapshot_of_a_server_that_was_restarted_is_taken_anew_by_the_next_run(
    server: tuple[str, Callable[..., None], str], pipeline: dlt.Pipeline
) -> None:
    url, execute, end = server
    execute("DROP TABLE IF EXISTS small", "CREATE TABLE small AS SELECT 1 AS id")
    source = sql_database(url, table_names=["small", "large"], snapshot=True, chunk_size=1_000)
    restarts: list[None] = []

    def interrupt(chunk: Any) -> Any:
        if not restarts:
            restarts.append((postgres_server.restart if end else mariadb_server.restart)())
        return chunk

    source.small.add_map(interrupt)
    with pytest.raises(PipelineStepFailed, match=r"table 'large'|snapshot"):
        pipeline.run(source)
    pipeline.run(source)

    assert pipeline.dataset().query("SELECT count(*), count(DISTINCT id) FROM large").fetchall() == [(LARGE, LARGE)]


@contextmanager
def network_that_breaks(url: str, after_bytes: int) -> Iterator[str]:
    """The URL of a proxy before a server, which passes on so much of its first answer and then is gone."""
    target = urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))
    left = [after_bytes]

    def pump(source: socket.socket, sink: socket.socket, *, is_counted: bool) -> None:
        with suppress(OSError):
            while passed := source.recv(65_536):
                left[0] -= len(passed) * is_counted
                if left[0] < 0:
                    break
                sink.sendall(passed)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((target.hostname, target.port))
                for ends, counted in (((client, server), False), ((server, client), True)):
                    threading.Thread(target=pump, args=ends, kwargs={"is_counted": counted}, daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    netloc = f"{target.username}@127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield urlunsplit(target._replace(netloc=netloc))
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_connection_that_breaks_in_the_middle_of_a_table_loads_nothing(
    server: tuple[str, Callable[..., None], str], pipeline: dlt.Pipeline
) -> None:
    url, _, _ = server

    with network_that_breaks(url, after_bytes=5_000_000) as cut, pytest.raises(PipelineStepFailed, match="table 'large'"):
        pipeline.run(sql_table(cut, "large", chunk_size=1000))

    assert not Path("reading.duckdb").exists()


def test_rows_that_change_while_a_table_is_read_are_read_as_they_were(
    server: tuple[str, Callable[..., None], str], pipeline: dlt.Pipeline
) -> None:
    url, execute, _ = server
    execute("CREATE TABLE changing AS SELECT * FROM large")
    changes: list[None] = []

    def change(chunk: Any) -> Any:
        if not changes:
            late, early = f"id > {LARGE - 100}", "id < 9"
            changed = f"DELETE FROM changing WHERE {late}", f"UPDATE changing SET id = id + 1000000 WHERE {early}"
            changes.append(execute(*changed))
        return chunk

    pipeline.run(sql_table(url, "changing", chunk_size=1000).add_map(change))

    found = pipeline.dataset().query("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM changing").fetchall()
    assert found == [(LARGE, LARGE, 1, LARGE)]


@pytest.fixture
def load_after(postgres_url: str, pipeline: dlt.Pipeline) -> LoadAfter:
    """Change the database and load a table of it; gives the warnings."""

    def load(table: str, *statements: str) -> tuple[str, ...]:
        for statement in statements:
            postgres_server.execute(postgres_url, statement)
        return pipeline.run(sql_table(postgres_url, table)).resources[table].warnings

    return load


def test_columns_that_are_added_dropped_and_retyped_between_runs_lose_nothing(
    load_after: LoadAfter, stored: Stored
) -> None:
    load_after(
        "moving",
        "CREATE TABLE moving (id int PRIMARY KEY, n int, price numeric(5,2), code text, gone int)",
        "INSERT INTO moving VALUES (1, 1, 1.25, '7', 1)",
    )
    load_after(
        "moving",
        "ALTER TABLE moving ALTER n TYPE bigint, ALTER price TYPE numeric(12,4), ALTER code TYPE int USING code::int",
        "ALTER TABLE moving DROP gone, ADD added date",
        "UPDATE moving SET id = 2, n = 10000000000, price = 1234567.1234, code = 8, added = '2024-01-02'",
    )
    load_after(
        "moving", "ALTER TABLE moving ALTER n TYPE timestamp USING '2024-01-01'::timestamp", "UPDATE moving SET id = 3"
    )

    rows = [{key: str(value) for key, value in row.items() if value is not None} for row in stored("moving")]
    assert [row.pop("price") for row in rows] == ["1.2500", "1234567.1234", "1234567.1234"]
    assert rows == [
        {"id": "1", "n": "1", "code": "7", "gone": "1"},
        {"id": "2", "n": "10000000000", "code": "8", "added": "2024-01-02"},
        {"id": "3", "n__v_timestamp_naive": "2024-01-01 00:00:00", "code": "8", "added": "2024-01-02"},
    ]


def test_columns_without_nulls_that_are_retyped_dropped_or_loosened_at_the_source_take_nulls_from_then_on(
    load_after: LoadAfter, stored: Stored
) -> None:
    load_after(
        "strict_one",
        "CREATE TABLE strict_one (id int, n int NOT NULL, gone int NOT NULL)",
        "INSERT INTO strict_one VALUES (1, 1, 1)",
    )
    told = load_after(
        "strict_one",
        "ALTER TABLE strict_one ALTER n TYPE timestamp USING '2024-01-01'::timestamp, DROP gone",
        "UPDATE strict_one SET id = 2",
    )
    load_after("strict_one", "ALTER TABLE strict_one ALTER n DROP NOT NULL", "UPDATE strict_one SET id = 3, n = NULL")

    assert stored("strict_one") == [
        {"id": 1, "n": 1, "gone": 1, "n__v_timestamp_naive": None},
        {"id": 2, "n": None, "gone": None, "n__v_timestamp_naive": datetime(2024, 1, 1)},
        {"id": 3, "n": None, "gone": None, "n__v_timestamp_naive": None},
    ]
    assert [warning.partition(",")[0] for warning in told] == [
        "Table 'strict_one': its column 'n' took no nulls",
        "Table 'strict_one': its column 'gone' took no nulls",
    ]


def test_a_key_that_is_retyped_so_that_it_cannot_hold_both_is_refused_with_what_to_do(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Stored
) -> None:
    def merged() -> Any:
        return sql_table(postgres_url, "rekeyed", write_disposition="merge")

    postgres_server.execute(postgres_url, "CREATE TABLE rekeyed AS SELECT true AS id, 1 AS v")
    postgres_server.execute(postgres_url, "ALTER TABLE rekeyed ADD PRIMARY KEY (id)")
    pipeline.run(merged())
    postgres_server.execute(postgres_url, "ALTER TABLE rekeyed ALTER id TYPE date USING '2024-01-02'::date")

    with pytest.raises(PipelineStepFailed, match=r"column 'id' is bool.*it is a key.*refresh='drop_resources'"):
        pipeline.run(merged())
    pipeline.run(merged(), refresh="drop_resources")

    assert stored("rekeyed") == [{"id": date(2024, 1, 2), "v": 1}]


def test_a_table_that_was_renamed_is_missed_by_name_and_its_siblings_are_loaded(
    postgres_url: str, pipeline: dlt.Pipeline, stored: Stored
) -> None:
    for statement in ("CREATE TABLE stays AS SELECT 1 AS id", "CREATE TABLE old_name AS SELECT 1 AS id"):
        postgres_server.execute(postgres_url, statement)
    source = sql_database(postgres_url, table_names=["old_name", "stays"])
    pipeline.run(source)
    postgres_server.execute(postgres_url, "ALTER TABLE old_name RENAME TO new_name")

    with pytest.raises(PipelineStepFailed, match=r"table 'old_name': there is no such table or view.*'new_name'"):
        pipeline.run(source)

    assert (stored("old_name"), stored("stays")) == ([{"id": 1}], [{"id": 1}, {"id": 1}])


def test_a_server_that_cannot_be_reached_is_told_without_its_password(pipeline: dlt.Pipeline) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]

    for scheme in ("postgresql", "mysql"):
        url = f"{scheme}://reader:s3cr3t-w0rd@127.0.0.1:{port}/shop"
        with pytest.raises(PipelineStepFailed) as caught:
            pipeline.run(sql_table(url, "orders"))

        told = str(caught.value)
        assert f"{scheme}://127.0.0.1:{port}/shop" in told
        assert "Run again when the database can be reached; nothing of this load was committed." in told
        assert "s3cr3t" not in told
        assert caught.value.__cause__.is_outage


def test_the_user_of_a_database_hides_nothing_that_is_called_the_same(pipeline: dlt.Pipeline) -> None:
    fields = {
        "drivername": "postgresql",
        "host": "127.0.0.1",
        "port": 9,
        "username": "orders",
        "password": "hunter2-orders",
    }

    with pytest.raises(PipelineStepFailed, match="resource 'orders' failed") as caught:
        pipeline.run(sql_database(fields, table_names=["orders"]))

    assert "hunter2" not in str(caught.value)


def test_fields_of_credentials_may_stand_in_the_environment(
    pipeline: dlt.Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    monkeypatch.setenv("SOURCES__SQL_DATABASE__CREDENTIALS__DRIVERNAME", "sqlite")
    monkeypatch.setenv("SOURCES__SQL_DATABASE__CREDENTIALS__DATABASE", str(tmp_path / "shop.sqlite"))

    info = pipeline.run([sql_database(), sql_table(table="orders").with_name("again")])

    assert sorted(info.resources) == ["again", "orders"]


@pytest.mark.parametrize("source", [sql_database, lambda url: sql_table(url, "orders")])
def test_a_file_of_sqlite_that_is_not_there_is_told_and_not_made(
    source: Callable[[str], Any], pipeline: dlt.Pipeline, tmp_path: Path
) -> None:
    with pytest.raises(IngestError, match=r"Database sqlite:.*shop.sqlite, a connection: there is no such file"):
        pipeline.run(source(f"sqlite:///{tmp_path}/shop.sqlite"))

    assert not (tmp_path / "shop.sqlite").exists()


def test_a_database_without_a_driver_or_without_a_table_is_told(pipeline: dlt.Pipeline, tmp_path: Path) -> None:
    (tmp_path / "empty.sqlite").touch()

    with pytest.raises(PipelineStepFailed, match=r"no driver .nonesuch. for oracle.*Install its package"):
        pipeline.run(sql_database("oracle+nonesuch://db.example/shop", table_names=["orders"]))
    with pytest.raises(DeclarationError, match="leave no table"):
        pipeline.run(sql_database(f"sqlite:///{tmp_path}/empty.sqlite"))


def test_frames_of_pandas_without_pandas_name_the_extra(
    pipeline: dlt.Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as database:
        database.executescript("CREATE TABLE teas (id INTEGER PRIMARY KEY); INSERT INTO teas VALUES (1)")
    monkeypatch.setitem(sys.modules, "pandas", None)

    with pytest.raises(PipelineStepFailed, match=r"backend='pandas', the extra 'frames' must be installed"):
        pipeline.run(sql_table(f"sqlite:///{tmp_path / 'shop.sqlite'}", "teas", backend="pandas"))
