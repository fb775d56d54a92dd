"""What DuckDB's SQL says differently."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dlt_orchestrate.destinations.sql.dialect import Dialect
from dlt_orchestrate.destinations.sql.text import is_one_of, literal, quoted
from dlt_orchestrate.schema import types
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, ROW_ID, Column
from dlt_orchestrate.schema.types import ColumnType

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
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_ID_COMPRESSION = {"v1.0.0+": "fsst", "v2.0.0+": "zstd"}
_IDS = (ROW_ID, PARENT_ID, ROOT_ID)

STORAGE_VERSION = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = current_database()"
"""Query the version of the file format."""


class DuckDBDialect(Dialect):
    """The SQL of DuckDB. Rows are found again by DuckDB's number of a row, faster than by any value of ours."""

    place = "rowid"
    temporary = "temp"

    def sql_type(self, column_type: ColumnType) -> str:
        """The DuckDB type of a column.

        >>> DUCKDB.sql_type(types.TIMESTAMP)
        'TIMESTAMP WITH TIME ZONE'
        """
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

    def column_type(self, data_type: str) -> ColumnType | None:
        """The column type of a DuckDB type; None for types that this package never makes."""
        decimal = _DECIMAL.fullmatch(data_type)
        if decimal:
            return ColumnType("decimal", int(decimal[1]), int(decimal[2]))
        return _KINDS.get(data_type)

    def columns_of_dataset(self, dataset: str, tables: Iterable[str] | None = None) -> str:
        chosen = "" if tables is None else f"AND {is_one_of('table_name', tables)} "
        return (
            "SELECT table_name, column_name, data_type FROM duckdb_columns() "
            f"WHERE {is_dataset(dataset)} AND database_name = current_database() {chosen}ORDER BY table_name, column_index"
        )

    def place_among(self, columns: Iterable[str]) -> str:
        """The number of a row, unless a column bears its name.

        >>> DUCKDB.place_among(["id"]), DUCKDB.place_among(["id", "RowId"])
        ('rowid', '"_dlt_id"')
        """
        return quoted(ROW_ID) if hides_place(columns) else self.place

    def create_table(self, table: str, columns: Iterable[Column], storage_version: str | None = None) -> str:
        """Create a table, in a file of some version.

        DuckDB tries several compressions for every group of rows. For ids that takes it as long as to insert five columns
        of numbers, and ends with files of the same size as one compression gives.
        """
        compression = _ID_COMPRESSION.get(storage_version or "")
        definitions = ", ".join(
            f"{self.definition(column)} USING COMPRESSION {compression}"
            if compression and column.name in _IDS
            else self.definition(column)
            for column in columns
        )
        return f"CREATE TABLE {table} ({definitions})"


DUCKDB = DuckDBDialect()


def qualified(database: str, dataset: str, table: str) -> str:
    """A table with its database and dataset: three parts, since a dataset may bear the name of the database file."""
    return f"{quoted(database)}.{quoted(dataset)}.{quoted(table)}"


def create_dataset(database: str, dataset: str) -> str:
    return f"CREATE SCHEMA IF NOT EXISTS {quoted(database)}.{quoted(dataset)}"


def is_dataset(dataset: str) -> str:
    """The condition that a schema is the dataset; upper and lower case are one to DuckDB.

    >>> is_dataset("Sales")
    "lower(schema_name) = lower('Sales')"
    """
    return f"lower(schema_name) = lower({literal(dataset)})"


def hides_place(columns: Iterable[str]) -> bool:
    """Whether one of the columns bears the name under which DuckDB tells the number of a row."""
    return any(name.lower() == DuckDBDialect.place for name in columns)


def insert_arriving(table: str, column_types: Iterable[tuple[str, ColumnType]], arriving: str) -> str:
    """Insert rows of Arrow; JSON, which is text there, becomes JSON."""
    columns = list(column_types)
    names = ", ".join(quoted(name) for name, _ in columns)
    chosen = ", ".join(f"CAST({quoted(name)} AS JSON)" if kind.kind == "json" else quoted(name) for name, kind in columns)
    return f"INSERT INTO {table} ({names}) SELECT {chosen} FROM {arriving}"
