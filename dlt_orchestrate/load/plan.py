"""What a commit does: the definitions and writes of every table, and the state after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import CommitConflictError
from dlt_orchestrate.flow.operation import (
    DeleteRows,
    Operation,
)
from dlt_orchestrate.flow.package import LoadPackage, ResourceLoad
from dlt_orchestrate.flow.snapshot import Snapshot
from dlt_orchestrate.load.planned_catalog import PlannedCatalog
from dlt_orchestrate.load.resets import plan_resets
from dlt_orchestrate.load.shared_tables import Filler, Fillers, expect_replaceable, stored_fillers
from dlt_orchestrate.load.source_plan import SourcePlan
from dlt_orchestrate.protocols.destination import Catalog
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.state.commits import UnitKey
from dlt_orchestrate.state.document import (
    STATE_ENGINE_VERSION,
    state_hash,
    with_resource_state,
    with_source_state,
)


@dataclass(frozen=True)
class CommitPlan:
    """What one commit does.

    Attributes:
        resets: What is done to the tables of earlier loads before anything else, in order, and for which unit.
        definitions: Definitions of the data tables, in order.
        writes: What is done to their rows after that, in order, and for which unit.
        schemas: The schemas after the commit, by source.
        changed_schemas: Sources whose schema changes.
        state: The state document after the commit; None if it does not change.
        tables_of_unit: Tables of each resource, root first.
        loads: The loads as they are committed, without what schema contracts turned away.
        reset_units: Commit numbers of units that are reset and have no load in the package.
        forgotten: Units whose attempts count as not made, or else they would be reported and not made again.
    """

    resets: tuple[tuple[UnitKey, Operation], ...]
    definitions: tuple[Operation, ...]
    writes: tuple[tuple[UnitKey, Operation], ...]
    schemas: Mapping[str, Schema]
    changed_schemas: frozenset[str]
    state: Mapping[str, object] | None
    tables_of_unit: Mapping[UnitKey, tuple[str, ...]]
    new_columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    replanned: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    loads: tuple[ResourceLoad, ...] = ()
    package_rows: Mapping[str, int] = field(default_factory=dict)
    reset_units: Mapping[UnitKey, int] = field(default_factory=dict)
    forgotten: tuple[UnitKey, ...] = ()


def plan_commit(package: LoadPackage, snapshot: Snapshot, catalog: Catalog, capabilities: Capabilities) -> CommitPlan:
    """Plan a package against what the destination holds now.

    Raises:
        CommitConflictError: A unit moved on since the package was planned.
        StateConflictError: Another load changed the same key of a source's state.
        ColumnTypeConflictError, TableConflictError: Hints and stored tables do not fit together.
        NamingConventionConflictError: The tables were made since, by another convention than the package goes by.
        SchemaContractError: The package would change what a schema contract freezes.
        TooManyRejectsError: Schema contracts turn away more rows than a load may lose.
    """
    expect_unmoved(package, snapshot)
    resets = plan_resets(package, snapshot, catalog)
    found, snapshot, catalog = snapshot, resets.snapshot, resets.catalog
    fillers = stored_fillers(snapshot, package.sources)
    planned = PlannedCatalog(catalog)
    sources: list[SourcePlan] = []
    for name in _concerned(package, snapshot):
        sources.append(SourcePlan.within_contracts(name, package, snapshot, planned, capabilities))
        planned.plan(sources[-1].definitions())
    for source in sources:
        source.share(fillers, sources)
        source.look_into_windows(snapshot, catalog)
    committed = {load.unit: load for source in sources for load in source.loads}
    loads = tuple(committed.get(load.unit, load) for load in package.loads)
    schemas = {**resets.changed_schemas, **{source.schema.name: source.schema for source in sources}}
    emptied = _emptied(sources, fillers, snapshot, catalog)
    return CommitPlan(
        resets=resets.operations,
        definitions=tuple(operation for source in sources for operation in source.definitions()),
        writes=(
            *((unit, DeleteRows(table)) for table, unit in emptied.items()),
            *(write for source in sources for write in source.writes()),
        ),
        schemas=schemas,
        changed_schemas=frozenset((*resets.changed_schemas, *(s.schema.name for s in sources if s.changed))),
        state=_new_state(replace(package, loads=loads), found.state, snapshot.state, schemas),
        tables_of_unit={
            load.unit: source.tables_of(load)
            for source in sources
            for load in package.loads
            if load.unit.source == source.schema.name
        },
        new_columns=_new_columns(sources),
        replanned=frozenset(name for source in sources for name in source.moved(package, found)),
        warnings=tuple(text for source in sources for text in source.warnings()),
        loads=loads,
        package_rows=_package_rows(sources),
        reset_units={unit: found.commit_number(unit) for unit in resets.units},
        forgotten=resets.forgotten,
    )


def _concerned(package: LoadPackage, snapshot: Snapshot) -> list[str]:
    """The sources of a package without those that are only reset and were never loaded."""
    with_news = {load.unit.source for load in package.loads} | package.source_states.keys()
    return [name for name in package.sources if name in with_news or name in snapshot.schemas]


def _new_columns(sources: Iterable[SourcePlan]) -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for source in sources:
        for name, plan in source.plans.items():
            if plan.changes:
                found[name] = {**found.get(name, {}), **plan.changes}
    return found


def _package_rows(sources: Iterable[SourcePlan]) -> dict[str, int]:
    found: dict[str, int] = {}
    for source in sources:
        for name, plan in source.plans.items():
            for rows in plan.rows:
                if rows.row_count:
                    found[name] = found.get(name, 0) + rows.row_count
    return found


def expect_unmoved(package: LoadPackage, snapshot: Snapshot) -> None:
    """Compare the commit number of each unit with the one that the package was planned on."""
    bases = [(load.unit, load.base_commit) for load in package.loads]
    if package.reset_bases is not None:
        units = [*package.reset_bases, *(unit for unit in snapshot.latest if package.resets_unit(unit))]
        bases += [(unit, package.reset_bases.get(unit, 0)) for unit in dict.fromkeys(units)]
    for unit, base in bases:
        found = snapshot.commit_number(unit)
        if found != base:
            winner = snapshot.latest.get(unit)
            raise CommitConflictError(
                resource=unit.resource,
                window=str(unit.window) if unit.window else None,
                planned_on=base,
                found=found,
                winner_load_id=winner.load_id if winner else None,
                winner_host=winner.host if winner else None,
                committed_at=winner.committed_at if winner else None,
            )


def _emptied(sources: Iterable[SourcePlan], fillers: Fillers, snapshot: Snapshot, catalog: Catalog) -> dict[str, UnitKey]:
    """The tables that the commit empties before it writes rows, and the first unit that wants it.

    Raises:
        TableConflictError: Rows of a resource that does not replace them would be lost.
    """
    emptied: dict[str, UnitKey] = {}
    replacing: dict[str, set[Filler]] = {}
    for source in sources:
        for unit, root, tables in source.emptied(fillers, catalog):
            replacing.setdefault(root, set()).add(Filler.of(unit))
            for table in tables:
                emptied.setdefault(table, unit)
    expect_replaceable(replacing, fillers, snapshot, catalog)
    return emptied


def _new_state(
    package: LoadPackage, stored: Mapping[str, Any], kept: Mapping[str, Any], schemas: Mapping[str, Schema]
) -> Mapping[str, object] | None:
    """The state document after the commit; None if it stays as it is.

    Args:
        kept: What resets leave of the stored document.
    """
    document: dict[str, object] = dict(kept)
    before = state_hash(stored)
    for load in package.loads:
        if load.state is not None and load.state.after != load.state.before:
            document = with_resource_state(document, load.unit.source, load.unit.resource, load.state.after)
    for source, change in package.source_states.items():
        document = with_source_state(document, source, change.before, change.after)
    if state_hash(document) == before:
        return None
    known = document.get("schema_names")
    names = [*known, *schemas] if isinstance(known, list) else list(schemas)
    document |= {
        "_state_version": int(str(document.get("_state_version", 0))) + 1,
        "_state_engine_version": STATE_ENGINE_VERSION,
        "pipeline_name": package.pipeline_name,
        "default_schema_name": document.get("default_schema_name") or next(iter(schemas), None),
        "schema_names": list(dict.fromkeys(names)),
        "dataset_name": package.dataset_name,
        "destination_type": package.destination_type,
        "destination_name": None,
    }
    document["_version_hash"] = state_hash(document)
    return document
