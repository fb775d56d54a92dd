"""Which columns a table gets: names, types, variants and the routes of spooled values into them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import ColumnTypeConflictError, TableConflictError
from dlt_orchestrate.flow.batch import OVERFLOW, FieldKey, KeyPath, Observed
from dlt_orchestrate.flow.operation import AddColumns, AllowNulls, CreateTable, Describe, GiveIds, Operation, WidenColumn
from dlt_orchestrate.flow.package import DesiredTable
from dlt_orchestrate.load.cast import fit, fits_always
from dlt_orchestrate.load.rows import CastRows, Route
from dlt_orchestrate.protocols.destination import Catalog
from dlt_orchestrate.schema import evolve, types
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.growth import Growth, TypePolicy
from dlt_orchestrate.schema.naming import PATH_SEPARATOR, Naming, assign_names
from dlt_orchestrate.schema.system import PREFIX
from dlt_orchestrate.schema.table import (
    DEDUP_SORT,
    HARD_DELETE,
    KEY_ID,
    LIST_INDEX,
    LOAD_ID,
    NAIVE_IS_UTC,
    OVERFLOW_COLUMN,
    PARENT_ID,
    ROOT_ID,
    ROW_ID,
    SYSTEM_COLUMNS,
    VALID_FROM,
    VALID_TO,
    Column,
    ColumnHint,
    Table,
    TableHints,
    Validity,
)
from dlt_orchestrate.schema.types import ColumnType, ValueClass

VARIANT = "variant"
"""Hint of a column that takes the values which another column cannot hold."""


@dataclass(frozen=True)
class TablePlan:
    """One table after the load, the changes that lead there, and its rows, one entry for each part of the package.

    Attributes:
        changes: New and widened columns with their types as text.
        closed_in: The column that says when a version ended; None for a table without versions.
        problem: Why the rows cannot be written as they are, unless the schema contract turns some of them away.
    """

    table: Table
    definitions: tuple[Operation, ...]
    rows: tuple[CastRows, ...]
    existed: bool
    naming: Naming
    names: Mapping[KeyPath, str]
    changes: Mapping[str, str] = field(default_factory=dict)
    closed_in: str | None = None
    warnings: tuple[str, ...] = ()
    problem: str | None = None

    def expect_writable(self) -> None:
        """Make sure that every row has what a key, or a column that takes no nulls, asks of it.

        Raises:
            TableConflictError: Some have not.
        """
        if self.problem is not None:
            raise TableConflictError(table=self.table.name, problem=self.problem)

    def columns_named(self, names: Iterable[str]) -> tuple[str, ...]:
        """The columns that hints mean by these names."""
        return _columns_named(names, self.naming, self.names)

    def column_at(self, path: KeyPath) -> Column | None:
        """The column that holds the values of a path, if the table has one of its own for it."""
        known = self.names.get(path) or next(
            (column.name for column in self.table.columns.values() if column.path == path), self.naming.path(path)
        )
        return self.table.columns.get(known)


@dataclass
class _Draft:
    """The columns of a table while they are being planned.

    Attributes:
        room: New columns that the table has room for, apart from those that are declared.
        routes: For each field the column that takes what fits, whether values are coerced, and the column for the rest.
    """

    stored: Mapping[str, ColumnType]
    room: int = 0
    type_policy: TypePolicy = "widen"
    columns: dict[str, Column] = field(default_factory=dict)
    widened: dict[str, ColumnType] = field(default_factory=dict)
    routes: dict[FieldKey, tuple[str | None, bool, str | None]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def takes(self, name: str) -> bool:
        """Whether there is, or may be, a column of this name."""
        return name in self.columns or self.room > 0

    def settle(self, column: Column) -> None:
        """Give a column its place and type."""
        assert column.type is not None
        self.room -= column.name not in self.columns
        before = self.stored.get(column.name)
        if before is not None and before != column.type:
            self.widened[column.name] = column.type
        self.columns[column.name] = column


def plan_columns(
    name: str,
    wants: Sequence[DesiredTable],
    *,
    stored: Table | None,
    imported: Table | None,
    parent: str | None,
    resource: str,
    load_id: str,
    loaded_at: datetime,
    catalog: Catalog,
    naming: Naming,
    capabilities: Capabilities,
    with_root_id: bool,
    growth: Growth,
    cursors: frozenset[KeyPath] = frozenset(),
) -> TablePlan:
    """Plan one table from everything the package holds for it.

    Args:
        cursors: The keys that lead to cursors, which have a column whether there is room for more or not.

    Raises:
        ColumnTypeConflictError: A hint asks for a type that the stored column cannot be widened to.
        TableConflictError: The table would have more columns than the destination holds.
    """
    physical = catalog.columns(name)
    hints = next((found for want in reversed(wants) if (found := want.hints or want.nested_hints)), TableHints())
    draft = _Draft(physical or {}, type_policy=growth.type_policy, columns=dict(stored.columns) if stored else {})
    if stored is not None and not stored.path:
        draft.columns = {name: _as_made_by_dlt(column) for name, column in draft.columns.items()}
    for column_name, column_type in draft.stored.items():
        if column_name not in draft.columns:
            draft.columns[column_name] = Column(column_name, column_type)
    by_content = bool(wants) and all(want.merges_by_content for want in wants if want.hints is not None)
    required_key = () if by_content else hints.required_key
    versioned = next((want.hints for want in wants if want.hints is not None and want.hints.keeps_versions), None)
    validity = _validity_columns(versioned.validity, naming) if versioned else {}
    _expect_one_validity(name, validity, stored, naming)
    names = _names_of_paths(name, wants, draft, naming, frozenset(validity), capabilities.reserved_columns)
    _expect_one_key(name, required_key, stored, names, naming)
    meant = _columns_meant(names, draft, naming)
    column_hints = {**_imported_hints(imported), **_hints_by_name(hints, required_key, meant)}
    seen = _merged(wants)
    system = {**validity, **_system_columns(parent, with_root_id=with_root_id)}
    limit = growth.columns_within(capabilities)
    draft.room = growth.new_columns_within(limit - len(draft.columns.keys() | system.keys() | {OVERFLOW_COLUMN}))
    _plan_hinted(draft, name, column_hints, names, seen, catalog)
    needed = {path for path in names if names[path] in column_hints or path in cursors}
    for path in sorted(names, key=lambda path: (path not in needed, len(path) > 1)):
        if path in needed or draft.takes(names[path]):
            _plan_column(draft, name, path, names, column_hints.get(names[path]), seen, wants, catalog, naming)
        else:
            draft.routes.update({FieldKey(path, kind): (None, False, OVERFLOW_COLUMN) for kind in seen[path]})
    relaxed = _relaxed(name, draft, wants, column_hints, (*_columns_named(required_key, naming, names), *system))
    _plan_overflow(draft, name, wants, system, limit)
    _expect_within(name, draft, system, capabilities)
    table = Table(
        name=name,
        columns=_keyed(
            _in_order(draft, physical, system, column_hints),
            _columns_named(hints.primary_key, naming, names),
            _columns_named(hints.merge_key, naming, names),
        ),
        parent=parent,
        resource=resource if parent is None else None,
        write_disposition=hints.write_disposition,
        strategy=hints.strategy if hints.is_merge else "delete-insert",
        path=(wants[0].spool.key.root, *wants[0].spool.key.path),
        description=hints.description,
        references=hints.references or (stored.references if stored else None),
        is_chosen_by_rows=hints.is_chosen_by_rows,
    )
    problem = _unfilled(table, _columns_named(required_key, naming, names), draft, wants, system) or _undecided(
        draft, hints, names, _columns_named(hints.merge_key, naming, names), meant
    )
    return TablePlan(
        table=table,
        definitions=(*_definitions(table, draft, physical, load_id, relaxed), *_descriptions(table, stored)),
        rows=tuple(
            _cast_rows(
                want,
                draft,
                system,
                {LOAD_ID: load_id, **_validity_values(want.hints, validity, loaded_at)},
                _id_key(want, naming, names),
            )
            for want in wants
        ),
        existed=physical is not None,
        naming=naming,
        names=names,
        closed_in=next((column.name for column in validity.values() if VALID_TO in column.hints), None),
        changes={
            column.name: str(column.type)
            for column in table.columns.values()
            if column.name not in draft.stored or column.name in draft.widened
        },
        warnings=tuple(draft.warnings),
        problem=problem,
    )


def _as_made_by_dlt(column: Column) -> Column:
    """A column of a table that no load of this package has written yet: it goes on to mean what it meant."""
    is_moment = column.type is not None and column.type.kind == "timestamp" and column.type.timezone is not False
    is_of_records = not column.name.startswith(PREFIX) and VALID_FROM not in column.hints and VALID_TO not in column.hints
    return replace(column, hints={**column.hints, NAIVE_IS_UTC: True}) if is_moment and is_of_records else column


def _hints_by_name(
    hints: TableHints, required_key: Iterable[str], column_meant: Callable[[str], str]
) -> dict[str, ColumnHint]:
    """Column hints under the identifiers they mean; key columns take no nulls."""
    found = {column_meant(key): hint for key, hint in hints.columns.items()}
    for key in required_key:
        name = column_meant(key)
        found[name] = replace(found.get(name, ColumnHint()), nullable=False)
    return found


def _imported_hints(imported: Table | None) -> dict[str, ColumnHint]:
    """What an imported schema says of the columns of data that have a type."""
    return {
        name: ColumnHint(column.type, column.nullable, column.description, column.hints)
        for name, column in (imported.columns.items() if imported else ())
        if column.type is not None and not name.startswith(PREFIX)
    }


def _columns_meant(of_paths: Mapping[KeyPath, str], draft: _Draft, naming: Naming) -> Callable[[str], str]:
    """The column that a hint means by a name: that of the key which is spelled so, else the one that reads so."""
    known = {naming.folded(name): name for name in (*draft.columns, *of_paths.values())}

    def column_meant(key: str) -> str:
        name = of_paths.get((key,)) or naming.path((key,))
        return known.get(naming.folded(name), name)

    return column_meant


def _columns_named(names: Iterable[str], naming: Naming, of_paths: Mapping[KeyPath, str]) -> tuple[str, ...]:
    return tuple(of_paths.get((name,), naming.path((name,))) for name in names)


def _id_key(want: DesiredTable, naming: Naming, names: Mapping[KeyPath, str]) -> tuple[str, ...]:
    """The columns that the ids of rows are made from, where rows are updated and keep their ids."""
    if want.hints is None or want.merges_by_content or not want.hints.has_key_ids:
        return ()
    return _columns_named(want.hints.primary_key, naming, names)


# --- versions ----------------------------------------------------------------------------------------------------


def _validity_columns(validity: Validity, naming: Naming) -> dict[str, Column]:
    begin, end = naming.path((validity.from_column,)), naming.path((validity.to_column,))
    return {
        begin: Column(begin, types.TIMESTAMP, hints={VALID_FROM: True}),
        end: Column(end, types.TIMESTAMP, hints={VALID_TO: True}),
    }


def _validity_values(hints: TableHints | None, validity: Mapping[str, Column], loaded_at: datetime) -> dict[str, datetime]:
    """What the validity columns of new versions hold."""
    if hints is None or not hints.keeps_versions:
        return {}
    begin, end = validity
    values = {begin: hints.validity.boundary or loaded_at}
    return values if hints.validity.open_until is None else {**values, end: hints.validity.open_until}


def _expect_one_validity(table: str, validity: Mapping[str, Column], stored: Table | None, naming: Naming) -> None:
    """The validity columns are those of the stored versions, and no column of the records."""
    by_name = {naming.folded(name): column for name, column in validity.items()}
    for column in stored.columns.values() if stored and validity else ():
        wanted = by_name.get(naming.folded(column.name))
        for hint in (VALID_FROM, VALID_TO):
            if column.hints.get(hint) and (wanted is None or hint not in wanted.hints or wanted.name != column.name):
                raise TableConflictError(
                    table=table,
                    problem=f"its versions keep their validity in column {column.name!r}, and validity_column_names asks "
                    f"for {', '.join(map(repr, validity))}. Name the stored columns there, or rename them in the table.",
                )
        if wanted is not None and column.path:
            raise TableConflictError(
                table=table,
                problem=f"its column {column.name!r} holds a field of the records, and validity_column_names asks for it "
                "to say when versions were valid. Choose another name there.",
            )


# --- names -------------------------------------------------------------------------------------------------------


def _names_of_paths(
    table: str,
    wants: Sequence[DesiredTable],
    draft: _Draft,
    naming: Naming,
    reserved: frozenset[str],
    unusable: frozenset[str],
) -> dict[KeyPath, str]:
    paths = [path for path in dict.fromkeys(key.path for want in wants for key in want.spool.fields) if path != OVERFLOW]
    variants = {column.name for column in draft.columns.values() if column.hints.get(VARIANT)}
    names = assign_names(
        paths,
        naming.path,
        naming=naming,
        owners={column.name: column.path for column in draft.columns.values()},
        reserved=SYSTEM_COLUMNS | variants | reserved | unusable,
    )
    for path in paths:
        if names[path] != naming.path(path):
            shown = PATH_SEPARATOR.join(path)
            draft.warnings.append(
                f"Table {table!r}: the name {naming.path(path)!r} of key {shown!r} is taken by "
                f"{'the destination itself' if naming.path(path) in unusable else 'another key'}; "
                f"its values go to column {names[path]!r}."
            )
    return {path: names[path] for path in paths}


def _expect_one_key(
    table: str, key: Iterable[str], stored: Table | None, names: Mapping[KeyPath, str], naming: Naming
) -> None:
    """A key stays in its column: if the source spells it anew, stored rows would not be found, and doubled."""
    for name in key:
        column = stored.columns.get(naming.path((name,))) if stored is not None else None
        if column is None or not (column.primary_key or column.merge_key):
            continue
        others = (path for path in names if naming.path(path) == column.name and column.path not in names)
        spelled_anew = next((path for path in ((name,), *others) if names.get(path, column.name) != column.name), None)
        if spelled_anew is not None:
            raise TableConflictError(
                table=table,
                problem=f"its column {column.name!r} is a key, and holds what the source called "
                f"{PATH_SEPARATOR.join(column.path)!r} so far; {PATH_SEPARATOR.join(spelled_anew)!r}, which comes now, "
                "would be another column, and stored rows would not be found by it. Give the field its former name with "
                "add_map(...), or load the table anew, once, with refresh='drop_resources'.",
            )


def _merged(wants: Sequence[DesiredTable]) -> dict[KeyPath, dict[ValueClass, Observed]]:
    """What was seen of each column, over all parts of the package in order."""
    merged: dict[KeyPath, dict[ValueClass, Observed]] = {}
    for want in wants:
        for key, observed in want.spool.observed.items():
            classes = merged.setdefault(key.path, {})
            before = classes.get(key.value_class)
            classes[key.value_class] = before.merge(observed) if before else observed
    return merged


def _plan_hinted(
    draft: _Draft,
    table: str,
    column_hints: Mapping[str, ColumnHint],
    names: Mapping[KeyPath, str],
    seen: Mapping[KeyPath, Mapping[ValueClass, Observed]],
    catalog: Catalog,
) -> None:
    """Columns that a hint gives a type exist even if no value came for them."""
    with_values = {names[path] for path in names if seen.get(path)}
    for name, hint in column_hints.items():
        if hint.type is not None and name not in with_values:
            column_type = _hinted_type(draft, table, name, hint, hint.type, catalog)
            draft.settle(_column(draft, name, (), column_type, hint))


def _plan_column(
    draft: _Draft,
    table: str,
    path: KeyPath,
    names: Mapping[KeyPath, str],
    hint: ColumnHint | None,
    seen: Mapping[KeyPath, Mapping[ValueClass, Observed]],
    wants: Sequence[DesiredTable],
    catalog: Catalog,
    naming: Naming,
) -> None:
    name = names[path]
    classes = list(seen[path].items())
    is_hinted = hint is not None and hint.is_typed
    column_type: ColumnType | None = draft.stored.get(name)
    if hint is not None and hint.type is not None:
        column_type = _hinted_type(draft, table, name, hint, hint.type, catalog)
    if not is_hinted:
        is_stored = name in draft.stored
        column_type = evolve.join(
            column_type,
            classes,
            lambda: catalog.integer_range(table, name) if is_stored else None,
            draft.type_policy,
        )
    assert column_type is not None, "every class gives a column a type"
    draft.settle(_column(draft, name, path, column_type, hint))
    coerces = draft.type_policy == "variant" or is_hinted or NAIVE_IS_UTC in draft.columns[name].hints
    for value_class, observed in classes:
        field_key = FieldKey(path, value_class)
        fits = fits_always(value_class, observed, column_type, coerces=coerces)
        if fits is None:
            fits = None if _leaves_rest(wants, field_key, column_type, coerces=coerces) else True
        rest = None if fits else _variant(draft, name, evolve.variant_type(value_class, observed), names, naming)
        draft.routes[field_key] = (None if fits is False else name, coerces, rest)


def _hinted_type(
    draft: _Draft, table: str, name: str, hint: ColumnHint, wanted: ColumnType, catalog: Catalog
) -> ColumnType:
    """The hinted type, or the stored one where that is wider, or where the hint gives way to it."""
    wanted = types.settled(wanted)
    stored = draft.stored.get(name)
    if stored is None or stored == wanted:
        return wanted
    if evolve.can_widen(stored, wanted, lambda: catalog.integer_range(table, name)):
        return wanted
    if stored.kind not in ("text", "json") and evolve.can_widen(wanted, stored, lambda: None):
        return stored
    if hint.gives_way:
        return stored
    raise ColumnTypeConflictError(table=table, column=name, stored=str(stored), wanted=str(wanted))


def _leaves_rest(wants: Sequence[DesiredTable], key: FieldKey, column_type: ColumnType, *, coerces: bool) -> bool:
    """Look at every value of a field: whether the column cannot hold some."""
    for want in wants:
        if key not in want.spool.observed:
            continue
        for values in want.spool.values(key):
            if fit(values, key.value_class, column_type, coerces=coerces)[1] is not None:
                return True
    return False


def _variant(draft: _Draft, name: str, wanted: ColumnType, names: Mapping[KeyPath, str], naming: Naming) -> str:
    """The variant column for a class of values: of their own type, or of text if that place is taken; never a key's.

    Where the table has no room for it, they are left over.
    """
    of_keys = frozenset(map(naming.folded, names.values()))
    columns = {naming.folded(column.name): column for column in draft.columns.values()}
    for number in itertools.count(1):
        for column_type in (wanted, types.TEXT):
            label = evolve.variant_label(column_type) if number == 1 else f"{evolve.variant_label(column_type)}_{number}"
            variant = naming.joined(name, f"v_{label}")
            planned = columns.get(naming.folded(variant))
            if planned is None and not draft.takes(variant):
                return OVERFLOW_COLUMN
            if naming.folded(variant) not in of_keys and (planned is None or _is_variant_of_type(planned, column_type)):
                variant = planned.name if planned is not None else variant
                draft.settle(Column(variant, column_type, hints={VARIANT: True}))
                return variant
    raise AssertionError("numbers do not end")


def _is_variant_of_type(column: Column, column_type: ColumnType) -> bool:
    return bool(column.hints.get(VARIANT)) and column.type == column_type


def _column(draft: _Draft, name: str, path: KeyPath, column_type: ColumnType, hint: ColumnHint | None) -> Column:
    before = draft.columns.get(name, Column(name))
    if hint is None:
        return replace(before, type=column_type, path=before.path or path)
    return replace(
        before,
        type=column_type,
        path=before.path or path,
        nullable=before.nullable if hint.nullable is None or name in draft.stored else hint.nullable,
        description=hint.description or before.description,
        primary_key=hint.is_primary_key or before.primary_key,
        merge_key=hint.is_merge_key or before.merge_key,
        hints={**before.hints, **hint.hints},
    )


def _system_columns(parent: str | None, *, with_root_id: bool) -> dict[str, Column]:
    if parent is None:
        found = [Column(LOAD_ID, types.TEXT, nullable=False)]
    else:
        found = [Column(ROOT_ID, types.TEXT, nullable=False, hints={"root_key": True})] if with_root_id else []
        found += [
            Column(PARENT_ID, types.TEXT, nullable=False, hints={"parent_key": True}),
            Column(LIST_INDEX, types.BIGINT, nullable=False),
        ]
    found.append(Column(ROW_ID, types.TEXT, nullable=False, hints={"unique": True, "row_key": True}))
    return {column.name: column for column in found}


def _in_order(
    draft: _Draft,
    physical: Mapping[str, ColumnType] | None,
    system: Mapping[str, Column],
    column_hints: Mapping[str, ColumnHint],
) -> dict[str, Column]:
    """Stored columns first, in their order; of new ones validity and the hinted, as hinted, first and the system's last."""
    validity = [name for name, column in system.items() if VALID_FROM in column.hints or VALID_TO in column.hints]
    stored = [name for name in (physical or {}) if name in draft.columns or name in system]
    new = [name for name in draft.columns if name not in stored and draft.columns[name].type and name not in system]
    order = {name: position for position, name in enumerate(column_hints)}
    new.sort(key=lambda name: order.get(name, len(order)))
    names = dict.fromkeys([*stored, *validity, *new, *system])
    columns = {}
    for name in names:
        column = draft.columns.get(name)
        if name in system and (column is None or name not in (physical or {})):
            column = replace(system[name], nullable=system[name].nullable or physical is not None)
        assert column is not None
        columns[name] = column
    return columns


