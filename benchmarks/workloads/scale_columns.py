"""How time and memory grow with the number of fields: as many values each time."""

from benchmarks.records import wide_pages
from benchmarks.workload import Task, Workload

WORKLOAD = Workload(
    "values in records of 10, 100 and 1,000 fields",
    records=5_000_000,
    small=20_000,
    tools=("columns_10", "columns_100", "columns_1000"),
    runs=1,
)


def expected_rows(task: Task) -> int:
    return task.records // int(task.tool.rpartition("_")[2])


def _load(task: Task, columns: int) -> int:
    from benchmarks import our_side

    return our_side.load(task, lambda: wide_pages(task.records // columns, columns))


def columns_10(task: Task) -> int:
    return _load(task, 10)


def columns_100(task: Task) -> int:
    return _load(task, 100)


def columns_1000(task: Task) -> int:
    return _load(task, 1_000)
