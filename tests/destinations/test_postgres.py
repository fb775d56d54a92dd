"""What PostgreSQL adds to the promises of every destination: its types, its limits, its locks."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from time import sleep
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from adbc_driver_postgresql import dbapi
from postgres_server import clean_database, execute, fresh_database, rows, server_url

from dlt_orchestrate import destinations
from dlt_orchestrate.destinations.postgresql.destination import Postgres
from dlt_orchestrate.errors import (
    DestinationLockedError,
    DestinationRefusedError,
    DestinationUnavailableError,
    InvalidCredentialsError,
    TableConflictError,
)
from dlt_orchestrate.schema.growth import Growth
from dlt_orchestrate.schema.table import ColumnHint, TableHints
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.commits import Window
from dlt_orchestrate.testing.look import rows as stored
from dlt_orchestrate.testing.packages import DATASET, package, resource_load

MERGE = TableHints(write_disposition="merge", primary_key=("id",))


@pytest.fixture
def url() -> Iterator[str]:
    with clean_database() as found:
        yield found


@pytest.fixture
def destination(url: str) -> Postgres:
    return destinations.postgres(url)


def load(destination: Postgres, records: list[dict[str, Any]], **circumstances: Any) -> Any:
    found = resource_load("r", records, capabilities=destination.capabilities, **circumstances)
    return destination.commit(package(found))


def types(url: str, table: str = "r") -> dict[str, str]:
    """The columns of data with their types, as PostgreSQL prints them."""
    found = rows(
        url,
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        f"WHERE attrelid = '{DATASET}.\"{table}\"'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    )
    return {str(name): str(kind) for name, kind in found if not str(name).startswith("_dlt_")}


# --- types -------------------------------------------------------------------------------------------------------

EXTREMES: dict[str, tuple[str, list[Any]]] = {
    "flag": ("boolean", [True, False]),
    "whole": ("bigint", [2**63 - 1, -(2**63)]),
    "wide": ("numeric(38,0)", [2**64, -(10**38) + 1]),
    "fraction": ("double precision", [float("inf"), -0.0]),
    "amount": ("numeric(38,9)", [Decimal("12345678901234567890123456789.123456789"), Decimal("-0.5")]),
    "small": ("numeric(38,20)", [Decimal("0.00000000000000000001"), Decimal("-1.5")]),
    "words": ("text", ["naïve 日本 \U0001f600 \\ ' \"\n", ""]),
    "at": ("timestamp with time zone", [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)]),
    "local": ("timestamp without time zone", [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)]),
    "day": ("date", [date(1, 1, 1), date(9999, 12, 31)]),
    "clock": ("time without time zone", [time(0, 0), time(23, 59, 59, 999999)]),
    "raw": ("bytea", [bytes(range(256)), b""]),
}


def test_the_extremes_of_every_type_come_back_exactly(url: str, destination: Postgres) -> None:
    records = [{name: values[number] for name, (_, values) in EXTREMES.items()} for number in (0, 1)]

    load(destination, [*records, dict.fromkeys(EXTREMES)])

    assert types(url) == {name: kind for name, (kind, _) in EXTREMES.items()}
    found = stored(destination, "r", *EXTREMES, order="_dlt_id")
    assert found == [*(tuple(record.values()) for record in records), (None,) * len(EXTREMES)]
    assert repr(found[1][list(EXTREMES).index("fraction")]) == "-0.0"


def test_json_is_stored_as_it_is_written(url: str, destination: Postgres) -> None:
    value = {"b": [1.0, -0.0, 1e300, 2**70, Decimal("1.50")], "a": {"ä": "\u2028", "": None}}
    hints = TableHints(columns={"doc": ColumnHint(ColumnType("json"))})

    load(destination, [{"doc": value}], hints=hints)

    assert types(url) == {"doc": "json"}
    ((text,),) = stored(destination, "r", "doc", order="_dlt_id")
    found = json.loads(text, parse_float=Decimal)
    assert text.startswith('{"a":')
    assert [str(number) for number in found["b"]] == ["1.0", "-0.0", "1E+300", str(2**70), "1.50"]
    assert found["a"] == value["a"]


def test_tables_of_other_types_that_hold_the_values_are_loaded_into(url: str, destination: Postgres) -> None:
    columns = {"doc": ColumnHint(ColumnType("json"))}
    load(destination, [{"doc": "x", "n": 1, "words": "x"}], hints=TableHints(columns=columns))
    execute(url, f"ALTER TABLE {DATASET}.r ALTER doc TYPE jsonb USING doc::jsonb, ALTER words TYPE varchar(5)")
    execute(url, f"ALTER TABLE {DATASET}.r ALTER n TYPE smallint")

    load(destination, [{"doc": {"k": [1]}, "n": 7, "words": "y1"}], hints=TableHints(columns=columns), based_on=1)
    merging = TableHints("merge", primary_key=("words",), columns=columns)
    load(destination, [{"doc": {"k": [2]}, "n": 7, "words": "y2"}], hints=merging, based_on=2)

    assert types(url) == {"doc": "jsonb", "n": "smallint", "words": "character varying(5)"}
    found = stored(destination, "r", "doc", "n", "words", order="_dlt_load_id")
    assert found == [('"x"', 1, "x"), ('{"k": [1]}', 7, "y1"), ('{"k": [2]}', 7, "y2")]


def test_a_column_widens_without_changing_a_value(url: str, destination: Postgres) -> None:
    columns = {"d": ColumnHint(ColumnType("decimal", 10, 2)), "t": ColumnHint(ColumnType("bool"))}
    first = {"i": 2**53, "d": Decimal("12345678.91"), "n": 2**62, "day": date(2026, 1, 2), "t": True}
    load(destination, [first], hints=TableHints(columns=columns))
    columns = {
        "d": ColumnHint(ColumnType("decimal", 12, 4)),
        "day": ColumnHint(ColumnType("timestamp")),
        "t": ColumnHint(ColumnType("json")),
    }
    second = {"i": 0.5, "d": Decimal("0.0001"), "n": 2**70, "day": None, "t": [1]}
    load(destination, [second], hints=TableHints(columns=columns), based_on=1)

    assert types(url) == {
        "d": "numeric(12,4)",
        "i": "double precision",
        "n": "numeric(38,0)",
        "day": "timestamp with time zone",
        "t": "json",
    }
    assert stored(destination, "r", "i", "d", "n", "day", "t", order="_dlt_load_id") == [
        (2.0**53, Decimal("12345678.91"), 2**62, datetime(2026, 1, 2, tzinfo=UTC), "true"),
        (0.5, Decimal("0.0001"), 2**70, None, "[1]"),
    ]


def test_a_column_that_a_view_stands_on_is_not_widened_and_the_error_says_why(url: str, destination: Postgres) -> None:
    load(destination, [{"i": 1}])
    execute(url, f"CREATE VIEW {DATASET}.seen AS SELECT i FROM {DATASET}.r")

    with pytest.raises(TableConflictError, match=r"used by a view or rule.*made by hand"):
        load(destination, [{"i": 0.5}], based_on=1)

    assert stored(destination, "r", "i") == [(1,)]


def test_descriptions_become_comments(url: str, destination: Postgres) -> None:
    columns = {"id": ColumnHint(description="The customer's number")}
    load(destination, [{"id": 1}], hints=TableHints(description="All \\ of them", columns=columns))

    found = rows(
        url,
        f"SELECT obj_description('{DATASET}.r'::regclass), col_description('{DATASET}.r'::regclass, attnum) "
        f"FROM pg_attribute WHERE attrelid = '{DATASET}.r'::regclass AND attname = 'id'",
    )
    assert found == [("All \\ of them", "The customer's number")]


# --- names and limits --------------------------------------------------------------------------------------------


def test_names_are_cut_to_63_bytes_and_stay_apart(destination: Postgres) -> None:
    keys = ["größe_" * 12 + end for end in ("a", "b")] + ["日本語" * 10, "x" * 63]

    load(destination, [dict(zip(keys, range(4), strict=True)) | {"kinder_ä" * 9: [{"n": 1}]}])
    load(destination, [dict(zip(keys, range(4), strict=True))], based_on=1)

    with destination.reader(DATASET) as reader:
        tables = reader.tables()
        found = reader.query("SELECT * FROM r").to_pylist()
    names = [name for table, columns in tables.items() for name in (table, *columns)]
    assert max(len(name.encode()) for name in names) == 63
    assert any(len(name) < len(name.encode()) for name in names)
    data = [{name: value for name, value in row.items() if not name.startswith("_dlt_")} for row in found]
    assert [sorted(row.values()) for row in data] == [[0, 1, 2, 3]] * 2


def test_a_key_named_like_a_column_of_the_system_gets_another_name(destination: Postgres) -> None:
    result = load(destination, [{"xmin": 1, "ymin": 2, "ctid": "x"}])

    with destination.reader(DATASET) as reader:
        (row,) = reader.query("SELECT * FROM r").to_pylist()
    assert row["ymin"] == 2
    others = {name: value for name, value in row.items() if name.startswith(("xmin_", "ctid_"))}
    assert sorted(others.values(), key=str) == [1, "x"]
    assert any("'xmin' of key 'xmin' is taken by the destination itself" in text for text in result.warnings)


def test_rows_wider_than_a_page_are_refused_with_what_to_do(destination: Postgres) -> None:
    load(destination, [{"id": 1}])
    wide = resource_load("r", [{f"c{number}": 1.5 for number in range(1_500)}], based_on=1)

    with pytest.raises(TableConflictError, match=r"row is too big.*8 kB.*'json'"):
        destination.commit(package(replace(wide, growth=Growth(max_columns=1_500))))

    assert stored(destination, "r", "id") == [(1,)]


@pytest.mark.parametrize("text", [lambda n: f"{n:023d}", lambda n: f"{n} {'long ' * 100}"], ids=["short", "long"])
def test_more_texts_than_fit_into_a_row_overflow_and_are_not_lost(text: Any, destination: Postgres) -> None:
    wide = {f"c{number}": text(number) for number in range(1_200)}

    for number in (0, 1):
        load(destination, [{"id": number, **wide}], based_on=number, hints=MERGE)

    with destination.reader(DATASET) as reader:
        found = reader.query("SELECT * FROM r ORDER BY id").to_pylist()
    for number, row in enumerate(found):
        columns = {name: value for name, value in row.items() if not name.startswith("_dlt_")}
        assert {**columns, **json.loads(row["_dlt_overflow"])} == {"id": number, **wide}
        assert len(row) == 320
    assert len(found) == 2


def test_tables_of_as_many_columns_as_fit_are_merged(destination: Postgres) -> None:
    columns = {f"c{number}": ColumnHint(ColumnType("bool")) for number in range(1_590)}
    hints = TableHints("merge", strategy="upsert", primary_key=("id",), columns=columns)

    for number in (0, 1):
        load(destination, [{"id": 1, "c7": bool(number)}], hints=hints, based_on=number)

    assert stored(destination, "r", "id", "c7") == [(1, True)]


def test_a_schema_that_is_there_needs_no_right_to_make_schemas(url: str, destination: Postgres) -> None:
    execute(url, f'CREATE SCHEMA "{DATASET}"')
    role = f"loader_{os.getpid()}"
    execute(url, f"CREATE ROLE {role}")
    execute(url, f'GRANT ALL ON SCHEMA "{DATASET}" TO {role}')
    mine = destinations.postgres(f"{url}?options=-c%20role%3D{role}")
    try:
        load(mine, [{"id": 1}])
        with pytest.raises(DestinationUnavailableError, match=r"permission denied.*Nothing was changed\. Grant the role"):
            mine.commit(package(resource_load("r", [{"id": 1}]), dataset="elsewhere"))

        assert stored(mine, "r", "id") == [(1,)]
    finally:
        execute(url, f'DROP SCHEMA "{DATASET}" CASCADE')
        execute(url, f"DROP ROLE {role}")


def test_texts_compare_alike_whatever_the_collation_of_the_database() -> None:
    if rows(server_url(), "SELECT count(*) FROM pg_collation WHERE collprovider = 'i'") == [(0,)]:
        pytest.skip("this server was built without ICU")
    with fresh_database(options="LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'") as url:
        assert rows(url, "SELECT 'a' < 'B'") == [(True,)]
        destination = destinations.postgres(url)
        records = [{"at": text, "n": number} for number, text in enumerate("aBbÄ")]
        load(destination, records)

        window = {"window": Window("B", "b"), "cursor_path": "at"}
        load(destination, [{"at": "B", "n": 9}], hints=TableHints("append"), **window)
        latest = TableHints("merge", primary_key=("n",), columns={"at": ColumnHint(hints={"dedup_sort": "desc"})})
        load(destination, [{"at": "b", "n": 7}, {"at": "Z", "n": 7}], hints=latest, based_on=1)

        assert sorted(stored(destination, "r", "at", "n")) == [("B", 9), ("b", 2), ("b", 7), ("Ä", 3)]


def test_defaults_of_a_database_change_nothing() -> None:
    defaults = {
        "timezone": "'Asia/Tokyo'",
        "datestyle": "'German'",
        "standard_conforming_strings": "off",
        "default_transaction_isolation": "'serializable'",
        "default_transaction_read_only": "on",
        "search_path": "public",
        "extra_float_digits": "-10",
    }
    with fresh_database() as url:
        for name, value in defaults.items():
            execute(server_url(), f'ALTER DATABASE "{urlsplit(url).path[1:]}" SET {name} = {value}')
        destination = destinations.postgres(url)
        record = {"day": date(2026, 1, 2), "f": 0.1 + 0.2, "at": datetime(2026, 1, 2, 3, tzinfo=UTC)}
        columns = {"day": ColumnHint(description="back\\slash")}
        load(destination, [record], hints=TableHints(columns=columns), idempotency_key="it's \\ here")
        columns = {"day": ColumnHint(ColumnType("timestamp")), "f": ColumnHint(ColumnType("text"))}
        load(destination, [{"f": "x"}], hints=TableHints(columns=columns), based_on=1)
        again = load(destination, [record], idempotency_key="it's \\ here")

        assert again.repeated
        assert again.committed_at.utcoffset() == timedelta(0)
        first, _ = stored(destination, "r", "day", "f", "at", order="_dlt_load_id")
        assert first == (datetime(2026, 1, 2, tzinfo=UTC), "0.30000000000000004", record["at"])


# --- reading -----------------------------------------------------------------------------------------------------


def test_queries_give_the_types_of_their_columns(destination: Postgres) -> None:
    load(destination, [{"n": 1, "d": Decimal("1.50"), "s": "it's", "at": datetime(2026, 1, 2, tzinfo=UTC)}, {"n": 2}])

    with destination.reader(DATASET) as reader:
        found = reader.query("SELECT sum(n) AS whole, sum(d) AS d, avg(n) AS mean, max(at) AS at, NULL AS none FROM r;  ")
        chosen = reader.query("SELECT n FROM r WHERE s = $1 AND n = $2 -- and no more", ["it's", 1])
        nothing = reader.query("SELECT n, d FROM r WHERE false")
        plan = reader.query("EXPLAIN SELECT * FROM r")
        batches = list(reader.stream("SELECT d FROM r ORDER BY n"))

    assert found.to_pylist() == [
        {"whole": 3, "d": Decimal("1.5"), "mean": Decimal("1.5"), "at": datetime(2026, 1, 2, tzinfo=UTC), "none": None}
    ]
    assert chosen.to_pylist() == [{"n": 1}]
    assert nothing.schema == pa.schema([("n", pa.int64()), ("d", pa.decimal128(38, 9))])
    assert plan.num_rows > 0
    assert pa.Table.from_batches(batches) == pa.table({"d": pa.array([Decimal("1.5"), None], pa.decimal128(38, 9))})


def test_a_query_that_fails_midway_is_a_refusal(destination: Postgres) -> None:
    divided = "SELECT 1 / (n - 400000) FROM generate_series(1, 500000) n"

    with pytest.raises(DestinationRefusedError, match="division by zero"), destination.reader(DATASET) as reader:
        list(reader.stream(divided))
    with pytest.raises(DestinationRefusedError, match="division by zero"), destination.reader(DATASET) as reader:
        reader.query(divided)


def test_a_reader_sees_one_moment_and_changes_nothing(url: str, destination: Postgres) -> None:
    load(destination, [{"id": 1}])

    with destination.reader(DATASET) as reader:
        before = reader.query("SELECT id FROM r").to_pylist()
        load(destination, [{"id": 2}], hints=TableHints("replace"), based_on=1)
        assert reader.query("SELECT id FROM r").to_pylist() == before == [{"id": 1}]
    with pytest.raises(DestinationRefusedError, match="read-only transaction"), destination.reader(DATASET) as reader:
        reader.query("DELETE FROM r")

    assert stored(destination, "r", "id") == [(2,)]


def test_a_snapshot_older_than_a_change_of_type_finds_the_table_empty(url: str, destination: Postgres) -> None:
    """PostgreSQL's own exception to its snapshots, which docs/destinations.md names; nothing else breaks them."""
    load(destination, [{"i": 1}])
    with destination.reader(DATASET) as reader:
        assert reader.query("SELECT count(*) AS n FROM _dlt_loads").to_pylist() == [{"n": 1}]
        load(destination, [{"i": 2, "new": "x"}], based_on=1)
        assert reader.query("SELECT i FROM r").to_pylist() == [{"i": 1}]

    with destination.reader(DATASET) as reader:
        assert reader.query("SELECT count(*) AS n FROM _dlt_loads").to_pylist() == [{"n": 2}]
        load(destination, [{"i": 0.5}], based_on=2)
        assert reader.query("SELECT i FROM r").to_pylist() == []

    assert stored(destination, "r", "i") == [(0.5,), (1.0,), (2.0,)]


