"""A run tells how far it has come to whoever asks for it."""

from collections.abc import Iterator
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.protocols.progress import Reached


@dlt.resource
def orders() -> Iterator[Any]:
    yield [{"id": 1}, {"id": 2}]
    yield [{"id": 3}]


@dlt.resource
def visits() -> Iterator[Any]:
    yield [{"page": "/"}]
    raise ConnectionError("gone")


def test_each_page_and_each_phase_is_told(project) -> None:
    told: list[Reached] = []
    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="raw")

    info = pipeline.run(orders(), progress=told.append)

    assert [(reached.phase, reached.rows, reached.pages) for reached in told] == [
        ("extract", 0, 0), ("extract", 2, 1), ("extract", 3, 2), ("load", 3, 2), ("done", 3, 2)
    ]  # fmt: skip
    assert {reached.resource for reached in told} == {"orders"}
    assert told[-1].bytes == info.resources["orders"].bytes > 0


def test_a_resource_that_fails_is_done(project) -> None:
    told: list[Reached] = []
    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="raw")

    with pytest.raises(PipelineStepFailed):
        pipeline.run([orders(), visits()], progress=told.append)

    last = {reached.resource: reached.phase for reached in told}
    assert last == {"orders": "done", "visits": "done"}
    assert "load" not in [reached.phase for reached in told if reached.resource == "visits"]


@pytest.mark.parametrize("phase", ["extract", "load", "done"])
def test_who_watches_and_fails_is_told_no_more_and_fails_nothing(
    project, phase: str, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Reached] = []

    def watch(reached: Reached) -> None:
        told.append(reached)
        if reached.phase == phase:
            raise ValueError("the screen is too small")

    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="raw")
    info = pipeline.run(orders(), progress=watch)

    assert info.resources["orders"].load_ids
    assert pipeline.dataset().orders.count() == 3
    assert [reached.phase for reached in told].count(phase) == 1
    (warning,) = [record.getMessage() for record in caplog.records if "progress" in record.getMessage()]
    assert "'orders'" in warning
    assert "the screen is too small" in warning


def test_a_run_ends_though_resources_side_by_side_fail_and_so_does_who_watches(project) -> None:
    def watch(reached: Reached) -> None:
        raise ValueError(reached.phase)

    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="raw")
    beside = [visits().with_name(name).parallelize() for name in ("first", "second")]

    with pytest.raises(PipelineStepFailed, match="gone"):
        pipeline.run(beside, progress=watch)
