"""A run that finds nothing new costs the destination three queries, and changes nothing; the first one asks little, too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import dlt_orchestrate as dlt


class Listening:
    """A DuckDB connection that writes down the statements it is given."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, heard: list[str]) -> None:
        self._connection = connection
        self._heard = heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *arguments: Any) -> duckdb.DuckDBPyConnection:
        self._heard.append(statement)
        return self._connection.execute(statement, *arguments)


def statements_from_now_on(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that DuckDB is given."""
    heard: list[str] = []
    connect = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda path: Listening(connect(path), heard))
    return heard


@dlt.resource(primary_key="id", write_disposition="merge")
def orders(numbers: Any, at: Any = dlt.sources.incremental("at", initial_value=0)) -> Iterator[list[dict[str, Any]]]:
    yield [{"id": number, "at": number, "items": [{"sku": "tea"}]} for number in numbers if number >= at.last_value]


def test_a_run_with_nothing_new_asks_the_destination_three_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = tmp_path / "shop.duckdb"
    pipeline = dlt.pipeline("shop", destination=dlt.destinations.duckdb(database))
    pipeline.run(orders(range(100)))
    bytes_before = database.read_bytes()
    statements = statements_from_now_on(monkeypatch)

    report = pipeline.run(orders(range(100))).resources["orders"]

    queries = [statement for statement in statements if not statement.startswith("SET ")]
    assert len(queries) == 3, queries
    assert not any(re.search("INSERT|UPDATE|DELETE|CREATE|ALTER|COMMIT", query) for query in queries)
    assert (report.rows_loaded, report.changed, report.total_rows) == (0, False, 100)
    assert database.read_bytes() == bytes_before


def test_the_first_load_into_a_dataset_looks_for_no_columns_and_makes_the_dataset_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = statements_from_now_on(monkeypatch)
    pipeline = dlt.pipeline("shop", destination=dlt.destinations.duckdb(tmp_path / "shop.duckdb"))

    assert pipeline.run(orders(range(3))).resources["orders"].total_rows == 3

    assert [statement for statement in statements if "duckdb_columns()" in statement] == []
    assert len([statement for statement in statements if statement.startswith("CREATE SCHEMA")]) == 1
