"""Many small files of JSON Lines: what a file costs, besides its rows."""

from benchmarks.records import flat_pages
from benchmarks.workload import Bars, Task, Workload

PER_FILE = 20
FOLDER = "in"

WORKLOAD = Workload(
    "{records} flat records in JSON Lines, twenty to a file",
    records=200_000,
    small=2_000,
    default_records=20_000,
    bars=Bars(tuned=3, default=5, limit=2),
)


def prepare(task: Task) -> None:
    """Files in folders of a hundred."""
    import json

    records = [record for page in flat_pages(task.records) for record in page]
    for start in range(0, task.records, PER_FILE):
        number = start // PER_FILE
        folder = task.folder / FOLDER / f"{number // 100:04}"
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(record) + "\n" for record in records[start : start + PER_FILE])
        (folder / f"{number:06}.jsonl").write_text(text)


prepare_ours = prepare_with_dlt = prepare_limit = prepare


def ours(task: Task) -> int:
    from benchmarks import our_side
    from dlt_orchestrate.sources.filesystem import filesystem, read_jsonl

    into = our_side.pipeline(task)
    files = filesystem(str(task.folder / FOLDER), file_glob="**/*.jsonl", load_once="version") | read_jsonl()
    info = into.run(files.with_name("records"))
    return int(info.resources["records"].total_rows)


def with_dlt(task: Task) -> int:
    from benchmarks import dlt_side

    dlt = dlt_side.import_dlt(task)
    from dlt.sources.filesystem import filesystem, read_jsonl

    into = dlt_side.pipeline(task)
    newer = dlt.sources.incremental("modification_date")
    files = filesystem(str(task.folder / FOLDER), file_glob="**/*.jsonl", incremental=newer) | read_jsonl()
    into.run(files.with_name("records"), **dlt_side.run_arguments(task))
    return dlt_side.count(into)


def limit(task: Task) -> int:
    import orjson

    from benchmarks import by_hand
    from benchmarks.known_schemas import CUSTOMER

    with by_hand.one_transaction(task.database) as loader:
        for path in sorted((task.folder / FOLDER).rglob("*.jsonl")):
            records = [orjson.loads(line) for line in path.read_bytes().splitlines()]
            loader.add("records", by_hand.batch(records, CUSTOMER))
        return by_hand.count(loader)
