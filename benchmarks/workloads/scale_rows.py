"""How time and memory grow with the number of flat records, which are made as they are read."""

from benchmarks.workload import Task, Workload
from benchmarks.workloads import flat

WORKLOAD = Workload(
    "flat records of ten fields",
    records=10_000_000,
    small=2_000,
    sizes=(10_000, 100_000, 1_000_000, 10_000_000),
    tools=("ours",),
    runs=1,
)


def ours(task: Task) -> int:
    return flat.ours(task)
