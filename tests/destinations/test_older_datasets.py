"""A dataset that an older release has made is loaded into, and its long loads are committed in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from postgres_server import clean_database, execute

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed

Statement = Callable[[str], None]


@pytest.fixture(params=["duckdb", "postgres"])
def dataset(request: pytest.FixtureRequest, project: Path) -> Iterator[tuple[dlt.Pipeline, Statement]]:
    """A pipeline, and what changes its dataset behind its back."""
    if request.param == "postgres":
        with clean_database() as url:
            pipeline = dlt.pipeline("old", destination=dlt.destinations.postgres(url), dataset_name="raw")
            yield pipeline, lambda statement: execute(url, statement)
        return

    def change(statement: str) -> None:
        with duckdb.connect("old.duckdb") as connection:
            connection.execute(statement)

    yield dlt.pipeline("old", destination="duckdb", dataset_name="raw"), change


def test_the_first_commit_adds_what_checkpoints_need(dataset: tuple[dlt.Pipeline, Statement]) -> None:
    pipeline, change = dataset
    breaks_at: list[int] = []

    @dlt.resource
    def letters(number: Any = dlt.sources.incremental("number", initial_value=0, row_order="asc")) -> Iterator[Any]:
        for found in range(number.last_value, 6):
            if found in breaks_at:
                raise ConnectionError("gone")
            yield [{"number": found}]

    breaks_at.append(2)
    with pytest.raises(PipelineStepFailed):
        pipeline.run(letters, checkpoint=1)
    change("ALTER TABLE raw._dlt_commits DROP COLUMN earlier_parts")
    change("UPDATE raw._dlt_commits SET system_tables_version = 1")

    breaks_at[:] = [5]
    with pytest.raises(PipelineStepFailed):
        pipeline.run(letters, checkpoint=1)
    breaks_at.clear()
    pipeline.run(letters, checkpoint=1)

    assert sorted(row[0] for row in pipeline.dataset().letters.select("number").fetchall()) == list(range(6))
    told = "SELECT count(*), count(earlier_parts), max(system_tables_version) FROM raw._dlt_commits"
    assert pipeline.dataset().query(told).fetchall() == [(7, 5, 2)]
