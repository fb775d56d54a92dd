"""Hints of nested tables: their columns, keys, references and contracts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate import mark
from dlt_orchestrate.errors import DeclarationError, PipelineStepFailed, SchemaContractError
from dlt_orchestrate.schema.table import Column, Table

CUSTOMER = {
    "id": 1,
    "purchases": [{"id": "7", "price": "1.5", "note": {"by": "Ada"}, "coupons": [{"code": "x", "share": "3"}]}],
    "address": {"phones": ["1", "2"]},
}


@pytest.fixture(params=["duckdb", "memory"])
def pipeline(project: Any, request: pytest.FixtureRequest) -> dlt.Pipeline:
    return dlt.pipeline("shop", destination=request.param, dataset_name="mydata")


def customers(nested_hints: Any, *records: Any, **hints: Any) -> dlt.Resource:
    return dlt.resource(list(records) or [CUSTOMER], name="customers", nested_hints=nested_hints, **hints)


def table(pipeline: dlt.Pipeline, name: str) -> Table:
    return pipeline.schemas["shop"].tables[name]


def column(pipeline: dlt.Pipeline, path: str) -> Column:
    name, _, column_name = path.partition(".")
    return table(pipeline, name).columns[column_name]


def rows(pipeline: dlt.Pipeline, name: str, *columns: str) -> list[Any]:
    return sorted(pipeline.dataset()[name].select(*columns).fetchall(), key=repr)


def test_columns_of_nested_tables_take_their_declared_types_at_any_depth(pipeline: dlt.Pipeline) -> None:
    hints = {
        "purchases": {
            "columns": {
                "id": {"data_type": "bigint", "nullable": False, "description": "Number of the receipt.", "x-pii": False},
                "price": {"data_type": "decimal", "precision": 10, "scale": 2},
                "later": {"data_type": "date"},
            }
        },
        ("purchases", "coupons"): mark.make_nested_hints(columns=[{"name": "share", "data_type": "bigint"}]),
        ("address", "phones"): {"columns": {"value": {"data_type": "bigint"}}},
    }

    pipeline.run(customers(hints))

    assert rows(pipeline, "customers__purchases", "id", "price", "later") == [(7, Decimal("1.50"), None)]
    assert rows(pipeline, "customers__purchases__coupons", "code", "share") == [("x", 3)]
    assert rows(pipeline, "customers__address__phones", "value") == [(1,), (2,)]
    identity = column(pipeline, "customers__purchases.id")
    assert (identity.nullable, identity.description, identity.hints) == (False, "Number of the receipt.", {"x-pii": False})
    assert table(pipeline, "customers__purchases").parent == "customers"


@pytest.mark.parametrize("key", ["purchases__coupons", "Purchases__Coupons", ("Purchases", "coupons")])
def test_a_nested_table_may_be_named_as_its_keys_read(pipeline: dlt.Pipeline, key: Any) -> None:
    pipeline.run(customers({key: {"columns": {"share": {"data_type": "bigint"}}}}))

    assert rows(pipeline, "customers__purchases__coupons", "share") == [(3,)]


def test_json_columns_of_nested_tables_stay_whole_for_records_and_for_arrow(pipeline: dlt.Pipeline) -> None:
    hints = {"purchases": {"columns": {"coupons": {"data_type": "json"}, "note": {"data_type": "json"}}}}
    note = {"purchases": {"columns": {"note": {"data_type": "json"}}}}

    pipeline.run(customers(hints))
    pipeline.run(customers(hints, pa.Table.from_pylist([CUSTOMER])).with_name("arrow"))
    pipeline.run(dlt.resource([{**CUSTOMER, "note": {"by": "me"}}], name="both", nested_hints=note))

    assert rows(pipeline, "customers__purchases", "coupons", "note") == [('[{"code":"x","share":"3"}]', '{"by":"Ada"}')]
    assert rows(pipeline, "arrow__purchases", "coupons", "note") == [('[{"code":"x","share":"3"}]', '{"by":"Ada"}')]
    assert rows(pipeline, "both", "note__by") == [("me",)]
    assert rows(pipeline, "both__purchases", "note") == [('{"by":"Ada"}',)]
    assert not {"customers__purchases__coupons", "arrow__purchases__coupons"} & set(pipeline.dataset().tables)


def test_hints_hold_whatever_the_depth_of_nesting(pipeline: dlt.Pipeline) -> None:
    pipeline.run(customers({"purchases": {"columns": {"price": {"data_type": "double"}}}}, max_table_nesting=1))

    assert rows(pipeline, "customers__purchases", "price") == [(1.5,)]
    assert "customers__purchases__coupons" not in pipeline.dataset().tables


def test_keys_and_references_of_nested_tables_are_kept_in_the_stored_schema(pipeline: dlt.Pipeline) -> None:
    reference = [{"columns": ["id"], "referenced_table": "receipts", "referenced_columns": ["number"]}]
    hints = {"purchases": {"primary_key": "id", "references": reference, "description": "What was bought."}}

    pipeline.run(customers(hints, references=[{"columns": ["id"], "referenced_table": "people"}]))

    found = table(pipeline, "customers__purchases")
    assert (found.columns["id"].primary_key, found.columns["id"].nullable) == (True, False)
    assert (found.references, found.description) == (reference, "What was bought.")
    assert table(pipeline, "customers").references == [{"columns": ["id"], "referenced_table": "people"}]


def test_a_nested_row_without_its_declared_key_fails_the_load_and_changes_nothing(pipeline: dlt.Pipeline) -> None:
    keyless = {"id": 1, "purchases": [{"id": 1}, {"price": 2}]}

    with pytest.raises(PipelineStepFailed, match="column 'id' is bigint, and up to 1 of the 2 rows"):
        pipeline.run(customers({"purchases": {"primary_key": "id"}}, keyless))

    assert not pipeline.has_data


def test_a_nested_table_has_a_schema_contract_of_its_own(pipeline: dlt.Pipeline) -> None:
    hints = {"purchases": {"schema_contract": {"columns": "freeze"}}}
    pipeline.run(customers(hints))

    pipeline.run(customers(hints, {"id": 2, "name": "Bo", "purchases": [{"id": "8"}]}))
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(customers(hints, {"id": 3, "purchases": [{"id": "9", "colour": "red"}]}))

    assert isinstance(caught.value.__cause__, SchemaContractError)
    assert rows(pipeline, "customers", "id", "name") == [(1, None), (2, "Bo")]


def test_hints_of_tables_that_no_row_comes_for_make_no_table(pipeline: dlt.Pipeline) -> None:
    pipeline.run(customers({"refunds": {"columns": {"amount": {"data_type": "decimal"}}}}))

    assert "customers__refunds" not in pipeline.dataset().tables


def test_nested_hints_merge_by_table_and_column_when_applied_later(pipeline: dlt.Pipeline) -> None:
    resource = customers({"purchases": {"columns": {"price": {"data_type": "double"}}}})
    resource.apply_hints(nested_hints={"purchases": {"columns": {"id": {"data_type": "bigint"}}}})

    pipeline.run(resource)

    assert rows(pipeline, "customers__purchases", "id", "price") == [(7, 1.5)]


def test_marks_may_bring_nested_hints(pipeline: dlt.Pipeline) -> None:
    nested = {"purchases": mark.make_nested_hints(columns={"price": {"data_type": "double"}})}
    hints = mark.make_hints(table_name="clients", nested_hints=nested)

    pipeline.run(dlt.resource([mark.with_hints(CUSTOMER, hints, create_table_variant=True)], name="customers"))

    assert rows(pipeline, "clients__purchases", "price") == [(1.5,)]


@pytest.mark.parametrize("disposition", ["merge", "replace"])
def test_nested_rows_with_hints_follow_their_root(pipeline: dlt.Pipeline, disposition: str) -> None:
    hints = {"purchases": {"columns": {"id": {"data_type": "bigint"}}, "primary_key": "id"}}
    for bought in (["1", "2"], ["3"]):
        record = {"id": 1, "purchases": [{"id": number} for number in bought]}
        pipeline.run(customers(hints, record, primary_key="id", write_disposition=disposition))

    assert rows(pipeline, "customers__purchases", "id") == [(3,)]


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        ({"purchases": {"write_disposition": "merge"}}, "'customers.purchases': it has no write_disposition of its own"),
        ({"purchases": {"colums": {}}}, "there is no hint 'colums'. Did you mean 'columns'"),
        ({"purchases": ["id"]}, "its hints must be a dictionary, not list"),
        ({"purchases": {"columns": {"id": {"data_tpye": "text"}}}}, "'customers.purchases', column 'id': .*'data_tpye'"),
        ({"purchases": {"primary_key": 5}}, "primary_key must be a column name"),
    ],
)
def test_nested_hints_that_cannot_work_are_an_error_at_once(hints: Any, message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        customers(hints)
