"""Partitions: which windows a step loads, and what became of each partition.

A time window bounds the cursor of a resource; the key of any other partition reaches it as `current.partition_key()`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any

from dagster import (
    BackfillPolicy,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    TimeWindowPartitionsDefinition,
)

from dlt_orchestrate.dagster.attempts import StepContext
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import Source
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.pipeline.info import ResourceReport
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.schema.table import LOAD_ID
from dlt_orchestrate.state.commits import Window

KEY = "partition"
"""Name of the key of partitions that have only one."""

_COUNTED_AT_ONCE = 100
_ASKING = frozenset({"window", "partition_key"})


@dataclass(frozen=True)
class Part:
    """What one load of a step covers: one partition, or several that follow one another.

    Attributes:
        windows: The window of each partition, by its key and in order.
    """

    windows: Mapping[str, Window]

    @property
    def window(self) -> Window:
        """The window of all of them together."""
        first, *_, last = *self.windows.values(), *self.windows.values()
        return Window(first.start, last.end, first.keys)


@dataclass(frozen=True)
class PartitionCounts:
    """Rows of the root table that lie in a partition: those that one load has brought, and all of them."""

    loaded: int
    total: int


def parts_of(context: StepContext) -> list[Part]:
    """The partitions that this step loads, one by one; empty if its assets are not partitioned."""
    definition = _partitions_def(context)
    if definition is None:
        return []
    return [Part({key: window_of(definition, key)}) for key in context.partition_keys]


def joined(parts: Sequence[Part]) -> list[Part]:
    """The parts with those joined that follow one another in time, so that one load covers them.

    Parts with a key stay for themselves: their rows are known by the load of the very same window.
    """
    found: list[Part] = []
    for part in parts:
        before, window = found[-1].window if found else None, part.window
        if before is not None and window.has_bounds and before.end == window.start and not window.keys:
            found[-1] = Part({**found[-1].windows, **part.windows})
        else:
            found.append(part)
    return found


def window_of(definition: PartitionsDefinition, key: str) -> Window:
    """The window of one partition: its bounds if it is one of time, its key if it is none.

    Raises:
        DeclarationError: The partition is one of two times.
    """
    match definition:
        case TimeWindowPartitionsDefinition():
            of_time = definition.time_window_for_partition_key(key)
            return Window(of_time.start.isoformat(), of_time.end.isoformat())
        case MultiPartitionsDefinition():
            keys = definition.get_partition_key_from_str(key).keys_by_dimension
            of_dimensions = {d.name: window_of(d.partitions_def, keys[d.name]) for d in definition.partitions_defs}
            bounds = [window for window in of_dimensions.values() if window.has_bounds]
            if len(bounds) > 1:
                raise DeclarationError(
                    f"Partition {key!r} lies in two windows of time, and a load covers one. Partition by time and a key."
                )
            named = [(name, dict(window.keys)[KEY]) for name, window in of_dimensions.items() if window.keys]
            return Window(*((bounds[0].start, bounds[0].end) if bounds else ("", "")), tuple(sorted(named)))
        case _:
            return Window(keys=((KEY, key),))


def default_backfill_policy(definition: PartitionsDefinition | None) -> BackfillPolicy | None:
    """One run for the whole range where partitions are windows of time, as dagster-dlt does; else a run for each."""
    return BackfillPolicy.single_run() if isinstance(definition, TimeWindowPartitionsDefinition) else None


def bounded_by_itself(resource: Resource) -> bool:
    """Whether a resource of a source that was made for one partition needs no window: it has bounds, or knows no cursor."""
    has_open_cursor = resource.incremental is not None and resource.incremental.end_value is None
    asks = any(_asks(function) for function in _functions(resource)) or any(one.asks_for_key for one in _chain(resource))
    return not has_open_cursor and not asks


def expect_partitionable(source: Source, resources: Iterable[Resource], definition: PartitionsDefinition) -> None:
    """Refuse, while definitions load, to partition what nothing bounds: each partition would load everything.

    Raises:
        DeclarationError: A resource has no cursor, or one that does not tell the partitions apart, and its function does
            not ask what it is to load.
    """
    keys = _keys_of(definition)
    if _asks(source.function, nested=False):
        return
    for resource in resources:
        chain = list(_chain(resource))
        if any(_asks(function) for member in chain for function in _functions(member)):
            continue
        if keys and any(member.asks_for_key for member in chain):
            continue
        if keys:
            raise DeclarationError(
                f"Resource {resource.name!r} of source {source.name!r} cannot be partitioned by key: its function does not "
                "ask for one, so every partition would load everything. Let the function of the resource, or of the "
                f"source, call dlt.current.partition_key({repr(keys[0]) if len(keys) > 1 else ''}) and yield only what "
                "belongs to it, or leave the resource out of these assets with with_resources(...)."
            )
        if not any(member.incremental is not None for member in chain):
            raise DeclarationError(
                f"Resource {resource.name!r} of source {source.name!r} cannot be partitioned by time: it has no cursor "
                "that a window could bound, so every partition would load everything. Give it an incremental(...), or let "
                "its function call dlt.current.window() and yield only what lies in it, or leave the resource out of these "
                "assets with with_resources(...)."
            )


def partition_counts(pipeline: Pipeline, report: ResourceReport, part: Part) -> dict[str, PartitionCounts]:
    """How many rows of the root table lie in each partition of a load, told by the column of the cursor.

    Without such a column a load covers one partition, and its own counts are those of the partition.
    """
    if report.cursor_column is None or part.window.keys:
        return {key: PartitionCounts(report.rows_loaded, report.rows_loaded) for key in part.windows}
    bounds = _bounds(pipeline, report, part)
    if not bounds:
        return dict.fromkeys(part.windows, PartitionCounts(0, 0))
    counts: list[int] = []
    with pipeline.destination.reader(pipeline.dataset_name) as reader:
        column, load = reader.quoted(report.cursor_column), f"{reader.quoted(LOAD_ID)} = {_literal(report.load_id)}"
        for at in range(0, len(bounds), _COUNTED_AT_ONCE):
            some = bounds[at : at + _COUNTED_AT_ONCE]
            conditions = [f"{column} >= {_literal(start)} AND {column} < {_literal(end)}" for start, end in some]
            wanted = ", ".join(
                f"count(*) FILTER (WHERE {within}{further})" for within in conditions for further in (f" AND {load}", "")
            )
            found = reader.query(
                f"SELECT {wanted} FROM {reader.qualified(report.table)} "  # noqa: S608 - own names and quoted bounds
                f"WHERE {column} >= {_literal(some[0][0])} AND {column} < {_literal(some[-1][1])}"
            )
            counts += [found.column(number)[0].as_py() for number in range(found.num_columns)]
    pairs = zip(counts[::2], counts[1::2], strict=True)
    return {key: PartitionCounts(*pair) for key, pair in zip(part.windows, pairs, strict=True)}


def _partitions_def(context: StepContext) -> PartitionsDefinition | None:
    if not context.has_partition_key and not context.has_partition_key_range:
        return None
    definition: PartitionsDefinition | None = context.assets_def.partitions_def
    return definition


def _bounds(pipeline: Pipeline, report: ResourceReport, part: Part) -> list[tuple[Any, Any]]:
    """The bounds of each partition as values of the cursor's column; none if the column holds no values."""
    from dlt_orchestrate.load.bounds import bound_of

    column_type = next(column.type for column in report.columns if column.name == report.cursor_column)
    if column_type is None:
        return []
    example: str | None = None
    if column_type.kind == "text":
        example = report.cursor_after if report.rows_loaded else _some_text(pipeline, report)
        if not isinstance(example, str):
            return []
    return [
        (bound_of(window.start, column_type, example), bound_of(window.end, column_type, example))
        for window in part.windows.values()
    ]


