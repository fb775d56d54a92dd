"""SQL text for PostgreSQL: quoting, types, and the statements of the operations. Values of rows never stand in it."""

from __future__ import annotations

import hashlib
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

_INTEGERS = {8: "smallint", 16: "smallint", 32: "integer", None: "bigint"}

_KINDS = {
    "boolean": types.BOOL,
    "smallint": ColumnType("bigint", 16),
    "integer": ColumnType("bigint", 32),
    "bigint": types.BIGINT,
    "double precision": types.DOUBLE,
    "text": types.TEXT,
    "character varying": types.TEXT,
    "json": types.JSON,
    "jsonb": types.JSON,
    "bytea": types.BINARY,
    "date": types.DATE,
    "time without time zone": types.TIME,
    "timestamp without time zone": types.NAIVE_TIMESTAMP,
    "timestamp with time zone": types.TIMESTAMP,
}
_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
_MOST_DIGITS = 38
_ORDINAL = "_dlt_row_number"
_IN_BIGINT = range(-(2**63), 2**63)


def quoted(identifier: str) -> str:
    """An identifier as it stands in SQL.

    >>> quoted('odd"name')
    '"odd""name"'
    """
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as it stands in SQL, whatever the server takes a backslash for.

    >>> literal("it's")
    "'it''s'"
    """
    quotes_doubled = text.replace("'", "''")
    if "\\" in text:
        return "E'" + quotes_doubled.replace("\\", "\\\\") + "'"
    return f"'{quotes_doubled}'"


def literal_list(texts: Iterable[str]) -> str:
    """A list of texts as it stands in SQL."""
    return f"ARRAY[{', '.join(map(literal, texts))}]::text[]"


def qualified(dataset: str, table: str) -> str:
    """A table with its dataset.

    >>> qualified("sales", "orders")
    '"sales"."orders"'
    """
    return f"{quoted(dataset)}.{quoted(table)}"


def lock_key(dataset: str) -> int:
    """The number of a dataset's advisory lock; PostgreSQL keeps those of each database apart."""
    digest = hashlib.blake2b(f"dlt_orchestrate dataset {dataset}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


# --- types -------------------------------------------------------------------------------------------------------


def sql_type(column_type: ColumnType) -> str:
    """The PostgreSQL type of a column. JSON is `json` and not `jsonb`, which changes numbers: of `-0.0` it makes `0.0`."""
    match column_type.kind:
        case "text":
            return "text"
        case "bigint":
            return _INTEGERS.get(column_type.precision, "bigint")
        case "double":
            return "double precision"
        case "bool":
            return "boolean"
        case "timestamp":
            return "timestamp without time zone" if column_type.timezone is False else "timestamp with time zone"
        case "date":
            return "date"
        case "time":
            return "time without time zone"
        case "binary":
            return "bytea"
        case "json":
            return "json"
        case "decimal":
            return f"numeric({column_type.precision or _MOST_DIGITS},{column_type.scale or 0})"
        case "wei":
            return "numeric(38,0)"


def column_type(sql: str) -> ColumnType | None:
    """The column type of a PostgreSQL type, as `format_type` prints it; None for types that loads cannot write.

    >>> str(column_type("numeric(38,9)")), str(column_type("character varying(20)")), column_type("numeric")
    ('decimal(38,9)', 'text', None)
    """
    decimal = _NUMERIC.fullmatch(sql)
    if decimal:
        precision, scale = int(decimal[1]), int(decimal[2])
        return ColumnType("decimal", precision, scale) if precision <= _MOST_DIGITS else None
    return _KINDS.get(re.sub(r"^(character varying)\(\d+\)$", r"\1", sql))


# --- looking -----------------------------------------------------------------------------------------------------


def columns_of_dataset(dataset: str) -> str:
    """Query every table of a dataset with its columns and their types, in order."""
    return (
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) "  # noqa: S608
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid "
        f"WHERE n.nspname = {literal(dataset)} AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped "
        "ORDER BY c.relname, a.attnum"
    )


def datasets_with(table: str) -> str:
    """Query the datasets that have a table of some name."""
    return (
        "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "  # noqa: S608
        f"WHERE c.relname = {literal(table)} AND c.relkind IN ('r', 'p') ORDER BY n.nspname"
    )


def has_dataset(dataset: str) -> str:
    return f"SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {literal(dataset)}"  # noqa: S608


FORGET_STATISTICS = "SELECT pg_stat_clear_snapshot()"
"""What a transaction has seen of other sessions it sees for good, until it asks anew."""


def exists(dataset: str, table: str) -> str:
    """The expression that says whether there is a table."""
    return f"to_regclass({literal(qualified(dataset, table))}) IS NOT NULL"


def try_lock(key: int) -> str:
    """The expression that takes an advisory lock and says whether it was free."""
    return f"pg_try_advisory_xact_lock({key})"


