"""A table has a limited number of places for keys: those that come first get them, what others hold is left together."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from comparison import contents, normalizer, values
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dlt_orchestrate.flow.batch import OVERFLOW, FieldKey, TableBatch, TableKey
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.normalize.normalizer import Normalizer
from dlt_orchestrate.normalize.rules import Bounds
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.table import ColumnHint, TableHints
from dlt_orchestrate.schema.types import ValueClass

ROOT = TableKey("things")
LEFT = FieldKey(OVERFLOW, ValueClass.JSON)


def batches_of(*pages: Any, most: int, **options: Any) -> list[TableBatch]:
    subject = normalizer(capabilities=Capabilities(max_columns=most), **options)
    found = [batch for page in pages for batch in subject.add(page if isinstance(page, Page) else Page("things", page))]
    return [batch.batch for batch in (*found, *subject.finish())]


def left_of(batches: list[TableBatch], table: TableKey = ROOT) -> list[Any]:
    return [
        None if text is None else json.loads(text)
        for batch in batches
        if batch.key == table
        for text in (batch.columns[LEFT].to_pylist() if LEFT in batch.columns else [None] * len(batch))
    ]


def paths_of(batches: list[TableBatch], table: TableKey = ROOT) -> set[str]:
    return {".".join(key.path) for batch in batches if batch.key == table for key in batch.columns if key != LEFT}


@pytest.mark.parametrize("oracle", [False, True])
def test_the_keys_that_come_first_get_the_places(oracle: bool) -> None:
    batches = batches_of([{"a": 1, "b": 2}, {"c": 3, "a": 4}, {"d": "x", "c": 5}], most=2, oracle=oracle)

    assert paths_of(batches) == {"a", "b"}
    assert left_of(batches) == [None, {"c": 3}, {"d": "x", "c": 5}]


def test_what_is_left_keeps_the_shape_of_the_record() -> None:
    record = {"a": 1, "b": {"c": 2, "d": {"e": [1, {"f": None}]}, "g": {}}, "h": [3]}

    batches = batches_of([record], most=2)

    assert paths_of(batches) == {"a", "b.c"}
    assert left_of(batches) == [{"b": {"d": {"e": [1, {"f": None}]}}, "h": [3]}]


def test_a_list_takes_a_place_and_its_elements_have_places_of_their_own() -> None:
    batches = batches_of([{"tags": [{"a": 1, "b": 2, "c": 3}, 4], "x": 5, "y": 6}], most=2)

    assert paths_of(batches) == {"x"}
    assert left_of(batches) == [{"y": 6}]
    assert paths_of(batches, TableKey("things", ("tags",))) == {"a", "b", "value"}
    assert left_of(batches, TableKey("things", ("tags",))) == [{"c": 3}, None]


def test_a_key_of_a_source_is_never_taken_for_what_is_left() -> None:
    batches = batches_of([{"leftover": 1, "": 2, "_dlt_overflow": 3}], most=1)

    assert paths_of(batches) == {"leftover"}
    assert left_of(batches) == [{"": 2, "_dlt_overflow": 3}]


def test_what_hints_name_has_a_place_however_late_it_comes() -> None:
    records = [{"a": 1, "b": 2, "Id": 3, "price": 4}]

    hints = {"primary_key": ("id",), "write_disposition": "merge", "columns": {"price": ColumnHint()}}
    subject = Normalizer(
        resource="things",
        hints=TableHints(**hints),
        capabilities=Capabilities(max_columns=1),
        id_prefix=lambda: "prefix--",
        naming=lambda path: "__".join(path).lower(),
    )
    batches = [batch.batch for batch in (*subject.add(Page("things", records)), *subject.finish())]

    assert paths_of(batches) == {"a", "Id", "price"}
    assert left_of(batches) == [{"b": 2}]


def test_what_is_stored_has_a_place_however_late_it_comes() -> None:
    subject = Normalizer(
        resource="things",
        hints=TableHints(),
        capabilities=Capabilities(),
        id_prefix=lambda: "prefix--",
        bounds=Bounds(columns=1),
        has_place=lambda table, path: (table, path) == (ROOT, ("z",)),
    )

    batches = [b.batch for b in (*subject.add(Page("things", [{"a": 1, "b": 2, "z": 3}])), *subject.finish())]

    assert paths_of(batches) == {"a", "z"}
    assert left_of(batches) == [{"b": 2}]


def test_the_columns_of_an_arrow_table_come_before_what_is_nested_in_them() -> None:
    frame = pa.table({"s": [{"x": 1, "y": 2}], "a": [3]})

    batches = batches_of(Page("things", frame=frame), Page("things", [{"b": 4, "a": 5}]), most=2)

    assert paths_of(batches) == {"a", "s.x"}
    assert left_of(batches) == [{"s": {"y": 2}}, {"b": 4}]


def test_an_arrow_table_with_too_many_columns_keeps_the_first() -> None:
    frame = pa.table({"a": [1, 2], "b": [None, 1.5], "c": ["x", "y"]})

    batches = batches_of(Page("things", frame=frame), most=2)

    assert paths_of(batches) == {"a", "b"}
    assert left_of(batches) == [{"c": "x"}, {"c": "y"}]


def test_a_record_that_nothing_holds_is_rejected_as_it_came() -> None:
    subject = normalizer(capabilities=Capabilities(max_columns=1))

    subject.add(Page("things", [{"a": 1, "b": {1, 2}}, {"a": 2, "c": 3}]))
    [found] = subject.finish()

    assert [reject.column for reject in subject.rejects] == ["b"]
    assert left_of([found.batch]) == [{"c": 3}]


def test_ids_made_from_content_do_not_depend_on_what_is_left() -> None:
    records = [{"a": 1, "b": 2}]

    ids = {
        batches_of(records, most=most, primary_key=("id",), write_disposition="merge")[0].row_ids[0].as_py()
        for most in (1, 5)
    }

    assert len(ids) == 1


_keys = st.sampled_from(list("abcdefgh"))
_values = st.recursive(
    st.none() | st.integers(0, 9) | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=6,
)
_records = st.lists(st.dictionaries(_keys, _values, max_size=6), max_size=8)


@settings(max_examples=50)
@given(records=_records, most=st.integers(1, 6), cut=st.integers(0, 8))
@example(records=[{"a": [None]}, {"a": {"a": [None]}}], most=2, cut=0)
def test_every_value_is_in_a_column_or_left_whatever_the_pages(records: list[Any], most: int, cut: int) -> None:
    everything = contents(batches_of(records, most=10_000))
    whole, parted = (batches_of(*pages, most=most) for pages in ([records], [records[:cut], records[cut:]]))

    assert contents(parted) == contents(whole)
    # What is left, taken apart beside the columns of its row, gives what the record gives without a limit.
    again = contents(batches_of([put_together(row) for row in rows_again(whole)], most=10_000))
    assert {key: values(table) for key, table in again.items()} == {key: values(table) for key, table in everything.items()}


def rows_again(batches: list[TableBatch]) -> list[dict[str, Any]]:
    """Root rows as records again, with the rows nested in them; tables come before those below them."""
    records: dict[tuple[Any, str], dict[str, Any]] = {}
    roots: list[dict[str, Any]] = []
    for batch in sorted(batches, key=lambda batch: len(batch.key.path)):
        rows: list[dict[str, Any]] = [{} for _ in range(len(batch))]
        for key, array in batch.columns.items():
            for row, value in zip(rows, array.to_pylist(), strict=True):
                if value is not None:
                    row[json.dumps(key.path)] = json.loads(value) if key == LEFT else value
        for number, (row_id, row) in enumerate(zip(batch.row_ids.to_pylist(), rows, strict=True)):
            records[batch.key.path, row_id] = row
            if batch.parent_ids is None or batch.list_indexes is None:
                roots.append(row)
            else:
                parent_id, path = batch.parent_ids[number].as_py(), batch.key.path
                [depth] = [depth for depth in range(len(path)) if (path[:depth], parent_id) in records]
                records[path[:depth], parent_id].setdefault(json.dumps(path[depth:]), []).append(row)
    return roots


def put_together(row: Any) -> Any:
    """One record of the columns of a row, its nested rows, and what is left of it."""
    if not isinstance(row, dict):
        return row
    record: dict[str, Any] = {}
    left = row.pop(json.dumps([]), {})
    for path, value in row.items():
        keys = json.loads(path)
        whole = [put_together(inner) for inner in value] if isinstance(value, list) else value
        if keys in (["value"], ["list"]):
            return whole
        inner = record
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = whole
    merge(record, left)
    return record


def merge(record: dict[str, Any], left: dict[str, Any]) -> None:
    for key, value in left.items():
        if isinstance(record.get(key), dict) and isinstance(value, dict):
            merge(record[key], value)
        else:
            assert key not in record
            record[key] = value