def test_a_reader_that_keeps_a_table_open_is_named_by_the_load_that_changes_it(url: str, destination: Postgres) -> None:
    load(destination, [{"id": 1}])
    hurried = destinations.postgres(url, lock_timeout_seconds=0.3)

    with destination.reader(DATASET) as reader:
        reader.query("SELECT * FROM r")
        load(hurried, [{"id": 2}], based_on=1)
        with pytest.raises(DestinationLockedError, match=r"'dlt_orchestrate on .*idle in transaction"):
            load(hurried, [{"id": 3, "new": 1}], based_on=2)

    assert stored(destination, "r", "id") == [(1,), (2,)]


# --- locks -------------------------------------------------------------------------------------------------------


def test_a_load_that_waits_too_long_says_who_holds_the_dataset(url: str, destination: Postgres) -> None:
    load(destination, [{"id": 1}])
    hurried = destinations.postgres(url, lock_timeout_seconds=0.3)

    with destination._server.transaction("READ WRITE", dataset=DATASET, locks=True) as holder:
        ((pid,),) = holder.rows("SELECT pg_backend_pid()")
        with pytest.raises(DestinationLockedError, match=f"process {pid} of the server for 'dlt_orchestrate on ") as caught:
            load(hurried, [{"id": 2}], based_on=1)
        hurried.commit(package(resource_load("r", [{"id": 3}]), dataset="another"))

    assert "idle in transaction" in caught.value.holder
    assert "pg_terminate_backend" in str(caught.value)
    load(hurried, [{"id": 2}], based_on=1)
    assert stored(destination, "r", "id") == [(1,), (2,)]


