"""SQL text for DuckDB: quoting, types, and the statements of the operations. Values of rows never stand in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from dlt_orchestrate.flow.operation import DeleteOld, ValueRange
from dlt_orchestrate.schema import types
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, ROW_ID, Column
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.commits import UnitKey

_INTEGERS = {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", None: "BIGINT"}

_KINDS = {
    "BOOLEAN": types.BOOL,
    "TINYINT": ColumnType("bigint", 8),
    "SMALLINT": ColumnType("bigint", 16),
    "INTEGER": ColumnType("bigint", 32),
    "BIGINT": types.BIGINT,
    "HUGEINT": ColumnType("decimal", 38, 0),
    "DOUBLE": types.DOUBLE,
    "VARCHAR": types.TEXT,
    "JSON": types.JSON,
    "BLOB": types.BINARY,
    "DATE": types.DATE,
    "TIME": types.TIME,
    "TIMESTAMP": types.NAIVE_TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": types.TIMESTAMP,
}
_PLACE = "rowid"
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")


def quoted(identifier: str) -> str:
    """An identifier as it stands in SQL.

    >>> quoted('odd"name')
    '"odd""name"'
    """
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as it stands in SQL: only for our own names, since DuckDB's client imports pandas for bound parameters.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def literal_list(texts: Iterable[str]) -> str:
    """A list of texts as it stands in SQL."""
    return f"[{', '.join(map(literal, texts))}]::VARCHAR[]"


def qualified(database: str, dataset: str, table: str) -> str:
    """A table with its database and dataset: three parts, since a dataset may bear the name of the database file."""
    return f"{quoted(database)}.{quoted(dataset)}.{quoted(table)}"


def sql_type(column_type: ColumnType) -> str:
    """The DuckDB type of a column."""
    match column_type.kind:
        case "text":
            return "VARCHAR"
        case "bigint":
            return _INTEGERS.get(column_type.precision, "BIGINT")
        case "double":
            return "DOUBLE"
        case "bool":
            return "BOOLEAN"
        case "timestamp":
            return "TIMESTAMP" if column_type.timezone is False else "TIMESTAMP WITH TIME ZONE"
        case "date":
            return "DATE"
        case "time":
            return "TIME"
        case "binary":
            return "BLOB"
        case "json":
            return "JSON"
        case "decimal":
            return f"DECIMAL({column_type.precision or 38},{column_type.scale or 0})"
        case "wei":
            return "DECIMAL(38,0)"


def column_type(sql: str) -> ColumnType | None:
    """The column type of a DuckDB type; None for types that this package never makes."""
    decimal = _DECIMAL.fullmatch(sql)
    if decimal:
        return ColumnType("decimal", int(decimal[1]), int(decimal[2]))
    return _KINDS.get(sql)


def columns_of_dataset(dataset: str, tables: Iterable[str] | None = None) -> str:
    """Query the columns of a dataset's tables and their types, in order; of all tables, or of those named."""
    chosen = "" if tables is None else f"AND list_contains({literal_list(tables)}, table_name) "
    return (
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "  # noqa: S608
        f"WHERE {is_dataset(dataset)} AND database_name = current_database() {chosen}ORDER BY table_name, column_index"
    )


def is_dataset(dataset: str) -> str:
    """The condition that a schema is the dataset; upper and lower case are one to DuckDB.

    >>> is_dataset("Sales")
    "lower(schema_name) = lower('Sales')"
    """
    return f"lower(schema_name) = lower({literal(dataset)})"


def column_list(columns: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in columns)


def create_dataset(database: str, dataset: str) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {quoted(database)}.{quoted(dataset)}"


STORAGE_VERSION = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = current_database()"
"""Query the version of the file format."""

_ID_COMPRESSION = {"v1.0.0+": "fsst", "v2.0.0+": "zstd"}
_IDS = (ROW_ID, PARENT_ID, ROOT_ID)


def id_compression(storage_version: str | None) -> str | None:
    """The compression of row ids in a file of this version; None leaves the choice to DuckDB.

    DuckDB tries several for every group of rows, which takes it as long as to insert five columns of numbers, and ends with
    files of the same size.
    """
    return _ID_COMPRESSION.get(storage_version or "")


def create_table(
    table: str, columns: Iterable[Column], *, temporary: bool = False, id_compression: str | None = None
) -> str:
    definitions = ", ".join(
        f"{_definition(column)} USING COMPRESSION {id_compression}"
        if id_compression and column.name in _IDS
        else _definition(column)
        for column in columns
    )
    return f"CREATE {'TEMP ' if temporary else ''}TABLE {table} ({definitions})"


def add_column(table: str, column: Column) -> str:
    return f"ALTER TABLE {table} ADD COLUMN {_definition(column)}"


def alter_type(table: str, column: str, new_type: ColumnType) -> str:
    return f"ALTER TABLE {table} ALTER COLUMN {quoted(column)} SET DATA TYPE {sql_type(new_type)}"


def comment_on(table: str, column: str | None, description: str) -> str:
    subject = f"TABLE {table}" if column is None else f"COLUMN {table}.{quoted(column)}"
    return f"COMMENT ON {subject} IS {literal(description)}"


def give_ids(table: str, prefix: str) -> str:
    """Number the rows that have no id."""
    row_id = quoted(ROW_ID)
    return f"UPDATE {table} SET {row_id} = {literal(prefix)} || rowid WHERE {row_id} IS NULL"  # noqa: S608


