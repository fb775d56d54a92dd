"""Errors carry their facts, also into another process."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import CommitConflictError, PipelineStepFailed


def test_an_error_arrives_in_another_process_with_its_facts() -> None:
    conflict = CommitConflictError(
        resource="orders",
        window=None,
        planned_on=1,
        found=2,
        winner_load_id="1.5",
        winner_host="ada",
        committed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )

    arrived = pickle.loads(pickle.dumps(conflict))

    assert (type(arrived), str(arrived), vars(arrived)) == (CommitConflictError, str(conflict), vars(conflict))


def test_a_failed_run_arrives_in_another_process_with_its_cause_and_what_it_committed() -> None:
    @dlt.resource
    def broken():
        yield [{"id": 1}]
        raise LookupError("no more")

    pipeline = dlt.pipeline("shop", destination=dlt.destinations.memory())
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run([broken, dlt.resource([{"id": 1}], name="whole")])

    arrived = pickle.loads(pickle.dumps(caught.value))

    assert str(arrived) == str(caught.value)
    assert isinstance(arrived.exception, type(caught.value.exception))
    assert list(arrived.load_info.resources) == ["whole"]
