"""How new rows meet the rows that are there: write dispositions become operations, here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import assert_never

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.operation import (
    AddVersions,
    Arrivals,
    DeleteRange,
    DeleteRows,
    InsertRows,
    Match,
    MergeRows,
    NestedRows,
    Operation,
    Preference,
    Rows,
    Tombstones,
    ValueRange,
)
from dlt_orchestrate.load.columns import TablePlan
from dlt_orchestrate.schema.table import DEDUP_SORT, HARD_DELETE, KEY_ID, ROW_ID, TableHints


@dataclass(frozen=True)
class WindowRows:
    """Which stored rows of a root table a window stands for.

    Attributes:
        inside: What earlier loads of the window have left; None for nothing.
        later: What lies past its end, so that no row of the window takes its place; None if nothing can be told.
        gone: What a merge deletes once its rows have taken the place of others; None for nothing.
        warnings: What the user should know of a load of this window.
    """

    inside: ValueRange | None = None
    later: ValueRange | None = None
    gone: ValueRange | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class RootWrite:
    """The rows of one root table in one load, with those nested below, and what decides how they are written.

    Attributes:
        rows: None if the load has none.
        nested: Every table nested below the root, stored or new, parents first.
        by_content: No row carries the declared key; `_dlt_id` is made from the content.
        uncovered_because: Why a row that is not in the load may still be in the source; None if it cannot.
        window: What of the stored rows belongs to the window that the load is of; None for a load of no window.
    """

    plan: TablePlan
    hints: TableHints
    rows: Rows | None
    nested: tuple[NestedRows, ...]
    loaded_at: datetime
    by_content: bool = False
    uncovered_because: str | None = None
    window: WindowRows | None = None

    @property
    def table(self) -> str:
        return self.plan.table.name

    @property
    def tables(self) -> tuple[str, ...]:
        """The root table and all below it."""
        return (self.table, *(child.table for child in self.nested))

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell rows apart; () if nothing does."""
        return (ROW_ID,) if self.by_content else self.plan.columns_named(self.hints.primary_key)

    @property
    def merge_key(self) -> tuple[str, ...]:
        """The columns that tell groups of rows apart; () if the rows do not carry them."""
        columns = () if self.by_content else self.plan.columns_named(self.hints.merge_key)
        return columns if all(map(self._has, columns)) else ()

    @property
    def absent(self) -> Match:
        """The stored rows that count as gone if the load does not have them."""
        if self.uncovered_because is not None:
            return ()
        if self.hints.merge_key:
            return _lists(self.merge_key)
        return ((),)

    def arrivals(self, key: tuple[str, ...], *, with_key_ids: bool = False) -> Arrivals | None:
        """The rows of the load; None if there are none."""
        if self.rows is None:
            return None
        key_id = KEY_ID if with_key_ids and not self.by_content else None
        return Arrivals(key, self.rows, self.nested, self._preference(), self._tombstones(), key_id)

    def _preference(self) -> Preference | None:
        for name, direction in self._hinted(DEDUP_SORT):
            return Preference(name, greatest=direction == "desc")
        return None

    def _tombstones(self) -> Tombstones | None:
        for name, _ in self._hinted(HARD_DELETE):
            kind = self.plan.table.columns[name].type
            return Tombstones(name, is_flag=kind is not None and kind.kind == "bool")
        return None

    def _hinted(self, hint: str) -> Iterator[tuple[str, object]]:
        """Columns of these rows that have a hint, with its value."""
        for name, column in self.hints.columns.items():
            (column_name,) = self.plan.columns_named((name,))
            if column.hints.get(hint) and self._has(column_name):
                yield column_name, column.hints[hint]

    def _has(self, column: str) -> bool:
        return self.rows is not None and column in self.rows.column_types


def emptied_by(write: RootWrite) -> tuple[str, ...]:
    """Tables that are emptied before any row of the commit is written, since several resources may fill them.

    The load of a window replaces that window only.
    """
    return write.tables if write.hints.write_disposition == "replace" and write.window is None else ()


