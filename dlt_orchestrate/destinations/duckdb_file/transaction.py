"""Operations carried out inside one DuckDB transaction."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, assert_never

from dlt_orchestrate.destinations.duckdb_file import sql
from dlt_orchestrate.destinations.duckdb_file.snapshot import read_snapshot
from dlt_orchestrate.errors import TableConflictError
from dlt_orchestrate.flow.arrays import integers
from dlt_orchestrate.flow.operation import (
    AddColumns,
    AddVersions,
    Arrivals,
    CreateTable,
    DeleteOld,
    DeleteRange,
    DeleteRows,
    Describe,
    DropTable,
    ForgetAttempts,
    GiveIds,
    InsertRows,
    Match,
    MergeRows,
    NestedRows,
    Operation,
    Preference,
    Rows,
    ValueRange,
    WidenColumn,
)
from dlt_orchestrate.flow.package import TableCounts
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.system_tables import COMMITS, SYSTEM_TABLES
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, ROW_ID, Column
from dlt_orchestrate.schema.types import BIGINT, ColumnType

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


ARRIVING = "dlt_orchestrate_arriving"
"""What rows are called while they are inserted; a table of this name would be taken for them."""

TABLES_ASKED_FOR_ALONE = 3
"""Tables of a commit whose columns are looked up one by one; a dataset may have thousands of other tables."""

FEW_COLUMNS = 250
"""Columns of a table that the default memory limit has room for; DuckDB holds blocks of a megabyte for each further one."""


STAGED_PLACE = "_dlt_place"
"""A column of staged rows with their order, where DuckDB's own number of a row is hidden."""


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


