"""What is loaded, handed to assets downstream; and what they make of it, loaded."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dagster import (
    ConfigurableResource,
    InputContext,
    IOManager,
    OutputContext,
    TimeWindow,
)

from dlt_orchestrate.dagster.attempts import first_run_id
from dlt_orchestrate.dagster.events import load_metadata
from dlt_orchestrate.dagster.translator import CURSOR
from dlt_orchestrate.declare import current
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.errors import DeclarationError, DestinationUnavailableError, TableNotLoadedError
from dlt_orchestrate.pipeline.dataset import Dataset, Relation
from dlt_orchestrate.pipeline.pipeline import Pipeline, pipeline
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.moments import NotOnScale

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_NAME = "dagster/table_name"
_SETTINGS = frozenset({"table", "columns", "window"})


class DatasetIOManager(IOManager):
    """Hands tables of a dataset to assets as what their annotations ask for, and loads what they return.

    An input is `pyarrow.Table` (also where nothing is annotated), `polars.DataFrame`, `polars.LazyFrame`,
    `pandas.DataFrame`, `duckdb.DuckDBPyRelation`, a `Relation` of ours, which is read when it is asked for rows, or the
    whole `Dataset`, nested tables included. The metadata of the `AssetIn` may say more:

    - `table`: another table than the asset's own, such as a nested one;
    - `columns`: only these are read;
    - `window`: only rows of the run's partition are read, told by this column; `True` for that of the asset's cursor.

    What an asset returns takes the place of what it returned before, in one transaction, in a table with the last part of
    the asset's key as its name; a partition takes the place of that partition only. `write_disposition` in the asset's
    metadata says otherwise.
    """

    def __init__(self, of: Pipeline, *, writes_by: Pipeline | None = None) -> None:
        """Read what `of` loads.

        Args:
            writes_by: What loads the assets' values; by default a pipeline of the same destination and dataset, named as
                `of` is, with `_downstream`.
        """
        self._pipeline = of
        self._writes_by = writes_by

    def load_input(self, context: InputContext) -> Any:
        """The value of an input.

        Raises:
            TableNotLoadedError: The table is not there yet.
            DeclarationError: The input asks for a type, a column or a window that there is not.
        """
        asked = _Asked.of(context)
        kind = _kind_of(context.dagster_type.typing_type, asked.input_name)
        if kind == "dlt_orchestrate.Dataset":
            return self._pipeline.dataset()
        return _READ_AS[kind](_relation(self._pipeline, asked, self._table_of(context)))

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Load what an asset returns; nothing for None.

        Raises:
            DeclarationError: It returns several partitions at once.
        """
        if obj is None:
            return
        writer = self._writes_by or pipeline(
            f"{self._pipeline.pipeline_name}_downstream",
            destination=self._pipeline.destination,
            dataset_name=self._pipeline.dataset_name,
        )
        disposition = context.definition_metadata.get("write_disposition", "replace")
        partition = _partition_of(context)
        info = writer.run(
            _returned(obj, name=context.asset_key.path[-1], disposition=disposition, partition=partition),
            partition=partition,
            # What replaces is loaded again by another attempt, which may return something else.
            idempotency_key=None if disposition == "replace" else _attempt_key(context),
        )
        for report in info.resources.values():
            context.add_output_metadata(load_metadata(report, writer))

    def _table_of(self, context: InputContext) -> str:
        """The table of the asset that an input comes from."""
        upstream = context.upstream_output
        told = upstream.definition_metadata.get(TABLE_NAME) if upstream else None
        prefix = self._pipeline.destination.qualified_name(self._pipeline.dataset_name, "")
        if told is not None:
            return str(getattr(told, "value", told)).removeprefix(prefix)
        return self._pipeline.naming_of(None).table((context.asset_key.path[-1],))


class DatasetResource(ConfigurableResource):  # type: ignore[type-arg]
    """A dataset to read and to ask in SQL; with `EnvVar` its fields are read when the run starts.

    Attributes:
        destination: Name of a destination, such as `duckdb`.
        credentials: Its credentials, in the destination's own form: for DuckDB the path of the file.
        dataset_name: The dataset (schema).
    """

    destination: str
    dataset_name: str
    credentials: str | None = None

    def dataset(self) -> Dataset:
        """The tables: `dataset()["issues"].select("id").arrow()`, or `dataset().query("SELECT ...").df()`."""
        reading = pipeline(
            self.dataset_name, destination=self.destination, credentials=self.credentials, dataset_name=self.dataset_name
        )
        return reading.dataset()


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
                f"Known are {', '.join(sorted(_SETTINGS))}."
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
    if kind not in _READ_AS and kind != "dlt_orchestrate.Dataset":
        known = ", ".join([*_READ_AS, "dlt_orchestrate.Dataset"])
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


def _partition_of(context: OutputContext) -> str | None:
    """The partition that an asset returns; None if it has none."""
    if not context.has_asset_partitions:
        return None
    keys = context.asset_partition_keys
    if len(keys) != 1:
        raise DeclarationError(
            f"Asset {context.asset_key.to_user_string()!r} returns {len(keys)} partitions at once, and which row belongs "
            "to which cannot be told. Give it backfill_policy=BackfillPolicy.multi_run()."
        )
    return keys[0]


def _attempt_key(context: OutputContext) -> str:
    """Names the output the same in every attempt of the step."""
    step = context.step_context
    return f"{first_run_id(step.dagster_run, step.instance, step.step.key)} {step.step.key} {context.name}"


def _returned(value: Any, *, name: str, disposition: Any, partition: str | None) -> Resource:
    """What an asset returned, as a resource."""

    @resource(name=name, write_disposition=disposition)
    def returned() -> Iterator[Any]:
        if partition is not None:
            assert current.partition_key() == partition
        yield _rows_of(value)

    return returned


def _rows_of(value: Any) -> Any:
    """What a pipeline takes for a value that an asset returned."""
    if isinstance(value, Relation):
        return value.arrow()
    if type(value).__name__ == "DuckDBPyRelation":
        return value.to_arrow_table()
    if type(value).__name__ == "LazyFrame":
        return value.collect()
    return value
