"""A table meets changes of one row in five, and a few new rows."""

from collections.abc import Callable, Iterator

from benchmarks.records import BASE_PER_UPSERT, Record, flat_templates, numbered, rows_after_upserts, upserts
from benchmarks.workload import Bars, Task, Workload

WORKLOAD = Workload(
    "{records} upserts into a table of five times as many rows",
    records=100_000,
    small=200,
    default_records=10_000,
    bars=Bars(tuned=3, limit=1.4),
)

HINTS = {"write_disposition": "merge", "primary_key": "id"}


Templates = Callable[[], list[Record]]


def base(task: Task, of: Templates = flat_templates) -> Iterator[list[Record]]:
    return numbered(of(), task.records * BASE_PER_UPSERT)


def changes(task: Task, of: Templates = flat_templates) -> Iterator[list[Record]]:
    return upserts(of(), task.records)


def expected_rows(task: Task) -> int:
    return rows_after_upserts(task.records)


def prepare_ours(task: Task, of: Templates = flat_templates) -> int:
    from benchmarks import our_side

    return our_side.load(task, lambda: base(task, of), **HINTS)


def ours(task: Task, of: Templates = flat_templates) -> int:
    from benchmarks import our_side

    return our_side.load(task, lambda: changes(task, of), **HINTS)


def prepare_with_dlt(task: Task, of: Templates = flat_templates) -> int:
    from benchmarks import dlt_side

    return dlt_side.load(task, lambda: base(task, of), **HINTS)


def with_dlt(task: Task, of: Templates = flat_templates) -> int:
    from benchmarks import dlt_side

    return dlt_side.load(task, lambda: changes(task, of), **HINTS)


def prepare_limit(task: Task) -> int:
    from benchmarks import by_hand
    from benchmarks.known_schemas import CUSTOMER

    with by_hand.one_transaction(task.database) as loader:
        for page in base(task):
            loader.add("records", by_hand.batch(page, CUSTOMER))
        return by_hand.count(loader)


def limit(task: Task) -> int:
    from benchmarks import by_hand
    from benchmarks.known_schemas import CUSTOMER

    with by_hand.one_transaction(task.database) as loader:
        for page in changes(task):
            loader.add("temp.staged", by_hand.batch(page, CUSTOMER))
        loader.flush()
        loader.connection.execute("DELETE FROM records USING temp.staged s WHERE records.id = s.id")
        loader.connection.execute("INSERT INTO records BY NAME FROM temp.staged")
        return by_hand.count(loader)
