"""Destinations under test: how to make one, how to look at it from outside. A new destination is one more class here."""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import pyarrow as pa

from dlt_orchestrate.destinations import duckdb as duckdb_destination
from dlt_orchestrate.destinations import postgres as postgres_destination
from dlt_orchestrate.protocols.destination import Destination

DATASET = "shop_data"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Tables = dict[str, list[dict[str, Any]]]
"""Every row of every table of the dataset."""


class Place(Protocol):
    """An empty place at first; it can be pickled, and means the same in every process."""

    def destination(self) -> Destination:
        """The destination that loads go to."""

    def looking(self) -> AbstractContextManager[Callable[[], Tables]]:
        """A function that reads everything in one snapshot, each time anew, without any code of ours."""

    def settle(self) -> None:
        """Wait until nothing goes on there on behalf of processes that are dead."""

    def copied(self, folder: Path) -> Place:
        """Another place that holds the same, which has a folder of its own."""

    def remove(self) -> None:
        """Take away everything."""


@dataclass(frozen=True)
class DuckDBPlace:
    """A DuckDB file."""

    file: Path

    @classmethod
    def fresh(cls, folder: Path) -> DuckDBPlace:
        return cls(folder / "shop.duckdb")

    def destination(self) -> Destination:
        return duckdb_destination(self.file)

    @contextmanager
    def looking(self) -> Iterator[Callable[[], Tables]]:
        import duckdb

        with duckdb.connect(str(self.file)) as connection:
            connection.execute("SET TimeZone = 'UTC'")

            def take() -> Tables:
                connection.execute("BEGIN")
                try:
                    names = connection.execute(
                        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [DATASET]
                    ).fetchall()
                    return {
                        name: rows_of(connection.sql(f'SELECT * FROM shop.{DATASET}."{name}"').to_arrow_table())
                        for (name,) in names
                    }
                finally:
                    connection.execute("COMMIT")

            yield take

    def settle(self) -> None:
        """A dead process does nothing to a file."""

    def copied(self, folder: Path) -> DuckDBPlace:
        copy = DuckDBPlace.fresh(folder)
        if self.file.exists():
            shutil.copy(self.file, copy.file)
        return copy

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)
        self.file.with_name(f"{self.file.name}.wal").unlink(missing_ok=True)


@dataclass(frozen=True)
class PostgresPlace:
    """A database of the PostgreSQL server that the tests use.

    Attributes:
        url: Of the database.
        server: Of another database, from which this one is made and dropped.
    """

    url: str
    server: str

    @classmethod
    def fresh(cls, _folder: Path, *, template: str = "template0") -> PostgresPlace:
        server = _postgres_server()
        name = f"soak_{secrets.token_hex(8)}"
        with _connected(server) as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return cls(urlunsplit(urlsplit(server)._replace(path=f"/{name}")), server)

    @property
    def _database(self) -> str:
        return urlsplit(self.url).path.removeprefix("/")

    def destination(self) -> Destination:
        return postgres_destination(self.url)

    @contextmanager
    def looking(self) -> Iterator[Callable[[], Tables]]:
        with _connected(self.url) as cursor:
            cursor.execute("SET lock_timeout = '50ms'")
            cursor.execute("SET TimeZone = 'UTC'")

            def take() -> Tables:
                found = None
                while found is None:
                    found = _snapshot(cursor)
                return found

            yield take

    def settle(self) -> None:
        others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        with _connected(self.url) as cursor:
            cursor.execute(others)
            while cursor.fetchall():
                time.sleep(0.005)
                cursor.execute(others)

    def copied(self, folder: Path) -> PostgresPlace:
        self.settle()
        return self.fresh(folder, template=self._database)

    def remove(self) -> None:
        with _connected(self.server) as cursor:
            cursor.execute(f'DROP DATABASE "{self._database}" WITH (FORCE)')


@contextmanager
def _connected(url: str) -> Iterator[Any]:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        yield cursor


def _snapshot(cursor: Any) -> Tables | None:
    """Every table as of one moment; None if tables came, went or were altered meanwhile.

    The tables are locked, as mildly as can be, before the snapshot is taken: a type-changing ALTER hides the rows of a
    table from snapshots that are older than it.
    """
    import adbc_driver_manager

    names = _tables(cursor)
    cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        if names:
            qualified = ", ".join(f'{DATASET}."{name}"' for name in names)
            cursor.execute(f"LOCK TABLE {qualified} IN ACCESS SHARE MODE")
        if _tables(cursor) != names:
            return None
        found = {}
        for name in names:
            cursor.execute(f'SELECT * FROM {DATASET}."{name}"')
            found[name] = rows_of(cursor.fetch_arrow_table())
        return found
    except adbc_driver_manager.Error:
        return None
    finally:
        cursor.execute("ROLLBACK")


def _tables(cursor: Any) -> list[str]:
    cursor.execute(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{DATASET}' ORDER BY 1")
    return [name for (name,) in cursor.fetchall()]


def _postgres_server() -> str:
    """The URL of a database of the server; see `tests/postgres_server.py`."""
    tests = str(Path(__file__).parents[1] / "tests")
    if tests not in sys.path:
        sys.path.append(tests)
    from postgres_server import server_url

    return str(server_url())


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table; moments are read without pandas, which Arrow would import for them."""
    columns = [
        [_EPOCH + timedelta(microseconds=value) if value is not None else None for value in _microseconds(column)]
        if pa.types.is_timestamp(column.type)
        else column.to_pylist()
        for column in table.columns
    ]
    return [dict(zip(table.column_names, values, strict=True)) for values in zip(*columns, strict=True)]


def _microseconds(column: pa.ChunkedArray) -> list[int | None]:
    return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_pylist()


PLACES: dict[str, Callable[[Path], Place]] = {"duckdb": DuckDBPlace.fresh, "postgres": PostgresPlace.fresh}
"""How to make an empty place, given a folder of its own."""
