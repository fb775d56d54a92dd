"""What the code of a running resource can ask of its surroundings: its state, its pipeline, its window."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field
from typing import Any, TypeVar

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.state.commits import Window


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What user code sees while it runs.

    Attributes:
        resource: The resource that runs; None while a source function runs.
        resource_state: Its state, to be changed in place.
        source_state: The state that all resources of the source share, to be changed in place.
        window: The partition that the run covers, if any.
        asked: The names of the functions below that user code has called.
        told: What user code has said of its source: `unchanged`, `part`, `whole`.
        warnings: What user code has said that somebody should know of this load.
        write_disposition: How its rows will be written; of the resource that is loaded, also while others feed it.
        declared: Gives the text of what is declared of that resource, with its steps.
        is_limited: Whether a limit may end the run.
        when_cut_short: What a source does to its state if one has.
    """

    source: str
    resource: str | None
    resource_state: MutableMapping[str, Any] = field(default_factory=dict)
    source_state: MutableMapping[str, Any] = field(default_factory=dict)
    pipeline: Any = None
    window: Window | None = None
    asked: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    write_disposition: str = "append"
    declared: Callable[[], str] = str
    is_limited: bool = False
    when_cut_short: list[Callable[[], None]] = field(default_factory=list)


Item = TypeVar("Item")

_surroundings: ContextVar[Surroundings] = ContextVar("dlt_orchestrate_surroundings")


@contextmanager
def running(surroundings: Surroundings) -> Iterator[None]:
    """Let user code see these surroundings."""
    token = _surroundings.set(surroundings)
    try:
        yield
    finally:
        _surroundings.reset(token)


def within(surroundings: Surroundings, items: Iterator[Item]) -> Generator[Item, None, None]:
    """The items, each of them made while user code sees these surroundings; closing this closes `items`."""
    end: Any = object()
    try:
        while True:
            with running(surroundings):
                item = next(items, end)
            if item is end:
                return
            yield item
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            with running(surroundings):
                close()


def source_state() -> MutableMapping[str, Any]:
    """The state that all resources of the running source share; committed with the rows."""
    return _found("source_state").source_state


def resource_state(resource_name: str | None = None) -> MutableMapping[str, Any]:
    """The state of the running resource; committed with its rows.

    Raises:
        DeclarationError: Another resource is named: each commits on its own, so each can reach only its own state.
    """
    found = _found("resource_state")
    if found.resource is None or resource_name not in (None, found.resource):
        raise DeclarationError(
            f"resource_state({resource_name!r}) was asked for while {_what_runs(found)} runs. A resource can reach only "
            "its own state; keep what several share in source_state()."
        )
    return found.resource_state


def pipeline() -> Any:
    """The pipeline that runs."""
    return _found("pipeline").pipeline


def window() -> Window | None:
    """The partition window that the run covers; None for a run over everything that is new."""
    return _found("window").window


def partition_key(of: str | None = None) -> str | None:
    """The key of the partition that the run covers, such as a region; None for a run over all of them.

    Args:
        of: Which key, where there are several, such as `region`.

    Raises:
        DeclarationError: The partition has several keys, or none of that name.
    """
    found = _found("partition_key")
    keys = dict(found.window.keys) if found.window else {}
    if not keys:
        return None
    if of is None and len(keys) == 1:
        return next(iter(keys.values()))
    if of not in keys:
        asked, known = "" if of is None else repr(of), ", ".join(map(repr, keys))
        raise DeclarationError(
            f"partition_key({asked}) was asked for while {_what_runs(found)} runs for {found.window}: "
            f"name one of its keys, {known}."
        )
    return keys[of]


def is_windowed() -> bool:
    """Whether the run covers a partition, which code may ask that loads all of it whichever it is."""
    return _found("is_windowed").window is not None


def write_disposition() -> str:
    """How the rows of the resource that is loaded will be written, such as `replace`."""
    return _found("write_disposition").write_disposition


def declared_text() -> str:
    """What is declared of the resource that is loaded, with the code of its steps: if it changes, other rows may come."""
    return _found("declared_text").declared()


def when_cut_short(change: Callable[[], None]) -> bool:
    """Have the state changed if a limit ends the run; gives whether there is one.

    A source that notes in its state what it has read takes back with this what has not come through, since steps may read
    ahead of a limit. It yields `mark.Arrived` behind what it has noted.
    """
    found = _found("when_cut_short")
    if found.is_limited:
        found.when_cut_short.append(change)
    return found.is_limited


UNCHANGED = "unchanged"


def keep_table() -> None:
    """Say that the source holds what it held before: without a record, the table stays as it is, under `replace`, too."""
    _found("keep_table").told.add(UNCHANGED)


PART = "part"


def load_part() -> None:
    """Say that the source holds more than what comes: no row is taken for gone because it does not come (`scd2`, `cdc`)."""
    _found("load_part").told.add(PART)


def warn(text: str) -> None:
    """Add a warning to the report of the load, the log and the asset; what is said again counts once."""
    warnings = _found("warn").warnings
    if text not in warnings:
        warnings.append(text)


WHOLE = "whole"


def replace_partition() -> None:
    """Say that what comes is all that the partition holds, which has a key: what its load before has left and what comes
    no more goes under `merge`, too, where else it stays.
    """
    _found("replace_partition").told.add(WHOLE)


def _found(asked: str) -> Surroundings:
    try:
        found = _surroundings.get()
    except LookupError:
        raise DeclarationError(
            f"current.{asked}() can be asked only while a resource is extracted: call it inside the resource function."
        ) from None
    found.asked.add(asked)
    return found


def _what_runs(found: Surroundings) -> str:
    return f"resource {found.resource!r}" if found.resource else f"the function of source {found.source!r}"
