"""By which naming convention a dataset is named, and the tables of each source of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dlt_orchestrate.config.resolver import Resolved, Resolver
from dlt_orchestrate.errors import NamingConventionConflictError
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.conventions import DEFAULT_CONVENTION, canonical_name
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.naming import Naming, naming_for

SETTING = "schema.naming"
"""What is looked up: for a source in `[sources.<source>.schema]`, then in `[sources.schema]`, then in `[schema]`."""


def naming_asked_for(resolver: Resolver, capabilities: Capabilities, source: str | None = None) -> Naming:
    """The convention for what is new: the configured one, else the one that the destination prefers, else ours.

    Args:
        source: The source whose tables are named; None for the dataset itself.

    Raises:
        UnknownNamingConventionError: There is no such convention.
    """
    found = _configured(resolver, source)
    if found is not None:
        return naming_for(canonical_name(found.value), capabilities, said_by=_said_by(found))
    return naming_for(capabilities.naming_convention or DEFAULT_CONVENTION, capabilities, said_by="the destination")


def namings_of_sources(
    sources: Iterable[str], scope: Scope, snapshot: Snapshot, resolver: Resolver, destination: Destination
) -> dict[str, Naming]:
    """The convention of each source of a run: the stored one for good, else what is asked for.

    A new source in a dataset where others are goes by their convention, if nothing else is configured for it.

    Raises:
        UnknownNamingConventionError: There is no such convention.
        NamingConventionConflictError: The configuration asks for another one than the stored.
    """
    limits = destination.capabilities
    found: dict[str, Naming] = {}
    for source in sources:
        stored = snapshot.schemas.get(source)
        if stored is not None:
            found[source] = naming_for(stored.naming, limits, said_by=f"the stored schema of source {source!r}")
            _expect_not_another(source, found[source], scope.dataset_name, resolver, limits)
        else:
            found[source] = naming_asked_for(resolver, limits, source)
    unsettled = [name for name in found if name not in snapshot.schemas and _configured(resolver, name) is None]
    if unsettled and snapshot.exists:
        whole = destination.read_state(Scope(scope.pipeline_name, scope.dataset_name))
        neighbour = _first_of(whole.schemas, whole.state)
        if neighbour is not None:
            said_by = f"the stored schema of source {neighbour.name!r}"
            found |= dict.fromkeys(unsettled, naming_for(neighbour.naming, limits, said_by=said_by))
    return found


def _configured(resolver: Resolver, source: str | None) -> Resolved | None:
    found = resolver.lookup(SETTING, ("sources", source) if source else ("sources",), str)
    return found if found is not None and found.value else None


def _said_by(found: Resolved) -> str:
    return f"the configuration ({found.provider}, key {found.key})"


def _expect_not_another(source: str, stored: Naming, dataset: str, resolver: Resolver, limits: Capabilities) -> None:
    asked = _configured(resolver, source)
    if asked is None or canonical_name(asked.value) == stored.name:
        return
    wanted = naming_for(canonical_name(asked.value), limits, said_by=_said_by(asked))
    if type(wanted.convention) is not type(stored.convention):
        raise NamingConventionConflictError(
            source=source, dataset=dataset, stored=stored.name, asked=wanted.name, said_by=_said_by(asked)
        )


def _first_of(schemas: Mapping[str, Schema], state: Mapping[str, object]) -> Schema | None:
    """The schema that stands for a dataset: that of the pipeline's first source, else the first in the alphabet."""
    default = schemas.get(str(state.get("default_schema_name")))
    return default or next((schemas[name] for name in sorted(schemas)), None)
