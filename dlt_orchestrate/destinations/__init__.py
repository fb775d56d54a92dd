"""Where packages go: `destinations.duckdb(...)` and `destinations.memory()` make one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlt_orchestrate.destinations.duckdb_file.destination import DuckDB
    from dlt_orchestrate.destinations.in_memory import Memory

__all__ = ["duckdb", "memory"]


def duckdb(
    credentials: str | Path,
    *,
    lock_timeout_seconds: float | None = None,
    memory_limit: str | None = None,
    threads: int | None = None,
    naming_convention: str | None = None,
) -> DuckDB:
    """A DuckDB file.

    Args:
        credentials: Path of the file, or `duckdb:///PATH`; made absolute now.
        lock_timeout_seconds: How long to wait for a file that another process holds; 60 by default.
        memory_limit: DuckDB's memory limit, such as `2GB`; 512 MB by default.
        threads: Threads of DuckDB while it writes; 1 by default, which takes least CPU time for all.
        naming_convention: The naming convention of new datasets, unless the configuration asks for another.
    """
    from dlt_orchestrate.destinations.duckdb_file.destination import (
        DEFAULT_LOCK_TIMEOUT_SECONDS,
        DEFAULT_MEMORY_LIMIT,
        DEFAULT_THREADS,
        DuckDB,
    )

    path = str(credentials).removeprefix("duckdb:///")
    return DuckDB(
        path,
        lock_timeout_seconds=DEFAULT_LOCK_TIMEOUT_SECONDS if lock_timeout_seconds is None else lock_timeout_seconds,
        memory_limit=memory_limit or DEFAULT_MEMORY_LIMIT,
        threads=threads or DEFAULT_THREADS,
        naming_convention=naming_convention,
    )


def memory() -> Memory:
    """A destination that lives in this process."""
    from dlt_orchestrate.destinations.in_memory import Memory

    return Memory()