def _keyed(columns: dict[str, Column], primary_key: Collection[str], merge_key: Collection[str]) -> dict[str, Column]:
    """The columns, those of a key marked as such."""
    return {
        name: replace(column, primary_key=name in primary_key, merge_key=name in merge_key)
        for name, column in columns.items()
    }


def _definitions(
    table: Table, draft: _Draft, physical: Mapping[str, ColumnType] | None, load_id: str, relaxed: Iterable[str]
) -> Iterable[Operation]:
    if physical is None:
        yield CreateTable(table.name, tuple(table.columns.values()))
        return
    added = tuple(replace(column, nullable=True) for column in table.columns.values() if column.name not in physical)
    if added:
        yield AddColumns(table.name, added)
    if ROW_ID not in physical:
        # dlt gives the rows of Arrow tables no ids; without one a row could not be replaced.
        yield GiveIds(table.name, f"{load_id}.")
    for name, column_type in draft.widened.items():
        yield WidenColumn(table.name, name, column_type)
    for name in relaxed:
        if name in physical:
            yield AllowNulls(table.name, name)


def _descriptions(table: Table, stored: Table | None) -> Iterable[Operation]:
    """What is described in another way than before."""
    if table.description and (stored is None or stored.description != table.description):
        yield Describe(table.name, None, table.description)
    for column in table.columns.values():
        before = stored.columns.get(column.name) if stored is not None else None
        if column.description and (before is None or before.description != column.description):
            yield Describe(table.name, column.name, column.description)


