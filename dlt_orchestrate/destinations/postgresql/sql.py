"""What PostgreSQL's SQL says differently, and what its server is asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from dlt_orchestrate.destinations.sql.dialect import Dialect, Kinds
from dlt_orchestrate.destinations.sql.text import is_one_of, literal, quoted
from dlt_orchestrate.schema import types
from dlt_orchestrate.schema.table import Column
from dlt_orchestrate.schema.types import ColumnType

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


class PostgreSQLDialect(Dialect):
    """The SQL of PostgreSQL, whose texts compare here as Python compares them.

    >>> POSTGRESQL.value("it's"), POSTGRESQL.value(5), POSTGRESQL.value(2**70)
    ('\\'it\\'\\'s\\' COLLATE "C"', "'5'::bigint", "'1180591620717411303424'::numeric(38,0)")
    """

    place = "ctid"
    temporary = "pg_temp"
    ends_with_transaction = " ON COMMIT DROP"

    def sql_type(self, column_type: ColumnType) -> str:
        """The type of a column. JSON is `json` and not `jsonb`, which changes numbers: of `-0.0` it makes `0.0`."""
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

    def column_type(self, data_type: str) -> ColumnType | None:
        """The column type of a PostgreSQL type, as `format_type` prints it; None for types that loads cannot write.

        >>> str(POSTGRESQL.column_type("numeric(38,9)")), POSTGRESQL.column_type("numeric")
        ('decimal(38,9)', None)
        """
        decimal = _NUMERIC.fullmatch(data_type)
        if decimal:
            precision, scale = int(decimal[1]), int(decimal[2])
            return ColumnType("decimal", precision, scale) if precision <= _MOST_DIGITS else None
        return _KINDS.get(re.sub(r"^(character varying)\(\d+\)$", r"\1", data_type))

    def columns_of_dataset(self, dataset: str, tables: Iterable[str] | None = None) -> str:
        chosen = "" if tables is None else f"AND {is_one_of('relname', tables)} "
        return (
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) "
            "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
            "JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid "
            f"WHERE n.nspname = {literal(dataset)} AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped "
            f"{chosen}ORDER BY c.relname, a.attnum"
        )

    def in_order_of_python(self, text: str) -> str:
        return f'{text} COLLATE "C"'

    def comparable(self, row: str, name: str, kinds: Kinds) -> str:
        """A column of a row as something that has an equal; JSON has none in PostgreSQL."""
        return f"{row}.{quoted(name)}{'::jsonb' if kinds[name].kind == 'json' else ''}"

    def add_columns(self, table: str, columns: Iterable[Column]) -> Iterable[str]:
        """Add all columns at once."""
        return (f"ALTER TABLE {table} " + ", ".join(f"ADD COLUMN {self.definition(column)}" for column in columns),)


POSTGRESQL = PostgreSQLDialect()


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


def datasets_with(table: str) -> str:
    """Query the datasets that have a table of some name."""
    return (
        "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        f"WHERE c.relname = {literal(table)} AND c.relkind IN ('r', 'p') ORDER BY n.nspname"
    )


def has_dataset(dataset: str) -> str:
    return f"SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = {literal(dataset)}"


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
        "SELECT a.pid, coalesce(p.bytes_processed, 0) FROM pg_catalog.pg_locks l "
        "JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
        "JOIN pg_catalog.pg_stat_progress_copy p ON p.pid = l.pid "
        f"WHERE {_is_held(key)} AND a.wait_event = 'ClientRead' "
        f"AND a.query_start < clock_timestamp() - {seconds!r} * interval '1 second'"
    )


def _is_held(key: int) -> str:
    """The condition that a row `l` of the locks of this database is a held advisory lock of another session."""
    high, low = (key >> 32) & 0xFFFFFFFF, key & 0xFFFFFFFF
    return (
        f"l.locktype = 'advisory' AND l.classid::bigint = {high} AND l.objid::bigint = {low} AND l.objsubid = 1 "
        "AND l.granted AND l.pid <> pg_backend_pid() "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
    )


def holders_of_lock(key: int, dataset: str) -> str:
    """Query who holds the advisory lock of a dataset, or locks a table of it; one row for each session."""
    return (
        "SELECT DISTINCT a.pid::text, coalesce(nullif(a.application_name, ''), 'an unnamed client'), "
        "coalesce(nullif(a.client_hostname, ''), host(a.client_addr), 'the database server'), "
        "coalesce(a.state, 'unknown'), "
        "to_char(coalesce(a.xact_start, a.backend_start) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC' "
        "FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid "
        f"WHERE ({_is_held(key)}) OR (l.granted AND l.pid <> pg_backend_pid() AND l.locktype = 'relation' "
        "AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) "
        "AND l.relation IN (SELECT c.oid FROM pg_catalog.pg_class c "
        f"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {literal(dataset)})) ORDER BY 1"
    )


def create_dataset(dataset: str) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {quoted(dataset)}"


def estimated_rows(table: str) -> str:
    """Query how many rows a table should have by its size and what the server last saw of it; null where it saw nothing."""
    return (
        "SELECT (reltuples / nullif(relpages, 0) * (pg_relation_size(oid) / current_setting('block_size')::int))::bigint "
        f"FROM pg_catalog.pg_class WHERE oid = {literal(table)}::regclass AND reltuples >= 0 "
        "UNION ALL SELECT NULL LIMIT 1"
    )


def recorded_rows(commits: str, table: str) -> str:
    """Query how many rows the latest commit to a table left in it, whichever pipeline made it."""
    return (
        f"SELECT (row_counts::jsonb -> {literal(table)} ->> 'total')::bigint FROM {commits} "
        f"WHERE row_counts::jsonb ? {literal(table)} ORDER BY committed_at DESC LIMIT 1"
    )
