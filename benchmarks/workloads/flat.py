"""Many records of ten plain fields, as Python dictionaries."""

from benchmarks.records import flat_pages
from benchmarks.workload import Bars, Task, Workload

WORKLOAD = Workload(
    "{records} flat records of ten fields",
    records=1_000_000,
    small=2_000,
    default_records=20_000,
    bars=Bars(tuned=4, default=20, limit=1.3),
)


def ours(task: Task) -> int:
    from benchmarks import our_side

    return our_side.load(task, lambda: flat_pages(task.records))


def with_dlt(task: Task) -> int:
    from benchmarks import dlt_side

    return dlt_side.load(task, lambda: flat_pages(task.records))


def limit(task: Task) -> int:
    from benchmarks import by_hand
    from benchmarks.known_schemas import CUSTOMER

    with by_hand.one_transaction(task.database) as loader:
        for page in flat_pages(task.records):
            loader.add("records", by_hand.batch(page, CUSTOMER))
        return by_hand.count(loader)
