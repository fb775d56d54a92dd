"""The same with a nested table: each row has a list of two objects."""

from functools import partial

from benchmarks.records import order_templates
from benchmarks.workload import Bars, Task, Workload
from benchmarks.workloads import upsert

WORKLOAD = Workload(
    "the same with two nested rows in each",
    records=100_000,
    small=200,
    default_records=10_000,
    bars=Bars(tuned=3, limit=1.4),
)

expected_rows = upsert.expected_rows
prepare_ours = partial(upsert.prepare_ours, of=order_templates)
ours = partial(upsert.ours, of=order_templates)
prepare_with_dlt = partial(upsert.prepare_with_dlt, of=order_templates)
with_dlt = partial(upsert.with_dlt, of=order_templates)


def prepare_limit(task: Task) -> int:
    from benchmarks import by_hand
    from benchmarks.known_schemas import load_orders

    with by_hand.one_transaction(task.database) as loader:
        for page in upsert.base(task, order_templates):
            load_orders(loader, page)
        return by_hand.count(loader)


def limit(task: Task) -> int:
    from benchmarks import by_hand
    from benchmarks.known_schemas import load_orders

    with by_hand.one_transaction(task.database) as loader:
        for page in upsert.changes(task, order_templates):
            load_orders(loader, page, root="temp.staged", items="temp.staged_items")
        loader.flush()
        execute = loader.connection.execute
        execute("DELETE FROM records__items USING temp.staged s WHERE records__items.record_id = s.id")
        execute("DELETE FROM records USING temp.staged s WHERE records.id = s.id")
        execute("INSERT INTO records BY NAME FROM temp.staged")
        execute("INSERT INTO records__items BY NAME FROM temp.staged_items")
        return by_hand.count(loader)
