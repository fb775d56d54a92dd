"""The columns of a dataset's tables are looked up for the tables of a commit; others may be of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.destinations.duckdb_file.transaction import DuckDBTransaction
from dlt_orchestrate.errors import PipelineStepFailed, TableConflictError
from dlt_orchestrate.schema.types import BIGINT, TEXT


@pytest.fixture
def pipeline(project: Path) -> dlt.Pipeline:
    """A pipeline whose dataset has a table that nobody here has made, with a type that loads cannot write."""
    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="d")
    pipeline.run([{"id": 1, "items": [{"sku": "tea"}]}], table_name="orders")
    with duckdb.connect("shop.duckdb") as connection:
        connection.execute("CREATE TABLE d.trips (id BIGINT, duration INTERVAL)")
    return pipeline


def deep(levels: int) -> dict[str, Any]:
    return {"id": 1, "below": [deep(levels - 1)]} if levels else {"id": 1}


@pytest.mark.parametrize("levels", [1, 6])
def test_a_table_of_others_does_not_hinder_a_load(pipeline: dlt.Pipeline, levels: int) -> None:
    pipeline.run([deep(levels)], table_name="orders")

    assert pipeline.dataset()("SELECT count(*) FROM orders").fetchall() == [(2,)]


def test_a_load_into_such_a_table_names_the_column(pipeline: dlt.Pipeline) -> None:
    with pytest.raises(PipelineStepFailed, match="its column 'duration' has the type INTERVAL") as caught:
        pipeline.run([{"id": 1}], table_name="trips")

    assert isinstance(caught.value.__cause__, TableConflictError)
    assert caught.value.__cause__.table == "trips"


def test_however_many_tables_are_asked_for_their_columns_are_the_same() -> None:
    with duckdb.connect(":memory:") as connection:
        connection.execute("CREATE SCHEMA d")
        for number in range(8):
            connection.execute(f"CREATE TABLE d.t{number} (b VARCHAR, a BIGINT)")
        transaction = DuckDBTransaction(connection, "d")
        found = [transaction.columns(f"t{number}") for number in range(9)]

    assert [list((columns or {}).items()) for columns in found] == [[("b", TEXT), ("a", BIGINT)]] * 8 + [[]]
    assert found[8] is None
