"""Many rows that are Arrow tables already, a hundred thousand a page."""

from benchmarks.records import arrow_pages
from benchmarks.workload import Bars, Task, Workload

WORKLOAD = Workload(
    "{records} rows as Arrow tables of ten columns",
    records=10_000_000,
    small=2_000,
    default_records=5_000_000,
    runs=2,
    bars=Bars(limit=1.15, peak_mb=1024),
)


def ours(task: Task) -> int:
    from benchmarks import our_side

    return our_side.load(task, lambda: arrow_pages(task.records))


def with_dlt(task: Task) -> int:
    from benchmarks import dlt_side

    return dlt_side.load(task, lambda: arrow_pages(task.records))


def limit(task: Task) -> int:
    from benchmarks import by_hand

    with by_hand.one_transaction(task.database) as loader:
        for page in arrow_pages(task.records):
            for batch in page.to_batches():
                loader.add("records", batch)
        return by_hand.count(loader)
