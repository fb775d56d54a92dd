"""A commit's transaction in DuckDB."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dlt_orchestrate.destinations.duckdb_file import sql
from dlt_orchestrate.destinations.duckdb_file.snapshot import read_snapshot, tables_of
from dlt_orchestrate.destinations.duckdb_file.sql import DUCKDB
from dlt_orchestrate.destinations.sql.others import made_otherwise, no_table
from dlt_orchestrate.destinations.sql.stored_tables import StoredTables
from dlt_orchestrate.destinations.sql.text import quoted
from dlt_orchestrate.destinations.sql.transaction import SQLTransaction, Staged
from dlt_orchestrate.errors import TableConflictError
from dlt_orchestrate.flow.arrays import integers
from dlt_orchestrate.flow.operation import AddVersions, ForgetAttempts, InsertRows, MergeRows, Operation, Rows
from dlt_orchestrate.flow.package import TableCounts
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.interruption import CallAbandoned, interruptibly
from dlt_orchestrate.load.system_tables import COMMITS, SYSTEM_TABLES
from dlt_orchestrate.schema.table import Column
from dlt_orchestrate.schema.types import BIGINT

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


T = TypeVar("T")

ARRIVING = "dlt_orchestrate_arriving"
"""What rows are called while they are inserted; a table of this name would be taken for them."""

TABLES_ASKED_FOR_ALONE = 3
"""Tables of a commit whose columns are looked up one by one; a dataset may have thousands of other tables."""

FEW_COLUMNS = 250
"""Columns of a table that the default memory limit has room for; DuckDB holds blocks of a megabyte for each further one."""

ROW_GROUP_ROWS = 122_880
"""Rows that DuckDB stores, and compresses, together."""

ROW_GROUP_BYTES = 16 * 2**20
"""Arrow bytes that are inserted at once, even if they are fewer rows."""

STAGED_PLACE = "_dlt_place"
"""A column of staged rows with their order, where DuckDB's own number of a row is hidden."""


_VALUES = re.compile(r'(?is)(?<=key) ".*"')
"""Values of rows in what DuckDB says of a constraint."""
_IS_NO_TABLE = re.compile(r"with name \S+ already exists|is not a table", re.IGNORECASE)


