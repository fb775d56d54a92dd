"""A step of Dagster dies, before or after its commit; tried again it loads once, and its asset tells of that load."""

from __future__ import annotations

import pytest

from soak.dagster_kills import DagsterKiller


@pytest.mark.parametrize("by_policy", [True, False], ids=["retry policy", "re-execution from failure"])
@pytest.mark.parametrize(
    ("point", "had_committed"),
    [("commit.after_commit", 1), pytest.param("commit.before_commit", 0, marks=pytest.mark.slow)],
)
def test_a_step_that_dies_is_tried_again_and_loads_once(point, had_committed, by_policy) -> None:
    tally = DagsterKiller(destination="duckdb", mode="append", seed=1).kill_once(f"{point}:kill", by_policy=by_policy)

    assert tally.stories == []
    assert (tally.killed, tally.committed) == (1, had_committed)
