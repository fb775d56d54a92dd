"""The job of `dagster`, with all resources in one op as dagster-dlt makes it: the same shape on both sides."""

from benchmarks.workload import Bars, Task, Workload
from benchmarks.workloads import dagster as one_op_each
from benchmarks.workloads.dagster import expected_rows, limit, with_dlt

__all__ = ["WORKLOAD", "expected_rows", "limit", "ours", "with_dlt"]

WORKLOAD = Workload(
    'the same in one op (`isolation="source"`), as with dagster-dlt',
    records=one_op_each.WORKLOAD.records,
    small=one_op_each.WORKLOAD.small,
    bars=Bars(tuned=1.5, default=3, limit=1.2),
)


def ours(task: Task) -> int:
    return one_op_each.ours(task, isolation="source")
