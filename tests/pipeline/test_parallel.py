"""Resources that are declared parallel are read side by side; each still stands and falls alone."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed, StateConflictError

PATIENCE_SECONDS = 30


@pytest.fixture
def pipeline(project: Path) -> Any:
    return dlt.pipeline("parallel", destination="duckdb", dataset_name="shop")


def meeting_source(*, parallelized: bool = True, breaks: str = "") -> Any:
    """Two resources that each wait for the other: they come to an end only if they run at the same time."""
    both_are_there = threading.Barrier(2)

    @dlt.source(name="meeting", parallelized=parallelized)
    def meeting() -> Any:
        for name in ("left", "right"):

            def rows(name: str = name) -> Iterator[dict[str, Any]]:
                both_are_there.wait(PATIENCE_SECONDS)
                dlt.current.source_state()[name] = "was here"
                yield {"name": name}
                if name == breaks:
                    raise ValueError(f"{name} broke")

            yield dlt.resource(rows, name=name)

    return meeting()


def test_parallel_resources_are_read_side_by_side_and_load_together(pipeline: Any) -> None:
    info = pipeline.run(meeting_source())

    assert pipeline.dataset().row_counts() == {"left": 1, "right": 1}
    assert len(info.loads_ids) == 1
    assert pipeline.state["sources"]["meeting"] == {"left": "was here", "right": "was here"}


def test_a_parallel_resource_that_fails_leaves_its_sibling_alone(pipeline: Any) -> None:
    with pytest.raises(PipelineStepFailed, match=r"resource 'right' failed\. ValueError: right broke"):
        pipeline.run(meeting_source(breaks="right"))

    assert pipeline.dataset().row_counts() == {"left": 1}
    assert pipeline.state["sources"]["meeting"] == {"left": "was here"}


def test_parallel_resources_that_change_one_key_of_the_shared_state_conflict_by_name(pipeline: Any) -> None:
    both_have_read = threading.Barrier(2)

    @dlt.source(parallelized=True)
    def counting() -> Any:
        for name in ("left", "right"):

            def rows(name: str = name) -> Iterator[dict[str, Any]]:
                both_have_read.wait(PATIENCE_SECONDS)
                dlt.current.source_state()["last"] = name
                yield {"name": name}

            yield dlt.resource(rows, name=name)

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run(counting())

    assert isinstance(caught.value.__cause__, StateConflictError)
    (survivor,) = pipeline.dataset().row_counts()
    assert pipeline.state["sources"]["counting"] == {"last": survivor}
    assert {survivor, *caught.value.resources} == {"left", "right"}