def _cast_rows(
    want: DesiredTable,
    draft: _Draft,
    system: Mapping[str, Column],
    constants: Mapping[str, object],
    id_key: tuple[str, ...],
) -> CastRows:
    routes = []
    for position, key in enumerate(want.spool.fields):
        if key not in draft.routes:
            continue
        column, coerces, rest_column = draft.routes[key]
        routes.append(Route(position, key.value_class, column, coerces, rest_column, key.path))
    filled = dict.fromkeys(name for route in routes for name in (route.column, route.rest_column) if name is not None)
    column_types = {name: draft.columns[name].type for name in filled} | {c.name: c.type for c in system.values()}
    if id_key:
        column_types[KEY_ID] = types.TEXT
    return CastRows(
        spool=want.spool,
        routes=tuple(routes),
        column_types={name: kind for name, kind in column_types.items() if kind is not None},
        constants={name: value for name, value in constants.items() if name in system},
        id_key=id_key,
    )


def _relaxed(
    table: str,
    draft: _Draft,
    wants: Sequence[DesiredTable],
    hints: Mapping[str, ColumnHint],
    required: Collection[str],
) -> list[str]:
    """The columns that took no nulls, and take them from now on: a row lacks a value there, and nobody insists on one.

    A source that says what its database declares insists on nothing: columns are retyped and dropped there.
    """
    found = []
    for column in list(draft.columns.values()):
        hint = hints.get(column.name)
        is_insisted_on = hint is not None and hint.nullable is False and not hint.gives_way
        if column.nullable or column.name in required or is_insisted_on:
            continue
        lacking = max((_lacking(column.name, want, draft) for want in wants), default=0)
        if lacking:
            found.append(column.name)
            draft.columns[column.name] = replace(column, nullable=True)
            draft.warnings.append(
                f"Table {table!r}: its column {column.name!r} took no nulls, and takes them from now on, since up to "
                f"{lacking} rows of this load have no {column.type} there."
            )
    return found


