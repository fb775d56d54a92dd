"""What a commit does: the definitions and writes of every table, the state, and what remembers the commit."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from dlt_orchestrate.errors import CommitConflictError, NamingConventionConflictError, TableConflictError
from dlt_orchestrate.flow.batch import TableKey
from dlt_orchestrate.flow.operation import (
    AddColumns,
    CreateTable,
    DeleteOld,
    DeleteRows,
    InsertRows,
    NestedRows,
    Operation,
)
from dlt_orchestrate.flow.package import DesiredTable, LoadPackage, ResourceLoad, TableCounts
from dlt_orchestrate.flow.snapshot import Snapshot
from dlt_orchestrate.load import system_tables
from dlt_orchestrate.load.columns import TablePlan, plan_columns
from dlt_orchestrate.load.contracts import Want, hold_to_contract
from dlt_orchestrate.load.dispositions import RootWrite, WindowRows, emptied_by, plan_write, warnings_of
from dlt_orchestrate.load.planned_catalog import PlannedCatalog
from dlt_orchestrate.load.resets import plan_resets
from dlt_orchestrate.load.rows import CastRows, FixedRows
from dlt_orchestrate.load.shared_tables import Filler, Fillers, expect_replaceable, stored_fillers
from dlt_orchestrate.load.system_tables import SYSTEM_TABLES, SYSTEM_TABLES_VERSION
from dlt_orchestrate.load.windows import WindowLoad
from dlt_orchestrate.protocols.destination import Catalog
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.conventions import DEFAULT_CONVENTION
from dlt_orchestrate.schema.document import ENGINE_VERSION, Schema, schema_to_json
from dlt_orchestrate.schema.growth import strictest
from dlt_orchestrate.schema.naming import PATH_SEPARATOR, Naming, assign_names, naming_for
from dlt_orchestrate.schema.table import LOAD_ID, PARENT_ID, ROOT_ID, Table
from dlt_orchestrate.state.commits import UnitKey
from dlt_orchestrate.state.document import (
    STATE_ENGINE_VERSION,
    encode_state,
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
    sources: list[_SourcePlan] = []
    for name in _concerned(package, snapshot):
        sources.append(_SourcePlan.within_contracts(name, package, snapshot, planned, capabilities))
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


def _new_columns(sources: Iterable[_SourcePlan]) -> dict[str, Mapping[str, str]]:
    found: dict[str, Mapping[str, str]] = {}
    for source in sources:
        for name, plan in source.plans.items():
            if plan.changes:
                found[name] = {**found.get(name, {}), **plan.changes}
    return found


def _package_rows(sources: Iterable[_SourcePlan]) -> dict[str, int]:
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


def _emptied(sources: Iterable[_SourcePlan], fillers: Fillers, snapshot: Snapshot, catalog: Catalog) -> dict[str, UnitKey]:
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


@dataclass
class _SourcePlan:
    """The tables of one source in one commit.

    Attributes:
        fillers: The resources that fill each table of the commit, now or before.
        foreign: Nested tables that only other sources know: they hang below a table that this one may fill, too.
        parts: For a table of a load (by number) its place among the rows of the table's plan.
        left_out: What schema contracts turned away of the values, as warnings.
        windows: What the loads of windows may replace, by number of the load and root table.
    """

    schema: Schema
    naming: Naming
    changed: bool
    loaded_at: datetime
    fillers: dict[str, set[Filler]]
    foreign: dict[str, Table]
    loads: list[ResourceLoad]
    names: dict[TableKey, str]
    plans: dict[str, TablePlan]
    parts: dict[tuple[int, TableKey], int]
    left_out: tuple[str, ...] = ()
    windows: dict[tuple[int, TableKey], WindowRows] = field(default_factory=dict)

    @classmethod
    def within_contracts(
        cls, source: str, package: LoadPackage, snapshot: Snapshot, catalog: PlannedCatalog, capabilities: Capabilities
    ) -> _SourcePlan:
        """Plan the loads of a source, and plan anew without what their schema contracts turn away, until nothing is."""
        left_out: list[str] = []
        while True:
            plan = cls.of(source, package, snapshot, catalog, capabilities)
            found = [hold_to_contract(load, plan.wants_of(number), catalog) for number, load in enumerate(plan.loads)]
            if not any(found):
                return replace(plan, left_out=tuple(left_out))
            instead = {held.load.unit: held.load for held in found if held is not None}
            package = replace(package, loads=tuple(instead.get(load.unit, load) for load in package.loads))
            left_out += [text for held in found if held is not None for text in held.warnings]

    @classmethod
    def of(
        cls, source: str, package: LoadPackage, snapshot: Snapshot, catalog: PlannedCatalog, capabilities: Capabilities
    ) -> _SourcePlan:
        stored = snapshot.schemas.get(source) or Schema(source, naming=package.namings.get(source, DEFAULT_CONVENTION))
        _expect_planned_naming(stored, package)
        naming = naming_for(stored.naming, capabilities, said_by=f"the stored schema of source {source!r}")
        loads = [load for load in package.loads if load.unit.source == source]
        names = _table_names(loads, stored, naming, _elsewhere(source, snapshot, catalog))
        wants: dict[str, list[tuple[ResourceLoad, DesiredTable]]] = {}
        parts: dict[tuple[int, TableKey], int] = {}
        for number, load in enumerate(loads):
            for want in _in_order(load):
                name = names[want.spool.key]
                is_empty = not want.spool.row_count and not want.spool.fields and not want.is_wanted
                if is_empty and catalog.columns(name) is None:
                    continue
                parts[number, want.spool.key] = len(wants.setdefault(name, []))
                wants[name].append((load, want))
        plans = {}
        imported = package.imported.get(source, Schema(source)).tables
        for name, parties in wants.items():
            load, first = parties[0]
            _expect_one_place(name, parties, names, stored)
            before = stored.tables.get(name)
            parent = before.parent if before is not None else _parent(first.spool.key, names)
            plans[name] = plan_columns(
                name,
                [want for _, want in parties],
                stored=stored.tables.get(name),
                imported=imported.get(name),
                parent=parent,
                resource=load.unit.resource,
                load_id=package.load_id,
                loaded_at=package.created_at,
                catalog=catalog,
                naming=naming,
                capabilities=capabilities,
                with_root_id=_merges(load, first.spool.key.root)
                or _has_root_id(stored.tables.get(name))
                or ROOT_ID in (catalog.columns(name) or ()),
                growth=strictest(load.growth for load, _ in parties),
                cursors=frozenset(load.cursor_keys for load, want in parties if want.hints is not None),
            )
        tables = dict(stored.tables) | {name: plan.table for name, plan in plans.items()}
        schema = replace(stored, tables=tables)
        changed = not stored.version or schema.content_hash != stored.content_hash
        return cls(
            schema=schema.succeeding(stored) if changed else stored,
            naming=naming,
            changed=changed,
            loaded_at=package.created_at,
            fillers={name: {Filler.of(load.unit) for load, _ in parties} for name, parties in wants.items()},
            foreign=_foreign(source, snapshot, catalog),
            loads=loads,
            names=names,
            plans=plans,
            parts=parts,
        )

    def look_into_windows(self, snapshot: Snapshot, catalog: Catalog) -> None:
        """Find out what the loads of windows may replace, while nothing has been changed yet."""
        for number, load in enumerate(self.loads):
            for want in load.tables if load.unit.window is not None else ():
                root = self.names[want.spool.key]
                if want.hints is not None and root in self.plans:
                    earlier = snapshot.latest.get(load.unit)
                    existed = catalog.columns(root) or {}

                    def stored_text(column: str, table: str = root, known: Collection[str] = existed) -> str | None:
                        return catalog.any_text(table, column) if column in known else None

                    self.windows[number, want.spool.key] = WindowLoad(
                        load=load,
                        hints=want.hints,
                        plan=self.plans[root],
                        rows=self._rows(number, want.spool.key),
                        others=tuple(sorted({f.resource for f in self.fillers[root] - {Filler.of(load.unit)}})),
                        earlier_load_id=earlier.load_id if earlier else None,
                        stored_text=stored_text,
                    ).stored_rows()

    def share(self, fillers: Fillers, sources: Iterable[_SourcePlan]) -> None:
        """Take in who fills its tables besides: resources of other sources, and of commits before."""
        for name, found in self.fillers.items():
            found |= fillers.get(name, frozenset()).union(*(other.fillers.get(name, ()) for other in sources))

    def definitions(self) -> Iterable[Operation]:
        for plan in self.plans.values():
            yield from plan.definitions

    def emptied(self, fillers: Fillers, catalog: Catalog) -> Iterable[tuple[UnitKey, str, tuple[str, ...]]]:
        """Root tables that a resource replaces, with those nested below, also where it has no row for them this time."""
        for load, write in self._writes():
            if emptied_by(write):
                yield load.unit, write.table, emptied_by(write)
        for load in self.loads:
            for root in self._stale(load, fillers, catalog):
                yield load.unit, root, (root, *(child.name for child in self._nested_tables(root)))

    def writes(self) -> Iterable[tuple[UnitKey, Operation]]:
        """The rows of each resource."""
        for load, write in self._writes():
            for operation in plan_write(write):
                yield load.unit, operation

    def wants_of(self, number: int) -> list[Want]:
        """The planned tables of a load, parents before the tables nested in them."""
        found = []
        for table in _in_order(self.loads[number]):
            part = self.parts.get((number, table.spool.key))
            if part is not None:
                plan = self.plans[self.names[table.spool.key]]
                found.append(Want(table, plan, plan.rows[part]))
        return found

    def tables_of(self, load: ResourceLoad) -> tuple[str, ...]:
        """The tables that a resource fills in this commit."""
        names = dict.fromkeys(self.names[want.spool.key] for want in load.tables)
        return tuple(name for name in names if name in self.plans)

    def moved(self, package: LoadPackage, snapshot: Snapshot) -> list[str]:
        """Tables whose stored schema is not the one that was read before extraction."""
        before = package.fingerprints.get(self.schema.name, {})
        stored = snapshot.schemas.get(self.schema.name)
        now = stored.fingerprints() if stored else {}
        return [name for name in self.plans if before.get(name) != now.get(name)]

    def warnings(self) -> Iterable[str]:
        """Names that were taken, by other tables or by other keys of the same table, and what hints could not do."""
        yield from self.left_out
        for load in self.loads:
            yield from load.warnings
        for key, name in self.names.items():
            wanted = self.naming.table((key.root, *key.path))
            if name in self.plans and name != wanted:
                yield (
                    f"The table name {wanted!r} is taken by another table; the rows of "
                    f"{PATH_SEPARATOR.join((key.root, *key.path))!r} go to table {name!r}."
                )
        for plan in self.plans.values():
            yield from plan.warnings
        for _, write in self._writes():
            yield from warnings_of(write)

    def _writes(self) -> Iterable[tuple[ResourceLoad, RootWrite]]:
        """Every root table of every resource, as it is to be written."""
        for number, load in enumerate(self.loads):
            for want in load.tables:
                root = self.names[want.spool.key]
                if want.hints is not None and root in self.plans:
                    write = RootWrite(
                        plan=self.plans[root],
                        hints=want.hints,
                        rows=self._rows(number, want.spool.key),
                        nested=tuple(self._nested(number, load, want.spool.key, root)),
                        loaded_at=self.loaded_at,
                        by_content=want.merges_by_content,
                        uncovered_because=self._uncovered_because(load, root),
                        window=self.windows.get((number, want.spool.key)),
                    )
                    yield load, write

    def _stale(self, load: ResourceLoad, fillers: Fillers, catalog: Catalog) -> Iterable[str]:
        """Root tables that a resource filled before, and that it replaces by no rows: its rows chose other tables."""
        replaces = any(
            want.hints is not None and want.hints.is_chosen_by_rows and want.hints.write_disposition == "replace"
            for want in load.tables
        )
        if not load.is_complete or load.unit.window is not None:
            return
        now = {self.names[want.spool.key] for want in load.tables}
        for table in self.schema.tables.values():
            is_old = Filler.of(load.unit) in fillers.get(table.name, ()) and table.name not in now
            is_meant = replaces or (table.is_chosen_by_rows and table.write_disposition == "replace")
            if table.parent is None and is_old and is_meant and catalog.row_count(table.name):
                yield table.name

    def _uncovered_because(self, load: ResourceLoad, root: str) -> str | None:
        """Why a row of the source may not be in a load of one of its tables; None if all of them are."""
        if load.unit.window is not None:
            return f"the load covers only the window {load.unit.window}"
        if not load.is_complete:
            return "a limit cut its extraction short"
        if load.rejects or load.rejected_again:
            return f"{len(load.rejects) + len(load.rejected_again)} of its rows were rejected"
        others = sorted({filler.resource for filler in self.fillers[root] - {Filler.of(load.unit)}})
        if others:
            return f"the table is filled by {', '.join(map(repr, others))}, too"
        return None

    def _rows(self, number: int, key: TableKey) -> CastRows | None:
        part = self.parts.get((number, key))
        if part is None:
            return None
        rows = self.plans[self.names[key]].rows[part]
        return rows if rows.row_count else None

    def _nested(self, number: int, load: ResourceLoad, root: TableKey, root_name: str) -> Iterable[NestedRows]:
        """Every nested table of a root, stored or new, parents first; stored ones may be without new rows."""
        new = {self.names[want.spool.key]: want.spool.key for want in load.tables if want.spool.key.root == root.root}
        everything = self._with_foreign()
        for table in everything.nested_tables(root_name):
            key = new.get(table.name)
            yield NestedRows(table.name, everything.tables_above(table), self._rows(number, key) if key else None)

    def _nested_tables(self, root: str) -> tuple[Table, ...]:
        return self._with_foreign().nested_tables(root)

    def _with_foreign(self) -> Schema:
        return replace(self.schema, tables={**self.foreign, **self.schema.tables})


def _table_names(
    loads: Iterable[ResourceLoad], stored: Schema, naming: Naming, elsewhere: Iterable[str]
) -> dict[TableKey, str]:
    keys = {(want.spool.key.root, *want.spool.key.path) for load in loads for want in _in_order(load)}

    names = assign_names(
        keys,
        naming.table,
        naming=naming,
        owners=dict.fromkeys(elsewhere, ()) | {table.name: table.path for table in stored.tables.values()},
        reserved=SYSTEM_TABLES,
    )
    return {TableKey(path[0], path[1:]): name for path, name in names.items()}


def _expect_planned_naming(stored: Schema, package: LoadPackage) -> None:
    """The records were normalized by the convention of the tables; others may have made these since."""
    planned = package.namings.get(stored.name, stored.naming)
    if planned != stored.naming:
        raise NamingConventionConflictError(
            source=stored.name,
            dataset=package.dataset_name,
            stored=stored.naming,
            asked=planned,
            said_by="this load, which began before they were made,",
        )


def _elsewhere(source: str, snapshot: Snapshot, planned: PlannedCatalog) -> Iterable[str]:
    """The tables of other sources: a table of one source may be that of another, if both spell it alike."""
    yield from planned.tables
    for schema in snapshot.schemas.values():
        if schema.name != source:
            yield from schema.tables


def _in_order(load: ResourceLoad) -> list[DesiredTable]:
    """The tables of a load, parents before the tables nested in them."""
    return sorted(load.tables, key=lambda want: len(want.spool.key.path))


def _parent(key: TableKey, names: Mapping[TableKey, str]) -> str | None:
    """The nearest table above: lists may lie below dictionaries, which are no tables."""
    for depth in range(len(key.path) - 1, -1, -1):
        above = TableKey(key.root, key.path[:depth])
        if above in names:
            return names[above]
    return None


def _root_above(key: TableKey, names: Mapping[TableKey, str]) -> str | None:
    """The root table that a nested one belongs to; None for a root."""
    return names.get(TableKey(key.root), key.root) if key.path else None


def _foreign(source: str, snapshot: Snapshot, catalog: Catalog) -> dict[str, Table]:
    """The nested tables that the schemas of other sources hold and the destination has."""
    return {
        table.name: table
        for schema in snapshot.schemas.values()
        if schema.name != source
        for table in schema.tables.values()
        if table.parent is not None and PARENT_ID in (catalog.columns(table.name) or ())
    }


def _expect_one_place(
    name: str, parties: list[tuple[ResourceLoad, DesiredTable]], names: Mapping[TableKey, str], stored: Schema
) -> None:
    """A table is either a root or nested somewhere below one, for all resources that fill it."""
    roots = {_root_above(want.spool.key, names) for _, want in parties}
    if name in stored.tables:
        roots.add(next(reversed(stored.tables_above(stored.tables[name])), None))
    if len(roots) > 1:
        resources = ", ".join(sorted({repr(load.unit.resource) for load, _ in parties}))
        raise TableConflictError(
            table=name,
            problem=f"it is wanted both as a table of its own and nested below another ({resources}). Give the resource "
            "another name or table_name.",
        )


def _merges(load: ResourceLoad, root: str) -> bool:
    return any(
        want.hints is not None and want.spool.key.root == root and want.hints.write_disposition == "merge"
        for want in load.tables
    )


def _has_root_id(table: Table | None) -> bool:
    return table is not None and ROOT_ID in table.columns


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


def system_definitions(present: Mapping[str, Collection[str]]) -> Iterable[Operation]:
    """Create the system tables that are not there yet, and the columns that those of an older release or dlt lack.

    Args:
        present: The columns of each system table that is there.
    """
    for name, columns in SYSTEM_TABLES.items():
        if name not in present:
            yield CreateTable(name, columns)
        elif missing := tuple(replace(column, nullable=True) for column in columns if column.name not in present[name]):
            yield AddColumns(name, missing)


def retention_operations(package: LoadPackage) -> Iterable[DeleteOld]:
    """Remove the records that the package's retention lets go; states go before the loads that they refer to."""
    kept, now = package.retention, package.created_at
    if kept.rejects is not None:
        yield DeleteOld(system_tables.REJECTS, "rejected_at", now - kept.rejects)
    if kept.commits is not None:
        unit = ("pipeline_name", "source_name", "resource_name", "window_start", "window_end")
        yield DeleteOld(system_tables.COMMITS, "committed_at", now - kept.commits, unit, "commit_number")
    if kept.loads is not None:
        yield DeleteOld(system_tables.STATE, "created_at", now - kept.loads, ("pipeline_name",), "version")
        referring = ((system_tables.STATE, LOAD_ID), (system_tables.COMMITS, "load_id"))
        yield DeleteOld(
            system_tables.LOADS, "inserted_at", now - kept.loads, ("schema_name",), None, ("load_id", referring)
        )


