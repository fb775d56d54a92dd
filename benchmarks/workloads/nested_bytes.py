"""The nested records as JSON from an API: pages of a hundred, found by `Link` headers. Decoding is part of the load."""

from benchmarks.workload import Bars, Task, Workload

WORKLOAD = Workload(
    "{records} of them from an API, as JSON",
    records=50_000,
    small=200,
    default_records=2_000,
    server="records",
    bars=Bars(tuned=4, limit=1.5),
)


def _url(task: Task) -> str:
    return f"{task.url}/nested?records={task.records}&size=100"


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
    from benchmarks import by_hand
    from benchmarks.known_api import pages
    from benchmarks.known_schemas import load_issues

    with by_hand.one_transaction(task.database) as loader:
        for rows in by_hand.chunks(pages(_url(task))):
            load_issues(loader, rows)
        return by_hand.count(loader)