def _lacking(column: str, want: DesiredTable, draft: _Draft) -> int:
    """How many rows may have no value of a column's own type: one in its variant is none."""
    fields = [field for field, (name, _, rest) in draft.routes.items() if name == column and rest is None]
    observed = want.spool.observed
    return want.spool.row_count - sum(observed[field].count for field in fields if field in observed)


def _unfilled(
    table: Table, key: Sequence[str], draft: _Draft, wants: Sequence[DesiredTable], system: Mapping[str, Column]
) -> str | None:
    """Keys and columns that take no nulls need a value of their own type in every row: a variant is no place for it."""
    for column in table.columns.values():
        if column.name in system or (column.nullable and column.name not in key):
            continue
        for want in wants:
            rows, lacking = want.spool.row_count, _lacking(column.name, want, draft)
            if lacking:
                reason = "it is a key" if column.name in key else "it takes no nulls"
                return (
                    f"its column {column.name!r} is {column.type}, and up to {lacking} of the {rows} rows of this "
                    f"load have no such value there; {reason}, so no row may lack it. Make the values of one type in the "
                    "source, or hint the column as text before its first load; to load the table anew with another type, "
                    "run once with refresh='drop_resources'."
                )
    return None


def _undecided(
    draft: _Draft,
    hints: TableHints,
    names: Mapping[KeyPath, str],
    merge_key: Sequence[str],
    column_meant: Callable[[str], str],
) -> str | None:
    """What decides over rows stands in its column: a value in a variant would be taken for none."""
    if not (hints.primary_key or hints.merge_key) or not hints.is_merge:
        return None
    deciding = dict.fromkeys(merge_key, "it is a merge key")
    deciding |= {column_meant(name): "it says which row of a key wins" for name in hints.columns_hinted(DEDUP_SORT)}
    deciding |= {column_meant(name): "it marks deletions" for name in hints.columns_hinted(HARD_DELETE)}
    for key, (_, _, rest) in draft.routes.items():
        name = names.get(key.path)
        if rest is not None and name in deciding:
            return (
                f"its column {name!r} is {draft.columns[name].type}, and rows of this load have other values there; "
                f"{deciding[name]}, so they cannot stand beside it. Make the values of one type in the source."
            )
    return None


