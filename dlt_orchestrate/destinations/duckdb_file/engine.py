"""Engines of DuckDB that outlive a commit, for processes that make many.

Starting DuckDB costs six to twenty times as much as opening a file in it. `duckdb.connect(path)` does both; an engine in
memory, kept for each file that is committed to, has the file attached only for the length of a commit,
so that it is free between commits, for other processes too.

While a file is attached, `duckdb.connect(path)` elsewhere in this process fails ("Unique file handle conflict") instead of
sharing it, and the other way round; DuckDB tells by the file itself, whatever path leads to it. So a file that this
process has open otherwise is opened by `connect`, and only processes that run steps keep engines: code that serves readers
of the same file from its threads does not.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dlt_orchestrate.destinations.duckdb_file.sql import literal, quoted

if TYPE_CHECKING:
    import duckdb

_engines: dict[tuple[int, Path], Engine] = {}
_engines_guard = threading.Lock()


def kept_engine(path: Path) -> Engine:
    """The engine of a file in this process; a process that was forked has engines of its own."""
    with _engines_guard:
        return _engines.setdefault((os.getpid(), path), Engine(path))


class Engine:
    """DuckDB without a file of its own, started when it is first needed. Who uses it has the turn of its file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._base: duckdb.DuckDBPyConnection | None = None
        self._name: str | None = None
        """What DuckDB calls the file, once that is known: other than by `connect`, it must be made the current database."""

    def attach(self) -> tuple[duckdb.DuckDBPyConnection, Callable[[], None]] | None:
        """Open the file; returns a connection in which it is the current database, and what closes the file.

        None if the file cannot be attached: `duckdb.connect` will tell why, or can open it all the same.
        """
        import duckdb

        try:
            if self._base is None:
                self._base = duckdb.connect(":memory:")
            self._base.execute(f"ATTACH {literal(str(self._path))}")
        except duckdb.Error:
            return None
        if self._name is None:
            query = "SELECT database_name FROM duckdb_databases() WHERE NOT internal AND path IS NOT NULL"
            self._name = quoted(self._base.execute(query).fetchall()[0][0])
        connection = self._base.cursor()  # with settings and temporary tables of its own, which end with it
        connection.execute(f"USE {self._name}")
        return connection, lambda: self._detach(connection)

    def _detach(self, connection: duckdb.DuckDBPyConnection) -> None:
        import duckdb

        assert self._base is not None
        connection.close()
        try:
            self._base.execute(f"DETACH {self._name}")
        except duckdb.Error:  # what was committed stays committed; an engine that is unwell lets go of the file by its end
            self._base.close()
            self._base = None
