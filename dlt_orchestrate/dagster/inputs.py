"""Inputs: loaded tables, as what the annotations of assets downstream ask for."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dagster import InputContext, TimeWindow

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.dagster.naming import CURSOR
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError, DestinationUnavailableError, TableNotLoadedError
from dlt_orchestrate.pipeline.dataset import Relation
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.moments import NotOnScale

if TYPE_CHECKING:
    import pyarrow as pa

DATASET = "dlt_orchestrate.Dataset"
TABLE_NAME = "dagster/table_name"

_SETTINGS = frozenset({"table", "columns", "window"})


def input_value(context: InputContext, source: Pipeline) -> Any:
    """The value of an input, read from what `source` loads.

    Raises:
        TableNotLoadedError: The table is not there yet.
        DeclarationError: The input asks for a type, a column or a window that there is not.
    """
    asked = _Asked.of(context)
    kind = _kind_of(context.dagster_type.typing_type, asked.input_name)
    if kind == DATASET:
        return source.dataset()
    return _READ_AS[kind](_relation(source, asked, _table_of(context, source)))


@dataclass(frozen=True)
class _Asked:
    """What an input asks for.

    Attributes:
        asset: The asset that it comes from.
        window_column: The column that tells the partition; None if all rows are asked for.
        window: The partition of the run, if it has one.
    """

    input_name: str
    asset: str
    table: str | None
    columns: tuple[str, ...]
    window_column: str | None
    window: TimeWindow | None

    @classmethod
    def of(cls, context: InputContext) -> "_Asked":
        metadata = context.definition_metadata or {}
        name = context.name
        if unknown := [key for key in metadata if key not in _SETTINGS and "/" not in key]:
            raise DeclarationError(
                f"Input {name!r}: its metadata has {unknown[0]!r}, which is not known. "
                f"{meant(unknown[0], sorted(_SETTINGS))}"
            )
        columns = metadata.get("columns", ())
        column = _window_column(context) if metadata.get("window") else None
        return cls(
            input_name=name,
            asset=context.asset_key.to_user_string(),
            table=metadata.get("table"),
            columns=(columns,) if isinstance(columns, str) else tuple(columns),
            window_column=column,
            window=_window_of_run(context) if column else None,
        )


def _table_of(context: InputContext, source: Pipeline) -> str:
    """The table of the asset that an input comes from."""
    upstream = context.upstream_output
    told = upstream.definition_metadata.get(TABLE_NAME) if upstream else None
    prefix = source.destination.qualified_name(source.dataset_name, "")
    if told is not None:
        return str(getattr(told, "value", told)).removeprefix(prefix)
    return source.naming_of(None).table((context.asset_key.path[-1],))


def _window_column(context: InputContext) -> str:
    asked = (context.definition_metadata or {})["window"]
    if isinstance(asked, str):
        return asked
    upstream = context.upstream_output
    cursor = upstream.definition_metadata.get(CURSOR) if upstream else None
    if cursor is None:
        raise DeclarationError(
            f"Input {context.name!r} asks for the window of the run, and asset {context.asset_key.to_user_string()!r} has "
            "no cursor that would tell it. Name the column: metadata={'window': 'created_at'}."
        )
    return str(getattr(cursor, "value", cursor))


def _window_of_run(context: InputContext) -> TimeWindow | None:
    """The window of time that the run is about; None if it has none."""
    try:
        if context.has_asset_partitions:
            return context.asset_partitions_time_window
        return context.step_context.partition_time_window if context.has_partition_key else None
    except ValueError as error:
        raise DeclarationError(
            f"Input {context.name!r} asks for the window of the run, whose partition has none: {error}. Leave window out."
        ) from error


def _relation(source: Pipeline, asked: _Asked, own_table: str) -> Relation:
    """The rows and columns that an input asks for."""
    table = asked.table or own_table
    try:
        with source.destination.reader(source.dataset_name) as reader:
            tables = reader.tables()
    except DestinationUnavailableError as error:
        raise _not_loaded(source, asked, table, ()) from error
    if table not in tables:
        raise _not_loaded(source, asked, table, tables)
    column = asked.window_column
    if column is not None and column not in tables[table]:  # the cursor's path, as the source spells it
        column = source.naming_of(None).path(tuple(column.split(".")))
    wanted = [*asked.columns, *([column] if column else [])]
    if missing := [column for column in wanted if column not in tables[table]]:
        raise DeclarationError(
            f"Input {asked.input_name!r}: table {table!r} has no column {missing[0]!r}. It has {', '.join(tables[table])}."
        )
    relation = Relation(source.destination, source.dataset_name, table=table)
    if column and asked.window:
        start, end = _bounds(relation, column, asked.window)
        relation = relation.where(column, ">=", start).where(column, "<", end)
    return relation.select(*asked.columns) if asked.columns else relation


def _not_loaded(source: Pipeline, asked: _Asked, table: str, known: Iterable[str]) -> TableNotLoadedError:
    return TableNotLoadedError(
        table=table,
        dataset=source.dataset_name,
        location=source.destination.location,
        wanted_by=f"Input {asked.input_name!r}",
        asset=asked.asset,
        known=sorted(name for name in known if not name.startswith("_dlt_")),
    )


def _bounds(relation: Relation, column: str, window: TimeWindow) -> tuple[Any, Any]:
    """The bounds of a window as values of the column's type."""
    from dlt_orchestrate.load.bounds import bound_of

    field = relation.select(column).limit(0).arrow().schema.field(0)
    kind, example = _column_type(field.type), None
    try:
        if kind.kind == "text":
            texts = (text for (text,) in relation.select(column).limit(100).fetchall() if text is not None)
            example = next(texts, None)
        start, end = (bound_of(moment.isoformat(), kind, example) for moment in (window.start, window.end))
    except NotOnScale as error:
        raise DeclarationError(
            f"Column {column!r} of table {relation.table!r} is {field.type}, which cannot be compared with the window of "
            f"the run, {window.start.isoformat()} to {window.end.isoformat()}. Name a column of moments or days."
        ) from error
    return start, end


