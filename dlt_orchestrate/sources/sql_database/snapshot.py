"""One state of all tables of a run, where the server can give one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.sources.sql_database.database import Access, Database, Reading
from dlt_orchestrate.sources.sql_database.failures import told
from dlt_orchestrate.sources.sql_database.opening import open_database


class Snapshot:
    """The state that a database has when the first table of a run is read.

    PostgreSQL lets any number of connections share it. Other servers tie it to one connection, on which the tables are read
    one after another. It ends with the last of the resources that hold it.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._held: list[Any] = []
        self._exported: str | None = None
        self._is_busy = threading.Lock()
        weakref.finalize(self, _close_all, self._held)

    @contextmanager
    def reading(self, table: str) -> Iterator[tuple[Database, Reading]]:
        """A connection that reads this state.

        Raises:
            DeclarationError: The state is tied to one connection, by which another table is being read.
        """
        with self._lock:
            if not self._held:
                self._begin()
        database, first = self._held
        if not database.shares_snapshots:
            if not self._is_busy.acquire(blocking=False):
                raise DeclarationError(
                    f"Resource {table!r}: {database.dialect} gives one connection alone a snapshot, and another table is "
                    "being read by it. Do without parallelize(), or without snapshot=True."
                )
            try:
                yield database, first
            finally:
                self._is_busy.release()
            return
        reading = database.connect()
        try:
            with told(database.location, "a snapshot of all tables"):
                reading.begin_snapshot(self._exported)
            yield database, reading
        finally:
            reading.close()

    def _begin(self) -> None:
        database = open_database(self._access)
        reading = database.connect()
        try:
            with told(database.location, "a snapshot of all tables"):
                self._exported = reading.begin_snapshot()
        except BaseException:
            reading.close()
            database.close()
            raise
        self._held += [database, reading]


def _close_all(held: list[Any]) -> None:
    for opened in reversed(held):
        with suppress(Exception):
            opened.close()
