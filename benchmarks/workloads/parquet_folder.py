"""A folder of Parquet files, beside DuckDB's own reader of such files.

The limit makes the table that we make, with the id of the load and an id for each row: to store these two texts takes
DuckDB about as long as all other columns of these records.
"""

from benchmarks.records import PAGE_ARROW, arrow_pages
from benchmarks.workload import Bars, Task, Workload

WORKLOAD = Workload(
    "{records} rows of ten columns in a folder of Parquet files",
    records=4_000_000,
    small=2_000,
    default_records=1_000_000,
    bars=Bars(limit=1.3, peak_mb=1024),
)

FOLDER = "in"


def prepare(task: Task) -> None:
    """Files of a hundred thousand rows."""
    from pyarrow import parquet

    folder = task.folder / FOLDER
    folder.mkdir()
    for number, page in enumerate(arrow_pages(task.records)):
        parquet.write_table(page, folder / f"{number * PAGE_ARROW:09}.parquet")


prepare_ours = prepare_with_dlt = prepare_limit = prepare


def ours(task: Task) -> int:
    from benchmarks import our_side
    from dlt_orchestrate.sources.filesystem import filesystem, read_parquet

    into = our_side.pipeline(task)
    files = filesystem(str(task.folder / FOLDER), file_glob="*.parquet") | read_parquet()
    info = into.run(files.with_name("records"))
    return int(info.resources["records"].total_rows)


def with_dlt(task: Task) -> int:
    from benchmarks import dlt_side

    dlt_side.import_dlt(task)
    from dlt.sources.filesystem import filesystem, read_parquet

    into = dlt_side.pipeline(task)
    files = filesystem(str(task.folder / FOLDER), file_glob="*.parquet") | read_parquet(use_pyarrow=True)
    into.run(files.with_name("records"), **dlt_side.run_arguments(task))
    return dlt_side.count(into)


def limit(task: Task) -> int:
    import duckdb

    with duckdb.connect(str(task.database)) as connection:
        connection.execute("SET threads = 1")
        connection.execute(
            "CREATE TABLE records AS SELECT *, '1795973922.33165788453991' AS _dlt_load_id, "
            "'abcdefgh' || lpad((row_number() OVER ())::VARCHAR, 6, '0') AS _dlt_id "
            f"FROM read_parquet('{task.folder / FOLDER}/*.parquet')"
        )
        return int(connection.execute("SELECT count(*) FROM records").fetchall()[0][0])
