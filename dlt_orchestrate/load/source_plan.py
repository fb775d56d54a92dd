"""The tables of one source in one commit: their names, columns and rows, and how these meet what is stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import field, replace
from datetime import datetime

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import NamingConventionConflictError, TableConflictError
from dlt_orchestrate.flow.batch import TableKey
from dlt_orchestrate.flow.operation import (
    NestedRows,
    Operation,
)
from dlt_orchestrate.flow.package import DesiredTable, LoadPackage, ResourceLoad
from dlt_orchestrate.flow.snapshot import Snapshot
from dlt_orchestrate.load.columns import TablePlan, plan_columns
from dlt_orchestrate.load.contracts import Want, hold_to_contract
from dlt_orchestrate.load.dispositions import RootWrite, WindowRows, emptied_by, plan_write, warnings_of
from dlt_orchestrate.load.planned_catalog import PlannedCatalog
from dlt_orchestrate.load.rows import CastRows
from dlt_orchestrate.load.shared_tables import Filler, Fillers
from dlt_orchestrate.load.system_tables import SYSTEM_TABLES
from dlt_orchestrate.load.windows import WindowLoad
from dlt_orchestrate.protocols.destination import Catalog
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.conventions import DEFAULT_CONVENTION
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.growth import strictest
from dlt_orchestrate.schema.naming import PATH_SEPARATOR, Naming, assign_names, naming_for
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, Table
from dlt_orchestrate.state.commits import UnitKey


@dataclass
class SourcePlan:
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
    ) -> SourcePlan:
        """Plan the loads of a source, and plan anew without what their schema contracts turn away, until nothing is."""
        left_out: list[str] = []
        while True:
            plan = cls.of(source, package, snapshot, catalog, capabilities)
            found = [hold_to_contract(load, plan.wants_of(number), catalog) for number, load in enumerate(plan.loads)]
            if not any(found):
                for table in plan.plans.values():
                    table.expect_writable()
                return replace(plan, left_out=tuple(left_out))
            instead = {held.load.unit: held.load for held in found if held is not None}
            package = replace(package, loads=tuple(instead.get(load.unit, load) for load in package.loads))
            left_out += [text for held in found if held is not None for text in held.warnings]

    @classmethod
    def of(
        cls, source: str, package: LoadPackage, snapshot: Snapshot, catalog: PlannedCatalog, capabilities: Capabilities
    ) -> SourcePlan:
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

    def share(self, fillers: Fillers, sources: Iterable[SourcePlan]) -> None:
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
            return "not all of its source was read"
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
