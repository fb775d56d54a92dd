"""Tables of a real MariaDB server: unsigned numbers, truth values, dates that are none, zones, one state of all tables."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import mariadb_server
import pytest
import sqlalchemy as sa

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DatabaseReadError, PipelineStepFailed
from dlt_orchestrate.sources.sql_database import sql_database, sql_table

Stored = Callable[..., list[dict[str, Any]]]


def test_every_type_arrives_with_its_value(
    mariadb_url: str, pipeline: dlt.Pipeline, stored: Stored, column_types: Callable[[str], dict[str, str]]
) -> None:
    mariadb_server.execute(
        mariadb_url,
        """CREATE TABLE every_type (
            id bigint unsigned PRIMARY KEY, iu int unsigned, su smallint unsigned, ok tinyint(1), tiny tinyint, yes bit(1),
            bits bit(5), price decimal(12,2) NOT NULL, f float, d double, y year, dt datetime(6), ts timestamp NULL,
            day date, clock time(3), js json, kind enum('a','b'), tags set('x','y'), raw blob, t text COMMENT 'A text.',
            v varchar(20) UNIQUE, nothing int unsigned
        )""",
        "SET time_zone = '+02:00'",
        """INSERT INTO every_type VALUES (
            18446744073709551615, 4294967295, 65535, 1, -3, b'1', b'10101', 1.50, 1.5, 2.5, 2024,
            '2024-01-02 03:04:05.123456', '2024-01-02 03:04:05', '2024-01-02', '03:04:05.5', '{"a": [1, 2.50]}', 'b',
            'x,y', x'00ff', 'tÄ', 'v', NULL
        )""",
    )

    pipeline.run(sql_table(mariadb_url, "every_type"))

    assert stored("every_type") == [
        {
            "id": Decimal(18446744073709551615), "iu": 4294967295, "su": 65535, "ok": True, "tiny": -3, "yes": True,
            "bits": 21, "price": Decimal("1.50"), "f": 1.5, "d": 2.5, "y": 2024,
            "dt": datetime(2024, 1, 2, 3, 4, 5, 123456),
            "ts": datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC), "day": date(2024, 1, 2), "clock": time(3, 4, 5, 500000),
            "js": '{"a": [1, 2.50]}', "kind": "b", "tags": "x,y", "raw": b"\x00\xff", "t": "tÄ", "v": "v", "nothing": None,
        }
    ]  # fmt: skip
    types = column_types("every_type")
    assert {name: types[name] for name in ("id", "iu", "ok", "price", "dt", "ts", "nothing")} == {
        "id": "decimal(20,0)", "iu": "bigint", "ok": "bool", "price": "decimal(12,2)", "dt": "timestamp without time zone",
        "ts": "timestamp", "nothing": "bigint",
    }  # fmt: skip
    columns = pipeline.default_schema.tables["every_type"].columns
    assert ([name for name, column in columns.items() if column.primary_key], columns["t"].description) == (
        ["id"],
        "A text.",
    )
    assert columns["v"].hints == {"unique": True}
    assert not columns["price"].nullable


def test_a_float_is_told_to_its_last_digit_so_that_a_cursor_by_it_loses_nothing(
    mariadb_url: str, pipeline: dlt.Pipeline, stored: Stored
) -> None:
    mariadb_server.execute(
        mariadb_url, "CREATE TABLE floats (id int PRIMARY KEY, f float)", "INSERT INTO floats VALUES (1, 1234567)"
    )
    floats = sql_table(mariadb_url, "floats", incremental=dlt.sources.incremental("f"))

    pipeline.run(floats)
    mariadb_server.execute(mariadb_url, "INSERT INTO floats VALUES (2, 1234567), (3, 1234568), (4, 16777216)")
    pipeline.run(floats)

    assert [row["f"] for row in stored("floats")] == [1234567.0, 1234567.0, 1234568.0, 16777216.0]


def test_what_is_no_date_no_time_of_day_and_no_truth_value_is_told_beside_its_column(
    mariadb_url: str, pipeline: dlt.Pipeline, stored: Stored
) -> None:
    mariadb_server.execute(
        mariadb_url,
        "SET sql_mode = ''",
        "CREATE TABLE odd (id int PRIMARY KEY, day date NOT NULL, at datetime NOT NULL, span time, ok tinyint(1) NOT NULL)",
        "INSERT INTO odd VALUES (1, '0000-00-00', '0000-00-00 00:00:00', '-30:00:01', 7), "
        "(2, '2024-01-02', '2024-01-02 03:04:05', '03:04:05', 0)",
    )

    pipeline.run(sql_table(mariadb_url, "odd"))

    first, second = stored("odd")
    assert {key: value for key, value in first.items() if value is not None} == {
        "id": 1, "day__v_text": "0000-00-00", "at__v_text": "0000-00-00 00:00:00", "span__v_text": "-30:00:01",
        "ok__v_bigint": 7,
    }  # fmt: skip
    assert {key: value for key, value in second.items() if value is not None} == {
        "id": 2, "day": date(2024, 1, 2), "at": datetime(2024, 1, 2, 3, 4, 5), "span": time(3, 4, 5), "ok": False,
    }  # fmt: skip


def test_names_with_backticks_are_names(mariadb_url: str, pipeline: dlt.Pipeline, stored: Stored) -> None:
    mariadb_server.execute(
        mariadb_url,
        "CREATE TABLE `back``tick` (`i``d` int PRIMARY KEY, `a%b` int UNIQUE, `when``ever:x` varchar(20))",
        "INSERT INTO `back``tick` VALUES (1, 2, 'a'), (2, 3, 'b')",
    )
    since = dlt.sources.incremental("$['when`ever:x']", initial_value="b")

    pipeline.run(sql_table(mariadb_url, "back`tick", write_disposition="merge").with_name("all"))
    pipeline.run(sql_table(mariadb_url, "back`tick", incremental=since).with_name("some"))

    assert [row["i_d"] for row in stored("all", order_by="i_d")] == [1, 2]
    assert [row["i_d"] for row in stored("some", order_by="i_d")] == [2]
    columns = pipeline.default_schema.tables["all"].columns
    assert [name for name, column in columns.items() if column.primary_key] == ["i_d"]


def test_a_cursor_leaves_out_moments_that_are_none_where_it_leaves_out_nulls(
    mariadb_url: str, pipeline: dlt.Pipeline, stored: Stored
) -> None:
    mariadb_server.execute(
        mariadb_url,
        "SET sql_mode = ''",
        "CREATE TABLE dated (id int PRIMARY KEY, at datetime, day date NOT NULL)",
        "INSERT INTO dated VALUES (1, '0000-00-00', '0000-00-00'), (2, NULL, '2024-00-15'), "
        "(3, '2024-01-02', '9999-12-31')",
    )

    for column in ("at", "day"):
        since = dlt.sources.incremental(column, on_cursor_value_missing="exclude")
        pipeline.run(sql_table(mariadb_url, "dated", incremental=since).with_name(f"by_{column}"))

        assert [row["id"] for row in stored(f"by_{column}")] == [3]


def test_chunks_hold_every_row_once(mariadb_url: str) -> None:
    mariadb_server.execute(
        mariadb_url, "CREATE TABLE many (id int PRIMARY KEY)", "INSERT INTO many SELECT seq FROM seq_1_to_2500"
    )

    chunks = list(sql_table(mariadb_url, "many", chunk_size=1000))

    assert [chunk.num_rows for chunk in chunks] == [1000, 1000, 500]
    assert sorted(value for chunk in chunks for value in chunk["id"].to_pylist()) == list(range(1, 2501))


def test_a_snapshot_shows_all_tables_as_they_were_at_one_moment(
    mariadb_url: str, pipeline: dlt.Pipeline, stored: Stored
) -> None:
    mariadb_server.execute(
        mariadb_url,
        "CREATE TABLE first SELECT 1 AS id",
        "CREATE TABLE second SELECT 1 AS id",
    )
    source = sql_database(mariadb_url, table_names=["first", "second"], snapshot=True)

    def write_meanwhile(table: Any) -> Any:
        mariadb_server.execute(mariadb_url, "INSERT INTO first VALUES (2)", "INSERT INTO second VALUES (2)")
        return table

    source.first.add_map(write_meanwhile)
    pipeline.run(source)

    assert (stored("first"), stored("second")) == ([{"id": 1}], [{"id": 1}])


def test_an_engine_is_used_as_it_is_and_left_as_it_was(mariadb_url: str, pipeline: dlt.Pipeline, stored: Stored) -> None:
    mariadb_server.execute(mariadb_url, "CREATE TABLE seen (id int)", "INSERT INTO seen VALUES (1)")
    engine = sa.create_engine(mariadb_url.replace("mysql:", "mysql+pymysql:"))
    with engine.connect() as connection:
        before = connection.exec_driver_sql("SELECT @@time_zone").scalar()

    pipeline.run(sql_table(engine, "seen"))

    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT @@time_zone").scalar() == before
    assert stored("seen") == [{"id": 1}]
    engine.dispose()


@pytest.mark.parametrize("schema", [None, "own"])
def test_views_and_other_databases_of_the_server_are_read(
    mariadb_url: str, pipeline: dlt.Pipeline, stored: Stored, schema: str | None
) -> None:
    name = mariadb_url.rpartition("/")[2]
    database = name if schema is None else f"{name}_own"
    mariadb_server.execute(
        mariadb_url, f"CREATE DATABASE IF NOT EXISTS `{database}`", f"CREATE VIEW `{database}`.viewed AS SELECT 5 AS id"
    )
    try:
        pipeline.run(sql_table(mariadb_url, "viewed", schema=None if schema is None else database))
    finally:
        mariadb_server.execute(mariadb_url, f"DROP VIEW `{database}`.viewed")
        if schema is not None:
            mariadb_server.execute(mariadb_url, f"DROP DATABASE `{database}`")

    assert stored("viewed") == [{"id": 5}]


def test_an_error_of_a_query_is_no_outage(mariadb_url: str, pipeline: dlt.Pipeline) -> None:
    def misspelled(_query: Any, _table: Any) -> str:
        return "SELECT nonesuch"

    mariadb_server.execute(mariadb_url, "CREATE TABLE plain (id int)")

    with pytest.raises(PipelineStepFailed, match="Unknown column 'nonesuch'") as caught:
        pipeline.run(sql_table(mariadb_url, "plain", query_adapter_callback=misspelled))

    assert isinstance(caught.value.__cause__, DatabaseReadError)
    assert not caught.value.__cause__.is_outage
