"""Records of which one in a hundred is irregular, in three of a hundred fields, against clean ones."""

from benchmarks.records import wide_pages
from benchmarks.workload import Task, Workload

WORKLOAD = Workload(
    "{records} records of 100 fields; one in 100 irregular in three fields",
    records=50_000,
    small=1_000,
    tools=("clean", "dirty"),
)

COLUMNS = 100
IRREGULAR_COLUMNS = 3
AT_MOST = 1.5
"""Times the time of clean records that dirty ones may take."""


def clean(task: Task) -> int:
    from benchmarks import our_side

    return our_side.load(task, lambda: wide_pages(task.records, COLUMNS))


def dirty(task: Task) -> int:
    from benchmarks import our_side

    return our_side.load(task, lambda: wide_pages(task.records, COLUMNS, irregular=IRREGULAR_COLUMNS))
