"""A cold process: import, and two rows into a new file."""

from benchmarks.workload import Bars, Task, Workload

WORKLOAD = Workload(
    "import, and {records} rows into a new file", records=2, small=2, runs=5, bars=Bars(tuned=3, default=3, limit=1.5)
)

ROWS = [{"id": 1, "name": "Alice"}, {"id": 2, "name": "Bob"}]


def ours(task: Task) -> int:
    from benchmarks import our_side

    return our_side.load(task, ROWS)


def with_dlt(task: Task) -> int:
    from benchmarks import dlt_side

    return dlt_side.load(task, ROWS)


def limit(task: Task) -> int:
    from benchmarks import by_hand

    with by_hand.one_transaction(task.database) as loader:
        loader.add("records", by_hand.batch(ROWS, {"id": by_hand.BIGINT, "name": by_hand.TEXT}))
        return by_hand.count(loader)
