"""Databases that SQLAlchemy reaches: reflected by it, and read by it or by ADBC."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import sqlalchemy as sa

from dlt_orchestrate.sources.sql_database import adbc_dialect
from dlt_orchestrate.sources.sql_database.absent import expect_schema, missing_table
from dlt_orchestrate.sources.sql_database.adbc_reading import AdbcReading
from dlt_orchestrate.sources.sql_database.columns import IS_UNIQUE
from dlt_orchestrate.sources.sql_database.database import Chunk, Reading
from dlt_orchestrate.sources.sql_database.failures import told
from dlt_orchestrate.sources.sql_database.kinds import ColumnPlan
from dlt_orchestrate.sources.sql_database.rows import chunk_of

_MYSQL = ("mysql", "mariadb")
_ON_CONNECT = dict.fromkeys(_MYSQL, ("SET time_zone = '+00:00'",))
"""MySQL tells a TIMESTAMP in the zone of the session."""
_SNAPSHOTS = {
    **dict.fromkeys(
        _MYSQL,
        ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"),
    ),
    "sqlite": ("BEGIN",),
    "postgresql": ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",),
}


class EngineDatabase:
    """A database behind an engine of SQLAlchemy."""

    def __init__(self, engine: sa.Engine, location: str, *, owns_engine: bool) -> None:
        self.location = location
        self.dialect = engine.dialect.name
        self.engine = engine
        self._owns_engine = owns_engine
        self.is_adbc = isinstance(engine.dialect, adbc_dialect.PostgresThroughAdbc)
        self.shares_snapshots = self.is_adbc

    def table_names(self, schema: str | None, *, include_views: bool) -> list[str]:
        with told(self.location, "its list of tables"):
            inspector = sa.inspect(self.engine)
            try:
                names = inspector.get_table_names(schema)
                if include_views:
                    names += inspector.get_view_names(schema)
                    with suppress(NotImplementedError):
                        names += inspector.get_materialized_view_names(schema)
            except sa.exc.DBAPIError:
                if schema is not None:
                    expect_schema(self.location, schema, inspector.get_schema_names())
                raise
            if schema is not None and not names:  # only then: not all that can be read is listed
                expect_schema(self.location, schema, inspector.get_schema_names())
        return sorted(dict.fromkeys(names))

    def reflect(self, name: str, schema: str | None, metadata: sa.MetaData | None, *, with_foreign_keys: bool) -> sa.Table:
        metadata = sa.MetaData() if metadata is None else metadata
        key = f"{schema}.{name}" if schema else name
        if key in metadata.tables:
            return metadata.tables[key]
        with told(self.location, f"table {name!r}"), warnings.catch_warnings():
            warnings.simplefilter("ignore", sa.exc.SAWarning)  # types that it does not know are asked for as text
            try:
                return _reflected(sa.inspect(self.engine), name, schema, metadata, with_foreign_keys=with_foreign_keys)
            except sa.exc.NoSuchTableError:
                raise missing_table(self, name, schema) from None

    def connect(self) -> Reading:
        with told(self.location, "a connection"):
            if not self.is_adbc:
                return RowReading(self)
            pooled = self.engine.raw_connection()
            pooled.detach()
            return AdbcReading(pooled.dbapi_connection, partial(adbc_dialect.written, self.engine))

    def close(self) -> None:
        if self._owns_engine:
            self.engine.dispose()


def _reflected(
    inspector: sa.Inspector, name: str, schema: str | None, metadata: sa.MetaData, *, with_foreign_keys: bool
) -> sa.Table:
    """A table, asked for with the few queries whose answers are of use here: columns, keys and comment."""
    plain = _unescaped if inspector.dialect.name in _MYSQL else str
    columns = inspector.get_columns(name, schema)
    key = [plain(column) for column in inspector.get_pk_constraint(name, schema)["constrained_columns"]]
    groups = [found["column_names"] for found in _unique(inspector, name, schema)]
    unique = {plain(group[0]) for group in groups if len(group) == 1}
    foreign = inspector.get_foreign_keys(name, schema) if with_foreign_keys else []
    return sa.Table(
        name,
        metadata,
        *(
            sa.Column(
                column_name,
                column["type"],
                nullable=column["nullable"],
                comment=column.get("comment"),
                primary_key=column_name in key,
                autoincrement=False,
                info={IS_UNIQUE: column_name in unique},
            )
            for column in columns
            for column_name in (plain(column["name"]),)
        ),
        *(
            sa.ForeignKeyConstraint(
                [plain(column) for column in found["constrained_columns"]],
                [_qualified(found, plain(column)) for column in found["referred_columns"]],
                name=found["name"],
                link_to_name=True,
            )
            for found in foreign
        ),
        schema=schema,
        comment=_comment(inspector, name, schema),
    )


def _unescaped(name: str) -> str:
    """A name as MySQL means it: SQLAlchemy gives it as the statement has it that made the table, with backticks doubled."""
    return name.replace("``", "`")


def _unique(inspector: sa.Inspector, name: str, schema: str | None) -> Sequence[Any]:
    try:
        return inspector.get_unique_constraints(name, schema)
    except (NotImplementedError, sa.exc.NoSuchTableError):  # SQLite has none of a view
        return ()


def _comment(inspector: sa.Inspector, name: str, schema: str | None) -> str | None:
    try:
        return inspector.get_table_comment(name, schema)["text"]
    except (NotImplementedError, sa.exc.NoSuchTableError):
        return None


def _qualified(found: Any, column: str) -> str:
    return ".".join(part for part in (found["referred_schema"], found["referred_table"], column) if part)


class RowReading:
    """A connection that gives rows, which become Arrow here."""

    def __init__(self, database: EngineDatabase) -> None:
        self._database = database
        self._connection = database.engine.connect()
        self._connection.detach()  # its settings are ours alone: it is closed in the end, not given back
        for statement in _ON_CONNECT.get(database.dialect, ()):
            self._connection.exec_driver_sql(statement)
        if database.dialect in _ON_CONNECT:
            self._connection.commit()
        self._goes_on = False
        self._streams = database.dialect != "sqlite"  # which hands rows out one by one anyway

    def query(self, statement: Any, columns: Sequence[ColumnPlan], chunk_rows: int) -> Iterator[Chunk]:
        statement = sa.text(statement) if isinstance(statement, str) else statement
        options: dict[str, Any] = {"yield_per": chunk_rows} if self._streams else {}
        result = self._connection.execute(statement, execution_options=options)
        try:
            names = list(result.keys())
            known = {column.name: column for column in columns}
            plans = [known.get(name) for name in names]
            # Where it streams, SQLAlchemy has taken the first rows already; else the driver's own tuples are at hand.
            fetch = result.fetchmany if self._streams or result.cursor is None else result.cursor.fetchmany
            while rows := fetch(chunk_rows):
                yield chunk_of(rows, names, plans)
        except GeneratorExit:
            if not self._goes_on:
                _forget_rest(result)
            raise
        except BaseException:
            _forget_rest(result)
            raise
        finally:
            with suppress(Exception):  # of a connection that is broken
                result.close()

    def begin_snapshot(self, exported: str | None = None) -> str | None:  # noqa: ARG002 - each has its own connection
        self._goes_on = True
        if self._database.dialect == "sqlite":
            self._connection.connection.dbapi_connection.isolation_level = None  # type: ignore[union-attr]
        for statement in _SNAPSHOTS.get(self._database.dialect, ()):
            self._connection.exec_driver_sql(statement)
        return None

    def close(self) -> None:
        with suppress(Exception):  # a connection that is broken is closed already
            self._connection.close()


def _forget_rest(result: Any) -> None:
    """Leave the rest of the rows to the server: PyMySQL would read all of it, even from a connection that is gone."""
    unread: Any = getattr(result.cursor, "_result", None)
    if getattr(unread, "unbuffered_active", False):
        unread.unbuffered_active = False
        unread.connection = None