def record_operations(
    package: LoadPackage, plan: CommitPlan, counts: Mapping[UnitKey, Mapping[str, TableCounts]]
) -> Iterable[Operation]:
    """Insert what remembers the commit: rejects, state, schemas, commit records, and the load records last."""
    at = package.created_at
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in SYSTEM_TABLES}
    for reject in (reject for load in plan.loads for reject in load.rejects):
        rows[system_tables.REJECTS].append(
            (package.load_id, reject.resource, reject.table, reject.row, reject.column, reject.cause, at)
        )
    of_resets = [ResourceLoad(unit, base_commit=number, begins_anew=True) for unit, number in plan.reset_units.items()]
    for load in (*plan.loads, *of_resets):
        unit = load.unit
        if not load.changes_anything:
            continue
        window_start, window_end = unit.window.to_texts() if unit.window else (None, None)
        touched = {name: asdict(done) for name, done in counts.get(unit, {}).items()}
        if load.rejects:
            touched[system_tables.REJECTS] = asdict(TableCounts(loaded=len(load.rejects), inserted=len(load.rejects)))
        rows[system_tables.COMMITS].append(
            (
                unit.pipeline,
                unit.source,
                unit.resource,
                window_start,
                window_end,
                load.base_commit + 1,
                package.load_id,
                load.idempotency_key,
                json.dumps(touched),
                _json_or_none(load.cursor_before),
                _json_or_none(load.cursor_after),
                package.host,
                at,
                SYSTEM_TABLES_VERSION,
            )
        )
    if plan.state is not None:
        state = plan.state
        rows[system_tables.STATE].append(
            (
                state["_state_version"],
                STATE_ENGINE_VERSION,
                package.pipeline_name,
                encode_state(state),
                at,
                state["_version_hash"],
                package.load_id,
                f"{package.load_id}.state",
            )
        )
    for source, schema in plan.schemas.items():
        if source in plan.changed_schemas:
            document = schema_to_json(schema)
            rows[system_tables.VERSION].append((schema.version, ENGINE_VERSION, at, source, schema.content_hash, document))
        rows[system_tables.LOADS].append((package.load_id, source, 0, at, schema.content_hash))
    order = (
        system_tables.REJECTS, system_tables.STATE, system_tables.VERSION, system_tables.COMMITS, system_tables.LOADS,
    )  # fmt: skip
    for table in order:
        if rows[table]:
            yield InsertRows(table, FixedRows(SYSTEM_TABLES[table], rows[table]))


def _json_or_none(value: object) -> str | None:
    return None if value is None else json.dumps(value, default=str)
