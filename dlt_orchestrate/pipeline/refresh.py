"""Refreshing: loading as if for the first time, with what earlier loads left taken away in the same commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast, get_args

from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.flow.package import Reset
from dlt_orchestrate.state.commits import UnitKey

Refresh = Literal["drop_sources", "drop_resources", "drop_data"]
"""What goes: everything of the sources; tables and state of the resources that are loaded; only their rows and state."""


def to_refresh(given: object, *, pipeline_name: str, commit: str, is_windowed: bool) -> Refresh | None:
    """The mode of a refresh.

    Raises:
        DeclarationError: There is no such mode, or it does not go with the rest of what the run is told.
    """
    if given is None:
        return None
    if given not in get_args(Refresh):
        known = ", ".join(map(repr, get_args(Refresh)))
        raise DeclarationError(f"Pipeline {pipeline_name!r}: refresh={given!r} is not known. Known are: {known}.")
    if is_windowed:
        raise DeclarationError(
            f"Pipeline {pipeline_name!r}: refresh={given!r} takes away all that was loaded, and a window loads only a part "
            "of it again. Run without window, or without refresh: loading a window again replaces what is there of it."
        )
    if given == "drop_sources" and commit == "resource":
        raise DeclarationError(
            f"Pipeline {pipeline_name!r}: refresh='drop_sources' takes each source away as a whole, and commit='resource' "
            "would show that in parts. Run with commit='source' or commit='run', or with refresh='drop_resources'."
        )
    return cast("Refresh", given)


def resets(refresh: Refresh | None, units: Iterable[UnitKey]) -> tuple[Reset, ...]:
    """What a refresh takes away for the sake of some units, by source."""
    if refresh is None:
        return ()
    by_source: dict[str, set[str]] = {}
    for unit in units:
        by_source.setdefault(unit.source, set()).add(unit.resource)
    return tuple(
        Reset(
            source,
            resources=None if refresh == "drop_sources" else frozenset(resources),
            tables="empty" if refresh == "drop_data" else "drop",
        )
        for source, resources in by_source.items()
    )
