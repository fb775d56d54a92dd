"""What the source asks of a database, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.sources.sql_database.kinds import ColumnPlan

if TYPE_CHECKING:
    import pyarrow as pa
    import sqlalchemy as sa

Chunk: TypeAlias = "pa.Table | list[dict[str, Any]]"
"""Rows of a table: as Arrow, or as records where a value is not of the type that its column declares."""

SnapshotKind = Literal["exported", "one connection"]


@dataclass(frozen=True)
class Access:
    """How a database is reached.

    Attributes:
        credentials: A URL, a mapping of its fields, or an engine of SQLAlchemy.
        engine_arguments: Further arguments of `create_engine`.
        adapt_engine: Is given the engine that was made, and may give another one.
        prefers_rows: Whether rows are read by SQLAlchemy though there is a faster client.
        root: The folder that the relative path of a file lies in; the working directory if None.
    """

    credentials: Any
    engine_arguments: Mapping[str, Any] = field(default_factory=dict)
    adapt_engine: Callable[[sa.Engine], sa.Engine | None] | None = None
    prefers_rows: bool = False
    root: Path | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it says nothing of engines of SQLAlchemy."""
        return not self.engine_arguments and self.adapt_engine is None


class Reading(Protocol):
    """One connection to a database that rows are read by."""

    def query(self, statement: Any, columns: Sequence[ColumnPlan], chunk_rows: int) -> Iterator[Chunk]:
        """The rows of a query, chunk by chunk, in bounded memory.

        Args:
            statement: Of SQLAlchemy, or text.
            columns: What is known of the columns of the answer; those it does not name come as the driver gives them.
        """

    def begin_snapshot(self, exported: str | None = None) -> str | None:
        """Read one state of all tables from now on; gives the name by which others may share it, if they can."""

    def close(self) -> None:
        """Close the connection."""


class Database(Protocol):
    """A database that is read.

    Attributes:
        location: Where it is, without credentials.
        dialect: Its name, as of SQLAlchemy.
        shares_snapshots: Whether several connections can read one state of it.
    """

    location: str
    dialect: str
    shares_snapshots: bool

    def table_names(self, schema: str | None, *, include_views: bool) -> list[str]:
        """The names of its tables, sorted.

        Raises:
            DatabaseReadError: It has no such schema, or cannot be asked.
        """

    def reflect(self, name: str, schema: str | None, metadata: sa.MetaData | None, *, with_foreign_keys: bool) -> sa.Table:
        """A table or view as it is declared in the database, or in `metadata` if it is there."""

    def connect(self) -> Reading:
        """Open a connection."""

    def close(self) -> None:
        """Let go of what was opened."""


def place_of(database: Database, schema: str | None) -> str:
    """Where tables are looked for, as messages show it."""
    return database.location if schema is None else f"schema {schema!r} of {database.location}"
