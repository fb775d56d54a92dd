"""Operations carried out inside one PostgreSQL transaction."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import assert_never

import pyarrow as pa

from dlt_orchestrate.destinations.postgresql import sql
from dlt_orchestrate.destinations.postgresql.connection import Session, StatementRefused
from dlt_orchestrate.destinations.postgresql.snapshot import read_snapshot, tables_of_dataset
from dlt_orchestrate.errors import TableConflictError
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
from dlt_orchestrate.load.cast import column_arrow_type
from dlt_orchestrate.load.system_tables import COMMITS
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, ROW_ID, Column
from dlt_orchestrate.schema.types import ColumnType

MANY_ROWS = 10_000
"""From so many staged rows on it pays to let the server look at them before it plans."""

_WHAT_A_TABLE_CANNOT = {
    "54000": "Its rows are too wide: a row must fit into 8 kB, which a thousand numbers or 450 texts fill. Where keys are "
    "data, such as ids, hint the field that holds them as 'json'; or lower schema.max_columns.",
    "54011": "It has 1,600 columns, those that were dropped included, and PostgreSQL allows no more. Load into a new "
    "table, or hint the field that holds so many keys as 'json'.",
    "0A000": "Something that was made by hand stands on the column. Drop it, run again, and make it anew.",
    "2BP01": "Something that was made by hand stands on the table. Drop it, run again, and make it anew.",
    "42701": "PostgreSQL has such a column in every table. Give the column another name.",
}
"""What to do where the server says that a table cannot be what a load wants of it, by SQLSTATE."""


class PostgresTransaction:
    """The verbs of a commit over one open transaction of one dataset."""

    def __init__(self, session: Session, dataset: str) -> None:
        self._session = session
        self._dataset = dataset
        self._numbers = itertools.count(1)
        self._tables: dict[str, dict[str, str]] | None = None

    def snapshot(self, scope: Scope) -> Snapshot:
        return read_snapshot(self._session.rows, scope, frozenset(self._known()))

    def columns(self, table: str) -> Mapping[str, ColumnType] | None:
        stored = self._known().get(table)
        return None if stored is None else {name: _type_of(table, name, kind) for name, kind in stored.items()}

    def integer_range(self, table: str, column: str) -> tuple[int, int] | None:
        name = sql.quoted(column)
        low, high = self._session.rows(f"SELECT min({name}), max({name}) FROM {self._name(table)}")[0]  # noqa: S608
        return None if low is None else (int(low), int(high))

    def any_text(self, table: str, column: str) -> str | None:
        name = sql.quoted(column)
        found = self._session.rows(
            f"SELECT {name}::text FROM {self._name(table)} WHERE {name} IS NOT NULL LIMIT 1"  # noqa: S608
        )
        return str(found[0][0]) if found else None

    def row_count(self, table: str) -> int:
        if table not in self._known():
            return 0
        return self._count(f"FROM {self._name(table)}")

    def carry_out(self, operation: Operation) -> Mapping[str, TableCounts]:
        """Do one operation.

        Raises:
            TableConflictError: PostgreSQL cannot give the table the columns or rows that it is to have.
        """
        try:
            return self._carry_out(operation)
        except StatementRefused as error:
            refusal = error.refusal
            advice = _WHAT_A_TABLE_CANNOT.get(refusal.sqlstate or "")
            if advice is None:
                raise
        table = COMMITS if isinstance(operation, ForgetAttempts) else operation.table
        raise TableConflictError(table=table, problem=f"PostgreSQL says: {refusal.message}. {advice}")

    def _carry_out(self, operation: Operation) -> Mapping[str, TableCounts]:
        match operation:
            case CreateTable(table, columns):
                if not self._known() and not self._session.rows(sql.has_dataset(self._dataset)):
                    self._session.execute(sql.create_dataset(self._dataset))
                self._session.execute(sql.create_table(self._name(table), columns))
                self._remember(table, columns)
                return {}
            case AddColumns(table, columns):
                self._session.execute(sql.add_columns(self._name(table), columns))
                self._remember(table, columns)
                return {}
            case WidenColumn(table, column, new_type):
                self._session.execute(sql.alter_type(self._name(table), column, new_type))
                self._remember(table, (Column(column, new_type),))
                return {}
            case DropTable(table):
                counts = TableCounts(deleted=self.row_count(table))
                self._session.execute(f"DROP TABLE {self._name(table)}")
                self._known().pop(table, None)
                return {table: counts}
            case Describe(table, column, description):
                self._session.execute(sql.comment_on(self._name(table), column, description))
                return {}
            case GiveIds(table, prefix):
                self._session.execute(sql.give_ids(self._name(table), prefix))
                return {}
            case DeleteOld(table):
                return {table: TableCounts(deleted=self._session.execute(sql.delete_old(self._name, operation)))}
            case ForgetAttempts(unit):
                self._session.execute(sql.forget_attempts(self._name(COMMITS), unit))
                return {}
            case DeleteRows(table):
                deleted = self._session.execute(f"DELETE FROM {self._name(table)}")  # noqa: S608
                return {table: TableCounts(deleted=deleted)}
            case DeleteRange(table, wanted, nested):
                root = self._name(table)
                ids = f"SELECT t.{sql.quoted(ROW_ID)} AS id FROM {root} t WHERE {sql.in_range('t', wanted)}"  # noqa: S608
                return self._delete_families(table, nested, self._ids(ids))
            case InsertRows(table, rows):
                inserted = self._ingest(table, rows)
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
        staged, kinds = self._stage(arrivals.rows), arrivals.rows.column_types
        doomed = self._matching(root, merge.match, staged, kinds, merge.spared)
        self._keep_one(staged, arrivals)
        self._drop_late(root, staged, arrivals, merge.spared)
        same_key = sql.same_key("s", "t", arrivals.key, kinds)
        if merge.spares_stored:
            self._session.execute(
                f"DELETE FROM {staged} s WHERE EXISTS (SELECT FROM {root} t WHERE {same_key})"  # noqa: S608
            )
        replaced = (
            self._count(f"FROM {staged} s WHERE EXISTS (SELECT FROM {root} t WHERE {same_key})") if arrivals.key else 0
        )
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
        kinds = arrivals.rows.column_types if arrivals is not None else {}
        staged = self._stage(arrivals.rows) if arrivals is not None else None
        closed_in, row_id = sql.quoted(versions.closed_in), sql.quoted(ROW_ID)
        is_open = f"(t.{closed_in} IS NULL"
        is_open += f" OR t.{closed_in} = {sql.value(versions.open_until)})" if versions.open_until is not None else ")"
        ended = self._matching(root, versions.match, staged, kinds, versions.spared)
        if arrivals is not None and staged is not None:
            self._keep_one(staged, arrivals)
            self._drop_late(root, staged, arrivals, versions.spared)
        closed = loaded = 0
        if ended is not None:
            same_id = f"s.{row_id} = t.{row_id}"
            lasts = f"AND NOT EXISTS (SELECT FROM {staged} s WHERE {same_id})" if staged is not None else ""
            closed = self._session.execute(
                f"UPDATE {root} t SET {closed_in} = {sql.value(versions.closed_at)} "  # noqa: S608
                f"WHERE {is_open} AND EXISTS (SELECT FROM {ended} e WHERE e.id = t.{row_id}) {lasts}"
            )
        if arrivals is None or staged is None:
            return {versions.table: TableCounts(updated=closed)}
        self._session.execute(
            f"DELETE FROM {staged} s WHERE EXISTS "  # noqa: S608
            f"(SELECT FROM {root} t WHERE t.{row_id} = s.{row_id} AND {is_open})"
        )
        loaded = self._insert_staged(root, staged, arrivals)
        counts = {versions.table: TableCounts(loaded=loaded, inserted=loaded, updated=closed)}
        for child in arrivals.nested:
            if child.rows is not None:
                nested, stored = self._stage(child.rows), self._name(child.table)
                self._keep_last(nested, (ROW_ID,), child.rows.column_types)
                self._session.execute(
                    f"DELETE FROM {nested} s WHERE EXISTS (SELECT FROM {stored} t WHERE t.{row_id} = s.{row_id})"  # noqa: S608
                )
                loaded = self._insert_nested(child.table, nested, child.rows, staged)
                counts[child.table] = TableCounts(loaded=loaded, inserted=loaded)
        return counts

    def _matching(
        self, root: str, match: Match, staged: str | None, kinds: Mapping[str, ColumnType], spared: ValueRange | None
    ) -> str | None:
        """The ids of stored rows that meet a staged one and are not spared, as a temporary table; None if none can."""
        ids = f"SELECT t.{sql.quoted(ROW_ID)} AS id FROM {root} t"  # noqa: S608
        exposed = f"({sql.in_range('t', spared)}) IS NOT TRUE" if spared is not None else "true"
        if () in match:
            return self._ids(f"{ids} WHERE {exposed}")
        if not match or staged is None:
            return None
        return self._ids(
            " UNION ".join(
                f"{ids} WHERE EXISTS (SELECT FROM {staged} s WHERE {sql.same_key('t', 's', columns, kinds)}) AND {exposed}"
                for columns in match
            )
        )

    def _drop_late(self, root: str, staged: str, arrivals: Arrivals, spared: ValueRange | None) -> None:
        """Drop the staged rows whose key a spared row has."""
        if spared is not None and arrivals.key:
            same_key = sql.same_key("s", "t", arrivals.key, arrivals.rows.column_types)
            self._session.execute(
                f"DELETE FROM {staged} s WHERE EXISTS "  # noqa: S608
                f"(SELECT FROM {root} t WHERE {same_key} AND {sql.in_range('t', spared)})"
            )

    def _keep_one(self, staged: str, arrivals: Arrivals) -> None:
        """Of staged rows with the same key keep one, and that only if it stands for no deletion."""
        if arrivals.key:
            self._keep_last(staged, arrivals.key, arrivals.rows.column_types, arrivals.preference)
        if arrivals.tombstones is not None:
            column = sql.quoted(arrivals.tombstones.column)
            is_gone = column if arrivals.tombstones.is_flag else f"{column} IS NOT NULL"
            self._session.execute(f"DELETE FROM {staged} WHERE {is_gone}")  # noqa: S608

    def _keep_last(
        self, staged: str, key: tuple[str, ...], kinds: Mapping[str, ColumnType], preference: Preference | None = None
    ) -> None:
        """Of rows with the same key keep the preferred, else the last one yielded."""
        keys = ", ".join(sql.comparable("s", name, kinds) for name in key)
        total, distinct = self._session.rows(
            f"SELECT (SELECT count(*) FROM {staged}), "  # noqa: S608
            f"(SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {staged} s) AS keys)"
        )[0]
        if distinct == total:
            return
        ordinal = sql.quoted(sql.ordinal_beside(kinds))
        order = f"s.{ordinal} DESC"
        if preference is not None:
            direction = "DESC" if preference.greatest else "ASC"
            order = f"{sql.sortable('s', preference.column, kinds)} {direction} NULLS LAST, {order}"
        ranked = f"SELECT s.{ordinal} AS place, row_number() OVER (PARTITION BY {keys} ORDER BY {order}) AS rank"
        self._session.execute(
            f"DELETE FROM {staged} d USING ({ranked} FROM {staged} s) r WHERE r.place = d.{ordinal} AND r.rank > 1"  # noqa: S608
        )

    def _delete_families(self, root: str, nested: Sequence[NestedRows], doomed: str) -> dict[str, TableCounts]:
        """Delete the doomed root rows and, level by level along the parent links, all rows nested in them."""
        levels = {root: doomed}
        counts: dict[str, TableCounts] = {}
        for child in nested:
            table = self._name(child.table)
            below = f"SELECT c.{sql.quoted(ROW_ID)} AS id FROM {table} c"  # noqa: S608
            link = f"a.id = c.{sql.quoted(PARENT_ID)}"
            levels[child.table] = self._ids(
                " UNION ALL ".join(
                    f"{below} WHERE EXISTS (SELECT FROM {levels[parent]} a WHERE {link})" for parent in child.parents
                )
            )
        for table, ids in levels.items():
            deleted = self._session.execute(
                f"DELETE FROM {self._name(table)} t USING {ids} d WHERE t.{sql.quoted(ROW_ID)} = d.id"  # noqa: S608
            )
            counts[table] = TableCounts(deleted=deleted)
        return counts

    def _insert_staged(self, target: str, staged: str, arrivals: Arrivals) -> int:
        columns = [name for name in arrivals.rows.column_types if name != arrivals.key_id]
        origin = staged if arrivals.key_id is None else sql.with_ids(staged, columns, arrivals.key_id)
        return self._session.execute(sql.insert(target, columns, origin))

    def _insert_nested(self, target: str, nested: str, rows: Rows, staged: str, key_id: str | None = None) -> int:
        """Insert the nested rows whose root row is staged."""
        columns = list(rows.column_types)
        if key_id is not None:
            origin = sql.with_root_ids(nested, columns, staged, key_id)
        else:
            origin = (
                f"{nested} n WHERE EXISTS "
                f"(SELECT FROM {staged} s WHERE s.{sql.quoted(ROW_ID)} = n.{sql.quoted(ROOT_ID)})"
            )  # fmt: skip
        return self._session.execute(sql.insert(self._name(target), columns, origin))

    def _stage(self, rows: Rows) -> str:
        """A temporary table with the rows and the order of their arrival."""
        table, ordinal = f"staged_{next(self._numbers)}", sql.ordinal_beside(rows.column_types)
        columns = [Column(name, kind) for name, kind in rows.column_types.items()]
        self._session.execute(sql.create_staged(f"pg_temp.{table}", columns, ordinal))
        schema = _arrow_schema(rows.column_types, {}).append(pa.field(ordinal, pa.int64()))
        if rows.row_count:
            self._session.ingest(table, None, schema, _numbered(_shaped(rows.batches(), schema), schema))
        if rows.row_count >= MANY_ROWS:
            self._session.execute(f"ANALYZE pg_temp.{table}")
        return f"pg_temp.{table}"

    def _ids(self, query: str) -> str:
        """A temporary table of row ids."""
        table = f"pg_temp.ids_{next(self._numbers)}"
        found = self._session.execute(sql.create_ids(table, query))
        if found >= MANY_ROWS:
            self._session.execute(f"ANALYZE {table}")
        return table

    def _ingest(self, table: str, rows: Rows) -> int:
        """Append rows to a table as they come."""
        if not rows.row_count:
            return 0
        stored = self._known()[table]
        schema = _arrow_schema(rows.column_types, stored)
        return self._session.ingest(table, self._dataset, schema, _shaped(rows.batches(), schema))

    def _count(self, clause: str) -> int:
        return int(self._session.rows(f"SELECT count(*) {clause}")[0][0])

    def _name(self, table: str) -> str:
        return sql.qualified(self._dataset, table)

    def _known(self) -> dict[str, dict[str, str]]:
        """The tables of the dataset with the PostgreSQL types of their columns."""
        if self._tables is None:
            self._tables = tables_of_dataset(self._session.rows, self._dataset)
        return self._tables

    def _remember(self, table: str, columns: tuple[Column, ...]) -> None:
        known = self._known().setdefault(table, {})
        known.update({column.name: sql.sql_type(column.type) for column in columns if column.type is not None})


def _type_of(table: str, column: str, data_type: str) -> ColumnType:
    kind = sql.column_type(data_type)
    if kind is None:
        raise TableConflictError(
            table=table,
            problem=f"its column {column!r} has the type {data_type}, which loads cannot write. Load into another table or "
            "dataset, or change the column's type.",
        )
    return kind


def _arrow_schema(column_types: Mapping[str, ColumnType], stored: Mapping[str, str]) -> pa.Schema:
    """The Arrow types that arrive as the types of the columns: the server's binary format leaves no choice."""
    return pa.schema(
        [(name, _arrow_type(kind, stored.get(name) or sql.sql_type(kind))) for name, kind in column_types.items()]
    )


def _arrow_type(kind: ColumnType, data_type: str) -> pa.DataType:
    match data_type:
        case "smallint":
            return pa.int16()
        case "integer":
            return pa.int32()
        case "jsonb":
            return pa.binary()
        case _:
            return column_arrow_type(kind)


def _shaped(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The same batches with columns of the types that the schema gives them."""
    for batch in batches:
        arrays = [
            column if column.type == field.type else _shape(column, field.type)
            for column, field in zip(batch.columns, schema, strict=False)
        ]
        yield pa.RecordBatch.from_arrays(arrays, batch.schema.names)


def _shape(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if wanted != pa.binary():
        return column.cast(wanted)
    # What jsonb reads begins with the version of its format.
    return pa.array([None if text is None else b"\1" + text.encode() for text in column.to_pylist()], pa.binary())


def _numbered(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The batches with the number of each row as their last column."""
    start = 0
    for batch in batches:
        counted = array("q", range(start, start + batch.num_rows))
        numbers = pa.Array.from_buffers(pa.int64(), batch.num_rows, [None, pa.py_buffer(counted)])
        yield pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=schema)
        start += batch.num_rows
