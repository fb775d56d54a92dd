"""Whatever the order of rows and their split into pages: what is passed is what is newer than the start."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from extraction_driver import Runs
from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource, resource

CURSORS = st.integers(0, 8)
BATCHES = st.lists(st.lists(CURSORS, max_size=12), min_size=1, max_size=4)


def split(rows: list[dict[str, Any]], cuts: list[int]) -> list[list[dict[str, Any]]]:
    edges = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    return [rows[start:end] for start, end in itertools.pairwise(edges)]


def events(pages: list[list[dict[str, Any]]], declared: Incremental[Any], form: str) -> Resource:
    @resource(name="events", primary_key="id", incremental=declared)
    def read() -> Iterator[Any]:
        for page in pages:
            if form == "arrow":
                yield pa.Table.from_pylist(page)
            elif form == "single":
                yield from page
            else:
                yield page

    return read


@given(
    runs=BATCHES,
    order=st.randoms(use_true_random=False),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    form=st.sampled_from(["list", "single", "arrow"]),
    falls=st.booleans(),
)
def test_each_row_passes_once_and_none_that_is_older_than_the_run_before(
    runs: list[list[int]], order: Any, cuts: list[int], form: str, falls: bool
) -> None:
    driver = Runs()
    rows: list[dict[str, Any]] = []
    passed_before: set[int] = set()
    newest: int | None = None
    for added in runs:
        # The source keeps all its rows and shows them in another order each time.
        rows += [{"id": len(rows) + position, "u": value} for position, value in enumerate(added)]
        order.shuffle(rows)
        declared = Incremental("u", last_value_func="min" if falls else "max")

        passed = driver.rows(events(split(rows, cuts), declared, form))

        fresh = [row for row in rows if row["id"] not in passed_before]
        expected = [row for row in fresh if newest is None or (row["u"] <= newest if falls else row["u"] >= newest)]
        assert passed == expected
        passed_before |= {row["id"] for row in passed}
        cursors = [row["u"] for row in rows]
        newest = (min(cursors) if falls else max(cursors)) if cursors else None


@given(rows=st.lists(CURSORS, max_size=12), start=CURSORS, width=st.integers(1, 5), form=st.sampled_from(["list", "arrow"]))
def test_neighbouring_ranges_pass_every_row_exactly_once(rows: list[int], start: int, width: int, form: str) -> None:
    table = [{"id": position, "u": value} for position, value in enumerate(rows)]
    passed = []

    for low in range(start, 9, width):
        declared = Incremental("u", initial_value=low, end_value=low + width)
        passed += Runs().rows(events([table] if table else [], declared, form))

    assert sorted(row["id"] for row in passed) == [row["id"] for row in table if row["u"] >= start]
