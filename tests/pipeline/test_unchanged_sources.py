"""A resource may say that its source has not changed: then its table stays, whatever its write disposition is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError


def loads(disposition: Any, answers: list[list[dict[str, Any]] | None]) -> tuple[dlt.Pipeline, list[int]]:
    """Run once for each answer; None for one that has not changed."""
    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="shop")
    rows = []
    for answer in answers:

        @dlt.resource(name="prices", write_disposition=disposition, primary_key="id")
        def prices(answer=answer):
            if answer is None:
                dlt.current.keep_table()
                return
            yield answer

        pipeline.run(prices)
        rows.append(pipeline.dataset().prices.count())
    return pipeline, rows


@pytest.mark.parametrize(
    "disposition", ["append", "replace", "merge", {"disposition": "merge", "strategy": "scd2"}, "cdc"], ids=str
)
def test_the_table_stays(project: Path, disposition: Any) -> None:
    told = {"disposition": "merge", "strategy": "cdc"} if disposition == "cdc" else disposition

    pipeline, rows = loads(told, [[{"id": 1, "tags": [{"t": 1}]}, {"id": 2}], None])

    assert rows == [2, 2]
    assert pipeline.dataset().prices__tags.count() == 1


def test_a_source_that_is_empty_now_empties_its_table(project: Path) -> None:
    _, rows = loads("replace", [[{"id": 1}], []])

    assert rows == [1, 0]


def test_records_count_whatever_else_was_said(project: Path) -> None:
    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="shop")

    @dlt.resource(write_disposition="replace")
    def prices(first=1):
        dlt.current.keep_table()
        yield [{"id": first}]

    pipeline.run(prices)
    pipeline.run(prices(2))

    assert pipeline.dataset()("SELECT id FROM prices").fetchall() == [(2,)]


def test_it_can_be_said_only_while_a_resource_runs() -> None:
    with pytest.raises(DeclarationError, match="keep_table"):
        dlt.current.keep_table()
