"""A row that is edited while its cursor value stays, and edited back, ends as the source has it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import dlt_orchestrate as dlt

BAD = "\ud800"
"""No column holds half of a surrogate pair."""


@pytest.mark.parametrize("arrow", [False, True])
def test_an_edit_that_is_taken_back_within_one_instant_is_merged(arrow: bool) -> None:
    row: dict[str, Any] = {"id": 1, "at": 5}
    pipeline = dlt.pipeline("edits", destination="memory", dataset_name="d")

    @dlt.resource(primary_key="id", write_disposition="merge")
    def rows(at: Any = dlt.sources.incremental("at")) -> Any:
        found = [dict(row), {"id": 2, "at": 5, "text": "other"}]
        yield pa.Table.from_pylist(found) if arrow else found

    for text in ("first", "second", "first", "second"):
        row["text"] = text
        pipeline.run(rows)

        assert sorted(pipeline.dataset().rows.select("id", "text").fetchall()) == [(1, text), (2, "other")]
        assert pipeline.run(rows).is_empty


def test_so_it_is_where_a_rejected_row_holds_the_cursor() -> None:
    row: dict[str, Any] = {"id": 1, "at": 5}
    pipeline = dlt.pipeline("edits", destination="memory", dataset_name="d")

    @dlt.resource(primary_key="id", write_disposition="merge")
    def rows(at: Any = dlt.sources.incremental("at")) -> Any:
        yield [dict(row), {"id": 2, "at": 5, "text": BAD}, {"id": 3, "at": 9, "text": "last"}]

    for text in ("first", "second", "first", "second"):
        row["text"] = text
        pipeline.run(rows)

        assert sorted(pipeline.dataset().rows.select("id", "text").fetchall()) == [(1, text), (3, "last")]
        assert pipeline.run(rows).is_empty