def wait_for_lock(key: int) -> str:
    return f"SELECT pg_advisory_xact_lock({key})"


def stopped_holders(key: int, seconds: float) -> str:
    """Query who holds an advisory lock and has been sending rows for longer than some time, with how much has arrived.

    A row that is the same a while later is a session whose client has stopped.
    """
    return (
        "SELECT a.pid, coalesce(p.bytes_processed, 0) FROM pg_catalog.pg_locks l "  # noqa: S608
        "JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
        "JOIN pg_catalog.pg_stat_progress_copy p ON p.pid = l.pid "
        f"WHERE {_is_held(key)} AND a.wait_event = 'ClientRead' "
        f"AND a.query_start < clock_timestamp() - {seconds!r} * interval '1 second'"
    )


def _is_held(key: int) -> str:
    """The condition that a row `l` of the locks of this database is a held advisory lock of another session."""
    high, low = (key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF
    return (
        f"l.locktype = 'advisory' AND l.classid::bigint = {high} AND l.objid::bigint = {low} AND l.objsubid = 1 "  # noqa: S608
        "AND l.granted AND l.pid <> pg_backend_pid() "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
    )


def holders_of_lock(key: int, dataset: str) -> str:
    """Query who holds the advisory lock of a dataset, or locks a table of it; one row for each session."""
    return (
        "SELECT DISTINCT a.pid::text, coalesce(nullif(a.application_name, ''), 'an unnamed client'), "  # noqa: S608
        "coalesce(nullif(a.client_hostname, ''), host(a.client_addr), 'the database server'), "
        "coalesce(a.state, 'unknown'), "
        "to_char(coalesce(a.xact_start, a.backend_start) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC' "
        "FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
        f"WHERE ({_is_held(key)}) OR (l.granted AND l.pid <> pg_backend_pid() AND l.locktype = 'relation' "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) "
        "AND l.relation IN (SELECT c.oid FROM pg_catalog.pg_class c "
        f"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {literal(dataset)})) ORDER BY 1"
    )


# --- definitions -------------------------------------------------------------------------------------------------


def create_dataset(dataset: str) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {quoted(dataset)}"


def create_table(table: str, columns: Iterable[Column]) -> str:
    return f"CREATE TABLE {table} ({_definitions(columns)})"


def create_staged(table: str, columns: Iterable[Column], ordinal: str) -> str:
    """Create a temporary table of arriving rows and their place in the order of arrival; it goes with the transaction."""
    return f"CREATE TEMP TABLE {table} ({_definitions(columns)}, {quoted(ordinal)} bigint NOT NULL) ON COMMIT DROP"


def create_ids(table: str, query: str) -> str:
    return f"CREATE TEMP TABLE {table} ON COMMIT DROP AS {query}"


def ordinal_beside(columns: Iterable[str]) -> str:
    """A name for the order of arrival that no column has."""
    taken, name = set(columns), _ORDINAL
    while name in taken:
        name += "_"
    return name


def add_columns(table: str, columns: Iterable[Column]) -> str:
    return f"ALTER TABLE {table} " + ", ".join(f"ADD COLUMN {_definition(column)}" for column in columns)


def alter_type(table: str, column: str, new_type: ColumnType) -> str:
    """Change a column's type; planned only where every stored value stays what it is, since PostgreSQL would round."""
    name, target = quoted(column), sql_type(new_type)
    converted = f"to_json({name})" if new_type.kind == "json" else f"{name}::{target}"
    return f"ALTER TABLE {table} ALTER COLUMN {name} TYPE {target} USING {converted}"


def comment_on(table: str, column: str | None, description: str) -> str:
    subject = f"TABLE {table}" if column is None else f"COLUMN {table}.{quoted(column)}"
    return f"COMMENT ON {subject} IS {literal(description)}"


# --- rows --------------------------------------------------------------------------------------------------------


def column_list(columns: Iterable[str]) -> str:
    return ", ".join(quoted(name) for name in columns)


def insert(table: str, columns: Iterable[str], origin: str) -> str:
    """Insert the named columns of one relation into another."""
    names = column_list(columns)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM {origin}"  # noqa: S608


def give_ids(table: str, prefix: str) -> str:
    """Number the rows that have no id."""
    row_id = quoted(ROW_ID)
    numbered = f"SELECT ctid AS place, row_number() OVER () AS number FROM {table} WHERE {row_id} IS NULL"  # noqa: S608
    return f"UPDATE {table} t SET {row_id} = {literal(prefix)} || n.number FROM ({numbered}) n WHERE t.ctid = n.place"  # noqa: S608


