"""A first load of children from an API that takes its time: of each parent three pages, 20 ms each, five at once.

The limit: the same requests by hand, by five threads, with nothing done with the answers. Latency alone bounds both: a
fifth of 20 ms for each request, after the first page of parents.
"""

from typing import Any

from benchmarks.workload import Bars, Task, Workload

CONCURRENCY = 5
PARENTS_PER_PAGE = 100
CHILD_PAGES, CHILDREN_PER_PAGE = 3, 10
LATENCY_MS = 20

WORKLOAD = Workload(
    "children of {records} parents from an API, 3 pages each, 20 ms a page, 5 at once; limit: the fetching",
    records=500,
    small=10,
    server="records",
    default_records=50,
    bars=Bars(wall=1.5, latency=1.5),
)


def latency_seconds(records: int) -> float:
    return (1 + records * CHILD_PAGES / CONCURRENCY) * LATENCY_MS / 1_000


def expected_rows(task: Task) -> int:
    return task.records * CHILD_PAGES * CHILDREN_PER_PAGE


def ours(task: Task) -> int:
    from benchmarks import our_side
    from dlt_orchestrate.sources.rest_api import rest_api_source

    source = rest_api_source(_config(task, concurrency=CONCURRENCY))
    info = our_side.pipeline(task).run(source)
    return int(info.resources["records"].total_rows)


def with_dlt(task: Task) -> int:
    from benchmarks import dlt_side

    dlt_side.import_dlt(task)  # its default of five threads is ours, too
    from dlt.sources.rest_api import rest_api_source

    into = dlt_side.pipeline(task)
    into.run(rest_api_source(_config(task), parallelized=True), **dlt_side.run_arguments(task))
    return dlt_side.count(into)


def limit(task: Task) -> int:
    from concurrent.futures import ThreadPoolExecutor

    import requests

    from benchmarks.known_api import pages_by_requests

    def children(parent: int) -> int:
        query = "&".join(f"{name}={value}" for name, value in {**_CHILDREN, "parent": parent}.items())
        return sum(len(page) for page in pages_by_requests(f"{task.url}/flat?{query}"))

    with requests.Session(), ThreadPoolExecutor(CONCURRENCY) as pool:
        query = "&".join(f"{name}={value}" for name, value in _parents(task).items())
        parents = [parent["id"] for page in pages_by_requests(f"{task.url}/flat?{query}") for parent in page]
        return sum(pool.map(children, parents))


_CHILDREN = {"records": CHILD_PAGES * CHILDREN_PER_PAGE, "size": CHILDREN_PER_PAGE, "latency_ms": LATENCY_MS}


def _config(task: Task, **client: int) -> Any:
    return {
        "client": {"base_url": task.url, "paginator": "header_link", **client},
        "resource_defaults": {"endpoint": {"data_selector": "$"}},
        "resources": [
            {"name": "parents", "selected": False, "endpoint": {"path": "flat", "params": _parents(task)}},
            {
                "name": "records",
                "endpoint": {"path": "flat", "params": {**_CHILDREN, "parent": "{resources.parents.id}"}},
            },
        ],
    }


def _parents(task: Task) -> dict[str, int]:
    return {"records": task.records, "size": PARENTS_PER_PAGE, "latency_ms": LATENCY_MS}
