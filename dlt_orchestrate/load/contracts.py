"""Holding a load to its schema contracts: what its tables would become is planned first, then what that plan may not hold
is taken out of the load, or the load fails.

Only the plan of a commit knows what is new, since names and types are decided there, against what is stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from typing import Any

import pyarrow as pa

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import SchemaContractError
from dlt_orchestrate.flow import kernels as pc
from dlt_orchestrate.flow.arrays import strings
from dlt_orchestrate.flow.batch import SpooledTable, TableKey
from dlt_orchestrate.flow.package import DesiredTable, Reject, ResourceLoad
from dlt_orchestrate.load.cast import fit, fits_always
from dlt_orchestrate.load.columns import VARIANT, TablePlan
from dlt_orchestrate.load.holding import cursor_values, known_rejects, settled
from dlt_orchestrate.load.overflow import put
from dlt_orchestrate.load.rejects import expect_few_rejects, first_causes
from dlt_orchestrate.load.rows import CastRows, Route
from dlt_orchestrate.load.sifting import records_of, sifted
from dlt_orchestrate.protocols.destination import Catalog
from dlt_orchestrate.schema.contracts import Contract, Entity, Mode, broken_rule
from dlt_orchestrate.schema.naming import PATH_SEPARATOR
from dlt_orchestrate.schema.paths import as_it_came
from dlt_orchestrate.schema.table import PARENT_ID, ROW_ID
from dlt_orchestrate.schema.types import ColumnType, ValueClass


@dataclass(frozen=True)
class Held:
    """A load without what its contract turns away."""

    load: ResourceLoad
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Want:
    """A table as a load wants it, and what the plan makes of that."""

    table: DesiredTable
    plan: TablePlan
    rows: CastRows

    @property
    def key(self) -> TableKey:
        return self.table.spool.key


@dataclass(frozen=True)
class _Offence:
    """Values of one field that may not go where the plan puts them.

    Attributes:
        column: The column that they would make or change; None if the table is what may not be made.
        holds: The type that values must fit in order not to offend; None if all of them offend.
        spared: The type of a variant column that is stored already and takes values that `holds` does not.
    """

    entity: Entity
    mode: Mode
    cause: str
    position: int = -1
    value_class: ValueClass = ValueClass.TEXT
    column: str | None = None
    found: str | None = None
    holds: ColumnType | None = None
    coerces: bool = False
    spared: ColumnType | None = None

    def mask(self, batch: pa.RecordBatch) -> pa.Array:
        """Whether the rows of a spooled batch offend."""
        if self.column is None:
            return pa.repeat(pa.scalar(True), batch.num_rows)
        index = batch.schema.get_field_index(f"c{self.position}")
        if index < 0:
            return pa.repeat(pa.scalar(False), batch.num_rows)
        array = batch.column(index)
        offending = self._rest(array, self.holds)
        if self.spared is not None:
            offending = pc.and_(offending, pc.invert(self._rest(array, self.spared)))
        return offending

    def _rest(self, array: pa.Array, holds: ColumnType | None) -> pa.Array:
        rest = array if holds is None else fit(array, self.value_class, holds, coerces=self.coerces)[1]
        return pa.repeat(pa.scalar(False), len(array)) if rest is None else pc.is_valid(rest)


@dataclass
class _Verdict:
    """What is taken out of one table of a load.

    Attributes:
        above: The tables that its rows may hang below, nearest first.
        is_left_out: The table as a whole is, with what is nested in it.
    """

    want: Want
    above: tuple[TableKey, ...]
    is_left_out: bool = False
    values: list[_Offence] = field(default_factory=list)
    rows: list[_Offence] = field(default_factory=list)
    dropped: pa.Array = field(default_factory=lambda: strings([]))


def hold_to_contract(load: ResourceLoad, wants: Sequence[Want], catalog: Catalog) -> Held | None:
    """Take out of a load what its contract turns away; None if it may be loaded as planned.

    Args:
        wants: Its tables, parents before the tables nested in them.

    Raises:
        SchemaContractError: The load would change what is frozen.
        TooManyRejectsError: More rows would be rejected than a load may lose.
    """
    if all(_contract(load, want).evolves for want in wants):
        return None
    verdicts: dict[TableKey, _Verdict] = {}
    for want in wants:
        above = _above(want.key, verdicts)
        if above and verdicts[above[0]].is_left_out:
            verdicts[want.key] = _Verdict(want, above, is_left_out=True)
        else:
            verdicts[want.key] = _judged(load, want, above, catalog)
    if not any(verdict.is_left_out or verdict.values or verdict.rows for verdict in verdicts.values()):
        return None
    offending = _mark_dropped(verdicts)
    if offending > load.reject_limits.max_rows + known_rejects(load.state.before if load.state else {}):
        _expect_few(load, load.rows_rejected + offending, _causes(load, verdicts))
    held = settled(
        replace(
            load,
            as_read=load.as_read or load.tables,
            tables=tuple(_sifted(table, verdicts.get(table.spool.key)) for table in load.tables),
            rejects=(*load.rejects, *_rejects(load, verdicts)),
            rows_rejected=load.rows_rejected + offending,
        )
    )
    if offending:
        _expect_few(load, held.rows_rejected, _causes(load, verdicts))
    return Held(load=held, warnings=tuple(_left_out(load, verdicts)))


def _expect_few(load: ResourceLoad, rejected: int, causes: Sequence[str]) -> None:
    replaces = any(table.hints is not None and table.hints.write_disposition == "replace" for table in load.tables)
    expect_few_rejects(
        load.unit.resource,
        load.reject_limits,
        rejected=rejected + load.rows_rejected_so_far - load.rows_rejected,
        rows=load.rows_extracted_so_far,
        causes=causes,
        replaces=replaces,
        is_whole=load.is_last_part,
    )


def _causes(load: ResourceLoad, verdicts: Mapping[TableKey, _Verdict]) -> tuple[str, ...]:
    of_contract = (offence.cause for verdict in verdicts.values() for offence in verdict.rows)
    return tuple(dict.fromkeys((*first_causes(load.rejects), *of_contract)))[:3]


# --- what offends ------------------------------------------------------------------------------------------------


def _judged(load: ResourceLoad, want: Want, above: tuple[TableKey, ...], catalog: Catalog) -> _Verdict:
    verdict = _Verdict(want, above)
    for offence in _offences(load, want, catalog):
        first = _first_row(want, offence)
        if first is None:
            continue
        if offence.mode == "freeze":
            raise SchemaContractError(
                resource=load.unit.resource,
                table=want.plan.table.name,
                contract=offence.entity,
                column=offence.column,
                found=offence.found,
                row=first,
                problem=offence.cause,
            )
        if offence.mode == "discard_row":
            verdict.rows.append(offence)
        elif offence.column is None:
            verdict.is_left_out = True
        else:
            verdict.values.append(offence)
    return verdict


def _contract(load: ResourceLoad, want: Want) -> Contract:
    return want.table.contract or load.contract


def _offences(load: ResourceLoad, want: Want, catalog: Catalog) -> Iterator[_Offence]:
    """What may offend, by the plan; whether any row does is seen in the rows."""
    contract, plan = _contract(load, want), want.plan
    if not plan.existed and contract.tables != "evolve":
        yield _Offence("tables", contract.tables, "the table is not there and would be created")
        return
    stored = catalog.columns(plan.table.name) or {}
    hints = want.table.hints or want.table.nested_hints
    declared = plan.columns_named(hints.columns) if hints else ()
    for route in want.rows.routes:
        for name in (route.column, route.rest_column):
            if name is None:
                continue
            planned = plan.table.columns[name].type
            assert planned is not None, "values came for the column"
            entity = broken_rule(
                contract,
                table_existed=plan.existed,
                stored=stored.get(name),
                planned=planned,
                is_variant=bool(plan.table.columns[name].hints.get(VARIANT)),
                is_declared=name in declared,
            )
            if entity is not None:
                yield _offence(load, want, route, name, entity, stored)
                break


def _offence(
    load: ResourceLoad, want: Want, route: Route, name: str, entity: Entity, stored: Mapping[str, ColumnType]
) -> _Offence:
    contract = _contract(load, want)
    key = want.table.spool.fields[route.position]
    shown = PATH_SEPARATOR.join(key.path)
    columns = want.plan.table.columns
    home = columns[route.column] if route.column else None
    holds = stored.get(home.name, home.type) if home and entity == "data_type" else None
    spares = home is not None and name == home.name and route.rest_column in stored
    found = route.value_class.name.lower()
    if entity == "columns":
        cause = f"key {shown!r} would make a new column {name!r} of {columns[name].type}"
    else:
        kept = f" of {holds}" if holds else ""
        needed = (
            f"be widened to {columns[name].type}" if name in stored else f"need a variant {name!r} of {columns[name].type}"
        )
        cause = f"key {shown!r} holds {found} values that do not fit its column{kept}, which would {needed}"
    return _Offence(
        entity=entity,
        mode=contract.columns if entity == "columns" else contract.data_type,
        cause=cause,
        position=route.position,
        value_class=route.value_class,
        column=name,
        found=found,
        holds=holds,
        coerces=route.coerces,
        spared=home.type if spares and home else None,
    )


def _first_row(want: Want, offence: _Offence) -> int | None:
    """The first row that offends, counted from 1; None if none does."""
    spool = want.table.spool
    if offence.holds is not None:
        seen = spool.observed[spool.fields[offence.position]]
        if fits_always(offence.value_class, seen, offence.holds, coerces=offence.coerces):
            return None
    before = 0
    for batch in spool.read():
        index = pc.index(offence.mask(batch), pa.scalar(True)).as_py()
        if index >= 0:
            return int(before + index + 1)
        before += batch.num_rows
    return None


def _above(key: TableKey, among: Iterable[TableKey]) -> tuple[TableKey, ...]:
    """The tables above, nearest first."""
    above = [other for other in among if other.root == key.root and other.path == key.path[: len(other.path)]]
    return tuple(sorted((other for other in above if other != key), key=lambda other: -len(other.path)))


# --- rows that go ------------------------------------------------------------------------------------------------


def _mark_dropped(verdicts: Mapping[TableKey, _Verdict]) -> int:
    """Collect the ids of rows that go: those that offend, and those nested in them. Returns how many offend."""
    offending = 0
    for verdict in verdicts.values():
        above = pa.concat_arrays([verdicts[key].dropped for key in verdict.above] or [strings([])])
        if not verdict.rows and not len(above):
            continue
        ids = []
        for batch in verdict.want.table.spool.read():
            inherited, own = _inherited(batch, above), _any(batch, verdict.rows)
            offending += pc.sum(pc.and_(own, pc.invert(inherited))).as_py() or 0
            ids.append(batch.column(ROW_ID).filter(pc.or_(inherited, own)))
        verdict.dropped = pa.concat_arrays(ids) if ids else verdict.dropped
    return offending


def _inherited(batch: pa.RecordBatch, above: pa.Array) -> pa.Array:
    if not len(above):
        return pa.repeat(pa.scalar(False), batch.num_rows)
    return pc.is_in(batch.column(PARENT_ID), value_set=above)


def _any(batch: pa.RecordBatch, offences: Iterable[_Offence]) -> pa.Array:
    found = pa.repeat(pa.scalar(False), batch.num_rows)
    for offence in offences:
        found = pc.or_(found, offence.mask(batch))
    return found


def _rejects(load: ResourceLoad, verdicts: Mapping[TableKey, _Verdict]) -> tuple[Reject, ...]:
    """A reject for each row that offends, which holds the rows nested in it."""
    records: dict[TableKey, dict[str, dict[str, Any]]] = {}
    found: list[tuple[str, _Offence, dict[str, Any], Any]] = []
    for key, verdict in verdicts.items():
        mine: dict[str, dict[str, Any]] = {}
        records[key] = mine
        above = {row_id: (other, record) for other in verdict.above for row_id, record in records[other].items()}
        for batch in verdict.want.table.spool.read() if len(verdict.dropped) else ():
            gone = batch.filter(pc.is_in(batch.column(ROW_ID), value_set=verdict.dropped))
            cursors = cursor_values(verdict.want.table.spool, gone, load.cursor.keys if load.cursor else ())
            masks = [(offence, offence.mask(gone).to_pylist()) for offence in verdict.rows]
            parents = gone.column(PARENT_ID).to_pylist() if verdict.above else []
            rows = zip(gone.column(ROW_ID).to_pylist(), records_of(verdict.want.table.spool, gone), strict=True)
            for number, (row_id, record) in enumerate(rows):
                mine[row_id] = record
                if verdict.above and parents[number] in above:
                    parent, parent_record = above[parents[number]]
                    put(parent_record, key.path[len(parent.path) :], [record])
                else:
                    offence = next(offence for offence, mask in masks if mask[number])
                    found.append((verdict.want.plan.table.name, offence, record, cursors[number]))
    return tuple(
        Reject(
            resource=load.unit.resource,
            table=table,
            row=json.dumps(as_it_came(record), ensure_ascii=False),
            column=offence.column,
            cause=f"the schema contract says {offence.entity}='discard_row', and {offence.cause}",
            cursor=cursor,
        )
        for table, offence, record, cursor in found
    )


# --- what stays --------------------------------------------------------------------------------------------------


def _sift(batch: pa.RecordBatch, *, dropped: pa.Array, values: tuple[_Offence, ...]) -> pa.RecordBatch:
    """A spooled batch without the rows of some ids, and without the values that offend."""
    stays = pc.invert(pc.is_in(batch.column(ROW_ID), value_set=dropped)) if len(dropped) else None
    for offence in values:
        index = batch.schema.get_field_index(f"c{offence.position}")
        if index >= 0:
            array = batch.column(index)
            left = pc.if_else(offence.mask(batch), pa.scalar(None, array.type), array)
            batch = batch.set_column(index, batch.schema.field(index), left)
    return batch if stays is None else batch.filter(stays)


def _sifted(table: DesiredTable, verdict: _Verdict | None) -> DesiredTable:
    """A table without what is taken out of it."""
    if verdict is None or not (verdict.is_left_out or verdict.values or len(verdict.dropped)):
        return table
    if verdict.is_left_out:
        return replace(table, spool=SpooledTable(table.spool.key))
    return sifted(table, partial(_sift, dropped=verdict.dropped, values=tuple(verdict.values)))


def _left_out(load: ResourceLoad, verdicts: Mapping[TableKey, _Verdict]) -> Iterator[str]:
    """How many values, or rows of tables that may not be made, are left out."""
    for verdict in verdicts.values():
        table, spool = verdict.want.plan.table.name, verdict.want.table.spool
        if verdict.is_left_out:
            yield (
                f"Table {table!r}: {spool.row_count} rows were left out, since it is not there and the schema contract of "
                f"resource {load.unit.resource!r} says tables='discard_value'."
            )
            continue
        for offence in verdict.values:
            values = 0
            for batch in spool.read():
                stays = pc.invert(pc.is_in(batch.column(ROW_ID), value_set=verdict.dropped))
                values += pc.sum(pc.and_(offence.mask(batch), stays)).as_py() or 0
            yield (
                f"Table {table!r}: {values} values were left out, since the schema contract of resource "
                f"{load.unit.resource!r} says {offence.entity}='discard_value', and {offence.cause}."
            )