def test_a_table_that_someone_else_locks_is_named_with_its_holder(url: str, destination: Postgres) -> None:
    load(destination, [{"id": 1}])
    hurried = destinations.postgres(url, lock_timeout_seconds=0.3)

    with destination._server.transaction("READ WRITE") as holder:
        ((pid,),) = holder.rows("SELECT pg_backend_pid()")
        holder.execute(f"LOCK TABLE {DATASET}.r IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DestinationLockedError, match=f"process {pid} of the server"):
            load(hurried, [{"id": 2}], based_on=1)


def test_a_commit_that_stands_still_loses_its_session_and_frees_the_dataset(url: str, destination: Postgres) -> None:
    load(destination, [{"id": 1}])
    stopping = destinations.postgres(url, idle_timeout_seconds=0.2)

    def stand_still() -> None:
        with stopping._server.transaction("READ WRITE", dataset=DATASET, locks=True) as session:
            session.execute(f"DELETE FROM {DATASET}.r")
            load(destination, [{"id": 2}], based_on=1)  # waits until the server has ended the session
            session.execute("SELECT 1")

    with pytest.raises(DestinationUnavailableError, match="idle_timeout_seconds"):
        stand_still()

    assert stored(destination, "r", "id") == [(1,), (2,)]


def test_a_client_that_stops_amid_its_rows_is_ended_by_who_waits_for_it(url: str, destination: Postgres) -> None:
    """What the server sees of a process that was stopped: a COPY of which nothing more comes."""
    load(destination, [{"id": 1}])
    is_sending, goes_on = threading.Event(), threading.Event()

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"id": [7]})
        is_sending.set()
        goes_on.wait(60)
        yield pa.record_batch({"id": [8]})

    def commit_and_stop() -> None:
        with destination._server.transaction("READ WRITE", dataset=DATASET, locks=True) as session:
            session.ingest("r", DATASET, pa.schema([("id", pa.int64())]), batches())

    with ThreadPoolExecutor(1) as other:
        stopped = other.submit(commit_and_stop)
        is_sending.wait(60)
        try:
            patient = destinations.postgres(url, lock_timeout_seconds=0.3)
            with pytest.raises(DestinationLockedError, match="active, in a transaction since"):
                load(patient, [{"id": 2}], based_on=1)
            waiting = destinations.postgres(url, lock_timeout_seconds=0.3, idle_timeout_seconds=0.1)
            load(waiting, [{"id": 2}], based_on=1)
        finally:
            goes_on.set()
        with pytest.raises(DestinationUnavailableError, match=r"has ended its session.*Run again"):
            stopped.result(60)

    assert stored(destination, "r", "id") == [(1,), (2,)]


