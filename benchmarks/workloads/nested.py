"""Issue-shaped records with two lists of objects, as Python dictionaries."""

from benchmarks.records import nested_pages
from benchmarks.workload import Bars, Task, Workload

WORKLOAD = Workload(
    "{records} nested records (108 columns, two lists)",
    records=100_000,
    small=200,
    default_records=2_000,
    bars=Bars(tuned=3, default=20, limit=1.2, peak_mb=1024),
)


def ours(task: Task) -> int:
    from benchmarks import our_side

    return our_side.load(task, lambda: nested_pages(task.records))


def with_dlt(task: Task) -> int:
    from benchmarks import dlt_side

    return dlt_side.load(task, lambda: nested_pages(task.records))


def limit(task: Task) -> int:
    from benchmarks import by_hand
    from benchmarks.known_schemas import load_issues

    with by_hand.one_transaction(task.database) as loader:
        for rows in by_hand.chunks(nested_pages(task.records)):
            load_issues(loader, rows)
        return by_hand.count(loader)
