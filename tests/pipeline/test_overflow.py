"""Past the limit of columns nothing is lost: what has no column stands in one of JSON, and a warning says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed

SYSTEM = 2
"""`_dlt_load_id` and `_dlt_id`; one more is kept free for `_dlt_overflow`."""


@pytest.fixture
def pipeline(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Room for ten columns, seven of them for keys."""
    monkeypatch.setenv("SCHEMA__MAX_COLUMNS", "10")
    return dlt.pipeline("wide", destination="duckdb", dataset_name="d")


def rows(pipeline: Any, table: str = "t") -> list[dict[str, Any]]:
    """The rows without nulls and ids, what is left read from JSON."""
    found = pipeline.dataset()[table].arrow().to_pylist()
    found.sort(key=lambda row: (row.get("_dlt_load_id"), row["_dlt_id"]))
    kept = [{name: value for name, value in row.items() if value is not None and name not in HIDDEN} for row in found]
    return [{name: json.loads(value) if name == "_dlt_overflow" else value for name, value in row.items()} for row in kept]


HIDDEN = {"_dlt_id", "_dlt_load_id", "_dlt_parent_id", "_dlt_list_idx"}


def whole(row: dict[str, Any]) -> dict[str, Any]:
    """The record that a row was made of, flat."""
    left = row.pop("_dlt_overflow", {})
    return {**row, **left}


def columns(pipeline: Any, table: str = "t") -> list[str]:
    return list(pipeline.dataset()(f"select * from {table} limit 0").arrow().column_names)


def test_keys_that_come_late_go_to_the_json_column(pipeline: Any) -> None:
    info = pipeline.run([{f"k{n}": n for n in range(9)}, {"k1": 1, "k9": "x", "k8": [1, {"a": None}]}], table_name="t")

    assert columns(pipeline) == [*(f"k{n}" for n in range(7)), "_dlt_overflow", "_dlt_load_id", "_dlt_id"]
    assert rows(pipeline) == [
        {**{f"k{n}": n for n in range(7)}, "_dlt_overflow": {"k7": 7, "k8": 8}},
        {"k1": 1, "_dlt_overflow": {"k9": "x"}},
    ]
    assert rows(pipeline, "t__k8") == [{"value": 1}, {}]
    [warning] = info.resources["t"].warnings
    assert warning.startswith("Table 't' has no room for more columns: 10 are allowed (schema.max_columns). What further")
    assert "2 of the 2 rows" in warning


def test_stored_columns_stay_columns_and_take_their_values(pipeline: Any) -> None:
    pipeline.run([{f"k{n}": n for n in range(7)}], table_name="t")

    pipeline.run([{**{f"new{n}": n for n in range(20)}, "k6": 60}], table_name="t")

    assert rows(pipeline)[1] == {"k6": 60, "_dlt_overflow": {f"new{n}": n for n in range(20)}}


def test_values_that_would_need_a_variant_are_left_over(pipeline: Any) -> None:
    pipeline.run([{f"k{n}": n for n in range(7)}], table_name="t")

    pipeline.run([{"k0": "abc", "k1": 2.5, "k2": "3"}], table_name="t")

    assert rows(pipeline)[1] == {"k1": 2.5, "k2": 3, "_dlt_overflow": {"k0": "abc"}}


def test_keys_and_declared_columns_have_room_however_late_they_come(pipeline: Any) -> None:
    record = {**{f"k{n}": n for n in range(12)}, "id": 7, "at": "2026-01-01T00:00:00Z", "price": "1.50"}
    resource = dlt.resource(
        [record],
        name="t",
        primary_key="id",
        write_disposition="merge",
        columns={"price": {"data_type": "decimal"}, "never": {"data_type": "text"}},
    )
    resource.apply_hints(incremental=dlt.sources.incremental("at"))

    for _ in range(2):
        pipeline.run(resource)

    [row] = rows(pipeline)
    assert (row["id"], row["at"].year, str(row["price"])) == (7, 2026, "1.500000000")
    assert len(columns(pipeline)) == 10
    assert {name: value for name, value in whole(row).items() if name.startswith("k")} == {f"k{n}": n for n in range(12)}


