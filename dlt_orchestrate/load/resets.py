"""Resets: what a commit takes away of earlier loads before it plans and writes anything.

Everything after a reset is planned as if what it takes away had never been there; only commit numbers go on, so that a load
that was planned before the reset cannot be committed after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import TableConflictError
from dlt_orchestrate.flow.operation import DeleteRange, DeleteRows, DropTable, NestedRows, Operation, ValueRange
from dlt_orchestrate.flow.package import LoadPackage, Reset, WindowReset
from dlt_orchestrate.flow.snapshot import Snapshot
from dlt_orchestrate.load.planned_catalog import PlannedCatalog
from dlt_orchestrate.load.shared_tables import Filler, Fillers, names, others_with_rows, stored_fillers
from dlt_orchestrate.protocols.destination import Catalog
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.system import PREFIX
from dlt_orchestrate.schema.table import LOAD_ID
from dlt_orchestrate.state.commits import CommitRecord, UnitKey
from dlt_orchestrate.state.document import resources_with_state, with_resource_state, without_source


@dataclass(frozen=True)
class ResetPlan:
    """What the resets of a package do, and what they leave.

    Attributes:
        operations: What is done to tables, and on behalf of which unit.
        snapshot: What the destination holds afterwards.
        catalog: Its tables afterwards.
        changed_schemas: The schemas that lose tables, by source.
        units: Units without a load in the package whose commit number rises, since a load planned before must not follow.
        forgotten: Units whose attempts count as not made.
    """

    snapshot: Snapshot
    catalog: Catalog
    operations: tuple[tuple[UnitKey, Operation], ...] = ()
    changed_schemas: Mapping[str, Schema] = field(default_factory=dict)
    units: tuple[UnitKey, ...] = ()
    forgotten: tuple[UnitKey, ...] = ()


def plan_resets(package: LoadPackage, snapshot: Snapshot, catalog: Catalog) -> ResetPlan:
    """Plan the resets of a package against what the destination holds now.

    Raises:
        TableConflictError: Rows of a resource that is not reset would be lost.
    """
    if not (package.resets or package.window_resets):
        return ResetPlan(snapshot, catalog)
    operations: dict[str, tuple[UnitKey, Operation]] = {}
    fillers = stored_fillers(snapshot, snapshot.schemas)
    for reset in package.resets if snapshot.exists else ():
        for root, owners in _roots(reset, snapshot, fillers).items():
            _expect_own(root, owners, package.resets, fillers, snapshot, catalog)
            unit = _unit_for(owners, reset, package)
            for table in (root, *_nested(root, snapshot)):
                if catalog.columns(table) is not None:
                    operations[table] = (unit, DropTable(table) if reset.tables == "drop" else DeleteRows(table))
    planned = PlannedCatalog(catalog)
    planned.plan(operation for _, operation in operations.values())
    left = remaining(snapshot, package.resets)
    of_windows = [
        (reset.unit, operation)
        for reset in package.window_resets
        for operation in _rows_of_window(reset, snapshot, planned)
    ]
    of_tables = [unit for unit, _ in operations.values()]
    units = [
        *_units_without_load(package, snapshot, of_tables),
        *(reset.unit for reset in package.window_resets if reset.load_ids),
    ]
    forgotten = [*units, *(reset.unit for reset in package.window_resets)]
    return ResetPlan(
        snapshot=left,
        catalog=planned,
        operations=(*operations.values(), *of_windows),
        changed_schemas={
            name: schema for name, schema in left.schemas.items() if schema.version != snapshot.schemas[name].version
        },
        units=tuple(dict.fromkeys(units)),
        forgotten=tuple(unit for unit in dict.fromkeys(forgotten) if unit in snapshot.latest),
    )


def remaining(snapshot: Snapshot, resets: Sequence[Reset]) -> Snapshot:
    """What resets leave of schemas, state and row counts."""
    if not resets:
        return snapshot
    fillers = stored_fillers(snapshot, snapshot.schemas)
    dropped: set[str] = set()
    gone: set[str] = set()
    state: dict[str, Any] = dict(snapshot.state)
    for reset in resets:
        roots = _roots(reset, snapshot, fillers)
        tables = {table for root in roots for table in (root, *_nested(root, snapshot))}
        gone |= tables
        dropped |= tables if reset.tables == "drop" else set()
        state = _without_state(state, reset) if reset.state else state
    return replace(
        snapshot,
        schemas={name: _without_tables(schema, dropped) for name, schema in snapshot.schemas.items()},
        state=state,
        latest={unit: _without_rows(record, gone) for unit, record in snapshot.latest.items()},
    )


def _roots(reset: Reset, snapshot: Snapshot, fillers: Fillers) -> dict[str, set[Filler]]:
    """The root tables that a reset concerns, with the resources that have a part in them."""
    schema = snapshot.schemas.get(reset.source)
    found: dict[str, set[Filler]] = {}
    for table in schema.tables.values() if schema is not None and reset.tables != "keep" else ():
        if table.parent is None and not table.name.startswith(PREFIX):
            owners = set(fillers.get(table.name, ()))
            owners.add(Filler(reset.source, table.resource or table.name))
            if reset.resources is None or any(reset.covers(*owner) for owner in owners):
                found[table.name] = owners
    return found


def _nested(root: str, snapshot: Snapshot) -> list[str]:
    """Every table nested below a root, in whichever schema."""
    return list(dict.fromkeys(table.name for schema in snapshot.schemas.values() for table in schema.nested_tables(root)))


def _rows_of_window(reset: WindowReset, snapshot: Snapshot, catalog: Catalog) -> Iterable[DeleteRange]:
    """Delete what the loads of a window have left in the root tables of its resource.

    Raises:
        TableConflictError: The rows of one of the loads cannot be told from those of another resource.
    """
    schema = snapshot.schemas.get(reset.unit.source)
    record = snapshot.latest.get(reset.unit)
    for name in record.row_counts if record is not None and schema is not None else ():
        table = schema.tables.get(name) if schema is not None else None
        if table is None or table.parent is not None or LOAD_ID not in (catalog.columns(name) or ()):
            continue
        _expect_own_loads(reset, name, snapshot)
        nested = tuple(
            NestedRows(child, tuple(parent for parent in parents if catalog.columns(parent) is not None), None)
            for child, parents in _links(name, snapshot).items()
            if catalog.columns(child) is not None
        )
        for load_id in reset.load_ids:
            yield DeleteRange(name, ValueRange(LOAD_ID, load_id, load_id, includes_end=True), nested)


def _expect_own_loads(reset: WindowReset, table: str, snapshot: Snapshot) -> None:
    """Root rows tell by which load they came, not of which resource they are."""
    latest = ((unit, record.load_id, name) for unit, record in snapshot.latest.items() for name in _loaded(record))
    for unit, load_id, loaded in (*reset.shared, *latest):
        if Filler.of(unit) != Filler.of(reset.unit) and load_id in reset.load_ids and loaded == table:
            raise TableConflictError(
                table=table,
                problem=f"load {load_id} brought rows of {names([Filler.of(unit)])}, too, which cannot be told from "
                f"those of window {reset.unit.window} of resource {reset.unit.resource!r}. Nothing was changed. Reset only "
                "its records, and load the window again, which replaces its rows.",
            )


def _loaded(record: CommitRecord) -> Iterable[str]:
    """The tables that a commit has loaded rows into."""
    return (table for table, counts in record.row_counts.items() if counts.get("loaded"))


def _links(root: str, snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """Every table nested below a root with those that its rows may hang below; these first."""
    found: dict[str, tuple[str, ...]] = {}
    for schema in snapshot.schemas.values():
        found |= {table.name: schema.tables_above(table) for table in schema.nested_tables(root)}
    return found


def _expect_own(
    table: str, owners: set[Filler], resets: Iterable[Reset], fillers: Fillers, snapshot: Snapshot, catalog: Catalog
) -> None:
    """Refuse to take rows away from a resource that is not reset."""
    resets = tuple(resets)
    covered = {owner for owner in owners if any(reset.covers(*owner) for reset in resets)}
    others = others_with_rows(table, covered, fillers, snapshot, catalog)
    if others:
        raise TableConflictError(
            table=table,
            problem=f"resetting {names(covered) or 'its source'} would delete its rows, of which some are of "
            f"{names(others)}. Nothing was changed. Reset all resources that fill the table in one run with "
            "commit='run', or give each a table of its own (table_name). If nothing loads the other rows any more, empty "
            "the table first.",
        )


def _unit_for(owners: set[Filler], reset: Reset, package: LoadPackage) -> UnitKey:
    """The unit that a table is reset for: one with a load in the package, if there is any."""
    of_loads = [load.unit for load in package.loads if Filler.of(load.unit) in owners]
    if of_loads:
        return of_loads[0]
    resource = min(owner.resource for owner in owners if reset.covers(*owner))
    return UnitKey(package.pipeline_name, reset.source, resource)


def _units_without_load(package: LoadPackage, snapshot: Snapshot, of_tables: Iterable[UnitKey]) -> Iterable[UnitKey]:
    """The reset units that have no load here: those that committed, that have state, and that tables are reset for.

    Of windows only those whose rows go: a load of a window goes on from nothing else that a reset takes away, and finds the
    rows that it replaces by the load which its latest record names.
    """
    with_state = (
        UnitKey(package.pipeline_name, reset.source, resource)
        for reset in package.resets
        for resource in resources_with_state(snapshot.state, reset.source)
    )
    loaded = {load.unit for load in package.loads}
    committed = (
        unit
        for unit, record in snapshot.latest.items()
        if unit.window is None or any(counts.get("total") for counts in record.row_counts.values())
    )
    for unit in dict.fromkeys([*committed, *with_state, *of_tables]):
        covering = [reset for reset in package.resets if reset.covers(unit.source, unit.resource)]
        if unit not in loaded and any(unit.window is None or reset.tables != "keep" for reset in covering):
            yield unit


def _without_tables(schema: Schema, dropped: set[str]) -> Schema:
    kept = {name: table for name, table in schema.tables.items() if name not in dropped}
    return schema if len(kept) == len(schema.tables) else replace(schema, tables=kept).succeeding(schema)


def _without_rows(record: CommitRecord, gone: set[str]) -> CommitRecord:
    counts = {name: {**of, "total": 0} if name in gone else of for name, of in record.row_counts.items()}
    return replace(record, row_counts=counts)


def _without_state(document: Mapping[str, Any], reset: Reset) -> dict[str, Any]:
    if reset.resources is None:
        return without_source(document, reset.source)
    changed = dict(document)
    for resource in resources_with_state(document, reset.source):
        if resource in reset.resources:
            changed = with_resource_state(changed, reset.source, resource, {})
    return changed
