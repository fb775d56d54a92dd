"""What users hand to `run()`, as sources: a source, resources, a function, or bare data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, Literal

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.hints import ColumnsDeclaration, Keys, TableName
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.declare.source import Settings, Source, SourceFactory
from dlt_orchestrate.errors import DeclarationError, ResourceNameMissingError
from dlt_orchestrate.pipeline.info import LoadInfo
from dlt_orchestrate.state.commits import Window

CommitScope = Literal["run", "source", "resource"]
"""What one commit holds: everything that succeeded, each source all or nothing, or each resource for itself."""


@dataclass(frozen=True, slots=True)
class RunHints:
    """Hints given to `run()`; they go before those of the resources."""

    table_name: TableName | None = None
    write_disposition: Any = None
    columns: ColumnsDeclaration = None
    primary_key: Keys = None
    schema_contract: Any = None

    def apply_to(self, target: Resource) -> Resource:
        """A clone of a resource with these hints."""
        return target.clone().apply_hints(
            table_name=self.table_name,
            write_disposition=self.write_disposition,
            columns=self.columns,
            primary_key=self.primary_key,
            schema_contract=self.schema_contract,
        )


@dataclass(frozen=True, slots=True)
class Inputs:
    """The sources of one run, in order."""

    sources: tuple[Source, ...]
    hints: RunHints = field(default_factory=RunHints)


def to_inputs(data: Any, *, schema_name: str, hints: RunHints) -> Inputs:
    """Make sources of whatever was handed to `run()`.

    Args:
        schema_name: The source name of resources and data that belong to no source.

    Raises:
        ResourceNameMissingError: Bare data came without a table name.
        InvalidResourceDataError: The data holds no records.
    """
    sources: list[Source] = []
    loose: list[Resource] = []
    for item in _items(data):
        if isinstance(item, SourceFactory):
            sources.append(item())
        elif isinstance(item, Source):
            sources.append(item)
        else:
            loose.append(item if isinstance(item, Resource) else _bare(item, hints))
    return Inputs((*sources, *_grouped(loose, schema_name)), hints)


def _items(data: Any) -> Iterable[Any]:
    """The parts of a list of sources and resources; anything else is one part."""
    if isinstance(data, list | tuple) and data and all(isinstance(i, Source | SourceFactory | Resource) for i in data):
        return data
    return (data,)


def _bare(data: Any, hints: RunHints) -> Resource:
    data = _as_records(data)
    if isinstance(hints.table_name, str):
        return resource(data, name=hints.table_name)
    if hints.table_name is not None and not callable(data):
        raise ResourceNameMissingError(data_type=type(data).__name__)
    return resource(data)


def _as_records(data: Any) -> Any:
    """Load infos are data, too: a pipeline may keep a history of its loads beside what it loads."""
    if isinstance(data, LoadInfo):
        return [data.asdict()]
    if isinstance(data, list | tuple) and data and isinstance(data[0], LoadInfo):
        return [item.asdict() if isinstance(item, LoadInfo) else item for item in data]
    return data


def _grouped(loose: list[Resource], schema_name: str) -> Iterable[Source]:
    """Sources of resources that have none, one for each section that their configuration stands in."""
    sections: dict[str, list[Resource]] = {}
    for item in loose:
        sections.setdefault(item.section, []).append(item)
    for section, members in sections.items():
        yield Source(_giving(members), Settings(name=schema_name, section=section), (), {})


def _giving(members: list[Resource]) -> Any:
    def resources() -> list[Resource]:
        return members

    return resources


def to_window(given: object, partition: str | Mapping[str, str] | None = None) -> Window | None:
    """The window that `run()` was told, of one partition if it was told that, too.

    Raises:
        DeclarationError: It is no pair of texts.
    """
    if partition is not None:
        keys = {"partition": partition} if isinstance(partition, str) else partition
        bounds = to_window(given) or Window()
        return Window(bounds.start, bounds.end, tuple(sorted(keys.items())))
    if given is None or isinstance(given, Window):
        return given
    if not (isinstance(given, tuple) and len(given) == 2 and all(isinstance(bound, str) for bound in given)):
        raise DeclarationError(
            f"window={given!r} is no window. Pass its start and its end as two texts, such as "
            "('2026-01-01T00:00:00+00:00', '2026-02-01T00:00:00+00:00')."
        )
    return Window(*given)


def no_window(resource_name: str, window: Window) -> DeclarationError:
    """The error for a resource that a window does not bound."""
    advice = (
        "Let its function ask current.partition_key() for what to yield."
        if window.keys
        else "Give the resource an incremental(...), or let its function ask current.window() for what to yield."
    )
    return DeclarationError(
        f"Resource {resource_name!r}: the window {window} does not bound it, so every load of a window would load "
        f"everything. {advice} Nothing was loaded."
    )


def expect_supported(found: Resource) -> None:
    """Refuse hints that contradict each other, before anything is extracted.

    Raises:
        DeclarationError: The resource has such hints.
    """
    found.declared.expect_workable(found.name, is_incremental=is_incremental(found))


def expect_bounded(found: Resource, window: Window | None, *, source_asked: bool) -> None:
    """Refuse to load a window of records that are given as they are, before anything is extracted.

    Raises:
        DeclarationError: Nothing could tell which of them belong to the window.
    """
    bounded = is_incremental(found) and not (window is not None and window.keys)
    if window is not None and found.rows is not None and not source_asked and not bounded:
        raise no_window(found.name, window)


def is_incremental(found: Resource) -> bool:
    """Whether the resource, or one that feeds it, has a cursor."""
    return found.incremental is not None or (found.upstream is not None and is_incremental(found.upstream))
