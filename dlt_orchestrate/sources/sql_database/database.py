"""What the source asks of a database, whichever it is, and the choice of who answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import sqlalchemy as sa
from sqlalchemy.engine import URL

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DatabaseCredentialsError, DatabaseReadError
from dlt_orchestrate.sources.sql_database.columns import ColumnPlan
from dlt_orchestrate.sources.sql_database.credentials import (
    FILES,
    engine_url,
    file_of,
    location_of,
    unknown_database,
    url_of,
    with_driver,
)

if TYPE_CHECKING:
    import pyarrow as pa

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


@contextmanager
def opened(access: Access) -> Iterator[Database]:
    """The database, until the end of the block.

    Raises:
        DatabaseCredentialsError, MissingExtraError: The credentials cannot be read, or a client is missing.
    """
    database = open_database(access)
    try:
        yield database
    finally:
        database.close()


def open_database(access: Access) -> Database:
    """The database; nothing is asked of it yet. Errors as in `opened`."""
    from dlt_orchestrate.sources.sql_database.engine_database import EngineDatabase

    credentials = access.credentials
    if isinstance(credentials, sa.Engine):
        return EngineDatabase(_adapted(credentials, access), location_of(engine_url(credentials)), owns_engine=False)
    url = url_of(credentials, access.root)
    _expect_file(url, access)
    if url.drivername == "duckdb":
        from dlt_orchestrate.sources.sql_database.duckdb_database import DuckDBDatabase

        return DuckDBDatabase(url)
    if url.get_backend_name() == "postgresql":
        from dlt_orchestrate.sources.sql_database import adbc_dialect  # noqa: F401 - registers it

        url = url if access.prefers_rows and "+" in url.drivername else with_driver(url)
    else:
        url = with_driver(url)
    engine = _shared_engine(url) if not access.engine_arguments else _engine(url, access.engine_arguments)
    return EngineDatabase(_adapted(engine, access), location_of(url), owns_engine=bool(access.engine_arguments))


@lru_cache(maxsize=8)
def _shared_engine(url: URL) -> sa.Engine:
    """The engine of an address: it remembers the queries that it has written, for the next table."""
    return _engine(url, {})


def _engine(url: URL, arguments: Mapping[str, Any]) -> sa.Engine:
    # A pool would keep connections that nobody needs between two tables, for whole days in a Dagster process.
    try:
        return sa.create_engine(url, **{"poolclass": sa.pool.NullPool, **arguments})
    except sa.exc.NoSuchModuleError:
        raise unknown_database(url) from None
    except ModuleNotFoundError as error:
        raise DatabaseReadError(
            location=location_of(url),
            what="a connection",
            problem=f"its driver needs the package {error.name!r}, which is not installed",
            advice=f"Install it, or leave the driver out: {url.get_backend_name()}://...",
        ) from None


def _expect_file(url: URL, access: Access) -> None:
    """Refuse what is no file that is there: an empty database would be made of it, in memory or on disk."""
    if url.get_backend_name() not in FILES:
        return
    backend, path = url.get_backend_name(), file_of(url)
    if url.host or url.username:
        raise DatabaseCredentialsError(
            problem=f"a file has no host; its path stands behind three slashes, as in {backend}:///shop.{backend}",
            is_nearly_right=True,
        )
    is_made_elsewhere = bool(access.engine_arguments) or access.adapt_engine is not None
    is_shared = str(url.database).startswith("file:")  # memory that others of this process fill
    if path is None and not is_made_elsewhere and not is_shared:
        raise DatabaseCredentialsError(
            problem=f"they name no file, as the field 'database' or in {backend}:///shop.{backend}, and a database in "
            "memory is empty",
            is_nearly_right=True,
        )
    if path is not None and not path.is_file():
        start = "the working directory" if access.root is None else f"the project's folder, {access.root}"
        raise DatabaseReadError(
            location=location_of(url),
            what="a connection",
            problem="that is no file" if path.exists() else "there is no such file",
            advice=f"Correct the path; a relative one begins in {start}.",
        )


def _adapted(engine: sa.Engine, access: Access) -> sa.Engine:
    adapted = access.adapt_engine(engine) if access.adapt_engine is not None else None
    return engine if adapted is None else adapted
