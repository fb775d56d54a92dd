"""DuckDB files: reflected from DuckDB's catalog, and read as the Arrow that it gives."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from typing import Any

import duckdb
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGIdentifierPreparer
from sqlalchemy.engine import URL

from dlt_orchestrate.load.interruption import CallAbandoned, interruptibly
from dlt_orchestrate.sources.sql_database.absent import expect_schema, missing_table
from dlt_orchestrate.sources.sql_database.columns import DUCKDB_TYPE, IS_UNIQUE
from dlt_orchestrate.sources.sql_database.credentials import location_of
from dlt_orchestrate.sources.sql_database.database import Chunk, Reading
from dlt_orchestrate.sources.sql_database.driver_arrow import chunks_of
from dlt_orchestrate.sources.sql_database.failures import told
from dlt_orchestrate.sources.sql_database.kinds import ColumnPlan

DEFAULT_SCHEMA = "main"

_TABLES = """
    SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = ? AND NOT internal
"""
_VIEWS = """
    SELECT view_name FROM duckdb_views() WHERE database_name = current_database() AND schema_name = ? AND NOT internal
"""
_SCHEMAS = "SELECT schema_name FROM duckdb_schemas() WHERE database_name = current_database() AND NOT internal"
_COLUMNS = """
    SELECT column_name, data_type, is_nullable, comment, numeric_precision, numeric_scale
    FROM duckdb_columns() WHERE database_name = current_database() AND schema_name = ? AND table_name = ?
    ORDER BY column_index
"""
_CONSTRAINTS = """
    SELECT constraint_type, constraint_column_names
    FROM duckdb_constraints() WHERE database_name = current_database() AND schema_name = ? AND table_name = ?
"""
_COMMENT = """
    SELECT comment FROM duckdb_tables() WHERE database_name = current_database() AND schema_name = ? AND table_name = ?
"""
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")

_TYPES: dict[str, Any] = {
    "BOOLEAN": sa.Boolean(),
    "TINYINT": sa.SmallInteger(),
    "SMALLINT": sa.SmallInteger(),
    "INTEGER": sa.Integer(),
    "BIGINT": sa.BigInteger(),
    "UTINYINT": sa.Integer(),
    "USMALLINT": sa.Integer(),
    "UINTEGER": sa.BigInteger(),
    "UBIGINT": sa.Numeric(20, 0),
    "HUGEINT": sa.Numeric(38, 0),
    "UHUGEINT": sa.Numeric(38, 0),
    "FLOAT": sa.REAL(),
    "DOUBLE": sa.Double(),
    "VARCHAR": sa.Text(),
    "BLOB": sa.LargeBinary(),
    "DATE": sa.Date(),
    "TIME": sa.Time(),
    "UUID": sa.Text(),
    "JSON": sa.JSON(),
}


class _AlwaysQuoting(PGIdentifierPreparer):
    """DuckDB has reserved words of its own, and others in each version."""

    def _requires_quotes(self, value: str) -> bool:  # noqa: ARG002
        return True


class _Dialect(postgresql.dialect):  # type: ignore[misc, valid-type]
    """DuckDB reads PostgreSQL's SQL; values stand in the statement, a backslash in a text is one."""

    name = "duckdb"
    supports_statement_cache = False
    preparer = _AlwaysQuoting
    _backslash_escapes = False

    def __init__(self) -> None:
        super().__init__(paramstyle="numeric_dollar")