class Numbered:
    """Rows with their order in a column of its own."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.column_types = {**rows.column_types, STAGED_PLACE: BIGINT}
        self.row_count = rows.row_count

    def batches(self) -> Iterator[pa.RecordBatch]:
        first = 0
        for batch in self._rows.batches():
            yield batch.append_column(STAGED_PLACE, integers(range(first, first + batch.num_rows)))
            first += batch.num_rows


class DuckDBTransaction(SQLTransaction):
    """The verbs of a commit over one open transaction of one dataset."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, dataset: str, *, threads: int = 1, grows_memory: bool = False
    ) -> None:
        """
        Args:
            threads: How many DuckDB uses. The thread that asks hears signals while it works, not while it waits for others.
            grows_memory: Whether the memory limit, the default one, may rise with the number of columns of wide tables.
        """
        super().__init__(
            DUCKDB,
            StoredTables(
                lambda tables: self._rows(DUCKDB.columns_of_dataset(dataset, tables)),
                few=len(SYSTEM_TABLES) + TABLES_ASKED_FOR_ALONE,
            ),
        )
        self._connection = connection
        self._threads = threads
        self._grows_memory = grows_memory
        self._surplus_columns = 0
        self._dataset = dataset
        self._database = str(connection.execute("SELECT current_database()").fetchall()[0][0])
        self._has_dataset = False
        self._storage_version: str | None = None
        # Rows to insert are found by the name of a variable, even if `execute` is wrapped in functions of others.
        connection.execute("SET python_scan_all_frames = true")

    def snapshot(self, scope: Scope) -> Snapshot:
        present = tables_of(self._connection, scope.dataset_name)
        if not present:
            self._tables.start_empty()
        return read_snapshot(self._connection, scope, present)

    def carry_out(self, operation: Operation) -> Mapping[str, TableCounts]:
        """Do one operation.

        Raises:
            TableConflictError: What others have made of the table, or under its name, does not go with its rows.
        """
        from duckdb import BinderException, CatalogException, ConstraintException

        self._make_room(operation)
        try:
            return super().carry_out(operation)
        except (BinderException, CatalogException, ConstraintException) as error:
            table = COMMITS if isinstance(operation, ForgetAttempts) else operation.table
            told = _VALUES.sub("", str(error))
            if _IS_NO_TABLE.search(told):
                raise TableConflictError(table=table, problem=no_table("DuckDB", told, self._dataset)) from None
            if isinstance(error, ConstraintException) or "generated column" in told:
                raise TableConflictError(table=table, problem=made_otherwise("DuckDB", told)) from None
            raise

    def _execute(self, statement: str) -> int:
        """Run a statement; DuckDB answers those that change rows with their number."""
        found = self._rows(statement)
        return int(found[0][0]) if found else 0

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self._heard(lambda: self._connection.execute(statement).fetchall())

    def _heard(self, call: Callable[[], T]) -> T:
        """Make a call so that a signal ends it at once, also where DuckDB works in several threads."""
        if self._threads == 1:
            return call()
        try:
            return interruptibly(call, self._connection.interrupt)
        except CallAbandoned as abandoned:
            raise abandoned.interruption from None

    def _name(self, table: str) -> str:
        return sql.qualified(self._database, self._dataset, table)

    def _create_dataset(self) -> None:
        if not self._has_dataset:
            self._connection.execute(sql.create_dataset(self._database, self._dataset))
            self._has_dataset = True

    def _create_table(self, table: str, columns: Sequence[Column]) -> None:
        if self._storage_version is None:
            self._storage_version = str(self._rows(sql.STORAGE_VERSION)[0][0])
        self._connection.execute(DUCKDB.create_table(self._name(table), columns, self._storage_version))

    def _append(self, table: str, rows: Rows) -> int:
        return self._insert(self._name(table), rows)

    def _stage(self, rows: Rows) -> Staged:
        """A temporary table with the rows; it lives outside the database and goes with the connection."""
        is_hidden = sql.hides_place(rows.column_types)
        arriving = Numbered(rows) if is_hidden else rows
        name = self._temporary_name("staged")
        columns = [Column(column, kind) for column, kind in arriving.column_types.items()]
        self._connection.execute(DUCKDB.create_temporary(name, columns))
        self._insert(name, arriving)
        return Staged(name, rows.column_types, quoted(STAGED_PLACE) if is_hidden else DUCKDB.place)

    def _insert(self, target: str, rows: Rows) -> int:
        statement = sql.insert_arriving(target, rows.column_types.items(), ARRIVING)
        return sum(self._insert_batches(statement, batches) for batches in _row_groups(rows.batches()))

    def _insert_batches(self, statement: str, batches: Sequence[pa.RecordBatch]) -> int:
        """Insert batches, which DuckDB finds under the name of a variable: what is registered, a transaction keeps.

        It goes as a bare stream of Arrow's C interface: to tell what else it might be, DuckDB imports `pyarrow.dataset`,
        which imports pandas where that is installed.
        """
        import pyarrow as pa

        def insert() -> int:
            reader = pa.RecordBatchReader.from_batches(batches[0].schema, batches)
            dlt_orchestrate_arriving = reader.__arrow_c_stream__()  # noqa: F841 - DuckDB reads it
            return int(self._connection.execute(statement).fetchall()[0][0])

        return self._heard(insert)

    def _make_room(self, operation: Operation) -> None:
        """Raise the memory limit for tables of many columns: a commit that runs out of memory cannot be made at all."""
        if not self._grows_memory or not isinstance(operation, InsertRows | MergeRows | AddVersions):
            return
        arrivals = None if isinstance(operation, InsertRows) else operation.arrivals
        tables = [operation.table, *(child.table for child in (arrivals.nested if arrivals else ()))]
        surplus = sum(max(0, len(self._tables[table] or ()) - FEW_COLUMNS) for table in tables)
        if surplus:
            self._surplus_columns += surplus
            self._connection.execute(f"SET memory_limit = '{1_000 + self._surplus_columns}MB'")


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Batches that are inserted at once, since each statement costs as much as some thousand rows; let go afterwards."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= ROW_GROUP_ROWS or size >= ROW_GROUP_BYTES:
            yield group
            group.clear()
            rows = size = 0
    if group:
        yield group
