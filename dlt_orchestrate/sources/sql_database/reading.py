"""The rows of one table, and what the database says of it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare import mark
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.errors import CursorFieldMissingError, DeclarationError, MissingExtraError
from dlt_orchestrate.extract.incremental import told_instead
from dlt_orchestrate.http.exact_json import has_long_integer
from dlt_orchestrate.normalize.classify import JsonText
from dlt_orchestrate.schema.jsonpath import parse_path
from dlt_orchestrate.sources.sql_database.database import Access, Chunk, Database, Reading
from dlt_orchestrate.sources.sql_database.failures import told
from dlt_orchestrate.sources.sql_database.kinds import ColumnPlan, ReflectionLevel, TypeAdapter
from dlt_orchestrate.sources.sql_database.opening import opened
from dlt_orchestrate.sources.sql_database.selection import chosen_columns, with_columns
from dlt_orchestrate.sources.sql_database.snapshot import Snapshot
from dlt_orchestrate.sources.sql_database.table_hints import column_hints, primary_key_of, references_of

if TYPE_CHECKING:
    import sqlalchemy as sa

    from dlt_orchestrate.sources.sql_database.columns import ReflectedColumn
    from dlt_orchestrate.sources.sql_database.order import OrderWatch

Backend = Literal["arrow", "adbc", "pyarrow", "connectorx", "pandas", "sqlalchemy"]
BACKENDS: tuple[Backend, ...] = ("arrow", "adbc", "pyarrow", "connectorx", "pandas", "sqlalchemy")
LEVELS: tuple[ReflectionLevel, ...] = ("minimal", "full", "full_with_precision")

TableAdapter: TypeAlias = "Callable[[sa.Table], sa.Table | None]"
QueryAdapter = Callable[..., Any]


@dataclass(frozen=True)
class TableOptions:
    """How a table is read.

    Attributes:
        schema: Of the database; None for its default one.
        metadata: Tables that are reflected already.
        chunk_size: Most rows of a chunk.
        backend: In which form rows are handed to the steps of the resource.
        included_columns, excluded_columns: Names and patterns.
        split_by: The column whose range the key of a partition names.
        part: The key of the partition that is read; None for all rows.
    """

    schema: str | None = None
    metadata: sa.MetaData | None = None
    chunk_size: int = 50_000
    backend: Backend = "arrow"
    reflection_level: ReflectionLevel = "full"
    table_adapter: TableAdapter | None = None
    type_adapter: TypeAdapter | None = None
    query_adapter: QueryAdapter | None = None
    included_columns: Sequence[str] | None = None
    excluded_columns: Sequence[str] | None = None
    resolve_foreign_keys: bool = False
    split_by: str | None = None
    part: str | None = None

    @property
    def are_plain(self) -> bool:
        """Whether they ask for nothing that SQLAlchemy has to do."""
        asking = (self.metadata, self.table_adapter, self.type_adapter, self.query_adapter, self.part)
        return not self.resolve_foreign_keys and all(asked is None for asked in asking)

    def expect_sense(self, owner: str) -> None:
        """Refuse values that are not known.

        Raises:
            DeclarationError: There is one.
        """
        for name in ("table_adapter", "type_adapter", "query_adapter"):
            expect_function(owner, f"{name}_callback", getattr(self, name))
        for argument, value, known in (
            ("backend", self.backend, BACKENDS),
            ("reflection_level", self.reflection_level, LEVELS),
        ):
            if value not in known:
                raise DeclarationError(
                    f"{owner}: {argument}={value!r} is not known. Choose one of {', '.join(map(repr, known))}."
                )
        if self.chunk_size < 1:
            raise DeclarationError(f"{owner}: chunk_size must be a number of rows, not {self.chunk_size!r}.")


@dataclass(frozen=True)
class Reflected:
    """A table as it is declared in the database, and its columns as they are read."""

    table: sa.Table
    plans: Sequence[ReflectedColumn]
    options: TableOptions = field(repr=False)

    @property
    def hints(self) -> dict[str, Any]:
        """What the database says of the table, as hints of a resource."""
        found: dict[str, Any] = {
            "primary_key": primary_key_of(self.table) or None,
            "columns": column_hints(self.plans, self.options.reflection_level),
        }
        if self.options.resolve_foreign_keys and (references := references_of(self.table)):
            found["references"] = references
        return found

    @property
    def uncertain_types(self) -> dict[str, dict[str, Any]]:
        """Declared types that values need not have, so that they are no hints; a cursor begins with such a value."""
        return {
            plan.name: replace(plan.kind, is_certain=True).hint("full") for plan in self.plans if not plan.kind.is_certain
        }


def reflected(database: Database, name: str, options: TableOptions) -> Reflected:
    """Ask the database what a table is.

    Raises:
        DatabaseReadError: There is no such table, or the database cannot be asked.
        DeclarationError: A column is named that the table does not have.
    """
    from dlt_orchestrate.sources.sql_database.columns import plan_columns

    table = database.reflect(name, options.schema, options.metadata, with_foreign_keys=options.resolve_foreign_keys)
    if options.table_adapter is not None:
        adapted = options.table_adapter(table)
        table = table if adapted is None else adapted  # one that gives none has changed the table itself
    table = with_columns(table, included=options.included_columns, excluded=options.excluded_columns)
    return Reflected(table, plan_columns(table, database.dialect, options.type_adapter), options)


@dataclass(frozen=True)
class _Asked:
    """A table that is about to be read.

    Attributes:
        location: Of the database, without credentials.
        plans: Its columns.
        hints: What the database says of it.
        watch: What looks at the order of its rows.
    """

    location: str
    reading: Reading
    query: Any
    plans: Sequence[ColumnPlan]
    hints: Mapping[str, Any]
    watch: OrderWatch | None = None


def rows_of(
    name: str, access: Access, options: TableOptions, cursor: Incremental[Any] | None, snapshot: Snapshot | None
) -> Iterator[Any]:
    """The rows of a table in chunks, each with what the database says of the table.

    Raises:
        DatabaseReadError: The database refused, or broke off, what was asked of it.
        CursorFieldMissingError: The table has no column that the cursor reads.
    """
    with ExitStack() as until:
        asked = None
        if cursor is None and snapshot is None and options.are_plain and access.is_plain:
            asked = _asked_plainly(name, access, options, until)
        if asked is None:
            asked = _asked(name, until.enter_context(_connected(name, access, snapshot)), options, cursor)
        is_empty = True
        with told(asked.location, f"table {name!r}"):
            for chunk in _chunks(name, asked, options):
                # Each has them, since the cursor may turn away the first ones.
                yield mark.with_found_hints(chunk, **asked.hints)
                is_empty = False
        if is_empty or cursor is not None:  # which may turn away all that has come
            yield mark.with_found_hints(mark.materialize_table_schema(), **asked.hints)


def _asked(
    name: str, connected: tuple[Database, Reading], options: TableOptions, cursor: Incremental[Any] | None
) -> _Asked:
    database, reading = connected
    found = reflected(database, name, options)
    query = _query(found, cursor, database)
    if options.split_by is not None and options.part is not None:
        from dlt_orchestrate.sources.sql_database.ranges import split_column, warn_of_rows_outside

        with told(database.location, f"table {name!r}"):
            warn_of_rows_outside(reading, split_column(found.plans, options.split_by, name), name, options.part)
    if cursor is not None and not isinstance(query, str):
        # It asks for the range; nulls, which each database puts where it likes, may stand behind a row out of it.
        cursor.read_to_end()
    return _Asked(database.location, reading, query, found.plans, found.hints, _watch(found, cursor))


def _asked_plainly(name: str, access: Access, options: TableOptions, until: ExitStack) -> _Asked | None:
    """The table without SQLAlchemy, where that is enough: its import takes longer than a small load."""
    from dlt_orchestrate.sources.sql_database import postgres_catalog

    server = postgres_catalog.plain_address(access.credentials)
    if server is None:
        return None

    from dlt_orchestrate.sources.sql_database.adbc_reading import AdbcReading

    with told(server.location, "a connection"):
        connection = postgres_catalog.session(server)
    reading = AdbcReading(connection)
    with ExitStack() as opened_now, told(server.location, f"table {name!r}"):
        opened_now.callback(reading.close)
        found = postgres_catalog.described(connection, name, options.schema)
        if found is None:
            return None
        until.push(opened_now.pop_all())
    there = [plan.name for plan in found.columns]
    chosen = set(chosen_columns(name, there, included=options.included_columns, excluded=options.excluded_columns))
    plans = [plan for plan in found.columns if plan.name in chosen]
    hints = {
        "primary_key": found.key if chosen.issuperset(found.key) and found.key else None,
        "columns": column_hints(plans, options.reflection_level),
    }
    return _Asked(server.location, reading, postgres_catalog.query_of(name, options.schema, plans), plans, hints)


@contextmanager
def _connected(name: str, access: Access, snapshot: Snapshot | None) -> Iterator[tuple[Database, Reading]]:
    if snapshot is not None:
        with snapshot.reading(name) as found:
            yield found
        return
    with opened(access) as database:
        reading = database.connect()
        try:
            yield database, reading
        finally:
            reading.close()


def _query(found: Reflected, cursor: Incremental[Any] | None, database: Database) -> Any:
    import sqlalchemy as sa

    from dlt_orchestrate.sources.sql_database.bounds import bounded
    from dlt_orchestrate.sources.sql_database.ranges import in_range, split_column

    query: Any = sa.select(*(plan.expression for plan in found.plans)).select_from(found.table)
    if cursor is not None:
        query = bounded(query, _cursor_column(found, cursor), cursor)
    if found.options.split_by is not None and found.options.part is not None:
        name = found.table.name
        query = in_range(query, split_column(found.plans, found.options.split_by, name), name, found.options.part)
    adapt = found.options.query_adapter
    if adapt is None:
        return query
    engine = getattr(database, "engine", None)
    adapted = adapt(*(query, found.table, cursor, engine)[: _arity(adapt)])
    if isinstance(adapted, str):
        return adapted
    if not isinstance(adapted, sa.sql.ClauseElement):
        raise DeclarationError(
            f"Resource {found.table.name!r}: its query_adapter_callback gave a {type(adapted).__name__}. Return the query "
            "that it was given, changed, or another one: a select of SQLAlchemy, sqlalchemy.text(...) or a text."
        )
    return str(adapted) if isinstance(adapted, sa.TextClause) and not adapted._bindparams else adapted


def _arity(adapt: QueryAdapter) -> int:
    """How many of query, table, cursor and engine a query adapter takes."""
    parameters = inspect.signature(adapt).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return 4
    return len([p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)])


def _cursor_column(found: Reflected, cursor: Incremental[Any]) -> ReflectedColumn:
    steps = parse_path(cursor.cursor_path)
    head = steps[0] if steps else None
    for plan in found.plans:
        if plan.name == head:
            return plan
    raise CursorFieldMissingError(
        resource=found.table.name,
        cursor_path=cursor.cursor_path,
        found=told_instead(cursor.cursor_path, [plan.name for plan in found.plans]),
    )


def _chunks(name: str, asked: _Asked, options: TableOptions) -> Iterator[Any]:
    """The chunks in the form that the backend says."""
    for chunk in asked.reading.query(asked.query, asked.plans, options.chunk_size):
        if asked.watch is not None and (problem := asked.watch.problem_in(chunk)):
            raise DeclarationError(
                f"Resource {name!r}: {problem}. Leave row_order out of incremental(...): the cursor then moves at the "
                "end of a run."
            )
        match options.backend:
            case "sqlalchemy":
                yield _as_records(chunk, asked.plans)
            case "pandas":
                yield _as_frame(chunk)
            case _:
                yield chunk


def _watch(found: Reflected, cursor: Incremental[Any] | None) -> OrderWatch | None:
    """What looks at the order of rows where a cursor may move on in the middle of them; None where that needs none."""
    from dlt_orchestrate.sources.sql_database.order import OrderWatch, sorts_as_text

    if cursor is None or not cursor.rises or cursor.end_value is not None:
        return None
    plan = _cursor_column(found, cursor)
    return OrderWatch(plan, rises=cursor.row_order == "asc") if sorts_as_text(plan) else None


def _as_records(chunk: Chunk, plans: Sequence[ColumnPlan]) -> list[dict[str, Any]]:
    from dlt_orchestrate.sources.sql_database.driver_arrow import records_of_table

    nested = [plan.name for plan in plans if plan.kind.data_type == "json"]
    records: list[dict[str, Any]] = chunk if isinstance(chunk, list) else records_of_table(chunk)
    for record in records:
        for name in nested:
            if isinstance(record.get(name), str):
                record[name] = _parsed(record[name])
    return records


def _parsed(text: str) -> Any:
    """A JSON value; the text itself if a number in it is greater than any of Python's."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return JsonText(text)
    return json.loads(text) if has_long_integer(text.encode()) else found


def _as_frame(chunk: Chunk) -> Any:
    """A frame of pandas whose columns are Arrow's, so that whole numbers and nulls stay what they are.

    Raises:
        MissingExtraError: The extra is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtraError(feature="backend='pandas'", extra="frames") from None

    return chunk if isinstance(chunk, list) else chunk.to_pandas(types_mapper=pd.ArrowDtype)


def expect_function(owner: str, argument: str, value: Any) -> None:
    """Refuse a callback that cannot be called.

    Raises:
        DeclarationError: It is one.
    """
    if value is not None and not callable(value):
        raise DeclarationError(f"{owner}: {argument} must be a function, not {type(value).__name__}.")