class DuckDBDatabase:
    """One DuckDB file, read by DuckDB itself."""

    dialect = "duckdb"
    shares_snapshots = False

    def __init__(self, url: URL) -> None:
        self.location = location_of(url)
        self._path = str(url.database)

    def table_names(self, schema: str | None, *, include_views: bool) -> list[str]:
        with told(self.location, "its list of tables"), closing(self._open()) as connection:
            names = connection.execute(_TABLES, [schema or DEFAULT_SCHEMA]).fetchall()
            if include_views:
                names += connection.execute(_VIEWS, [schema or DEFAULT_SCHEMA]).fetchall()
            if schema is not None and not names:
                expect_schema(self.location, schema, [name for (name,) in connection.execute(_SCHEMAS).fetchall()])
        return sorted(name for (name,) in names)

    def reflect(
        self,
        name: str,
        schema: str | None,
        metadata: sa.MetaData | None,
        *,
        with_foreign_keys: bool,  # noqa: ARG002 - DuckDB's are of no use here
    ) -> sa.Table:
        metadata = sa.MetaData() if metadata is None else metadata
        key = f"{schema}.{name}" if schema else name
        if key in metadata.tables:
            return metadata.tables[key]
        place = [schema or DEFAULT_SCHEMA, name]
        with told(self.location, f"table {name!r}"), closing(self._open()) as connection:
            columns = connection.execute(_COLUMNS, place).fetchall()
            constraints = connection.execute(_CONSTRAINTS, place).fetchall()
            comments = connection.execute(_COMMENT, place).fetchall()
        if not columns:
            raise missing_table(self, name, schema)
        keys = {kind: names for kind, names in constraints if kind == "PRIMARY KEY"}.get("PRIMARY KEY", [])
        unique = {names[0] for kind, names in constraints if kind == "UNIQUE" and len(names) == 1}
        return sa.Table(
            name,
            metadata,
            *(
                sa.Column(
                    column,
                    _type(written),
                    nullable=bool(nullable),
                    comment=comment,
                    primary_key=column in keys,
                    autoincrement=False,
                    info={DUCKDB_TYPE: written, IS_UNIQUE: column in unique},
                )
                for column, written, nullable, comment, *_ in columns
            ),
            schema=schema,
            comment=comments[0][0] if comments else None,
        )

    def connect(self) -> Reading:
        with told(self.location, "a connection"):
            return _DuckDBReading(self._open())

    def close(self) -> None:
        """Nothing is kept open."""

    def _open(self) -> duckdb.DuckDBPyConnection:
        try:
            connection = duckdb.connect(self._path, read_only=True)
        except duckdb.ConnectionException:
            connection = duckdb.connect(self._path)  # this process has the file open to write
        connection.execute("SET TimeZone = 'UTC'")
        return connection


class _DuckDBReading:
    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._is_given_up = False

    def query(self, statement: Any, columns: Sequence[ColumnPlan], chunk_rows: int) -> Iterator[Chunk]:
        written = statement if isinstance(statement, str) else _written(statement)
        plans = {column.name: column for column in columns}
        reader = self._wait(lambda: self._connection.sql(written).to_arrow_reader(chunk_rows))
        while True:
            try:
                batch = self._wait(reader.read_next_batch)
            except StopIteration:
                return
            yield from chunks_of(batch, plans, chunk_rows)

    def begin_snapshot(self, exported: str | None = None) -> str | None:  # noqa: ARG002 - each has its own connection
        self._connection.execute("BEGIN TRANSACTION")
        return None

    def close(self) -> None:
        if not self._is_given_up:
            with suppress(Exception):
                self._connection.close()

    def _wait(self, call: Any) -> Any:
        try:
            return interruptibly(call, self._connection.interrupt)
        except CallAbandoned as abandoned:
            self._is_given_up = True
            raise abandoned.interruption from None


def _type(written: str) -> Any:
    if found := _DECIMAL.fullmatch(written):
        return sa.Numeric(int(found[1]), int(found[2]))
    if written.startswith("TIMESTAMP"):
        return sa.DateTime(timezone=written == "TIMESTAMP WITH TIME ZONE")
    return _TYPES.get(written, sa.types.NullType())


def _written(statement: Any) -> str:
    compiled = statement.compile(dialect=_Dialect(), compile_kwargs={"literal_binds": True})
    return str(compiled)