def _plan_overflow(
    draft: _Draft, table: str, wants: Sequence[DesiredTable], system: Mapping[str, Column], limit: int
) -> None:
    """The column of what is left over, if something is, and a warning that counts it."""
    for key in dict.fromkeys(key for want in wants for key in want.spool.fields if key.path == OVERFLOW):
        draft.routes[key] = (None, False, OVERFLOW_COLUMN)
    left = {key for key, (_, _, rest) in draft.routes.items() if rest == OVERFLOW_COLUMN}
    if not left:
        return
    stored = draft.stored.get(OVERFLOW_COLUMN)
    if stored is not None and stored.kind not in ("json", "text"):
        raise TableConflictError(
            table=table,
            problem=f"its column {OVERFLOW_COLUMN!r}, which takes what other columns have no room for, is {stored}. "
            "Rename that column.",
        )
    draft.settle(Column(OVERFLOW_COLUMN, stored or types.JSON))
    rows = sum(want.spool.row_count for want in wants)
    values = sum(want.spool.observed[key].count for want in wants for key in left & want.spool.observed.keys())
    is_full = len(draft.columns.keys() | system.keys()) >= limit
    problem = (
        f"Table {table!r} has no room for more columns: {limit} are allowed (schema.max_columns)."
        if is_full
        else f"Table {table!r} gives some keys no column or table of their own, by schema.max_new_columns, "
        "max_nested_tables, max_new_nested_tables or max_key_length."
    )
    draft.warnings.append(
        f"{problem} What further keys hold in up to {min(rows, values)} of the {rows} rows of this load went to its column "
        f"{OVERFLOW_COLUMN!r}, as JSON. Where keys are data, such as ids, hint the field that holds them as 'json'."
    )


def _expect_within(table: str, draft: _Draft, system: Mapping[str, Column], capabilities: Capabilities) -> None:
    count = len(draft.columns.keys() | system.keys())
    if count > capabilities.max_columns and not draft.columns.keys() <= draft.stored.keys():
        raise TableConflictError(
            table=table,
            problem=f"it would have {count} columns, more than the {capabilities.max_columns} that the destination allows. "
            "Declare fewer columns, or load into a new table.",
        )
