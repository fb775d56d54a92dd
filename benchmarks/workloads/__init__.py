"""What is measured: one module for each workload, in the order of the table."""

from importlib import import_module
from types import ModuleType

NAMES = (
    "quick_start",
    "flat",
    "nested",
    "nested_bytes",
    "upsert",
    "upsert_nested",
    "nothing_new",
    "rest_latency",
    "rest_children",
    "dagster",
    "dagster_one_op",
    "arrow",
    "sql_table",
    "parquet_folder",
    "jsonl_files",
    "dirty",
    "scale_rows",
    "scale_columns",
)


def module(name: str) -> ModuleType:
    """The module of a workload; its `WORKLOAD` says what it is."""
    return import_module(f"benchmarks.workloads.{name}")