# --- addresses ---------------------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_named_without_credentials() -> None:
    destination = destinations.postgres("postgresql://me:s3cr%2Ft@127.0.0.1:1/shop?connect_timeout=2")

    with pytest.raises(DestinationUnavailableError) as caught:
        destination.datasets()

    assert str(caught.value).startswith("postgresql://127.0.0.1:1/shop cannot be used: Connection refused. Check host")
    parts = (caught.value, destination, destination.location, vars(destination), vars(destination._server))
    assert "s3cr" not in "".join(f"{part} {part!r}" for part in parts)


@pytest.mark.parametrize(
    ("credentials", "problem"),
    [
        ("mysql://me:geheim@h/db", "no URL that begins with postgresql://"),
        ("postgresql://me:geheim@h", "no database"),
        ("postgresql://me:geheim@h:port/db", "port is no number"),
        ({"username": "me", "password": "geheim"}, "no host and no database"),
        (17, "they are a int"),
    ],
)
def test_credentials_that_cannot_be_read_are_told_and_not_shown(credentials: object, problem: str) -> None:
    with pytest.raises(InvalidCredentialsError, match=problem) as caught:
        destinations.postgres(credentials)

    assert "geheim" not in str(caught.value)


# --- rows that go ------------------------------------------------------------------------------------------------


