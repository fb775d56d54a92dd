"""What is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from benchmarks.data import Record, flat_pages, nested_pages


@dataclass(frozen=True)
class Workload:
    """One thing to load.

    Attributes:
        pages: The records, in pages, for a number of records.
        default_records: Number of records if none is asked for.
        small_records: Number that proves that the scripts run.
        has_limit: Whether there is a hand-written load to compare with.
    """

    name: str
    title: str
    pages: Callable[[int], Iterator[list[Record]]]
    default_records: int
    small_records: int
    has_limit: bool = True


def _two_rows(_records: int) -> Iterator[list[Record]]:
    yield [{"id": 1, "name": "Alice"}, {"id": 2, "name": "Bob"}]


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("quick_start", "import, and two rows into a new file", _two_rows, 2, 2),
        Workload("flat", "flat records of ten fields", flat_pages, 200_000, 2_000),
        Workload("nested", "issue-shaped records with two lists", nested_pages, 20_000, 200),
    )
}