def delete_old(name: Callable[[str], str], old: DeleteOld) -> str:
    """Delete old rows; the moment is a parameter.

    Args:
        name: Gives the full name of a table.
    """
    table = name(old.table)
    kept = []
    if old.last_of:
        order = f"{quoted(old.ranked_by)} DESC, " if old.ranked_by else ""
        kept.append(
            f"rowid NOT IN (SELECT rowid FROM {table} QUALIFY row_number() OVER ("  # noqa: S608
            f"PARTITION BY {column_list(old.last_of)} ORDER BY {order}{quoted(old.column)} DESC) = 1)"
        )
    column, others = old.referred or ("", ())
    for other, theirs in others:
        kept.append(f"{quoted(column)} NOT IN (SELECT {quoted(theirs)} FROM {name(other)})")  # noqa: S608
    return f"DELETE FROM {table} WHERE {' AND '.join([f'{quoted(old.column)} < ?', *kept])}"  # noqa: S608


def forget_attempts(table: str, unit: UnitKey) -> str:
    start, end = unit.window.to_texts() if unit.window else (None, None)
    values = {
        "pipeline_name": unit.pipeline,
        "source_name": unit.source,
        "resource_name": unit.resource,
        "window_start": start,
        "window_end": end,
    }
    conditions = " AND ".join(
        f"{quoted(name)} IS NOT DISTINCT FROM {'NULL' if text is None else literal(text)}" for name, text in values.items()
    )
    return f"UPDATE {table} SET {quoted('idempotency_key')} = NULL WHERE {conditions}"  # noqa: S608


def insert(table: str, column_types: Mapping[str, ColumnType], origin: str) -> str:
    """Insert the named columns of one relation into another; JSON texts become JSON."""
    chosen = ", ".join(
        f"CAST({quoted(name)} AS JSON)" if kind.kind == "json" else quoted(name) for name, kind in column_types.items()
    )
    return f"INSERT INTO {table} ({column_list(column_types)}) SELECT {chosen} FROM {origin}"  # noqa: S608


def with_ids(staged: str, key_id: str) -> str:
    """The staged root rows under the ids that their key gives them."""
    return f"(SELECT * REPLACE ({quoted(key_id)} AS {quoted(ROW_ID)}) FROM {staged})"  # noqa: S608


def with_root_ids(nested: str, staged: str, key_id: str) -> str:
    """The nested rows of the staged root rows, their ids beginning with the id that the root's key gives it."""
    own, new = f"s.{quoted(ROW_ID)}", f"s.{quoted(key_id)}"
    renamed = ", ".join(
        f"{new} || substr(n.{quoted(name)}, length({own}) + 1) AS {quoted(name)}" for name in (ROW_ID, PARENT_ID, ROOT_ID)
    )
    return f"(SELECT n.* REPLACE ({renamed}) FROM {nested} n JOIN {staged} s ON n.{quoted(ROOT_ID)} = {own})"  # noqa: S608


def same_key(left: str, right: str, key: Iterable[str]) -> str:
    """The condition that two rows have the same key."""
    return " AND ".join(f"{left}.{quoted(name)} = {right}.{quoted(name)}" for name in key)


def hides_place(columns: Iterable[str]) -> bool:
    """Whether one of the columns bears the name under which DuckDB tells the number of a row."""
    return any(name.lower() == _PLACE for name in columns)


def place(columns: Iterable[str], otherwise: str = ROW_ID) -> str:
    """What tells the rows of a table with these columns apart: DuckDB's number of a row, faster than any value of ours.

    >>> place(["id"]), place(["id", "RowId"])
    ('rowid', '"_dlt_id"')
    """
    return quoted(otherwise) if hides_place(columns) else _PLACE


def in_range(row: str, wanted: ValueRange) -> str:
    """The condition that a row lies in a range of values.

    >>> in_range("t", ValueRange("n", 1, 5))
    't."n" >= 1::HUGEINT AND t."n" < 5::HUGEINT'
    """
    column = f"{row}.{quoted(wanted.column)}"
    start = f"{column} >= {value(wanted.start)}"
    if wanted.end is None:
        return start
    return f"{start} AND {column} {'<=' if wanted.includes_end else '<'} {value(wanted.end)}"


def value(found: Any) -> str:
    """A bound of a range as it stands in SQL, of a type that holds it exactly.

    >>> value("it's"), value(Decimal("-0.50"))
    ("'it''s'", "'-0.50'::DECIMAL(38,2)")
    """
    match found:
        case str():
            return literal(found)
        case datetime():
            kind = "TIMESTAMP" if found.tzinfo is None else "TIMESTAMP WITH TIME ZONE"
            return f"'{found.isoformat()}'::{kind}"
        case date():
            return f"'{found.isoformat()}'::DATE"
        case int():
            return f"{found}::HUGEINT"
        case float():
            return f"'{found!r}'::DOUBLE"
        case Decimal():
            return f"'{found:f}'::DECIMAL(38,{max(0, -int(found.as_tuple().exponent))})"
        case _:
            raise TypeError(f"a range of {type(found).__name__} values")


def _definition(column: Column) -> str:
    assert column.type is not None
    return f"{quoted(column.name)} {sql_type(column.type)}{'' if column.nullable else ' NOT NULL'}"
