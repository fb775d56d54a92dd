"""Rows of PostgreSQL through ADBC: what the server's COPY sends, as Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from dlt_orchestrate.load.interruption import CallAbandoned, interruptibly
from dlt_orchestrate.sources.sql_database.database import Chunk
from dlt_orchestrate.sources.sql_database.driver_arrow import chunks_of
from dlt_orchestrate.sources.sql_database.kinds import ColumnPlan
from dlt_orchestrate.sources.sql_database.postgres_text import literal


class AdbcReading:
    """A connection to PostgreSQL that gives Arrow, which the server's COPY is read into."""

    def __init__(self, connection: Any, written: Callable[[Any], str] | None = None) -> None:
        """
        Args:
            connection: Of `adbc_client`; it is closed in the end.
            written: Gives the text of a statement of SQLAlchemy; not needed where none comes.
        """
        self._connection = connection
        self._written = written or str
        self._is_given_up = False

    def query(self, statement: Any, columns: Sequence[ColumnPlan], chunk_rows: int) -> Iterator[Chunk]:
        written = statement if isinstance(statement, str) else self._written(statement)
        plans = {column.name: column for column in columns}
        stream = self._connection.stream(written)
        try:
            self._wait(stream, stream.begin)
            while (batch := self._wait(stream, stream.next_batch)) is not None:
                yield from chunks_of(batch, plans, chunk_rows)
        finally:
            if not self._is_given_up:
                with suppress(Exception):
                    stream.close()

    def begin_snapshot(self, exported: str | None = None) -> str | None:
        cursor = self._connection.cursor()
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if exported is not None:
            cursor.execute(f"SET TRANSACTION SNAPSHOT {literal(exported)}")
            return exported
        cursor.execute("SELECT pg_export_snapshot()")
        return str(cursor.fetchone()[0])

    def close(self) -> None:
        if not self._is_given_up:
            with suppress(Exception):
                self._connection.close()

    def _wait(self, stream: Any, call: Any) -> Any:
        """Wait for the server so that signals are heard, and end its work if one ends the wait."""
        try:
            return interruptibly(call, lambda: _cancel(stream))
        except CallAbandoned as abandoned:
            self._is_given_up = True
            raise abandoned.interruption from None


def _cancel(stream: Any) -> None:
    with suppress(Exception):
        stream.cancel()
