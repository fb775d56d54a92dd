"""The bounds of a cursor go into the query, and neither lose a row nor let one through that the cursor alone would not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import mariadb_server
import postgres_server
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.sources.sql_database import sql_table
from dlt_orchestrate.state.commits import Window

DAY = datetime(2024, 1, 1)
TYPES = {
    "whole": "bigint", "exact": "decimal(12,3)", "at": "timestamp", "zoned": "timestamptz", "day": "date",
    "word": "varchar(40)", "iso": "varchar(40)", "empty": "bigint",
}  # fmt: skip
WORDS = ["B", "a", "Z", "b", "é", "aa", "_", "A", "c", "C"]
"""Each language sorts them in another way; the cursor by code point."""


def row(n: int) -> dict[str, Any]:
    """The n-th of the rows: all columns but words rise with n."""
    moment = DAY + timedelta(hours=n)
    return {
        "id": n,
        "whole": n * 10,
        "exact": Decimal(n) / 8,
        "at": moment,
        "zoned": moment,
        "day": moment.date(),
        "word": WORDS[n % len(WORDS)],
        "iso": moment.isoformat() + ("Z" if n % 2 else "+00:00"),
        "empty": n if n % 3 else None,
    }


Execute = Callable[..., None]
NAMES = {"postgresql": "postgres", "mysql": "mariadb", "sqlite": "sqlite", "duckdb": "duckdb"}


@pytest.fixture(params=["postgres", "mariadb", "sqlite", "duckdb"])
def source(request: pytest.FixtureRequest, project: Path) -> Iterator[tuple[str, Execute]]:
    """A database with the table `events`, and what carries out statements there."""
    kinds, name = dict(TYPES), request.param
    if name == "postgres":
        url = request.getfixturevalue("postgres_url")
        execute: Execute = lambda *statements: [postgres_server.execute(url, one) for one in statements]  # noqa: E731
        kinds["word"] = 'varchar(40) COLLATE "und-x-icu"'
    elif name == "mariadb":
        url = request.getfixturevalue("mariadb_url")
        execute = lambda *statements: mariadb_server.execute(url, "SET time_zone = '+00:00'", *statements)  # noqa: E731
        kinds |= {"at": "datetime(6)", "zoned": "timestamp NULL"}
    elif name == "sqlite":
        url = "sqlite:///events.sqlite"
        execute = in_sqlite
        kinds |= {"zoned": "timestamp", "at": "datetime"}
    else:
        url = "duckdb:///events.duckdb"
        execute = in_duckdb
    quote = "`" if name == "mariadb" else '"'
    columns = ", ".join(f"{quote}{column}{quote} {kind}" for column, kind in kinds.items())
    execute("DROP TABLE IF EXISTS events", f"CREATE TABLE events (id int PRIMARY KEY, {columns})")
    execute(insert(range(20), name))
    yield url, execute
    execute("DROP TABLE events")


def in_sqlite(*statements: str) -> None:
    with closing(sqlite3.connect("events.sqlite")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def in_duckdb(*statements: str) -> None:
    with duckdb.connect("events.duckdb") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for statement in statements:
            connection.execute(statement)


def insert(numbers: range, database: str) -> str:
    rows = []
    for values in map(row, numbers):
        if database == "sqlite":
            values["zoned"] = values["zoned"].isoformat() + "Z"
        if database == "postgres":
            values["zoned"] = f"{values['zoned']}+00"
        written = ("NULL" if v is None else str(v) if isinstance(v, int) else f"'{v}'" for v in values.values())
        rows.append(f"({', '.join(written)})")
    return f"INSERT INTO events VALUES {', '.join(rows)}"


def ids(pipeline: dlt.Pipeline, table: str = "events") -> list[int]:
    return [number for (number,) in pipeline.dataset().query(f"SELECT id FROM {table} ORDER BY id").fetchall()]


COLUMNS = ("whole", "exact", "at", "zoned", "day", "iso")


def by_each_column(url: str, asked: dict[str, int]) -> list[Any]:
    """The table once for each column as its cursor; `asked` gets the number of rows that each query finds."""

    def reading(column: str) -> Any:
        def count(chunk: Any) -> Any:
            asked[column] = asked.get(column, 0) + (1 if isinstance(chunk, dict) else len(chunk))
            return chunk

        return (
            sql_table(url, "events", incremental=dlt.sources.incremental(column)).with_name(f"by_{column}").add_map(count)
        )

    return [reading(column) for column in COLUMNS]


def test_the_next_run_asks_for_what_is_new_and_gets_all_of_it_once(
    source: tuple[str, Execute], pipeline: dlt.Pipeline
) -> None:
    url, execute = source
    first: dict[str, int] = {}
    second: dict[str, int] = {}

    pipeline.run(by_each_column(url, first))
    execute(insert(range(20, 30), NAMES[url.partition(":")[0]]))
    pipeline.run(by_each_column(url, second))

    for column in COLUMNS:
        assert ids(pipeline, f"by_{column}") == list(range(30)), column
    assert first == dict.fromkeys(COLUMNS, 20)
    # A day around it where spellings differ, and nothing where the database would compare in another way.
    around = {"day", "iso", *(("exact", "at", "zoned") if url.startswith("sqlite") else ())}
    assert {column: second[column] for column in COLUMNS if column not in around} == dict.fromkeys(
        [column for column in COLUMNS if column not in around], 11
    )


def test_texts_are_compared_as_the_cursor_compares_them(source: tuple[str, Execute], pipeline: dlt.Pipeline) -> None:
    url, _ = source
    whole = sql_table(url, "events", incremental=dlt.sources.incremental("word", initial_value="Z"))
    part = sql_table(url, "events", incremental=dlt.sources.incremental("word", initial_value="Z", end_value="b"))

    pipeline.run(whole)

    expected = sorted(n for n in range(20) if row(n)["word"] >= "Z")
    assert ids(pipeline) == expected
    pipeline.run(part.with_name("part"), table_name="part")
    found = pipeline.dataset().query("SELECT id FROM part ORDER BY id").fetchall()
    assert [number for (number,) in found] == sorted(n for n in range(20) if "Z" <= row(n)["word"] < "b")


@pytest.mark.parametrize(
    ("column", "window"),
    [
        ("at", Window("2024-01-01T05:00:00+00:00", "2024-01-01T07:00:00+00:00")),
        ("iso", Window("2024-01-01T05:00:00+00:00", "2024-01-01T07:00:00+00:00")),
        ("whole", Window("50", "70")),
    ],
)
def test_a_window_reads_its_rows_alone_and_may_be_loaded_again(
    source: tuple[str, Execute], pipeline: dlt.Pipeline, column: str, window: Window
) -> None:
    url, _ = source

    for _ in range(2):
        pipeline.run(sql_table(url, "events", incremental=dlt.sources.incremental(column)), window=window)

    assert ids(pipeline) == [5, 6]


def test_rows_without_a_cursor_value_are_an_error_left_out_or_taken_along(
    source: tuple[str, Execute], pipeline: dlt.Pipeline
) -> None:
    url, _ = source

    def run(rule: Any) -> list[int]:
        cursor = dlt.sources.incremental("empty", initial_value=10, on_cursor_value_missing=rule)
        pipeline.run(sql_table(url, "events", incremental=cursor, write_disposition="replace"))
        return ids(pipeline)

    assert run("exclude") == [n for n in range(10, 20) if n % 3]
    assert run("include") == sorted({n for n in range(20) if n % 3 == 0} | set(range(10, 20)))
    with pytest.raises(PipelineStepFailed, match="it holds null there"):
        run("raise")


def test_infinite_moments_of_duckdb_are_left_out_like_nulls(pipeline: dlt.Pipeline, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "odd.duckdb")) as connection:
        connection.execute("CREATE TABLE events (id INTEGER, moment TIMESTAMP)")
        connection.execute("INSERT INTO events VALUES (1, '2026-01-01'), (2, 'infinity'), (3, '-infinity'), (4, NULL)")
    since = dlt.sources.incremental("moment", on_cursor_value_missing="exclude")

    pipeline.run(sql_table(f"duckdb:///{tmp_path}/odd.duckdb", "events", incremental=since))

    assert ids(pipeline) == [1]


RANGES: list[tuple[dict[str, Any], list[int]]] = [
    ({"initial_value": 50, "end_value": 80}, [5, 6, 7]),
    ({"initial_value": 50, "end_value": 80, "range_start": "open", "range_end": "closed"}, [6, 7, 8]),
    ({"initial_value": 50, "end_value": 20, "last_value_func": "min"}, [3, 4, 5]),
    ({"initial_value": 170, "row_order": "desc"}, [17, 18, 19]),
    ({"initial_value": 0, "end_value": 30, "row_order": "asc"}, [0, 1, 2]),
    ({"initial_value": 50, "last_value_func": lambda values: max(values)}, list(range(5, 20))),
]


def test_open_closed_falling_and_ordered_ranges_hold_what_they_say(
    source: tuple[str, Execute], pipeline: dlt.Pipeline
) -> None:
    url, _ = source

    def reading(number: int, arguments: dict[str, Any]) -> Any:
        cursor = dlt.sources.incremental("whole", **arguments)
        return sql_table(url, "events", chunk_size=4, incremental=cursor).with_name(f"range_{number}")

    pipeline.run([reading(number, arguments) for number, (arguments, _) in enumerate(RANGES)])

    found = [ids(pipeline, f"range_{number}") for number in range(len(RANGES))]
    assert found == [expected for _, expected in RANGES]


def test_a_lag_asks_for_rows_from_before_the_last_value(source: tuple[str, Execute], pipeline: dlt.Pipeline) -> None:
    url, execute = source

    def resource() -> Any:
        return sql_table(url, "events", write_disposition="merge", incremental=dlt.sources.incremental("whole", lag=30))

    pipeline.run(resource())
    execute("UPDATE events SET whole = 165 WHERE id = 0")
    pipeline.run(resource())

    assert pipeline.dataset().query("SELECT whole FROM events WHERE id = 0").fetchall() == [(165,)]
    assert ids(pipeline) == list(range(20))


def test_a_cursor_column_that_is_not_there_is_named_with_those_that_are(
    source: tuple[str, Execute], pipeline: dlt.Pipeline
) -> None:
    url, _ = source

    with pytest.raises(PipelineStepFailed, match=r"it has at, day, empty, exact, id, iso, whole, word, zoned"):
        pipeline.run(sql_table(url, "events", incremental=dlt.sources.incremental("updated")))


def test_moments_of_an_initial_value_meet_columns_with_and_without_a_zone(
    source: tuple[str, Execute], pipeline: dlt.Pipeline
) -> None:
    url, _ = source
    since = datetime(2024, 1, 1, 18, tzinfo=UTC)

    pipeline.run(sql_table(url, "events", incremental=dlt.sources.incremental("at", initial_value=since)))

    assert ids(pipeline) == [18, 19]
    pipeline.run(
        sql_table(url, "events", incremental=dlt.sources.incremental("day", initial_value=date(2024, 1, 2))).with_name(
            "days"
        )
    )
    assert pipeline.dataset().query("SELECT count(*) FROM days").fetchscalar() == 0


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("end", [date(2024, 1, 3), None])
def test_rows_without_a_value_are_read_wherever_the_database_sorts_them(
    source: tuple[str, Execute], pipeline: dlt.Pipeline, order: Any, end: date | None
) -> None:
    url, execute = source
    execute(
        "DELETE FROM events",
        "INSERT INTO events (id, day) VALUES (1, '2024-01-01'), (2, '2024-01-02'), (3, '2024-01-03'), (4, NULL)",
    )

    days = dlt.sources.incremental(
        "day", date(2024, 1, 1), end_value=end, row_order=order, range_start="open", on_cursor_value_missing="include"
    )
    pipeline.run(sql_table(url, "events", incremental=days, chunk_size=1))

    assert ids(pipeline) == ([2, 4] if end else [2, 3, 4])


def moments_in_two_spellings(column: str, order: Any = "asc", **bounds: Any) -> Any:
    with closing(sqlite3.connect("spelled.sqlite")) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS spelled (id INTEGER PRIMARY KEY, at DATETIME, noted TEXT)")
        for number, at in enumerate(["2024-01-01 01:00:00", "2024-01-01T02:00:00", "2024-01-01 23:00:00"]):
            connection.execute("INSERT OR REPLACE INTO spelled VALUES (?, ?, ?)", (number, at, at))
        connection.commit()
    cursor = dlt.sources.incremental(column, row_order=order, **bounds)
    return sql_table("sqlite:///spelled.sqlite", "spelled", incremental=cursor, chunk_size=1)


def test_an_end_loses_no_moment_that_is_spelled_in_another_way(project: Path, pipeline: dlt.Pipeline) -> None:
    ended = {"initial_value": DAY, "end_value": DAY + timedelta(hours=12)}

    pipeline.run(moments_in_two_spellings("at", **ended))

    assert ids(pipeline, "spelled") == [0, 1]


@pytest.mark.parametrize("column", ["at", "noted"])
def test_a_cursor_does_not_move_step_by_step_over_moments_that_the_database_sorts_as_texts(
    project: Path, pipeline: dlt.Pipeline, column: str
) -> None:
    pipeline.run(moments_in_two_spellings(column).add_limit(2))
    with pytest.raises(PipelineStepFailed, match=rf"column '{column}' spells moments in several ways"):
        pipeline.run(moments_in_two_spellings(column))

    pipeline.run(moments_in_two_spellings(column, order=None), refresh="drop_resources")

    assert ids(pipeline, "spelled") == [0, 1, 2]


def test_moments_of_one_spelling_may_fall_to_the_oldest(project: Path, pipeline: dlt.Pipeline) -> None:
    moments_in_two_spellings("at")
    with closing(sqlite3.connect("spelled.sqlite")) as connection:
        connection.execute("UPDATE spelled SET at = replace(at, 'T', ' ')")
        connection.commit()
    backwards = dlt.sources.incremental("at", row_order="desc", last_value_func="min")

    pipeline.run(sql_table("sqlite:///spelled.sqlite", "spelled", incremental=backwards, chunk_size=1))

    assert ids(pipeline, "spelled") == [0, 1, 2]
