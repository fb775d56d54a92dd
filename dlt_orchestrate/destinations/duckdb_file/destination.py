"""The DuckDB destination."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dlt_orchestrate.config.redaction import redact
from dlt_orchestrate.destinations.duckdb_file import sql
from dlt_orchestrate.destinations.duckdb_file.connection import DuckDBFile
from dlt_orchestrate.destinations.duckdb_file.snapshot import read_snapshot, tables_of
from dlt_orchestrate.destinations.duckdb_file.sql import DUCKDB
from dlt_orchestrate.destinations.sql.text import literal, quoted
from dlt_orchestrate.errors import DestinationUnavailableError, InvalidSettingError
from dlt_orchestrate.faults import faultpoint
from dlt_orchestrate.flow.package import CommitResult, LoadPackage
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.system_tables import LOADS
from dlt_orchestrate.protocols.clock import Clock, SystemClock
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.types import ColumnType

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

DEFAULT_LOCK_TIMEOUT_SECONDS = 60.0
DEFAULT_MEMORY_LIMIT = "512MB"
DEFAULT_THREADS = 1
"""Rows come in one stream: with two threads DuckDB takes twice the CPU time to insert wide rows, and makes larger files."""


_MEMORY_LIMIT = re.compile(r"\d+(\.\d+)?\s*([KMGT]i?)?B", re.IGNORECASE)


class DuckDB:
    """Loads into one DuckDB file: one transaction for each load package.

    Attributes:
        path: Absolute path of the file; made absolute when the destination is made.
    """

    name = "duckdb"

    def __init__(
        self,
        path: str | Path,
        *,
        lock_timeout_seconds: float = DEFAULT_LOCK_TIMEOUT_SECONDS,
        memory_limit: str = DEFAULT_MEMORY_LIMIT,
        threads: int = DEFAULT_THREADS,
        naming_convention: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        _expect_settings(lock_timeout_seconds=lock_timeout_seconds, memory_limit=memory_limit, threads=threads)
        self.path = Path(path).expanduser().absolute()
        self.capabilities = Capabilities(naming_convention=naming_convention)
        self._file = DuckDBFile(
            self.path,
            lock_timeout_seconds=lock_timeout_seconds,
            memory_limit=memory_limit,
            threads=threads,
            clock=clock or SystemClock(),
        )

    @property
    def location(self) -> str:
        return redact(f"duckdb:///{self.path}")

    def __repr__(self) -> str:
        return f"DuckDB({redact(str(self.path))!r})"

    def read_state(self, scope: Scope) -> Snapshot:
        """Read schemas, state and commit numbers; a file that does not exist is not created.

        Raises:
            DestinationLockedError, DestinationUnavailableError, SystemTablesNewerError: See `protocols.destination`.
        """
        if not self.path.exists():
            return Snapshot()
        with self._file.turn_to_read() as connection:
            return read_snapshot(connection, scope, tables_of(connection, scope.dataset_name))

    def commit(self, package: LoadPackage) -> CommitResult:
        """Make rows, schema, state and records visible together, or change nothing.

        Raises:
            CommitConflictError, StateConflictError, SchemaError, LoadError: See `protocols.destination`.
        """
        import duckdb

        try:
            return self._commit(package)
        except duckdb.CatalogException as error:
            # Another thread was opening the same file: for a moment its engine is there without what reads Arrow.
            if "python_arrow_scan" not in str(error):
                raise
        return self._commit(package)  # the first one was rolled back

    def _commit(self, package: LoadPackage) -> CommitResult:
        # Imported when something is committed: a destination that is only declared needs no Arrow.
        from dlt_orchestrate.destinations.duckdb_file.transaction import DuckDBTransaction
        from dlt_orchestrate.load.commit import commit_in

        with self._file.turn_to_write() as connection:
            faultpoint("commit.before_begin")
            with self._transaction(connection):
                transaction = DuckDBTransaction(
                    connection,
                    package.dataset_name,
                    threads=self._file.threads,
                    grows_memory=self._file.memory_limit == DEFAULT_MEMORY_LIMIT,
                )
                result = commit_in(transaction, package, self.capabilities)
                faultpoint("commit.before_commit")
            faultpoint("commit.before_close")
        faultpoint("commit.after_commit")
        return result

    @contextmanager
    def reader(self, dataset_name: str) -> Iterator[DuckDBReader]:
        """Open a dataset for reading.

        Raises:
            DestinationUnavailableError: There is no such file.
        """
        with self._existing_file() as connection:
            yield DuckDBReader(connection, dataset_name)

    def datasets(self) -> list[str]:
        """Names of the datasets that loads were committed to; errors as in `reader`."""
        with self._existing_file() as connection:
            found = connection.execute(
                "SELECT DISTINCT schema_name FROM duckdb_tables() "
                f"WHERE table_name = {literal(LOADS)} AND database_name = current_database() ORDER BY schema_name"
            ).fetchall()
        return [name for (name,) in found]

    def type_name(self, column_type: ColumnType) -> str:
        return DUCKDB.sql_type(column_type)

    def qualified_name(self, dataset_name: str, table: str) -> str:
        return f"{self.path.stem}.{dataset_name}.{table}"

    @contextmanager
    def _existing_file(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if not self.path.exists():
            raise DestinationUnavailableError(
                location=str(self.path),
                problem="the file does not exist",
                advice="Run the pipeline first, or check the path.",
            )
        with self._file.connection() as connection:
            yield connection

    @contextmanager
    def _transaction(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        import duckdb

        connection.execute("BEGIN TRANSACTION")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException as error:
            with suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            if isinstance(error, duckdb.IOException):
                raise DestinationUnavailableError(
                    location=str(self.path),
                    problem=str(error).splitlines()[0].rstrip("."),
                    advice="Nothing was changed. Check the free space and the permissions of the disk, then run again.",
                ) from error
            raise


def _expect_settings(*, lock_timeout_seconds: float, memory_limit: str, threads: int) -> None:
    found: list[tuple[str, object, bool, str]] = [
        ("lock_timeout_seconds", lock_timeout_seconds, lock_timeout_seconds >= 0, "Give seconds, or 0 not to wait."),
        ("memory_limit", memory_limit, _MEMORY_LIMIT.fullmatch(memory_limit) is not None, "Give a size such as '2GB'."),
        ("threads", threads, threads >= 1, "Give a number of threads, at least 1."),
    ]
    for setting, value, is_right, advice in found:
        if not is_right:
            raise InvalidSettingError(destination="duckdb", setting=setting, value=value, advice=advice)


class DuckDBReader:
    """Read access to one dataset of a DuckDB file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, dataset: str) -> None:
        self._connection = connection
        self._dataset = dataset
        self._database = str(connection.execute("SELECT current_database()").fetchall()[0][0])

    def tables(self) -> Mapping[str, Mapping[str, str]]:
        found: dict[str, dict[str, str]] = {}
        for table, column, data_type in self._connection.execute(DUCKDB.columns_of_dataset(self._dataset)).fetchall():
            found.setdefault(table, {})[column] = data_type
        return found

    def query(self, sql_text: str, parameters: Sequence[object] = ()) -> pa.Table:
        return self._run(sql_text, parameters).to_arrow_table()

    def stream(self, sql_text: str, parameters: Sequence[object] = ()) -> Iterator[pa.RecordBatch]:
        yield from self._run(sql_text, parameters).to_arrow_reader()

    def qualified(self, table: str) -> str:
        return sql.qualified(self._database, self._dataset, table)

    def quoted(self, identifier: str) -> str:
        return quoted(identifier)

    def _run(self, sql_text: str, parameters: Sequence[object]) -> duckdb.DuckDBPyRelation:
        """Run a query with the dataset as the place of unqualified names."""
        place = f"{quoted(self._database)}.{quoted(self._dataset)}"
        self._connection.execute(f"SET search_path = {literal(place)}")
        return self._connection.sql(sql_text, params=list(parameters) or None)