def test_nested_tables_have_a_limit_and_a_json_column_of_their_own(pipeline: Any) -> None:
    pipeline.run([{"id": 1, "items": [{f"i{n}": n for n in range(8)}]}], table_name="t")

    assert rows(pipeline) == [{"id": 1}]
    [item] = rows(pipeline, "t__items")
    assert whole(item) == {f"i{n}": n for n in range(8)}
    assert len(columns(pipeline, "t__items")) == 10


def test_a_stored_table_with_more_columns_than_the_limit_goes_on_loading(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = dlt.pipeline("wide", destination="duckdb", dataset_name="d")
    pipeline.run([{f"k{n}": n for n in range(30)}], table_name="t")
    monkeypatch.setenv("WIDE__SOURCES__T__SCHEMA__MAX_COLUMNS", "10")

    pipeline.run([{"k29": 5, "new": 6}], table_name="t")

    assert rows(pipeline)[1] == {"k29": 5, "_dlt_overflow": {"new": 6}}


def test_a_column_of_that_name_and_another_type_fails_before_anything_changes(pipeline: Any) -> None:
    pipeline.run([{"a": 1}], table_name="t")
    import duckdb

    with duckdb.connect("wide.duckdb") as connection:
        connection.execute("alter table d.t add column _dlt_overflow integer")

    with pytest.raises(PipelineStepFailed, match=r"its column '_dlt_overflow', which takes what other.*is bigint"):
        pipeline.run([{f"k{n}": n for n in range(20)}], table_name="t")

    assert rows(pipeline) == [{"a": 1}]


def test_a_limit_that_leaves_no_room_is_refused(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEMA__MAX_COLUMNS", "3")

    with pytest.raises(PipelineStepFailed, match=r"'max_columns' found in .* is not a valid number of 10 or more"):
        pipeline.run([{"a": 1}], table_name="t")


def test_a_frozen_contract_refuses_what_is_left_over_where_that_makes_a_column(pipeline: Any) -> None:
    pipeline.run([{f"k{n}": n for n in range(7)}], table_name="t")

    with pytest.raises(PipelineStepFailed, match="would make a new column '_dlt_overflow'"):
        pipeline.run([{"new": 1}], table_name="t", schema_contract={"columns": "freeze"})


def test_ten_thousand_keys_in_one_record_and_in_a_thousand_are_kept(project: Path) -> None:
    pipeline = dlt.pipeline("wide", destination="duckdb", dataset_name="d")
    one = [{f"k{n}": n for n in range(10_000)}]
    many = [{f"k{row}_{n}": n for n in range(100)} for row in range(100)]

    for name, records in {"one": one, "many": many}.items():
        pipeline.run(records, table_name=name)

        assert len(columns(pipeline, name)) == 1_000
        found = rows(pipeline, name)
        assert list(map(whole, found)) == records


def test_a_table_of_a_thousand_columns_is_merged_within_the_memory_that_a_commit_has(project: Path) -> None:
    pipeline = dlt.pipeline("wide", destination="duckdb", dataset_name="d")

    for load in range(2):
        records = [{"id": row, **{f"k{load}_{row}_{n}": n for n in range(100)}} for row in range(300)]
        pipeline.run(records, table_name="t", primary_key="id", write_disposition="merge")

    assert sorted(map(whole, rows(pipeline)), key=lambda row: row["id"]) == records


def test_where_the_pages_of_a_load_end_decides_nothing(pipeline: Any) -> None:
    records = [{f"k{(row * 7 + n) % 23}": row for n in range(4)} for row in range(40)]

    for name, size in {"a": 1, "b": 7, "c": 40}.items():
        pages = [records[start : start + size] for start in range(0, len(records), size)]
        pipeline.run(dlt.resource(lambda pages=pages: iter(pages), name=name))

    assert rows(pipeline, "a") == rows(pipeline, "b") == rows(pipeline, "c")
    assert columns(pipeline, "a") == columns(pipeline, "b") == columns(pipeline, "c")
