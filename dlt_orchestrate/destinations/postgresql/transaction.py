"""A commit's transaction in PostgreSQL."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from dlt_orchestrate.destinations.postgresql import sql
from dlt_orchestrate.destinations.postgresql.connection import Session, StatementRefused
from dlt_orchestrate.destinations.postgresql.snapshot import read_snapshot
from dlt_orchestrate.destinations.postgresql.sql import POSTGRESQL
from dlt_orchestrate.destinations.sql.others import made_otherwise, no_table
from dlt_orchestrate.destinations.sql.stored_tables import StoredTables
from dlt_orchestrate.destinations.sql.text import quoted
from dlt_orchestrate.destinations.sql.transaction import Doomed, SQLTransaction, Staged
from dlt_orchestrate.errors import TableConflictError
from dlt_orchestrate.flow.operation import ForgetAttempts, Operation, Rows
from dlt_orchestrate.flow.package import TableCounts
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.cast import column_arrow_type
from dlt_orchestrate.load.system_tables import COMMITS
from dlt_orchestrate.schema.table import ROW_ID, Column
from dlt_orchestrate.schema.types import BIGINT, ColumnType

MANY_ROWS = 10_000
"""From so many staged rows on it pays to let the server look at them before it plans."""

TOLERANCE = 0.05
"""How far the server's estimate of the rows of a table may lie from their number, as a share of it."""

_NO_TABLE, _MADE_OTHERWISE = "no table", "made otherwise"

_WHAT_A_TABLE_CANNOT = {
    **dict.fromkeys(("42P07", "42809"), _NO_TABLE),
    **dict.fromkeys(("22001", "23502", "23503", "23505", "23514", "23P01", "428C9", "42P10"), _MADE_OTHERWISE),
    "54000": "Its rows are too wide: a row must fit into 8 kB, which a thousand numbers or 340 texts fill. Where keys are "
    "data, such as ids, hint the field that holds them as 'json'; or lower schema.max_columns.",
    "54011": "It has 1,600 columns, those that were dropped included, and PostgreSQL allows no more. Load into a new "
    "table, or hint the field that holds so many keys as 'json'.",
    "0A000": "Something that was made by hand stands on the column. Drop it, run again, and make it anew.",
    "2BP01": "Something that was made by hand stands on the table. Drop it, run again, and make it anew.",
    "42701": "PostgreSQL has such a column in every table. Give the column another name.",
}
"""What to do where the server says that a table cannot be what a load wants of it, by SQLSTATE."""


