"""The ids of rows that are kept as versions: made from their content, whichever way it comes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from dlt_orchestrate.flow.batch import TableBatch
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.normalize.normalizer import Normalizer
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.table import TableHints


def batches(*pages: Page, oracle: bool = False, **hints: Any) -> list[TableBatch]:
    normalizer = Normalizer(
        resource="orders",
        hints=TableHints(write_disposition="merge", strategy="scd2", **hints),
        capabilities=Capabilities(),
        id_prefix=lambda: "PREFIX--",
        oracle=oracle,
    )
    return [part.batch for page in pages for part in normalizer.add(page)] + [part.batch for part in normalizer.finish()]


def ids(*pages: Page, **settings: Any) -> list[str]:
    return [row_id for batch in batches(*pages, **settings) if not batch.key.path for row_id in batch.row_ids.to_pylist()]


def test_equal_rows_have_equal_ids_in_every_load() -> None:
    rows = [{"id": 1, "tags": [{"a": 1}]}, {"id": 2, "tags": []}]
    shuffled = [{"tags": [], "id": 2, "note": None}, {"tags": [{"a": 1}], "id": 1}]

    assert ids(Page("orders", rows)) == ids(Page("orders", shuffled))[::-1]
    assert ids(Page("orders", rows)) == ids(Page("orders", rows[:1]), Page("orders", rows[1:]), oracle=True)


def test_a_change_in_a_nested_row_changes_the_id_of_its_root() -> None:
    one, other = ids(Page("orders", [{"id": 1, "tags": ["a"]}, {"id": 1, "tags": ["b"]}]))

    assert one != other


def test_equal_rows_of_one_load_are_told_apart_unless_a_key_says_that_they_are_the_same() -> None:
    rows = [{"id": 1}, {"id": 1}]

    first, second = ids(Page("orders", rows))
    assert first != second
    assert ids(Page("orders", rows), primary_key=("id",)) == [first, first]


def test_the_rows_of_a_frame_have_the_ids_of_records() -> None:
    frame = pa.table({"id": [1, 2], "tags": [["a"], ["b"]]})

    assert ids(Page("orders", frame=frame)) == ids(Page("orders", frame.to_pylist()))


def test_nested_rows_begin_with_the_id_of_their_root() -> None:
    root, nested = batches(Page("orders", [{"id": 1, "tags": ["a", "b"]}]))

    (root_id,) = root.row_ids.to_pylist()
    assert nested.row_ids.to_pylist() == [f"{root_id}.0", f"{root_id}.1"]
