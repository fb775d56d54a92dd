"""dlt_orchestrate, as it comes."""

from __future__ import annotations

import os
from typing import Any

from benchmarks.workload import Task


def pipeline(task: Task) -> Any:
    os.chdir(task.folder)
    import dlt_orchestrate as dlt

    return dlt.pipeline("bench", destination=dlt.destinations.duckdb(str(task.database)), dataset_name="data")


def load(task: Task, pages: Any, **hints: Any) -> int:
    """Load pages into `records`; returns how many rows it has then."""
    info = pipeline(task).run(pages, table_name="records", **hints)
    return int(info.resources["records"].total_rows)
