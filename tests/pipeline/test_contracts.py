"""What a load may change about the tables that it loads into, by their schema contracts."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError, PipelineStepFailed, SchemaContractError, TooManyRejectsError

FIRST = [{"id": 1, "n": 10}]
NEW_COLUMN = [{"id": 2, "n": 20}, {"id": 3, "n": 30, "note": "late"}]
OTHER_TYPE = [{"id": 2, "n": 20}, {"id": 3, "n": "many"}]
WIDER = [{"id": 2, "n": 20}, {"id": 3, "n": 0.5}]
NEW_TABLE = [{"id": 2, "n": 20, "tags": []}, {"id": 3, "n": 30, "tags": [{"name": "a"}, {"name": "b"}]}]


@pytest.fixture(params=["duckdb", "memory"])
def pipeline(project: Path, request: pytest.FixtureRequest) -> dlt.Pipeline:
    made = dlt.pipeline(pipeline_name="orders", destination=request.param, dataset_name="mydata")
    made.run(FIRST, table_name="orders")
    return made


def rows(pipeline: dlt.Pipeline, table: str, *columns: str) -> list[tuple]:
    return sorted(pipeline.dataset()[table].select(*columns).fetchall(), key=repr)


def columns(pipeline: dlt.Pipeline) -> dict[str, list[str]]:
    tables = pipeline.default_schema.tables
    return {name: [n for n in table.columns if not n.startswith("_dlt")] for name, table in tables.items()}


def refused(pipeline: dlt.Pipeline, data: Any, contract: Any, **hints: Any) -> SchemaContractError:
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(data, table_name="orders", schema_contract=contract, **hints)
    assert isinstance(caught.value.__cause__, SchemaContractError)
    return caught.value.__cause__


def stored_rejects(pipeline: dlt.Pipeline) -> list[tuple[str, Any, str | None]]:
    with pipeline.destination.reader("mydata") as reader:
        found = reader.query('SELECT table_name, "row", column_name FROM _dlt_rejects').to_pylist()
    return [(row["table_name"], json.loads(row["row"]), row["column_name"]) for row in found]


# --- freeze ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entity", "data", "column", "found"),
    [
        ("columns", NEW_COLUMN, "note", "text"),
        ("data_type", OTHER_TYPE, "n__v_text", "text"),
        ("data_type", WIDER, "n", "double"),
    ],
)
def test_what_is_frozen_fails_the_load_and_changes_nothing(
    pipeline: dlt.Pipeline, entity: str, data: Any, column: str, found: str
) -> None:
    error = refused(pipeline, data, {entity: "freeze"})

    assert (error.resource, error.table, error.contract) == ("orders", "orders", entity)
    assert (error.column, error.found, error.row) == (column, found, 2)
    assert "first in row 2" in str(error)
    assert rows(pipeline, "orders", "id", "n") == [(1, 10)]
    assert columns(pipeline) == {"orders": ["id", "n"]}


def test_frozen_tables_let_no_nested_table_be_made(pipeline: dlt.Pipeline) -> None:
    error = refused(pipeline, NEW_TABLE, {"tables": "freeze"})

    assert (error.table, error.contract, error.column) == ("orders__tags", "tables", None)
    assert columns(pipeline) == {"orders": ["id", "n"]}


def test_frozen_tables_let_no_root_table_be_made(pipeline: dlt.Pipeline) -> None:
    with pytest.raises(PipelineStepFailed, match="table 'clients': the table is not there and would be created"):
        pipeline.run([{"id": 1}], table_name="clients", schema_contract="freeze")

    assert "clients" not in columns(pipeline)


def test_records_that_change_nothing_load_under_a_frozen_contract(pipeline: dlt.Pipeline) -> None:
    pipeline.run([{"id": 2, "n": "30"}, {"id": 3, "n": None, "note": None}], table_name="orders", schema_contract="freeze")

    assert rows(pipeline, "orders", "id", "n") == [(1, 10), (2, 30), (3, None)]


def test_a_table_that_the_load_creates_takes_the_columns_it_needs(pipeline: dlt.Pipeline) -> None:
    clients = dlt.resource(name="clients", schema_contract={"columns": "freeze"})
    pipeline.run(clients([{"id": 1}, {"id": 2, "name": "x"}]))

    with pytest.raises(PipelineStepFailed, match="key 'mail' would make a new column 'mail' of text"):
        pipeline.run(clients([{"id": 3, "mail": "x"}]))

    assert rows(pipeline, "clients", "id", "name") == [(1, None), (2, "x")]


def test_a_column_that_the_resource_declares_is_taken_in(pipeline: dlt.Pipeline) -> None:
    pipeline.run(NEW_COLUMN, table_name="orders", columns={"note": {"data_type": "text"}}, schema_contract="freeze")

    assert rows(pipeline, "orders", "id", "note") == [(1, None), (2, None), (3, "late")]


def test_a_value_that_does_not_fit_a_declared_type_fails_already_the_first_load(pipeline: dlt.Pipeline) -> None:
    hints: dict[str, Any] = {"columns": {"n": {"data_type": "bigint"}}}

    with pytest.raises(PipelineStepFailed, match="key 'n' holds text values that do not fit its column of bigint"):
        pipeline.run([{"n": "many"}], table_name="counts", schema_contract={"data_type": "freeze"}, **hints)


# --- discard_row -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entity", "data", "column"),
    [("columns", NEW_COLUMN, "note"), ("data_type", OTHER_TYPE, "n__v_text"), ("data_type", WIDER, "n")],
)
def test_rows_that_break_the_contract_are_rejected_with_their_cause(
    pipeline: dlt.Pipeline, entity: str, data: Any, column: str
) -> None:
    info = pipeline.run(data, table_name="orders", schema_contract={entity: "discard_row"})

    assert rows(pipeline, "orders", "id", "n") == [(1, 10), (2, 20)]
    assert columns(pipeline) == {"orders": ["id", "n"]}
    assert stored_rejects(pipeline) == [("orders", data[1], column)]
    report = info.resources["orders"]
    assert (report.rows_loaded, report.rows_rejected, report.total_rows) == (1, 1, 2)
    assert f"the schema contract says {entity}='discard_row'" in report.rejects[0].cause


def test_a_rejected_row_takes_its_nested_rows_along(pipeline: dlt.Pipeline) -> None:
    pipeline.run([{"id": 2, "tags": [{"name": "a", "marks": [1]}]}], table_name="orders")
    bad = {"id": 3, "note": "late", "tags": [{"name": "b", "marks": [2, 3]}, {"name": "c"}]}
    good = {"id": 4, "tags": [{"name": "d", "marks": [4]}]}

    info = pipeline.run([bad, good], table_name="orders", schema_contract={"columns": "discard_row"})

    assert rows(pipeline, "orders", "id") == [(1,), (2,), (4,)]
    assert rows(pipeline, "orders__tags", "name") == [("a",), ("d",)]
    assert rows(pipeline, "orders__tags__marks", "value") == [(1,), (4,)]
    assert info.resources["orders"].rows_rejected == 1
    [(table, record, column)] = stored_rejects(pipeline)
    assert (table, column, record["id"]) == ("orders", "note", 3)
    assert record["tags"] == [{"name": "b", "marks": [2, 3]}, {"name": "c"}]


def test_a_nested_row_that_breaks_the_contract_goes_alone(pipeline: dlt.Pipeline) -> None:
    pipeline.run([{"id": 2, "tags": [{"name": "a"}]}], table_name="orders")

    pipeline.run(
        [{"id": 3, "tags": [{"name": "b", "colour": "red"}, {"name": "c"}]}],
        table_name="orders",
        schema_contract={"columns": "discard_row"},
    )

    assert rows(pipeline, "orders", "id") == [(1,), (2,), (3,)]
    assert rows(pipeline, "orders__tags", "name") == [("a",), ("c",)]
    assert stored_rejects(pipeline) == [("orders__tags", {"name": "b", "colour": "red"}, "colour")]


def test_rows_of_a_table_that_may_not_be_made_are_rejected_and_their_parents_stay(pipeline: dlt.Pipeline) -> None:
    pipeline.run(NEW_TABLE, table_name="orders", schema_contract={"tables": "discard_row"})

    assert rows(pipeline, "orders", "id") == [(1,), (2,), (3,)]
    assert columns(pipeline) == {"orders": ["id", "n"]}
    assert sorted(record["name"] for _, record, _ in stored_rejects(pipeline)) == ["a", "b"]


def test_a_merge_keeps_the_stored_row_where_the_new_one_is_rejected(pipeline: dlt.Pipeline) -> None:
    clients = dlt.resource(name="clients", primary_key="id", write_disposition="merge", schema_contract="evolve")
    pipeline.run(clients([{"id": 1, "n": 1}, {"id": 2, "n": 1}]))

    pipeline.run(clients([{"id": 1, "n": "many"}, {"id": 2, "n": 2}]), schema_contract={"data_type": "discard_row"})

    assert rows(pipeline, "clients", "id", "n") == [(1, 1), (2, 2)]


def test_a_contract_that_turns_most_rows_away_fails_the_load(pipeline: dlt.Pipeline) -> None:
    many = [{"id": number, "note": "x"} for number in range(1_001)]

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(many, table_name="orders", schema_contract={"columns": "discard_row"})

    assert isinstance(caught.value.__cause__, TooManyRejectsError)
    assert rows(pipeline, "orders", "id") == [(1,)]


# --- discard_value -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entity", "data", "left"),
    [("columns", NEW_COLUMN, 30), ("data_type", OTHER_TYPE, None), ("data_type", WIDER, None)],
)
def test_values_that_break_the_contract_are_left_out_and_counted(
    pipeline: dlt.Pipeline, entity: str, data: Any, left: int | None
) -> None:
    info = pipeline.run(data, table_name="orders", schema_contract={entity: "discard_value"})

    assert rows(pipeline, "orders", "id", "n") == [(1, 10), (2, 20), (3, left)]
    assert columns(pipeline) == {"orders": ["id", "n"]}
    [warning] = info.resources["orders"].warnings
    assert warning.startswith("Table 'orders': 1 values were left out")
    assert f"{entity}='discard_value'" in warning
    assert info.resources["orders"].rows_rejected == 0


def test_a_table_that_may_not_be_made_is_left_out_and_counted(pipeline: dlt.Pipeline) -> None:
    info = pipeline.run(NEW_TABLE, table_name="orders", schema_contract={"tables": "discard_value"})

    assert rows(pipeline, "orders", "id") == [(1,), (2,), (3,)]
    assert columns(pipeline) == {"orders": ["id", "n"]}
    assert "Table 'orders__tags': 2 rows were left out" in info.resources["orders"].warnings[0]


def test_a_root_table_that_may_not_be_made_is_left_out_with_all_that_is_nested_in_it(pipeline: dlt.Pipeline) -> None:
    pipeline.run(NEW_TABLE, table_name="clients", schema_contract="discard_value")

    assert columns(pipeline) == {"orders": ["id", "n"]}


# --- where contracts come from -----------------------------------------------------------------------------------


def test_the_contract_of_the_run_goes_before_the_resource_and_that_before_the_source(pipeline: dlt.Pipeline) -> None:
    @dlt.source(schema_contract="freeze")
    def shop(contract: Any = None):
        return dlt.resource([{"id": 1, "extra": 1}], name="clients", schema_contract=contract)

    with pytest.raises(PipelineStepFailed, match="tables='freeze'"):
        pipeline.run(shop())
    pipeline.run(shop({"tables": "evolve"}))
    pipeline.run(shop(), schema_contract="evolve")

    assert rows(pipeline, "clients", "id", "extra") == [(1, 1), (1, 1)]


def test_two_resources_of_one_table_are_held_each_to_its_own_contract(pipeline: dlt.Pipeline) -> None:
    strict = dlt.resource(
        [{"id": 2, "note": "a"}], name="strict", table_name="orders", schema_contract={"columns": "discard_value"}
    )
    free = dlt.resource([{"id": 3, "note": "b"}], name="free", table_name="orders")

    pipeline.run([strict, free])

    assert rows(pipeline, "orders", "id", "note") == [(1, None), (2, None), (3, "b")]


@pytest.mark.parametrize("contract", ["frozen", {"columns": "frozen"}, {"rows": "freeze"}, 1])
def test_a_contract_that_cannot_be_read_is_refused_where_it_is_declared(contract: Any) -> None:
    with pytest.raises(DeclarationError, match=r"schema_contract=.* cannot be read"):
        dlt.resource([], name="orders", schema_contract=contract)


@pytest.mark.parametrize(
    ("mode", "kept"), [("discard_row", [(1, 10), (4, 7)]), ("discard_value", [(1, 10), (3, None), (4, 7)])]
)
def test_frames_are_held_to_contracts_as_records_are(pipeline: dlt.Pipeline, mode: str, kept: list[tuple]) -> None:
    pages = [pa.table({"id": [3], "n": [Decimal("0.25")]}), pa.table({"id": [4], "n": [7]})]

    pipeline.run(dlt.resource(pages, name="orders"), schema_contract={"data_type": mode})

    assert rows(pipeline, "orders", "id", "n") == kept