def test_of_a_partitioned_table_only_the_rows_that_are_meant_go(url: str, destination: Postgres) -> None:
    execute(url, f"CREATE SCHEMA {DATASET}")
    columns = "id bigint NOT NULL, v bigint, _dlt_load_id text NOT NULL, _dlt_id text NOT NULL"
    execute(url, f"CREATE TABLE {DATASET}.r ({columns}) PARTITION BY LIST (id)")
    for number in range(3):
        execute(url, f"CREATE TABLE {DATASET}.r_{number} PARTITION OF {DATASET}.r FOR VALUES IN ({number})")
    load(destination, [{"id": number, "v": 0} for number in range(3)], hints=MERGE)

    result = load(destination, [{"id": 1, "v": 1}], hints=MERGE, based_on=1)

    assert stored(destination, "r", "id", "v") == [(0, 0), (1, 1), (2, 0)]
    assert (result.tables["r"].updated, result.tables["r"].deleted) == (1, 0)


def test_a_row_that_somebody_changes_during_a_merge_is_replaced_all_the_same(url: str, destination: Postgres) -> None:
    load(destination, [{"id": number, "v": 0} for number in range(3)], hints=MERGE)
    found = resource_load("r", [{"id": 1, "v": 2}], hints=MERGE, based_on=1, capabilities=destination.capabilities)

    with dbapi.connect(url) as other, other.cursor() as cursor, ThreadPoolExecutor(1) as pool:
        cursor.execute(f"UPDATE {DATASET}.r SET v = 1 WHERE id = 1")
        merging = pool.submit(destination.commit, package(found))
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DELETE%'"
        while not (merging.done() or rows(url, waiting)[0][0]):
            sleep(0.2)
        other.commit()
        merging.result()

    assert stored(destination, "r", "id", "v") == [(0, 0), (1, 2), (2, 0)]


# --- row counts --------------------------------------------------------------------------------------------------


def test_rows_of_a_large_table_are_told_from_the_load_before_and_counted_where_the_server_disagrees(url: str) -> None:
    destination = destinations.postgres(url, most_counted_rows=10_000)
    destination.commit(package(resource_load("r", [{"id": number} for number in range(20_000)], hints=MERGE)))

    def merge(commit: int, *ids: int) -> int:
        found = resource_load("r", [{"id": number} for number in ids], hints=MERGE, based_on=commit)
        return int(destination.commit(package(found)).tables["r"].total)

    never_looked_at = merge(1, 1, 30_000)
    execute(url, f"VACUUM ANALYZE {DATASET}.r")
    execute(url, f"DELETE FROM {DATASET}.r WHERE id = 3")
    few_went = merge(2, 2, 30_001)
    execute(url, f"DELETE FROM {DATASET}.r WHERE id < 5000")
    execute(url, f"VACUUM ANALYZE {DATASET}.r")
    many_went = merge(3, 30_002)

    assert (never_looked_at, few_went) == (20_001, 20_002)
    assert many_went == rows(url, f"SELECT count(*) FROM {DATASET}.r")[0][0] == 15_003