def _some_text(pipeline: Pipeline, report: ResourceReport) -> str | None:
    with pipeline.destination.reader(pipeline.dataset_name) as reader:
        column = reader.quoted(report.cursor_column or "")
        found = reader.query(
            f"SELECT {column} FROM {reader.qualified(report.table)} WHERE {column} IS NOT NULL LIMIT 1"  # noqa: S608
        )
    return found.column(0)[0].as_py() if found.num_rows else None


def _literal(bound: Any) -> str:
    """A bound as SQL text that takes the type of the column it is compared with."""
    text = bound.isoformat() if hasattr(bound, "isoformat") else str(bound)
    return "'" + text.replace("'", "''") + "'"


def _keys_of(definition: PartitionsDefinition) -> list[str]:
    """The names of the keys that divide partitions, besides time."""
    if isinstance(definition, MultiPartitionsDefinition):
        return [
            dimension.name
            for dimension in definition.partitions_defs
            if not isinstance(dimension.partitions_def, TimeWindowPartitionsDefinition)
        ]
    return [] if isinstance(definition, TimeWindowPartitionsDefinition) else [KEY]


def _chain(resource: Resource) -> Iterator[Resource]:
    """The resource, and what feeds it."""
    member: Resource | None = resource
    while member is not None:
        yield member
        member = member.upstream


def _functions(resource: Resource) -> Iterator[Callable[..., Any]]:
    """The functions that make its records."""
    if resource.function is not None:
        yield resource.function
    yield from (step.function for step in (*resource.steps, *resource.late_steps))


def _asks(function: Callable[..., Any], *, nested: bool = True) -> bool:
    """Whether a function names what tells it which window or partition to load; trusted if its code cannot be seen.

    Args:
        nested: Whether functions that are written inside it count, too.
    """
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    return code is None or _names_asking(code, nested=nested)


def _names_asking(code: CodeType, *, nested: bool) -> bool:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)] if nested else []
    return not _ASKING.isdisjoint(code.co_names) or any(_names_asking(part, nested=True) for part in inner)
