"""A first load from an API that takes its time: pages of a hundred records, 20 ms each. The limit: the fetching itself."""

from benchmarks.workload import Bars, Task, Workload

PAGE, LATENCY_MS = 100, 20

WORKLOAD = Workload(
    "{records} records from an API, 20 ms a page; limit: the fetching",
    records=20_000,
    small=300,
    default_records=5_000,
    server="records",
    bars=Bars(tuned=3, wall=1.2),
)


def latency_seconds(records: int) -> float:
    return -(-records // PAGE) * LATENCY_MS / 1_000


def _url(task: Task) -> str:
    return f"{task.url}/flat?records={task.records}&size={PAGE}&latency_ms={LATENCY_MS}"


def ours(task: Task) -> int:
    from benchmarks import our_side
    from dlt_orchestrate.sources.helpers.rest_client import paginate

    return our_side.load(task, lambda: paginate(_url(task)))


def with_dlt(task: Task) -> int:
    from benchmarks import dlt_side

    dlt_side.import_dlt(task)
    from dlt.sources.helpers.rest_client import paginate

    return dlt_side.load(task, lambda: paginate(_url(task)))


def limit(task: Task) -> int:
    from benchmarks.known_api import pages_by_requests

    return sum(len(page) for page in pages_by_requests(_url(task)))