class DuckDBTransaction:
    """The verbs of a commit over one open transaction of one dataset."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, dataset: str, *, grows_memory: bool = False) -> None:
        """
        Args:
            grows_memory: Whether the memory limit, the default one, may rise with the number of columns of wide tables.
        """
        self._connection = connection
        self._grows_memory = grows_memory
        self._surplus_columns = 0
        self._dataset = dataset
        self._database = str(connection.execute("SELECT current_database()").fetchall()[0][0])
        # Rows to insert are found by the name of a variable, even if `execute` is wrapped in functions of others.
        connection.execute("SET python_scan_all_frames = true")
        self._numbers = itertools.count(1)
        self._columns: dict[str, dict[str, ColumnType]] = {}
        self._unwritable: dict[str, tuple[str, str]] = {}
        self._known: set[str] = set()
        self._knows_all = False

    def snapshot(self, scope: Scope) -> Snapshot:
        return read_snapshot(self._connection, scope)

    def columns(self, table: str) -> Mapping[str, ColumnType] | None:
        if not self._knows_all and table not in self._known:
            self._look_up(table)
        if table in self._unwritable:
            column, data_type = self._unwritable[table]
            raise TableConflictError(
                table=table,
                problem=f"its column {column!r} has the type {data_type}, which loads cannot write. Load into another "
                "table or dataset, or change the column's type.",
            )
        return self._columns.get(table)

    def integer_range(self, table: str, column: str) -> tuple[int, int] | None:
        name = sql.quoted(column)
        low, high = self._connection.execute(
            f"SELECT min({name}), max({name}) FROM {self._name(table)}"  # noqa: S608
        ).fetchall()[0]
        return None if low is None else (int(low), int(high))

    def any_text(self, table: str, column: str) -> str | None:
        name = sql.quoted(column)
        found = self._connection.execute(
            f"SELECT {name} FROM {self._name(table)} WHERE {name} IS NOT NULL LIMIT 1"  # noqa: S608
        ).fetchall()
        return str(found[0][0]) if found else None

    def row_count(self, table: str) -> int:
        if self.columns(table) is None:
            return 0
        return self._count(f"FROM {self._name(table)}")

    def carry_out(self, operation: Operation) -> Mapping[str, TableCounts]:
        self._make_room(operation)
        match operation:
            case CreateTable(table, columns):
                self._connection.execute(sql.create_dataset(self._database, self._dataset))
                compression = sql.id_compression(self._storage_version)
                self._connection.execute(sql.create_table(self._name(table), columns, id_compression=compression))
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
            case DropTable(table):
                counts = TableCounts(deleted=self.row_count(table))
                self._connection.execute(f"DROP TABLE {self._name(table)}")
                self._columns.pop(table, None)
                self._unwritable.pop(table, None)
                return {table: counts}
            case Describe(table, column, description):
                self._connection.execute(sql.comment_on(self._name(table), column, description))
                return {}
            case GiveIds(table, prefix):
                self._connection.execute(sql.give_ids(self._name(table), prefix))
                return {}
            case DeleteOld(table):
                deleted = self._changed(sql.delete_old(self._name, operation), [operation.before])
                return {table: TableCounts(deleted=deleted)}
            case ForgetAttempts(unit):
                self._changed(sql.forget_attempts(self._name(COMMITS), unit))
                return {}
            case DeleteRows(table):
                deleted = self._changed(f"DELETE FROM {self._name(table)}")  # noqa: S608
                return {table: TableCounts(deleted=deleted)}
            case DeleteRange(table, wanted, nested):
                root = self._name(table)
                found = self._found(table, with_ids=bool(nested))
                doomed = self._temporary(f"SELECT {found} FROM {root} t WHERE {sql.in_range('t', wanted)}")  # noqa: S608
                return self._delete_families(table, nested, doomed)
            case InsertRows(table, rows):
                inserted = self._insert(self._name(table), rows)
                return {table: TableCounts(loaded=inserted, inserted=inserted)}
            case MergeRows():
                return self._merge(operation)
            case AddVersions():
                return self._add_versions(operation)
            case unknown:
                assert_never(unknown)

    def _merge(self, merge: MergeRows) -> dict[str, TableCounts]:
        """Stage, find what is replaced, keep one row of each key, delete at every level, insert."""
        arrivals, root = merge.arrivals, self._name(merge.table)
        staged = self._stage(arrivals.rows)
        found = self._found(merge.table, with_ids=bool(arrivals.nested))
        doomed = self._matching(root, found, merge.match, staged, merge.spared)
        self._keep_one(staged, arrivals)
        self._drop_late(root, staged, arrivals, merge.spared)
        same_key = sql.same_key("s", "t", arrivals.key)
        if merge.spares_stored:
            self._changed(f"DELETE FROM {staged} s USING {root} t WHERE {same_key}")  # noqa: S608
        replaced = self._count(f"FROM {staged} s SEMI JOIN {root} t ON {same_key}") if arrivals.key else 0
        counts = self._delete_families(merge.table, arrivals.nested, doomed) if doomed is not None else {}
        deleted = counts[merge.table].deleted if doomed is not None else 0
        loaded = self._insert_staged(root, staged, arrivals)
        counts[merge.table] = TableCounts(
            loaded=loaded, inserted=loaded - replaced, updated=replaced, deleted=deleted - replaced
        )
        for child in arrivals.nested:
            if child.rows is not None:
                loaded = self._insert_nested(child.table, self._stage(child.rows), child.rows, staged, arrivals.key_id)
                before = counts.get(child.table, TableCounts())
                counts[child.table] = TableCounts(loaded=loaded, inserted=loaded, deleted=before.deleted)
        return counts

    def _add_versions(self, versions: AddVersions) -> dict[str, TableCounts]:
        """Stage, find the versions that may have ended, keep what is new, close, insert."""
        arrivals, root = versions.arrivals, self._name(versions.table)
        staged = self._stage(arrivals.rows) if arrivals is not None else None
        closed_in, row_id = sql.quoted(versions.closed_in), sql.quoted(ROW_ID)
        is_open = f"({closed_in} IS NULL OR {closed_in} = ?)"
        ended = self._matching(root, f"t.{row_id} AS id", versions.match, staged, versions.spared)
        if arrivals is not None and staged is not None:
            self._keep_one(staged, arrivals)
            self._drop_late(root, staged, arrivals, versions.spared)
        closed = loaded = 0
        if ended is not None:
            lasts = f"AND {row_id} NOT IN (SELECT {row_id} FROM {staged})" if staged is not None else ""  # noqa: S608
            closed = self._changed(
                f"UPDATE {root} SET {closed_in} = ? "  # noqa: S608
                f"WHERE {is_open} AND {row_id} IN (SELECT id FROM {ended}) {lasts}",
                [versions.closed_at, versions.open_until],
            )
        if arrivals is None or staged is None:
            return {versions.table: TableCounts(updated=closed)}
        self._changed(
            f"DELETE FROM {staged} WHERE {row_id} IN (SELECT {row_id} FROM {root} WHERE {is_open})",  # noqa: S608
            [versions.open_until],
        )
        loaded = self._insert_staged(root, staged, arrivals)
        counts = {versions.table: TableCounts(loaded=loaded, inserted=loaded, updated=closed)}
        for child in arrivals.nested:
            if child.rows is not None:
                nested = self._stage(child.rows)
                self._keep_last(nested, child.rows, (ROW_ID,))
                stored = f"SELECT {row_id} FROM {self._name(child.table)}"  # noqa: S608
                self._changed(f"DELETE FROM {nested} WHERE {row_id} IN ({stored})")  # noqa: S608
                loaded = self._insert_nested(child.table, nested, child.rows, staged)
                counts[child.table] = TableCounts(loaded=loaded, inserted=loaded)
        return counts

    @cached_property
    def _storage_version(self) -> str | None:
        found: str | None = self._connection.execute(sql.STORAGE_VERSION).fetchall()[0][0]
        return found

    def _found(self, table: str, *, with_ids: bool) -> str:
        """What is kept of rows that are found as `t`: their place, and their id if rows may be nested in them."""
        place = f"t.{sql.place(self.columns(table) or ())} AS place"
        return f"{place}, t.{sql.quoted(ROW_ID)} AS id" if with_ids else place

    def _matching(self, root: str, found: str, match: Match, staged: str | None, spared: ValueRange | None) -> str | None:
        """The stored rows that meet a staged one and are not spared, as a temporary table; None if none can.

        Args:
            found: What is kept of each, called `t`.
        """
        exposed = f" WHERE ({sql.in_range('t', spared)}) IS NOT TRUE" if spared is not None else ""
        query = f"SELECT {found} FROM {root} t"  # noqa: S608
        if () in match:
            return self._temporary(query + exposed)
        if not match or staged is None:
            return None
        return self._temporary(
            " UNION ".join(
                f"{query} SEMI JOIN {staged} s ON {sql.same_key('t', 's', columns)}{exposed}" for columns in match
            )
        )

    def _drop_late(self, root: str, staged: str, arrivals: Arrivals, spared: ValueRange | None) -> None:
        """Drop the staged rows whose key a spared row has."""
        if spared is not None and arrivals.key:
            self._changed(
                f"DELETE FROM {staged} s USING {root} t "  # noqa: S608
                f"WHERE {sql.same_key('s', 't', arrivals.key)} AND {sql.in_range('t', spared)}"
            )

    def _keep_one(self, staged: str, arrivals: Arrivals) -> None:
        """Of staged rows with the same key keep one, and that only if it stands for no deletion."""
        if arrivals.key:
            self._keep_last(staged, arrivals.rows, arrivals.key, arrivals.preference)
        if arrivals.tombstones is not None:
            column = sql.quoted(arrivals.tombstones.column)
            is_gone = column if arrivals.tombstones.is_flag else f"{column} IS NOT NULL"
            self._changed(f"DELETE FROM {staged} WHERE {is_gone}")  # noqa: S608

    def _keep_last(self, staged: str, rows: Rows, key: tuple[str, ...], preference: Preference | None = None) -> None:
        """Of rows with the same key keep the preferred, else the last one yielded; rows are staged in that order."""
        keys = sql.column_list(key)
        distinct = self._count(f"FROM (SELECT DISTINCT {keys} FROM {staged})")  # noqa: S608
        if distinct < self._count(f"FROM {staged}"):
            place = sql.place(rows.column_types, otherwise=STAGED_PLACE)
            order = f"{place} DESC"
            if preference is not None:
                direction = "DESC" if preference.greatest else "ASC"
                order = f"{sql.quoted(preference.column)} {direction} NULLS LAST, {order}"
            rank = f"row_number() OVER (PARTITION BY {keys} ORDER BY {order})"
            ranked = f"SELECT {place} AS place, {rank} AS rank FROM {staged}"  # noqa: S608
            self._connection.execute(
                f"DELETE FROM {staged} WHERE {place} IN (SELECT place FROM ({ranked}) WHERE rank > 1)"  # noqa: S608
            )

    def _delete_families(self, root: str, nested: Sequence[NestedRows], doomed: str) -> dict[str, TableCounts]:
        """Delete the doomed root rows and, level by level along the parent links, all rows nested in them.

        Args:
            doomed: The places of the root rows, and their ids if there are nested tables.
        """
        parents = {parent for child in nested for parent in child.parents}
        levels = {root: doomed}
        statements = [(root, self._delete_at(root, doomed))]
        for child in nested:
            table, link = self._name(child.table), f"t.{sql.quoted(PARENT_ID)} = a.id"
            above = [levels[parent] for parent in child.parents]
            if child.table not in parents:
                statements += [
                    (child.table, f"DELETE FROM {table} t USING {place} a WHERE {link}")  # noqa: S608
                    for place in above
                ]
                continue
            found = self._found(child.table, with_ids=True)
            below = self._temporary(
                " UNION ALL ".join(f"SELECT {found} FROM {table} t SEMI JOIN {place} a ON {link}" for place in above)  # noqa: S608
            )
            levels[child.table] = below
            statements.append((child.table, self._delete_at(child.table, below)))
        deleted: dict[str, int] = {}
        for name, statement in statements:
            deleted[name] = deleted.get(name, 0) + self._changed(statement)
        return {name: TableCounts(deleted=count) for name, count in deleted.items()}

    def _delete_at(self, table: str, doomed: str) -> str:
        place = sql.place(self.columns(table) or ())
        return f"DELETE FROM {self._name(table)} t USING {doomed} d WHERE t.{place} = d.place"  # noqa: S608

    def _insert_staged(self, target: str, staged: str, arrivals: Arrivals) -> int:
        columns = dict(arrivals.rows.column_types)
        if arrivals.key_id is None:
            return self._changed(sql.insert(target, columns, staged))
        del columns[arrivals.key_id]
        return self._changed(sql.insert(target, columns, sql.with_ids(staged, arrivals.key_id)))

    def _insert_nested(self, target: str, nested: str, rows: Rows, staged: str, key_id: str | None = None) -> int:
        """Insert the nested rows whose root row is staged."""
        table = self._name(target)
        if key_id is not None:
            return self._changed(sql.insert(table, rows.column_types, sql.with_root_ids(nested, staged, key_id)))
        kept = f"{nested} n SEMI JOIN {staged} s ON n.{sql.quoted(ROOT_ID)} = s.{sql.quoted(ROW_ID)}"
        return self._changed(sql.insert(table, rows.column_types, kept))

    def _stage(self, rows: Rows) -> str:
        """A temporary table with the rows; it lives outside the database and goes with the connection."""
        table = f"staged_{next(self._numbers)}"
        staged = Numbered(rows) if sql.hides_place(rows.column_types) else rows
        columns = [Column(name, kind) for name, kind in staged.column_types.items()]
        self._connection.execute(sql.create_table(table, columns, temporary=True))
        self._insert(f"temp.{table}", staged)
        return f"temp.{table}"

    def _temporary(self, query: str) -> str:
        table = f"ids_{next(self._numbers)}"
        self._connection.execute(f"CREATE TEMP TABLE {table} AS {query}")
        return f"temp.{table}"

    def _insert(self, target: str, rows: Rows) -> int:
        statement = sql.insert(target, rows.column_types, ARRIVING)
        return sum(self._insert_batch(statement, batch) for batch in rows.batches())

    def _insert_batch(self, statement: str, batch: pa.RecordBatch) -> int:
        """Insert a batch, which DuckDB finds under the name of a variable: what is registered, a transaction keeps.

        It goes as a bare stream of Arrow's C interface: to tell what else it might be, DuckDB imports `pyarrow.dataset`,
        which imports pandas where that is installed.
        """
        import pyarrow as pa

        reader = pa.RecordBatchReader.from_batches(batch.schema, [batch])
        dlt_orchestrate_arriving = reader.__arrow_c_stream__()  # noqa: F841 - DuckDB reads it
        return int(self._connection.execute(statement).fetchall()[0][0])

    def _make_room(self, operation: Operation) -> None:
        """Raise the memory limit for tables of many columns: a commit that runs out of memory cannot be made at all."""
        if not self._grows_memory or not isinstance(operation, InsertRows | MergeRows | AddVersions):
            return
        arrivals = None if isinstance(operation, InsertRows) else operation.arrivals
        tables = [operation.table, *(child.table for child in (arrivals.nested if arrivals else ()))]
        surplus = sum(max(0, len(self.columns(table) or ()) - FEW_COLUMNS) for table in tables)
        if surplus:
            self._surplus_columns += surplus
            self._connection.execute(f"SET memory_limit = '{1_000 + self._surplus_columns}MB'")

    def _changed(self, statement: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement; DuckDB answers INSERT, UPDATE and DELETE with the number of rows."""
        return int(self._connection.execute(statement, parameters or None).fetchall()[0][0])

    def _count(self, clause: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) {clause}").fetchall()[0][0])

    def _name(self, table: str) -> str:
        return sql.qualified(self._database, self._dataset, table)

    def _remember(self, table: str, columns: tuple[Column, ...]) -> None:
        if self._knows_all or table in self._known:
            known = self._columns.setdefault(table, {})
            known.update({column.name: column.type for column in columns if column.type is not None})

    def _look_up(self, table: str) -> None:
        """Read the columns of a table; of all tables once several have been asked for, since a query costs as much."""
        self._knows_all = len(self._known) >= len(SYSTEM_TABLES) + TABLES_ASKED_FOR_ALONE
        asked = None if self._knows_all else {table, *SYSTEM_TABLES} - self._known
        rows = self._connection.execute(sql.columns_of_dataset(self._dataset, asked)).fetchall()
        for name, column, data_type in rows:
            kind = sql.column_type(data_type)
            if kind is None:
                self._unwritable[name] = (column, data_type)
            elif name not in self._known:
                self._columns.setdefault(name, {})[column] = kind
        self._known |= {table} if asked is None else asked
