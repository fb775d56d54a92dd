"""dlt, as it comes or in its best known configuration.

The best is: Parquet loader files, large buffers, two workers, nothing compressed on the way.
"""

from __future__ import annotations

import os
from typing import Any

from benchmarks.workload import Task

TUNED = {
    "NORMALIZE__WORKERS": "2",
    "NORMALIZE__START_METHOD": "fork",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "100000",
    "DATA_WRITER__FILE_MAX_ITEMS": "50000",
    "DATA_WRITER__DISABLE_COMPRESSION": "true",
    "LOAD__WORKERS": "2",
}


def import_dlt(task: Task) -> Any:
    """The module, configured for the task; what it keeps on disk stays in the task's folder, and it sends nothing home."""
    os.chdir(task.folder)
    os.environ |= {"DLT_DATA_DIR": str(task.folder / "dlt"), "RUNTIME__DLTHUB_TELEMETRY": "false"}
    if task.is_tuned:
        os.environ |= TUNED
    import dlt

    return dlt


def pipeline(task: Task) -> Any:
    dlt = import_dlt(task)
    return dlt.pipeline("bench", destination=dlt.destinations.duckdb(str(task.database)), dataset_name="data")


def run_arguments(task: Task) -> dict[str, str]:
    """What `run` is told of the format of files. A pipeline keeps that of its last load, which prepared the table."""
    if task.is_tuned:
        return {"loader_file_format": "parquet"}
    return {"loader_file_format": "insert_values"} if task.database.exists() else {}


def load(task: Task, pages: Any, **hints: Any) -> int:
    """Load pages into `records` and count what is there then."""
    dlt = import_dlt(task)
    into = pipeline(task)
    into.run(dlt.resource(pages, name="records", **hints), **run_arguments(task))
    return count(into)


def count(into: Any, table: str = "records") -> int:
    with into.sql_client() as client:
        return int(client.execute_sql(f"SELECT count(*) FROM {table}")[0][0])