def plan_write(write: RootWrite) -> Iterator[Operation]:
    """Plan how the rows of one root table and its nested tables meet the rows that are there; applied in order.

    The tables of a `replace` are empty by then: see `emptied_by`.
    """
    match write.hints.write_disposition:
        case "append" | "replace":
            yield from _appends(write)
        case "merge":
            yield from _merge(write)
            if write.window is not None and write.window.gone is not None:
                yield DeleteRange(write.table, write.window.gone, write.nested)
        case unknown:
            assert_never(unknown)


def warnings_of(write: RootWrite) -> Iterator[str]:
    """What a write leaves undone that its hints ask for."""
    hints, table = write.hints, write.table
    if write.window is not None:
        yield from write.window.warnings
    if hints.deletes_absent and write.uncovered_because is not None:
        yield f"Table {table!r}: no row was retired for being absent from this load, since {write.uncovered_because}."
    if hints.is_merge and not hints.matches_rows and write.window is None and write.rows is not None:
        yield (
            f"Table {table!r}: it is merged, and has neither a primary key nor a merge key, so its rows were appended, and "
            "will be again if they come again. Declare primary_key=..., or replace it as a whole."
        )
    if not hints.is_merge or not hints.merge_key:
        return
    if hints.strategy in ("upsert", "insert-only"):
        yield f"Table {table!r}: strategy {hints.strategy!r} matches rows by their primary key; the merge key was not used."
    elif write.rows is not None and not write.merge_key:
        names = ", ".join(map(repr, hints.merge_key))
        yield f"Table {table!r}: no row of this load has a value for all of the merge key ({names}); it was not used."


def _merge(write: RootWrite) -> Iterator[Operation]:
    key = write.key
    match write.hints.strategy:
        case "scd2":
            yield from _versions(write)
        case "cdc" if write.rows is None:
            if () in write.absent:
                yield from map(DeleteRows, write.tables)
        case "delete-insert" if not write.hints.matches_rows:
            yield from _appends(write)
        case _ if write.rows is None:
            return
        case "delete-insert":
            matches = _lists(key, write.merge_key)
            if matches:
                yield from _merge_rows(write, write.arrivals(key), matches)
            else:
                yield from _inserts(write)
        case "upsert":
            yield from _merge_rows(write, write.arrivals(key, with_key_ids=True), (key,))
        case "insert-only":
            yield from _merge_rows(write, write.arrivals(key, with_key_ids=True), (), spares_stored=True)
        case "cdc":
            yield from _merge_rows(write, write.arrivals(key, with_key_ids=True), (key, *write.absent))
        case unknown:
            assert_never(unknown)


def _merge_rows(
    write: RootWrite, arrivals: Arrivals | None, match: Match, *, spares_stored: bool = False
) -> Iterator[Operation]:
    assert arrivals is not None
    yield MergeRows(write.table, arrivals, match, spares_stored, write.window.later if write.window else None)


def _versions(write: RootWrite) -> Iterator[Operation]:
    """Rows without a key have no identity beyond their content: they are closed by their absence only."""
    key = () if write.by_content else write.key
    match = (*_lists(key), *write.absent)
    validity = write.hints.validity
    if write.rows is not None or () in match:
        assert write.plan.closed_in is not None
        yield AddVersions(
            table=write.table,
            arrivals=write.arrivals(key),
            match=match,
            closed_in=write.plan.closed_in,
            closed_at=validity.boundary or write.loaded_at,
            open_until=validity.open_until,
            spared=write.window.later if write.window else None,
        )


def _appends(write: RootWrite) -> Iterator[Operation]:
    """Insert all rows; those of a window take the place of what earlier loads of the window have left."""
    if write.window is not None and write.window.inside is not None:
        yield DeleteRange(write.table, write.window.inside, write.nested)
    yield from _inserts(write)


def _inserts(write: RootWrite) -> Iterator[Operation]:
    if write.rows is not None:
        yield InsertRows(write.table, write.rows)
    for child in write.nested:
        if child.rows is not None:
            yield InsertRows(child.table, child.rows)


def _lists(*keys: tuple[str, ...]) -> Match:
    """The keys that there are."""
    return tuple(dict.fromkeys(key for key in keys if key))
