"""`sql_database` and `sql_table`: the tables of a database as resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from dlt_orchestrate.config.inject import Placeholder, bind_with_config
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.values import secrets
from dlt_orchestrate.declare import current
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.declare.source import source
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.sources.sql_database.database import Access, place_of
from dlt_orchestrate.sources.sql_database.kinds import ReflectionLevel, TypeAdapter
from dlt_orchestrate.sources.sql_database.opening import opened
from dlt_orchestrate.sources.sql_database.reading import (
    Backend,
    QueryAdapter,
    TableAdapter,
    TableOptions,
    expect_function,
    reflected,
    rows_of,
)
from dlt_orchestrate.sources.sql_database.selection import expect_names, needs_database, selected
from dlt_orchestrate.sources.sql_database.snapshot import Snapshot

if TYPE_CHECKING:
    import sqlalchemy as sa

SECTION = "sql_database"
DEFAULT_CHUNK_ROWS = 50_000

Credentials = dict[str, Any] | str | Any
"""A URL, its fields, which may also stand below the key in the environment, or an engine of SQLAlchemy."""

EngineAdapter: TypeAlias = "Callable[[sa.Engine], sa.Engine | None]"


@source(name="sql_database", section=SECTION)
def sql_database(
    credentials: Credentials = secrets.value,
    schema: str | None = None,
    metadata: Any = None,
    table_names: list[str] | None = None,
    chunk_size: int = DEFAULT_CHUNK_ROWS,
    backend: str = "arrow",
    reflection_level: str = "full",
    defer_table_reflect: bool | None = None,
    table_adapter_callback: Any = None,
    backend_kwargs: Any = None,  # noqa: ARG001 - accepted as in dlt
    include_views: bool = False,
    type_adapter_callback: Any = None,
    query_adapter_callback: Any = None,
    resolve_foreign_keys: bool = False,
    engine_adapter_callback: Any = None,
    engine_kwargs: Any = None,
    exclude: list[str] | None = None,
    write_disposition: Any = None,
    snapshot: bool = False,
) -> list[Resource]:
    """The tables of a database, each a resource.

    Where all tables are named, nothing is asked of the database before one of them is read; patterns, or no names at all,
    need it when the source is evaluated.

    Args:
        credentials: A URL, its fields, or an engine of SQLAlchemy; `sources.sql_database.credentials` by default.
        schema: Of the database; its default schema if not given.
        metadata: A `MetaData` of SQLAlchemy, whose tables are not asked for again.
        table_names: Names and patterns, such as `["orders", "shop_*"]`; all tables by default.
        chunk_size: Most rows of a chunk.
        backend: The form of rows for the steps of the resource: "arrow" tables by default, dictionaries by "sqlalchemy",
            "pandas" frames. "adbc", "pyarrow" and "connectorx" mean "arrow": how the rows are read is chosen by database.
        reflection_level: "minimal" gives keys and nullability, "full" types too, "full_with_precision" the lengths of texts
            and the widths of integers as well.
        defer_table_reflect: False asks for all tables at once when the source is evaluated, so that their hints are known.
        table_adapter_callback: Is given each table as reflected, and may change it, or give another one.
        backend_kwargs: Accepted as in dlt; nothing here needs them.
        include_views: Whether views are tables, too, where none are named.
        type_adapter_callback: Is given the type of each column, and may give another; None lets the values tell.
        query_adapter_callback: Is given query and table, and if it takes them cursor and engine; gives the query to ask.
        resolve_foreign_keys: Whether foreign keys become references of the schema.
        engine_adapter_callback: Is given the engine, and may change it.
        engine_kwargs: Arguments of `create_engine`.
        exclude: Names and patterns of tables that are left out.
        write_disposition: Of all resources; append by default.
        snapshot: Whether all tables of a run are read as they were at one moment.

    Raises:
        DeclarationError: A table is named, or a pattern given, that means none; or `exclude` names one that is not there.
        DatabaseCredentialsError, DatabaseReadError: The database cannot be asked which tables it has.
    """
    owner = "Source 'sql_database'"
    expect_function(owner, "engine_adapter_callback", engine_adapter_callback)
    options = TableOptions(
        schema=schema,
        metadata=metadata,
        chunk_size=chunk_size,
        backend=cast("Backend", backend),
        reflection_level=cast("ReflectionLevel", reflection_level),
        table_adapter=table_adapter_callback,
        type_adapter=type_adapter_callback,
        query_adapter=query_adapter_callback,
        resolve_foreign_keys=resolve_foreign_keys,
    )
    options.expect_sense(owner)
    access = _access(credentials, backend, engine_kwargs, engine_adapter_callback)
    wanted = expect_names(owner, "table_names", table_names)
    left_out = expect_names(owner, "exclude", exclude)
    if needs_database(wanted) and metadata is not None and metadata.tables:
        there = [table.name for table in metadata.tables.values() if table.schema in (None, schema)]
        names = selected(there, wanted, left_out, location="the metadata that was given")
    elif needs_database(wanted):
        _expect_credentials(credentials)
        with opened(access) as database:
            views = include_views or bool(wanted)
            names = selected(
                database.table_names(schema, include_views=views),
                wanted,
                left_out,
                location=place_of(database, schema),
                everything=lambda: database.table_names(schema, include_views=True),
            )
    else:
        names = selected(wanted or [], wanted, left_out, location="table_names")
    if not names:
        raise DeclarationError(
            f"{owner}: table_names={wanted!r} and exclude={left_out!r} leave no table. Views count only where they are "
            "named, or with include_views=True; tables of another schema with schema=..."
        )
    shared = Snapshot(access) if snapshot else None
    made = [table_resource(name, access, options, shared, write_disposition=write_disposition) for name in names]
    if defer_table_reflect is False and not isinstance(credentials, Placeholder):
        with opened(access) as database:
            for found in made:
                _with_hints(found, reflected(database, found.name, options).hints)
    return made


def sql_table(
    credentials: Credentials = secrets.value,
    table: str | None = None,
    schema: str | None = None,
    metadata: Any = None,
    incremental: Incremental[Any] | None = None,
    chunk_size: int = DEFAULT_CHUNK_ROWS,
    backend: Backend = "arrow",
    reflection_level: ReflectionLevel = "full",
    defer_table_reflect: bool | None = None,
    table_adapter_callback: TableAdapter | None = None,
    backend_kwargs: Any = None,  # noqa: ARG001 - accepted as in dlt
    type_adapter_callback: TypeAdapter | None = None,
    included_columns: Sequence[str] | None = None,
    excluded_columns: Sequence[str] | None = None,
    query_adapter_callback: QueryAdapter | None = None,
    resolve_foreign_keys: bool = False,
    engine_adapter_callback: EngineAdapter | None = None,
    engine_kwargs: Mapping[str, Any] | None = None,
    write_disposition: Any = "append",
    primary_key: Any = None,
    merge_key: Any = None,
    split_by: str | None = None,
) -> Resource:
    """One table of a database, or a view, as a resource; arguments as in `sql_database`.

    Args:
        credentials: Also `sources.sql_database.<table>.credentials` of the configuration.
        table: Its name.
        incremental: The cursor, by a column of the table; its bounds go into the query.
        included_columns, excluded_columns: Names and patterns of columns.
        primary_key: In place of that of the table.
        split_by: A column of whole numbers: a partition whose key is a range of it, such as `0..1000`, reads that range.

    Raises:
        DeclarationError: An argument has no sense.
    """
    if not isinstance(table, str) or not table:
        raise DeclarationError("sql_table: name the table to read, as in sql_table(table='orders').")
    owner = f"Resource {table!r}"
    expect_function(owner, "engine_adapter_callback", engine_adapter_callback)
    options = TableOptions(
        schema=schema,
        metadata=metadata,
        chunk_size=chunk_size,
        backend=backend,
        reflection_level=reflection_level,
        table_adapter=table_adapter_callback,
        type_adapter=type_adapter_callback,
        query_adapter=query_adapter_callback,
        included_columns=expect_names(owner, "included_columns", included_columns),
        excluded_columns=expect_names(owner, "excluded_columns", excluded_columns),
        resolve_foreign_keys=resolve_foreign_keys,
        split_by=split_by,
    )
    options.expect_sense(owner)
    access = _access(credentials, backend, engine_kwargs, engine_adapter_callback)
    made = table_resource(
        table,
        access,
        options,
        None,
        incremental=incremental,
        write_disposition=write_disposition,
        primary_key=primary_key,
        merge_key=merge_key,
    )
    if defer_table_reflect is False:
        ready = bind_with_config(
            _only_credentials, (credentials,), {}, resolver=Resolver.from_environment(), sections=made.sections, owner=owner
        )
        with opened(_access(ready.arguments["credentials"], backend, engine_kwargs, engine_adapter_callback)) as database:
            _with_hints(made, reflected(database, table, options).hints)
    return made


def table_resource(
    name: str, access: Access, options: TableOptions, snapshot: Snapshot | None, **declared: Any
) -> Resource:
    """The resource of a table, which asks nobody before it is read.

    Args:
        declared: Arguments of a resource; None is left out.
    """

    def read(
        credentials: Credentials = secrets.value,
        chunk_size: int = options.chunk_size,
        incremental: Incremental[Any] | None = None,
    ) -> Iterator[Any]:
        reached = replace(access, credentials=credentials)
        yield from rows_of(name, reached, replace(options, chunk_size=chunk_size), incremental, snapshot)

    def read_part(
        credentials: Credentials = secrets.value,
        chunk_size: int = options.chunk_size,
        incremental: Incremental[Any] | None = None,
    ) -> Iterator[Any]:
        reached = replace(access, credentials=credentials)
        part = current.partition_key() if options.split_by is not None else None
        yield from rows_of(name, reached, replace(options, chunk_size=chunk_size, part=part), incremental, snapshot)

    given = {key: value for key, value in declared.items() if value is not None}
    # Dagster's partitions look into a function for whether it asks which of them it loads; a query of the user's may.
    may_ask = options.split_by is not None or options.query_adapter is not None
    made: Resource = resource(read_part if may_ask else read, name=name, section=SECTION, **given)
    made.description = f"Rows of {f'{options.schema}.' if options.schema else ''}{name}."
    return made.bind(access.credentials)


def _with_hints(made: Resource, hints: Mapping[str, Any]) -> None:
    made.apply_hints(**made.declared.beside(hints))


def _access(credentials: Any, backend: str, arguments: Mapping[str, Any] | None, adapt: Any) -> Access:
    return Access(credentials, arguments or {}, adapt, prefers_rows=backend == "sqlalchemy")


def _only_credentials(credentials: Credentials = secrets.value) -> None:
    """What is to be read from the configuration."""


def _expect_credentials(credentials: Any) -> None:
    if isinstance(credentials, Placeholder):
        raise DeclarationError(
            "Source 'sql_database': which tables are meant can be told by the database alone, and its credentials are not "
            "configured here. Name the tables with table_names=[...], pass resources=[...] to ingest_assets, or let "
            "SqlDatabaseComponent find them."
        )
