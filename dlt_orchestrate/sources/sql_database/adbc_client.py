"""What SQLAlchemy asks of a driver (PEP 249), by ADBC's client for PostgreSQL.

ADBC brings such a driver of its own, which takes longer to import than a small load takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import adbc_driver_manager
import adbc_driver_postgresql
import pyarrow as pa
from adbc_driver_manager import (
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    Warning,  # noqa: A004 - its name in PEP 249
)

__all__ = [
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
    "Warning",
    "apilevel",
    "connect",
    "paramstyle",
    "threadsafety",
]

apilevel = "2.0"
threadsafety = 1
paramstyle = "format"


def connect(address: str) -> Connection:
    """Open a session in which every statement is a transaction of its own.

    Args:
        address: A URL or the settings of libpq.
    """
    return Connection(adbc_driver_manager.AdbcConnection(_database(address)))


@lru_cache(maxsize=8)
def _database(address: str) -> Any:
    """What sessions are opened on: the driver has read the types of the server for it, which takes a while."""
    return adbc_driver_postgresql.connect(address)


class Connection:
    """One session with the server."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def cursor(self) -> Cursor:
        return Cursor(self._connection)

    def stream(self, statement: str) -> Stream:
        """Prepare a query whose rows are to be copied."""
        return Stream(self._connection, statement)

    def commit(self) -> None:
        """Nothing: every statement is committed by itself."""

    def rollback(self) -> None:
        """Nothing, as in `commit`."""

    def close(self) -> None:
        self._connection.close()


class Cursor:
    """Carries out statements of any kind, and keeps what they find."""

    arraysize = 1

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1

    def execute(self, statement: str, parameters: Sequence[Any] | None = None) -> None:  # noqa: ARG002 - are in it
        with adbc_driver_manager.AdbcStatement(self._connection) as asked:
            asked.set_options(**{"adbc.postgresql.use_copy": "false"})  # only queries can be copied
            asked.set_sql_query(statement)
            handle, self.rowcount = asked.execute_query()
            with pa.RecordBatchReader.from_stream(handle) as reader:
                found = reader.read_all()
        self.description = [(field.name, field.type, None, None, None, None, None) for field in found.schema] or None
        self._rows = zip(*(column.to_pylist() for column in found.columns), strict=True) if found.num_columns else iter(())

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        return [row for _, row in zip(range(size or self.arraysize), self._rows, strict=False)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return list(self._rows)

    def close(self) -> None:
        self._rows = iter(())


class Stream:
    """A query whose rows come in batches of Arrow."""

    def __init__(self, connection: Any, statement: str) -> None:
        self._connection = connection
        self._statement = adbc_driver_manager.AdbcStatement(connection)
        self._statement.set_sql_query(statement)
        self._reader: Any = None

    def begin(self) -> None:
        """Send the query."""
        handle, _ = self._statement.execute_query()
        self._reader = pa.RecordBatchReader.from_stream(handle)

    def next_batch(self) -> pa.RecordBatch | None:
        """The next rows; None after the last."""
        try:
            return self._reader.read_next_batch()
        except StopIteration:
            return None

    def cancel(self) -> None:
        """End what the server does, from another thread."""
        self._connection.cancel()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._statement.close()
