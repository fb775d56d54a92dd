"""A key may hold an object in one record and a list in the next: what is nested in it stays with its record."""

from __future__ import annotations

import json
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate import destinations

ONE = {"id": 1, "x": {"y": [1]}}
TWO = {"id": 2, "x": [{"y": [2, 3]}]}


@pytest.fixture
def pipeline(destination_name: str) -> dlt.Pipeline:
    return dlt.pipeline("things", destination=destination_name, dataset_name="d")


def found(pipeline: dlt.Pipeline) -> list[tuple[Any, ...]]:
    """Every innermost value with the id of its record, found by the root it names and by its chain of parents alike."""
    by_root = pipeline.dataset()(
        "SELECT t.id, y.value FROM things__x__y y JOIN things t ON y._dlt_root_id = t._dlt_id ORDER BY 1, 2"
    ).fetchall()
    (count,) = pipeline.dataset()("SELECT count(*) FROM things__x__y").fetchone()
    assert count == len(by_root), "nested rows without a record"
    return by_root


@pytest.mark.parametrize("strategy", ["delete-insert", "upsert"])
def test_a_merge_replaces_what_is_nested_however_it_hangs_there(pipeline, strategy) -> None:
    disposition = {"disposition": "merge", "strategy": strategy}

    for rows in ([ONE, TWO], [ONE, TWO], [TWO], [{"id": 1, "x": {"y": [7]}}]):
        pipeline.run(rows, table_name="things", write_disposition=disposition, primary_key="id")

    assert found(pipeline) == [(1, 7), (2, 2), (2, 3)]


@pytest.mark.parametrize(
    "rows", [([ONE], [TWO], [ONE, TWO]), ([TWO], [ONE], [ONE, TWO])], ids=["object first", "list first"]
)
def test_a_key_may_change_from_object_to_list_and_back(pipeline, rows) -> None:
    for part in rows:
        pipeline.run(part, table_name="things", write_disposition="merge", primary_key="id")

    assert found(pipeline) == [(1, 1), (2, 2), (2, 3)]
    assert pipeline.dataset().row_counts() == {"things": 2, "things__x": 1, "things__x__y": 3}


def test_a_record_that_becomes_the_other_shape_leaves_nothing_behind(pipeline) -> None:
    pipeline.run([ONE, TWO], table_name="things", write_disposition="merge", primary_key="id")

    turned = [{"id": 1, "x": [{"y": [4]}]}, {"id": 2, "x": {"y": [5]}}]
    pipeline.run(turned, table_name="things", write_disposition="merge", primary_key="id")

    assert found(pipeline) == [(1, 4), (2, 5)]
    assert pipeline.dataset().row_counts() == {"things": 2, "things__x": 1, "things__x__y": 2}


def test_a_contract_that_turns_a_record_away_takes_along_what_is_nested_in_it() -> None:
    pipeline = dlt.pipeline("things", destination=destinations.memory(), dataset_name="d")
    pipeline.run([ONE, TWO], table_name="things", write_disposition="append")

    strange = [{"id": 3, "new": 1, "x": {"y": [8]}}, {"id": 4, "new": 1, "x": [{"y": [9]}]}, {"id": 5, "x": {"y": [6]}}]
    contract = {"tables": "evolve", "columns": "discard_row", "data_type": "evolve"}
    pipeline.run(strange, table_name="things", write_disposition="append", schema_contract=contract)

    assert pipeline.dataset().row_counts() == {"things": 3, "things__x": 1, "things__x__y": 4}
    rejects = [json.loads(row) for (row,) in pipeline.dataset()._dlt_rejects.select("row").fetchall()]
    assert rejects == [
        {"id": 3, "new": 1, "x": {"y": [8]}},
        {"id": 4, "new": 1, "x": [{"y": [9]}]},
    ]


def test_a_record_that_a_contract_turns_away_is_kept_as_it_came() -> None:
    pipeline = dlt.pipeline("things", destination=destinations.memory(), dataset_name="d")
    pipeline.run([{"id": 1, "a": [1], "b": [[1]], "c": [{"value": 1}]}], table_name="things", write_disposition="append")

    strange = {"id": 2, "new": 1, "a": [7, 8], "b": [[9], [10, 11]], "c": [{"value": 12}]}
    contract = {"tables": "evolve", "columns": "discard_row", "data_type": "evolve"}
    pipeline.run([strange], table_name="things", write_disposition="append", schema_contract=contract)

    assert [json.loads(row) for (row,) in pipeline.dataset()._dlt_rejects.select("row").fetchall()] == [strange]