def _column_type(arrow_type: "pa.DataType") -> ColumnType:
    import pyarrow as pa

    if pa.types.is_timestamp(arrow_type):
        return ColumnType("timestamp", timezone=None if arrow_type.tz else False)
    if pa.types.is_date(arrow_type):
        return ColumnType("date")
    if pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type):
        return ColumnType("text")
    return ColumnType("bigint")


def _kind_of(annotation: Any, input_name: str) -> str:
    """The full name of what an input shall be, without its inner modules."""
    if annotation is Any or annotation is None:
        return "pyarrow.Table"
    module, name = getattr(annotation, "__module__", ""), getattr(annotation, "__qualname__", str(annotation))
    kind = f"{module.partition('.')[0].lstrip('_')}.{name}"
    if kind not in _READ_AS and kind != DATASET:
        known = ", ".join([*_READ_AS, DATASET])
        raise DeclarationError(
            f"Input {input_name!r} is annotated as {kind}, which no table is handed out as. Known are {known}."
        )
    return kind


def _as_polars(relation: Relation) -> Any:
    import polars as pl

    return pl.from_arrow(relation.arrow())


def _as_duckdb(relation: Relation) -> Any:
    """A relation of a database in memory, which keeps nothing of the destination open."""
    import duckdb

    return duckdb.connect().from_arrow(relation.arrow())


_READ_AS: Mapping[str, Callable[[Relation], Any]] = {
    "pyarrow.Table": Relation.arrow,
    "polars.DataFrame": _as_polars,
    "polars.LazyFrame": lambda relation: _as_polars(relation).lazy(),
    "pandas.DataFrame": Relation.df,
    "duckdb.DuckDBPyRelation": _as_duckdb,
    "dlt_orchestrate.Relation": lambda relation: relation,
}
