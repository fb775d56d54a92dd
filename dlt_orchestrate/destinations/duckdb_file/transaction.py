"""Operations carried out inside one DuckDB transaction."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, assert_never

from dlt_orchestrate.destinations.duckdb_file import sql
from dlt_orchestrate.destinations.duckdb_file.snapshot import read_snapshot
from dlt_orchestrate.errors import TableConflictError
from dlt_orchestrate.flow.operation import (
    AddColumns,
    CreateTable,
    DeleteRows,
    InsertRows,
    MergeRows,
    NestedRows,
    Operation,
    Rows,
    WidenColumn,
)
from dlt_orchestrate.flow.package import TableCounts
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, ROW_ID, Column
from dlt_orchestrate.schema.types import ColumnType

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

GROUP_ROWS = 122_880
"""DuckDB writes whole row groups of this many rows straight to the file instead of through its log."""
GROUP_BYTES = 64 * 2**20


class DuckDBTransaction:
    """The verbs of a commit over one open transaction of one dataset."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, dataset: str) -> None:
        self._connection = connection
        self._dataset = dataset
        self._database = str(connection.execute("SELECT current_database()").fetchall()[0][0])
        self._numbers = itertools.count(1)
        self._columns: dict[str, dict[str, ColumnType]] | None = None

    def snapshot(self, scope: Scope) -> Snapshot:
        return read_snapshot(self._connection, scope)

    def columns(self, table: str) -> Mapping[str, ColumnType] | None:
        if self._columns is None:
            self._columns = self._read_columns()
        return self._columns.get(table)

    def integer_range(self, table: str, column: str) -> tuple[int, int] | None:
        name = sql.quoted(column)
        low, high = self._connection.execute(
            f"SELECT min({name}), max({name}) FROM {self._name(table)}"  # noqa: S608
        ).fetchall()[0]
        return None if low is None else (int(low), int(high))

    def row_count(self, table: str) -> int:
        if self.columns(table) is None:
            return 0
        return self._count(f"FROM {self._name(table)}")

    def carry_out(self, operation: Operation) -> Mapping[str, TableCounts]:
        match operation:
            case CreateTable(table, columns):
                self._connection.execute(sql.create_dataset(self._database, self._dataset))
                self._connection.execute(sql.create_table(self._name(table), columns))
                self._remember(table, columns)
                return {}
            case AddColumns(table, columns):
                for column in columns:
                    self._connection.execute(sql.add_column(self._name(table), column))
                self._remember(table, columns)
                return {}
            case WidenColumn(table, column, new_type):
                self._connection.execute(sql.alter_type(self._name(table), column, new_type))
                return {}
            case DeleteRows(table):
                deleted = self._changed(f"DELETE FROM {self._name(table)}")  # noqa: S608
                return {table: TableCounts(deleted=deleted)}
            case InsertRows(table, rows):
                inserted = self._insert(self._name(table), rows)
                return {table: TableCounts(loaded=inserted, inserted=inserted)}
            case MergeRows():
                return self._merge(operation)
            case unknown:
                assert_never(unknown)

    def _merge(self, merge: MergeRows) -> dict[str, TableCounts]:
        """Stage, keep the last row of each key, delete what is replaced at every level, insert."""
        staged = self._stage(merge.rows)
        self._keep_last(staged, merge.key)
        root = self._name(merge.table)
        doomed = self._temporary(
            f"SELECT t.{sql.quoted(ROW_ID)} AS id FROM {root} t SEMI JOIN {staged} s "  # noqa: S608
            f"ON {sql.same_key('t', 's', merge.key)}"
        )
        replaced = self._count(f"FROM {staged} s SEMI JOIN {root} t ON {sql.same_key('s', 't', merge.key)}")
        counts = self._delete_families(merge, doomed)
        loaded = self._insert_staged(root, staged, merge.rows)
        counts[merge.table] = TableCounts(loaded=loaded, inserted=loaded - replaced, updated=replaced)
        for child in merge.nested:
            if child.rows is not None:
                before = counts.get(child.table, TableCounts())
                loaded = self._insert_nested(child, staged)
                counts[child.table] = TableCounts(loaded=loaded, inserted=loaded, deleted=before.deleted)
        return counts

    def _keep_last(self, staged: str, key: tuple[str, ...]) -> None:
        """Of rows with the same key keep the one that was yielded last; rows are staged in that order."""
        keys = sql.column_list(key)
        distinct = self._count(f"FROM (SELECT DISTINCT {keys} FROM {staged})")  # noqa: S608
        if distinct < self._count(f"FROM {staged}"):
            self._connection.execute(
                f"DELETE FROM {staged} WHERE rowid NOT IN (SELECT max(rowid) FROM {staged} GROUP BY {keys})"  # noqa: S608
            )

    def _delete_families(self, merge: MergeRows, doomed: str) -> dict[str, TableCounts]:
        """Delete the doomed root rows and, level by level along the parent links, all rows nested in them."""
        levels = {merge.table: doomed}
        counts: dict[str, TableCounts] = {}
        for child in merge.nested:
            above = levels[child.parent]
            table = self._name(child.table)
            levels[child.table] = self._temporary(
                f"SELECT c.{sql.quoted(ROW_ID)} AS id FROM {table} c SEMI JOIN {above} a "  # noqa: S608
                f"ON c.{sql.quoted(PARENT_ID)} = a.id"
            )
        for table, ids in levels.items():
            deleted = self._changed(
                f"DELETE FROM {self._name(table)} t USING {ids} d WHERE t.{sql.quoted(ROW_ID)} = d.id"  # noqa: S608
            )
            counts[table] = TableCounts(deleted=deleted)
        return counts

    def _insert_staged(self, target: str, staged: str, rows: Rows) -> int:
        return self._changed(sql.insert(target, rows.column_types, staged))

    def _insert_nested(self, child: NestedRows, staged: str) -> int:
        """Insert the nested rows whose root row was kept."""
        assert child.rows is not None
        nested = self._stage(child.rows)
        kept = f"{nested} n SEMI JOIN {staged} s ON n.{sql.quoted(ROOT_ID)} = s.{sql.quoted(ROW_ID)}"
        return self._changed(sql.insert(self._name(child.table), child.rows.column_types, kept))

    def _stage(self, rows: Rows) -> str:
        """A temporary table with the rows; it lives outside the database and goes with the connection."""
        table = f"staged_{next(self._numbers)}"
        columns = [Column(name, kind) for name, kind in rows.column_types.items()]
        self._connection.execute(sql.create_table(table, columns, temporary=True))
        self._insert(f"temp.{table}", rows)
        return f"temp.{table}"

    def _temporary(self, query: str) -> str:
        table = f"ids_{next(self._numbers)}"
        self._connection.execute(f"CREATE TEMP TABLE {table} AS {query}")
        return f"temp.{table}"

    def _insert(self, target: str, rows: Rows) -> int:
        inserted = 0
        for group in _groups(rows.batches()):
            self._connection.register("arriving", group)
            inserted += self._changed(sql.insert(target, rows.column_types, "arriving"))
            self._connection.unregister("arriving")
        return inserted

    def _changed(self, statement: str) -> int:
        """Run a statement; DuckDB answers INSERT and DELETE with the number of rows."""
        return int(self._connection.execute(statement).fetchall()[0][0])

    def _count(self, clause: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) {clause}").fetchall()[0][0])

    def _name(self, table: str) -> str:
        return sql.qualified(self._database, self._dataset, table)

    def _remember(self, table: str, columns: tuple[Column, ...]) -> None:
        if self._columns is not None:
            known = self._columns.setdefault(table, {})
            known.update({column.name: column.type for column in columns if column.type is not None})

    def _read_columns(self) -> dict[str, dict[str, ColumnType]]:
        found: dict[str, dict[str, ColumnType]] = {}
        for table, column, data_type in self._connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() "
            "WHERE schema_name = ? AND database_name = current_database() ORDER BY table_name, column_index",
            [self._dataset],
        ).fetchall():
            kind = sql.column_type(data_type)
            if kind is None:
                raise TableConflictError(
                    table=table,
                    problem=f"its column {column!r} has the type {data_type}, which loads cannot write. Load into another "
                    "table or dataset, or change the column's type.",
                )
            found.setdefault(table, {})[column] = kind
        return found


def _groups(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Gather batches into tables of about one row group, so that memory stays bounded and inserts stay few.

    Tables and not readers, since a statement may scan its input more than once.
    """
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting, rows, size = [], 0, 0
    if waiting:
        yield pa.Table.from_batches(waiting)
