"""An incremental run that finds nothing new: the last page again, all of whose records were loaded before."""

from benchmarks.records import Record, flat_pages
from benchmarks.workload import Bars, Task, Workload

WORKLOAD = Workload(
    "an incremental run with nothing new",
    records=20_000,
    small=2_000,
    runs=5,
    bars=Bars(tuned=3, default=3, limit=1.5),
)

SEEN = 100


def last_page(task: Task) -> list[Record]:
    return next(flat_pages(SEEN, first_id=task.records - SEEN))


def prepare_ours(task: Task) -> int:
    from benchmarks import our_side

    return our_side.load(task, _our_resource(lambda: flat_pages(task.records)))


def ours(task: Task) -> int:
    from benchmarks import our_side

    return our_side.load(task, _our_resource(lambda: [last_page(task)]))


def prepare_with_dlt(task: Task) -> int:
    return _load_with_dlt(task, lambda: flat_pages(task.records))


def with_dlt(task: Task) -> int:
    return _load_with_dlt(task, lambda: [last_page(task)])


def prepare_limit(task: Task) -> int:
    from benchmarks.workloads import flat

    return flat.limit(task)


def limit(task: Task) -> int:
    from benchmarks import by_hand
    from benchmarks.known_schemas import CUSTOMER

    with by_hand.one_transaction(task.database) as loader:
        (newest,) = loader.connection.execute("SELECT max(id) FROM records").fetchall()[0]
        new = [record for record in last_page(task) if record["id"] > newest]
        if new:
            loader.add("records", by_hand.batch(new, CUSTOMER))
        return by_hand.count(loader)


def _our_resource(pages):
    import dlt_orchestrate as dlt

    cursor = dlt.sources.incremental("id", initial_value=0)
    return dlt.resource(pages, name="records", primary_key="id", incremental=cursor)


def _load_with_dlt(task: Task, pages) -> int:
    from benchmarks import dlt_side

    dlt = dlt_side.import_dlt(task)
    return dlt_side.load(task, pages, primary_key="id", incremental=dlt.sources.incremental("id", initial_value=0))
