"""Where packages go: `destinations.duckdb(...)`, `destinations.postgres(...)` and `destinations.memory()` make one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dlt_orchestrate.config.redaction import learn_parts
from dlt_orchestrate.errors import DeclarationError

if TYPE_CHECKING:
    from dlt_orchestrate.destinations.duckdb_file.destination import DuckDB
    from dlt_orchestrate.destinations.in_memory import Memory
    from dlt_orchestrate.destinations.postgresql.destination import Postgres

__all__ = ["duckdb", "memory", "postgres"]


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

    Raises:
        InvalidSettingError: A limit or a number is none.
    """
    from dlt_orchestrate.destinations.duckdb_file.destination import (
        DEFAULT_LOCK_TIMEOUT_SECONDS,
        DEFAULT_MEMORY_LIMIT,
        DEFAULT_THREADS,
        DuckDB,
    )

    path = str(credentials).removeprefix("duckdb:///")
    learn_parts(path)
    scheme, is_address, _ = path.partition("://")
    if is_address:
        raise DeclarationError(
            f"The destination 'duckdb' takes the path of a file, and was given an address that begins with {scheme}://. "
            "Name a path such as 'data/shop.duckdb', or the destination that the address belongs to."
        )
    return DuckDB(
        path,
        lock_timeout_seconds=DEFAULT_LOCK_TIMEOUT_SECONDS if lock_timeout_seconds is None else lock_timeout_seconds,
        memory_limit=DEFAULT_MEMORY_LIMIT if memory_limit is None else memory_limit,
        threads=DEFAULT_THREADS if threads is None else threads,
        naming_convention=naming_convention,
    )


def postgres(
    credentials: object,
    *,
    lock_timeout_seconds: float | None = None,
    idle_timeout_seconds: float | None = None,
    most_counted_rows: int | None = None,
    naming_convention: str | None = None,
) -> Postgres:
    """A PostgreSQL database, of version 15 or newer; needs the extra `postgres`.

    Args:
        credentials: `postgresql://user:password@host:5432/database`, with parameters of libpq behind a question mark, or a
            dictionary of `host`, `port`, `username`, `password`, `database` and such parameters.
        lock_timeout_seconds: How long to wait for a dataset that another load is committing to; 60 by default.
        idle_timeout_seconds: After how long the server ends a commit whose process has stopped; 300 by default.
        most_counted_rows: From how many rows on the rows of a table are told from what the load before left, and not
            counted after each load; 1,000,000 by default.
        naming_convention: The naming convention of new datasets, unless the configuration asks for another.

    Raises:
        InvalidCredentialsError: The credentials cannot be read.
    """
    from dlt_orchestrate.destinations.postgresql.destination import (
        DEFAULT_IDLE_TIMEOUT_SECONDS,
        DEFAULT_LOCK_TIMEOUT_SECONDS,
        DEFAULT_MOST_COUNTED_ROWS,
        Postgres,
    )

    return Postgres(
        credentials,
        lock_timeout_seconds=DEFAULT_LOCK_TIMEOUT_SECONDS if lock_timeout_seconds is None else lock_timeout_seconds,
        idle_timeout_seconds=DEFAULT_IDLE_TIMEOUT_SECONDS if idle_timeout_seconds is None else idle_timeout_seconds,
        most_counted_rows=DEFAULT_MOST_COUNTED_ROWS if most_counted_rows is None else most_counted_rows,
        naming_convention=naming_convention,
    )


def memory() -> Memory:
    """A destination that lives in this process."""
    from dlt_orchestrate.destinations.in_memory import Memory

    return Memory()