def delete_old(name: Callable[[str], str], old: DeleteOld) -> str:
    """Delete old rows, except those that are still needed.

    Args:
        name: Gives the full name of a table.
    """
    table = name(old.table)
    kept = [f"t.{quoted(old.column)} < {value(old.before)}"]
    if old.last_of:
        order = f"{quoted(old.ranked_by)} DESC, " if old.ranked_by else ""
        recency = f"row_number() OVER (PARTITION BY {column_list(old.last_of)} ORDER BY {order}{quoted(old.column)} DESC)"
        ranked = f"SELECT ctid AS place, {recency} AS recency FROM {table}"  # noqa: S608
        kept.append(f"t.ctid NOT IN (SELECT place FROM ({ranked}) r WHERE recency = 1)")  # noqa: S608
    column, others = old.referred or ("", ())
    for other, theirs in others:
        referring = f"SELECT FROM {name(other)} o WHERE o.{quoted(theirs)} = t.{quoted(column)}"
        kept.append(f"NOT EXISTS ({referring})")
    return f"DELETE FROM {table} t WHERE {' AND '.join(kept)}"  # noqa: S608


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


def with_ids(staged: str, columns: Iterable[str], key_id: str) -> str:
    """The staged root rows under the ids that their key gives them."""
    chosen = ", ".join(f"{quoted(key_id if name == ROW_ID else name)} AS {quoted(name)}" for name in columns)
    return f"(SELECT {chosen} FROM {staged}) r"  # noqa: S608


def with_root_ids(nested: str, columns: Iterable[str], staged: str, key_id: str) -> str:
    """The nested rows of the staged root rows, their ids beginning with the id that the root's key gives it."""
    own, new = f"s.{quoted(ROW_ID)}", f"s.{quoted(key_id)}"
    chosen = ", ".join(
        f"{new} || substr(n.{quoted(name)}, length({own}) + 1) AS {quoted(name)}"
        if name in (ROW_ID, PARENT_ID, ROOT_ID)
        else f"n.{quoted(name)}"
        for name in columns
    )
    return f"(SELECT {chosen} FROM {nested} n JOIN {staged} s ON n.{quoted(ROOT_ID)} = {own}) r"  # noqa: S608


def comparable(row: str, name: str, kinds: Mapping[str, ColumnType]) -> str:
    """A column of a row as something that has an equal; JSON has none in PostgreSQL."""
    kind = kinds.get(name)
    return f"{row}.{quoted(name)}{'::jsonb' if kind is not None and kind.kind == 'json' else ''}"


def sortable(row: str, name: str, kinds: Mapping[str, ColumnType]) -> str:
    """A column of a row in an order that is the same whatever the collation of the database."""
    kind = kinds.get(name)
    match kind.kind if kind is not None else None:
        case "json":
            return f'{row}.{quoted(name)}::text COLLATE "C"'
        case "text":
            return f'{row}.{quoted(name)} COLLATE "C"'
        case _:
            return f"{row}.{quoted(name)}"


def same_key(left: str, right: str, key: Iterable[str], kinds: Mapping[str, ColumnType]) -> str:
    """The condition that two rows have the same key."""
    return " AND ".join(f"{comparable(left, name, kinds)} = {comparable(right, name, kinds)}" for name in key)


def in_range(row: str, wanted: ValueRange) -> str:
    """The condition that a row lies in a range of values.

    >>> print(in_range("t", ValueRange("n", 1, 5)))
    t."n" >= '1'::bigint AND t."n" < '5'::bigint
    """
    column = f"{row}.{quoted(wanted.column)}"
    start = f"{column} >= {value(wanted.start)}"
    if wanted.end is None:
        return start
    return f"{start} AND {column} {'<=' if wanted.includes_end else '<'} {value(wanted.end)}"


def value(found: Any) -> str:
    """A bound of a range as it stands in SQL, of a type that holds it exactly; texts compare as Python compares them.

    >>> value("it's"), value(Decimal("-0.50")), value(2**70)
    ('\\'it\\'\\'s\\' COLLATE "C"', "'-0.50'::numeric", "'1180591620717411303424'::numeric")
    """
    match found:
        case str():
            return f'{literal(found)} COLLATE "C"'
        case datetime():
            kind = "timestamp" if found.tzinfo is None else "timestamp with time zone"
            return f"'{found.isoformat()}'::{kind}"
        case date():
            return f"'{found.isoformat()}'::date"
        case int():
            return f"'{found}'::{'bigint' if found in _IN_BIGINT else 'numeric'}"
        case float():
            return f"'{found!r}'::double precision"
        case Decimal():
            return f"'{found:f}'::numeric"
        case _:
            raise TypeError(f"a range of {type(found).__name__} values")


def _definitions(columns: Iterable[Column]) -> str:
    return ", ".join(_definition(column) for column in columns)


def _definition(column: Column) -> str:
    assert column.type is not None
    return f"{quoted(column.name)} {sql_type(column.type)}{'' if column.nullable else ' NOT NULL'}"
