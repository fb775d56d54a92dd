"""A source can hand over rows that it cannot read: they are counted, kept with their cause, and never loaded."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed, TooManyRejectsError


@pytest.fixture
def pipeline(project):
    return dlt.pipeline("p", destination="duckdb", dataset_name="data")


def rejects(pipeline) -> list[tuple]:
    query = 'SELECT resource_name, table_name, "row", column_name, cause FROM _dlt_rejects ORDER BY ALL'
    return [(*found[:2], json.loads(found[2]), *found[3:]) for found in pipeline.dataset().query(query).fetchall()]


def test_rejected_rows_pass_by_steps_models_and_cursors(pipeline) -> None:
    class Row(BaseModel):
        id: int

    @dlt.resource(columns=Row)
    def rows(newer=dlt.sources.incremental("id", initial_value=0)):
        yield {"id": 1}
        yield dlt.mark.reject({"line": 2}, "no number", "id")
        yield [{"id": 3}]

    info = pipeline.run(rows().add_map(lambda row: row | {"more": row["id"]}).add_filter(lambda row: row["id"] > 0))

    assert (info.resources["rows"].rows_loaded, info.resources["rows"].rows_rejected) == (2, 1)
    assert rejects(pipeline) == [("rows", "rows", {"line": 2}, "id", "no number")]


def test_rejected_rows_may_stand_in_lists_of_records(pipeline) -> None:
    @dlt.resource
    def rows():
        yield [{"id": 1}, dlt.mark.reject({"line": 2}, "no row"), {"id": 3}]

    info = pipeline.run(rows)

    assert (info.resources["rows"].rows_loaded, info.resources["rows"].rows_rejected) == (2, 1)


def test_a_transformer_passes_on_what_its_parent_has_rejected(pipeline) -> None:
    @dlt.resource
    def numbers():
        yield dlt.mark.reject("one", "no number")
        yield {"id": 1}

    @dlt.transformer(data_from=numbers)
    def doubled(row):
        yield {"id": 2 * row["id"]}

    pipeline.run(doubled)

    assert rejects(pipeline) == [("doubled", "doubled", "one", None, "no number")]


def test_a_rejected_row_may_name_its_table(pipeline) -> None:
    @dlt.resource
    def rows():
        yield {"id": 1}
        yield dlt.mark.with_table_name(dlt.mark.reject({"id": "x"}, "no number"), "others")

    pipeline.run(rows)

    assert [found[1] for found in rejects(pipeline)] == ["others"]


def test_too_many_rejected_rows_fail_the_load(pipeline) -> None:
    @dlt.resource
    def rows():
        yield {"id": 1}
        for line in range(1_001):
            yield dlt.mark.reject({"line": line}, "no row")

    with pytest.raises(PipelineStepFailed, match="no row") as failed:
        pipeline.run(rows)
    assert isinstance(failed.value.__cause__, TooManyRejectsError)


def test_trying_a_resource_out_shows_rows_only() -> None:
    @dlt.resource
    def rows():
        yield {"id": 1}
        yield dlt.mark.reject({"line": 2}, "no row")

    assert list(rows()) == [{"id": 1}]
