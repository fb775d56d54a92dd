"""Tables, and what has their names, that others have made in a dataset: a load that they stop says what to do."""

from __future__ import annotations

import os
from typing import Any

import adbc_driver_postgresql.dbapi as postgres
import duckdb
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed, TableConflictError

MERGE = {"write_disposition": "merge", "primary_key": "id"}
VIEW = "CREATE VIEW d.orders AS SELECT 1 AS id"
FOREIGN = (
    "CREATE EXTENSION IF NOT EXISTS postgres_fdw; CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw; "
    "CREATE FOREIGN TABLE d.orders (id bigint) SERVER elsewhere"
)
PARTITIONED = (
    "CREATE TABLE d.orders (id bigint, note text) PARTITION BY RANGE (id); "
    "CREATE TABLE d.few PARTITION OF d.orders FOR VALUES FROM (0) TO (10)"
)


def made(destination: str, *statements: str) -> None:
    """Make something in dataset `d`, as somebody else would."""
    if destination == "duckdb":
        with duckdb.connect("shop.duckdb") as connection:
            for statement in ("CREATE SCHEMA d", *statements):
                connection.execute(statement)
        return
    url = os.environ["DESTINATION__POSTGRES__CREDENTIALS"]
    with postgres.connect(url, autocommit=True) as session, session.cursor() as cursor:
        for statement in ("CREATE SCHEMA d", *statements):
            for part in statement.split("; "):
                cursor.execute(part)


def refused(destination: str, rows: list[dict[str, Any]], **hints: Any) -> str:
    pipeline = dlt.pipeline("shop", destination=destination, dataset_name="d")
    with pytest.raises(PipelineStepFailed) as failed:
        pipeline.run(dlt.resource(rows, name="orders", **hints))
    assert isinstance(failed.value.__cause__, TableConflictError)
    assert failed.value.__cause__.table == "orders"
    assert str(failed.value).startswith("Pipeline 'shop', step 'load', resource 'orders' failed.")
    return str(failed.value.__cause__)


@pytest.mark.parametrize("hints", [{}, {"write_disposition": "replace"}, MERGE], ids=["append", "replace", "merge"])
def test_a_view_of_the_name_is_left_alone_and_told(destination_name: str, hints: dict[str, Any]) -> None:
    made(destination_name, VIEW)

    told = refused(destination_name, [{"id": 2}], **hints)

    assert "What has this name in dataset 'd' is no table that loads could write to, but a view" in told
    assert "Rename or drop that, or give the resource another table_name, or the pipeline another dataset_name." in told


@pytest.mark.parametrize(
    "statement", ["CREATE MATERIALIZED VIEW d.orders AS SELECT 1 AS id", "CREATE SEQUENCE d.orders", FOREIGN]
)
@pytest.mark.parametrize("destination_name", ["postgres"], indirect=True)
def test_so_is_what_else_postgresql_has(destination_name: str, statement: str) -> None:
    made(destination_name, statement)

    assert "is no table that loads could write to" in refused(destination_name, [{"id": 2}])


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        ("id bigint, shop text NOT NULL", [{"id": 1}]),
        ("id bigint PRIMARY KEY", [{"id": 1}, {"id": 1}]),
        ("id bigint CHECK (id > 5)", [{"id": 1}]),
    ],
    ids=["not null", "unique", "check"],
)
def test_a_table_of_others_that_does_not_take_the_rows_is_told(destination_name: str, columns: str, rows: Any) -> None:
    made(destination_name, f"CREATE TABLE d.orders ({columns})")

    assert "Somebody has made or changed this table, so that it does not take rows" in refused(destination_name, rows)


def test_the_values_that_break_a_rule_are_not_told(destination_name: str) -> None:
    made(destination_name, "CREATE TABLE d.orders (name text PRIMARY KEY)")
    pipeline = dlt.pipeline("shop", destination=destination_name, dataset_name="d")

    with pytest.raises(PipelineStepFailed, match="Somebody has made or changed this table") as failed:
        pipeline.run(dlt.resource([{"name": "confidential"}, {"name": "confidential"}], name="orders"))

    raised: BaseException | None = failed.value
    while raised is not None:  # as a traceback shows them
        assert "confidential" not in str(raised)
        raised = raised.__cause__ or (None if raised.__suppress_context__ else raised.__context__)


@pytest.mark.parametrize("hints", [{}, MERGE], ids=["append", "merge"])
@pytest.mark.parametrize("destination_name", ["postgres"], indirect=True)
def test_a_partitioned_table_takes_what_it_has_partitions_for(destination_name: str, hints: dict[str, Any]) -> None:
    made(destination_name, PARTITIONED)
    pipeline = dlt.pipeline("shop", destination=destination_name, dataset_name="d")
    for note in ("first", "second"):
        pipeline.run(dlt.resource([{"id": 1, "note": note}], name="orders", **hints))

    told = refused(destination_name, [{"id": 50, "note": "none"}], **hints)

    assert "no partition of relation" in told
    notes = ["second"] if hints else ["first", "second"]
    assert pipeline.dataset().orders.select("note").order_by("note").fetchall() == [(note,) for note in notes]


def test_values_of_other_types_than_the_columns_of_others_stand_beside_them(destination_name: str) -> None:
    made(destination_name, "CREATE TABLE d.orders (id integer, note integer)")
    pipeline = dlt.pipeline("shop", destination=destination_name, dataset_name="d")

    pipeline.run(dlt.resource([{"id": 2**40, "note": "x"}, {"id": 1, "note": 3}], name="orders"))

    found = pipeline.dataset().orders.select("id", "note", "note__v_text").order_by("id").fetchall()
    assert found == [(1, 3, None), (2**40, None, "x")]
