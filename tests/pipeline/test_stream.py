"""Reports that come as soon as each resource is committed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed


@pytest.fixture
def pipeline(project: Path) -> dlt.Pipeline:
    return dlt.pipeline("shop", destination="duckdb", dataset_name="mydata")


def resource(name: str, log: list[str], **hints: Any) -> Any:
    def rows() -> Any:
        log.append(f"extracting {name}")
        yield {"name": name}

    return dlt.resource(rows, name=name, **hints)


def test_a_resource_is_committed_and_reported_before_the_next_one_is_read(pipeline: dlt.Pipeline) -> None:
    log: list[str] = []

    reports = pipeline.stream([resource(name, log) for name in ("one", "two", "three")])
    log.extend(f"{report.resource}: {pipeline.dataset()[report.table].count()}" for report in reports)

    assert log == ["extracting one", "one: 1", "extracting two", "two: 1", "extracting three", "three: 1"]


def test_what_is_read_beside_is_reported_while_the_slow_one_is_still_read(pipeline: dlt.Pipeline) -> None:
    reported = threading.Event()

    @dlt.resource(parallelized=True)
    def slow() -> Any:
        assert reported.wait(30)
        yield {"id": 1}

    fast = resource("fast", [], parallelized=True)
    names = []
    for report in pipeline.stream([slow, fast]):
        names.append(report.resource)
        reported.set()

    assert names == ["fast", "slow"]


def test_a_failure_comes_behind_the_reports_of_what_was_committed(pipeline: dlt.Pipeline) -> None:
    @dlt.resource
    def broken() -> Any:
        raise KeyError("no such field")
        yield

    names = []
    with pytest.raises(PipelineStepFailed, match="'broken'") as failure:
        names.extend(report.resource for report in pipeline.stream([broken, resource("fine", [])]))

    assert names == ["fine"]
    assert failure.value.load_info is not None
    assert list(failure.value.load_info.resources) == ["fine"]


def test_a_reader_that_stops_leaves_what_was_committed_and_nothing_half_done(pipeline: dlt.Pipeline) -> None:
    log: list[str] = []
    reports = pipeline.stream([resource(name, log) for name in ("one", "two")])
    next(reports)
    reports.close()

    assert log == ["extracting one"]
    assert pipeline.dataset().row_counts() == {"one": 1}
    assert not list(pipeline._scratch_dir().glob("*"))


def test_changes_of_the_shared_state_are_committed_in_the_order_they_were_made(pipeline: dlt.Pipeline) -> None:
    @dlt.source
    def counting() -> Any:
        dlt.current.source_state()["evaluated"] = True

        def counted(name: str) -> Any:
            def rows() -> Any:
                dlt.current.source_state()[name] = 1
                yield {"name": name}

            return dlt.resource(rows, name=name, parallelized=name != "in_turn")

        return [counted(name) for name in ("in_turn", "beside", "beside_too")]

    for _ in range(3):
        assert len(list(pipeline.stream(counting()))) == 3

    assert pipeline.state["sources"]["counting"] == {"evaluated": True, "in_turn": 1, "beside": 1, "beside_too": 1}