class PostgresTransaction(SQLTransaction):
    """The verbs of a commit over one open transaction of one dataset."""

    always_finds_ids = True

    def __init__(self, session: Session, dataset: str, *, most_counted_rows: int) -> None:
        """
        Args:
            most_counted_rows: So many rows of a table are counted to tell their number, since the server reads them all.
        """
        super().__init__(
            POSTGRESQL, StoredTables(lambda tables: session.rows(POSTGRESQL.columns_of_dataset(dataset, tables)))
        )
        self._session = session
        self._dataset = dataset
        self._most_counted_rows = most_counted_rows

    def snapshot(self, scope: Scope) -> Snapshot:
        return read_snapshot(self._session.rows, scope, frozenset(self._tables.everything()))

    def row_count_after(self, table: str, change: int) -> int:
        """Number of rows of a table: of a large one what the load before left and the change, if the server agrees."""
        if self._tables[table] is None:
            return 0
        (estimate,) = self._rows(sql.estimated_rows(self._name(table)))[0]
        if estimate is not None and estimate > self._most_counted_rows and self._tables[COMMITS] is not None:
            recorded = self._rows(sql.recorded_rows(self._name(COMMITS), table))
            if recorded and abs(recorded[0][0] + change - estimate) <= TOLERANCE * estimate:
                return int(recorded[0][0]) + change
        return self.row_count(table)

    def carry_out(self, operation: Operation) -> Mapping[str, TableCounts]:
        """Do one operation.

        Raises:
            TableConflictError: PostgreSQL cannot give the table the columns or rows that it is to have.
        """
        try:
            return super().carry_out(operation)
        except StatementRefused as error:
            refusal = error.refusal
            advice = _WHAT_A_TABLE_CANNOT.get(refusal.sqlstate or "")
            if advice is None:
                raise
        problem = f"PostgreSQL says: {refusal.message}. {advice}"
        if advice == _NO_TABLE:
            problem = no_table("PostgreSQL", refusal.message, self._dataset)
        elif advice == _MADE_OTHERWISE:
            problem = made_otherwise("PostgreSQL", refusal.message)
        table = COMMITS if isinstance(operation, ForgetAttempts) else operation.table
        raise TableConflictError(table=table, problem=problem)

    def _execute(self, statement: str) -> int:
        return self._session.execute(statement)

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self._session.rows(statement)

    def _name(self, table: str) -> str:
        return sql.qualified(self._dataset, table)

    def _create_dataset(self) -> None:
        # Asked for first: to create what is there needs a right, too.
        if not self._tables.everything() and not self._session.rows(sql.has_dataset(self._dataset)):
            self._session.execute(sql.create_dataset(self._dataset))

    def _append(self, table: str, rows: Rows) -> int:
        if not rows.row_count:
            return 0
        schema = _arrow_schema(rows.column_types, self._tables[table] or {})
        return self._session.ingest(table, self._dataset, schema, _shaped(rows.batches(), schema))

    def _stage(self, rows: Rows) -> Staged:
        """A temporary table with the rows and the order of their arrival."""
        name, place = self._temporary_name("staged"), _free_name(rows.column_types)
        columns = [Column(column, kind) for column, kind in rows.column_types.items()]
        self._session.execute(POSTGRESQL.create_temporary(name, [*columns, Column(place, BIGINT, nullable=False)]))
        schema = _arrow_schema(rows.column_types, {}).append(pa.field(place, pa.int64()))
        if rows.row_count:
            alone = name.removeprefix(f"{POSTGRESQL.temporary}.")
            self._session.ingest(alone, None, schema, _numbered(_shaped(rows.batches(), schema), schema))
        self._look_at(name, rows.row_count)
        return Staged(name, rows.column_types, quoted(place))

    def _doomed(self, query: str, key: tuple[str, ...] = ()) -> Doomed:
        doomed = super()._doomed(query, key)
        self._look_at(doomed.relation, doomed.count)
        return doomed

    def _found(self, table: str, *, with_ids: bool, key: Iterable[str] = ()) -> str:
        # A place is one in a partition, or in a table that inherits.
        return f"{super()._found(table, with_ids=with_ids, key=key)}, t.tableoid AS part"

    def _delete(self, table: str, doomed: Doomed) -> int:
        rows = f"DELETE FROM {self._name(table)} t USING {doomed.relation} d"
        deleted = self._execute(f"{rows} WHERE t.ctid = d.place AND t.tableoid = d.part")
        if deleted < doomed.count:
            # Somebody else has changed some of them since, which puts a row in another place.
            deleted += self._execute(f"{rows} WHERE t.{quoted(ROW_ID)} = d.id")
        return deleted

    def _look_at(self, temporary: str, row_count: int) -> None:
        if row_count >= MANY_ROWS:
            self._session.execute(f"ANALYZE {temporary}")


def _free_name(columns: Mapping[str, ColumnType]) -> str:
    """A name for the order of arrival that no column has."""
    name = "_dlt_row_number"
    while name in columns:
        name += "_"
    return name


def _arrow_schema(column_types: Mapping[str, ColumnType], stored: Mapping[str, str]) -> pa.Schema:
    """The Arrow types that arrive as the types of the columns: the server's binary format leaves no choice."""
    return pa.schema(
        [(name, _arrow_type(kind, stored.get(name) or POSTGRESQL.sql_type(kind))) for name, kind in column_types.items()]
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
