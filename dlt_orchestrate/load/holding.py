"""Moving a cursor by accepted rows only: a rejected row is asked for again, and what came with it is not loaded twice.

The cursor goes to the newest *accepted* row. Values of rejected rows that are not newer are held: the next run asks from
the oldest of them and takes the rows of just these values again. Of those, the ones that were accepted are told by what
they say, and left out; where groups of rows or absence mean something, they are merged again, which changes nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from numbers import Number
from typing import Any

import pyarrow as pa

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.flow import kernels as pc
from dlt_orchestrate.flow.arrays import strings
from dlt_orchestrate.flow.batch import KeyPath, SpooledTable
from dlt_orchestrate.flow.cursor import CursorMove
from dlt_orchestrate.flow.package import DesiredTable, Reject, ResourceLoad, StateChange
from dlt_orchestrate.flow.row_ids import hashed_id
from dlt_orchestrate.load.cast import printed
from dlt_orchestrate.load.sifting import records_of, sifted
from dlt_orchestrate.schema.table import ROOT_ID, ROW_ID
from dlt_orchestrate.schema.types import ValueClass
from dlt_orchestrate.state.document import CURSORS
from dlt_orchestrate.state.held import Held
from dlt_orchestrate.state.moments import as_moments, in_zone_of
from dlt_orchestrate.state.parts import cursors_in, with_cursor
from dlt_orchestrate.state.values import decode, encode, printable

MOST_HELD = 10_000
"""Values, rejections and identities that the state of one cursor keeps; beyond that the oldest values are let go."""

_UNREADABLE = object()
"""The cursor of a row that holds no value like those of other rows."""


def known_rejects(resource_state: Mapping[str, Any]) -> int:
    """How many rejections of earlier loads may come again, by what the run before left of a resource."""
    found = (*resource_state.get(CURSORS, {}).values(), *cursors_in(resource_state, is_pending=True).values())
    return sum(len(Held.read(cursor).rejected) for cursor in found)


Known = dict[Any, Counter[str]]
"""By held value, how often rows that say the same may still come again."""


def known_rows(cursor: Mapping[str, Any]) -> Known:
    """What may come again in a run that begins, by the state of its cursor."""
    return {value: Counter(known) for value, known in Held.read(cursor).accepted.items()}


def without_known_rows(load: ResourceLoad, left: Known) -> ResourceLoad:
    """A load without the rows that came again with a held value and that an earlier load has loaded.

    Args:
        left: What may come again; less by what came.
    """
    move = load.cursor
    if move is None or not any(left.values()):
        return load
    dropped = []
    came_again: Known = {}
    before = {value: Counter(known) for value, known in left.items()}
    others: dict[Any, list[str]] = {}
    for row in _rows_of_values(load, move, before):
        if left[row.value][row.identity] > 0:
            left[row.value][row.identity] -= 1
            came_again.setdefault(row.value, Counter())[row.identity] += 1
            dropped.append(row.row_id)
        else:
            others.setdefault(row.value, []).append(row.row_id)
    # A part of an extraction does not tell: what is the same may come in another one.
    is_whole = load.earlier is None and load.is_last_part
    for value in _never_the_same(load, move, before, left, others) if is_whole else ():
        if value == decode(move.stored.get("last_value")):
            fate = "which may be these, so that they may be loaded twice now"
        else:
            fate = "which may be these, so they were left out, with the rejected ones that may be mended now"
            dropped += others[value]
        load = _warned(
            load,
            f"{len(others[value])} row(s) with a value of cursor {move.path!r} that was held back came again, and "
            f"none of them is like one of the {before[value].total()} that were loaded before, {fate}. If a column differs "
            "each time that a row is read, such as the time of reading, give the resource a primary_key.",
        )
    if not dropped:
        return load
    sift = partial(_without_ids, dropped=strings(dropped))
    alone = {table.spool.key.root for table in load.tables if _stand_alone(table)}
    return replace(
        load,
        cursor=replace(move, came_again=came_again),
        tables=tuple(
            sifted(table, sift) if table.spool.key.root in alone and table.spool.row_count else table
            for table in load.tables
        ),
    )


def _never_the_same(
    load: ResourceLoad,
    move: CursorMove,
    before: Mapping[Any, Counter[str]],
    left: Mapping[Any, Counter[str]],
    others: Mapping[Any, list[str]],
) -> Iterator[Any]:
    """The held values whose rows come again and are other rows each time: there are as many, and none is known.

    Args:
        left: The identities of loaded rows that did not come again.
        others: Rows that came and are not known.
    """
    appends = all(table.hints is None or table.hints.write_disposition == "append" for table in load.tables)
    if move.identity or not appends:
        return
    rejected = Counter(reject.cursor for reject in load.rejects if can_be_held(reject.cursor))
    for value, rows in others.items():
        known = before[value].total()
        # With them came those that were rejected then: who shows mended rows only shows fewer.
        if known and left[value].total() == known and len(rows) + rejected[value] > known:
            yield value


def settled(load: ResourceLoad) -> ResourceLoad:
    """A load whose cursor moves by its accepted rows, now that its rejected rows are known.

    Rejections that an earlier load has recorded are set apart, so that they are neither recorded nor counted again.
    """
    move = load.cursor
    if move is None:
        return load
    before = Held.read(move.stored)
    if not (before or load.rejects or load.rejected_again or move.rejected_before):
        return load
    known = before.rejected if move.known_rejections is None else move.known_rejections
    again = [reject for reject in load.rejects if _identity_of(reject) in known]
    load = replace(
        load,
        rejects=tuple(reject for reject in load.rejects if _identity_of(reject) not in known),
        rejected_again=(*load.rejected_again, *again),
        rows_rejected=load.rows_rejected - len(again),
    )
    if not move.moves or load.state is None:
        return load
    try:
        return _with_cursor(load, load.state, move, before)
    except TypeError:
        text = f"cursor {move.path!r} has values in rejected rows that cannot be compared with those of other rows"
        return _warned(load, f"{text}. It moved past these rows, which will not be asked for again.")


def cursor_values(spool: SpooledTable, batch: pa.RecordBatch, keys: KeyPath) -> list[Any]:
    """The values of a cursor in spooled rows; None where there is none, and for nested rows."""
    found: list[Any] = [None] * batch.num_rows
    for position, key in enumerate(spool.fields if keys and not spool.key.path else ()):
        index = batch.schema.get_field_index(f"c{position}")
        if key.path == keys and index >= 0:
            values = _python(batch.column(index), key.value_class)
            found = [new if value is None else value for value, new in zip(found, values, strict=True)]
    return found


# --- where the cursor goes -------------------------------------------------------------------------------------------


def _with_cursor(load: ResourceLoad, state: StateChange, move: CursorMove, before: Held) -> ResourceLoad:
    rejects = (*load.rejects, *load.rejected_again)
    started = decode(move.stored.get("last_value"))
    started = in_zone_of(move.initial_value if started is None else started, move.newest)
    newest = started
    for value in _accepted_values(load, move.keys):
        newest = move.order.newest(_comparable(value), newest)
    if newest is not None and move.newest is not None and _kind(newest) != _kind(move.newest):
        raise TypeError("the spool holds the cursor as another kind of value than the records do")
    newest = str(newest) if isinstance(newest, str) else newest
    rejects = tuple(replace(reject, cursor=_as_converted(reject.cursor, newest)) for reject in rejects)
    unread = sum(reject.cursor is _UNREADABLE for reject in rejects)
    if unread:
        rejects = tuple(replace(r, cursor=None) if r.cursor is _UNREADABLE else r for r in rejects)
        text = f"cursor {move.path!r} of {unread} rejected row(s) holds no such value as those of other rows"
        load = _warned(load, f"{text}. It moved past these rows, which will not be asked for again.")
    of_parts = (_as_converted(value, newest) for value in move.rejected_before)
    found = (*(v for v in of_parts if v is not _UNREADABLE), *(reject.cursor for reject in rejects))
    rejected = dict.fromkeys(value for value in found if can_be_held(value))
    behind = [value for value in rejected if newest is not None and not move.order.is_newer(_comparable(value), newest)]
    # What is newer comes again by itself, but not where the next run goes on behind it.
    values = list(rejected) if move.is_pending else behind
    values = values if load.reject_limits.hold_cursor else []
    if move.was_cut:
        kept = (value for value in before.accepted if move.keeps is None or value in move.keeps)
        values = list(dict.fromkeys((*kept, *values)))
    extracted = cursors_in(state.after, is_pending=move.is_pending).get(move.path, {})
    hashes = extracted.get("unique_hashes", [])
    if newest != move.newest or newest in rejected:
        # The hashes of extraction stand for rows that were rejected, too.
        hashes = move.stored.get("unique_hashes", []) if newest == started else []
        if newest is not None and newest not in values and (move.deduplicates or newest in rejected):
            values.append(newest)
    unknown = set[Any]()
    if not (move.is_merge or move.knows_all_of_a_value):
        unknown = {value for value in values if value not in before.accepted and value != newest}
        values = [value for value in values if value not in unknown]
    held = _held(load, move, before, values)
    coming = {value for value in rejected if value in held.accepted or value not in behind}
    known = [_identity_of(r) for r in rejects if r.cursor is None or not can_be_held(r.cursor) or r.cursor in coming]
    held = replace(held, hashes=_hashes_of_held(move, before, held))
    held = replace(held, rejected=frozenset((*known, *(before.rejected if move.was_cut else ()))))
    after: dict[str, Any] = {
        "initial_value": move.stored.get("initial_value", encode(move.initial_value)),
        "start_value": encode(started),
        "last_value": encode(newest),
        "unique_hashes": sorted(hashes),
        **held.written(),
    }
    told = ("last_value", "unique_hashes", "held", "rejected")
    if all(after.get(name) == move.stored.get(name) for name in told):
        after = dict(move.stored)
    if load.rejected_again:
        load = _warned(
            load,
            f"{len(load.rejected_again)} row(s) that an earlier load rejected came again and were rejected again; "
            "_dlt_rejects has them since then. Mend them in the source, or ask no more for them: "
            "load.rejects_hold_cursor = false.",
        )
    if unknown:
        load = _warned(
            load,
            f"of {len(unknown)} value(s) of cursor {move.path!r} rows were rejected after others had been committed at a "
            "checkpoint, and nobody can tell these apart any more. Once they are mended, load their part of history again.",
        )
    given_up = len(values) - len(held.accepted)
    if given_up:
        load = _warned(
            load,
            f"more rows were rejected than cursor {move.path!r} can be held back for; those of {given_up} older value(s) "
            "will not be asked for again.",
        )
    return replace(
        load,
        state=replace(state, after=with_cursor(state.after, move.path, after, is_pending=move.is_pending)),
        cursor_after=load.cursor_after if move.is_pending else printable(newest),
    )


def _held(load: ResourceLoad, move: CursorMove, before: Held, values: list[Any]) -> Held:
    """What is held of some values, as far as there is room for it."""
    accepted = {value: Counter(before.accepted.get(value, {})) for value in values}
    new = {value: Counter[str]() for value in values}
    for row in _rows_of_values(load, move, accepted):
        new[row.value][row.identity] += 1
    for value, found in new.items():
        if found and move.is_merge and not move.was_cut:
            # What a row said before, with the same value, it may say again.
            accepted[value] = Counter(move.came_again.get(value, {}))
        accepted[value] += found
    size = len(load.rejects) + len(load.rejected_again) + sum(1 + known.total() for known in accepted.values())
    while size > MOST_HELD and len(accepted) > 1:
        oldest = next(iter(accepted))
        for value in accepted:
            oldest = value if move.order.is_newer(oldest, value) else oldest
        size -= 1 + accepted.pop(oldest).total()
    return Held(accepted)


def _hashes_of_held(move: CursorMove, before: Held, held: Held) -> dict[Any, frozenset[str]]:
    """By held value, the hashes of rows that were accepted while it was the newest value, before it was held."""
    if move.is_merge or not move.deduplicates:
        return {}
    newest = decode(move.stored.get("last_value"))
    found = {}
    for value in held.accepted:
        known = before.hashes.get(value, frozenset())
        if newest is not None and value == newest and value not in before.accepted:
            known = known.union(move.stored.get("unique_hashes", ()))
        if known:
            found[value] = known
    return found


def _kind(value: Any) -> type:
    """What values of a cursor have in common that can be compared with each other."""
    return next((kind for kind in (str, Number, datetime, date) if isinstance(value, kind)), type(value))


def _as_converted(value: Any, example: Any) -> Any:
    """The cursor of a rejected row as a model makes it of that of others; `_UNREADABLE` where none can be made."""
    from pydantic import TypeAdapter, ValidationError

    if value is None or example is None or _kind(value) is _kind(example):
        return value
    try:
        return TypeAdapter(type(example), config={"coerce_numbers_to_str": True}).validate_python(value)
    except ValidationError:
        return _UNREADABLE


def _comparable(value: Any) -> Any:
    return as_moments([value])[0]


def _warned(load: ResourceLoad, text: str) -> ResourceLoad:
    return replace(load, warnings=(*load.warnings, f"Resource {load.unit.resource!r}: {text}"))


def _identity_of(reject: Reject) -> str:
    return hashed_id(json.dumps([reject.table, reject.row, reject.column, reject.cause]))


def can_be_held(value: Any) -> bool:
    """Whether the state can keep a value, and records can be compared with it."""
    try:
        hash(value)
        encode(value)
    except (TypeError, DeclarationError):
        return False
    return value is not None and bool(value == value)


# --- rows as the spool holds them ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    row_id: str
    value: Any
    identity: str


def _stand_alone(table: DesiredTable) -> bool:
    """Whether a row of a root table can be left out for itself: its absence says nothing of others, nor of its group."""
    hints = table.hints
    return hints is not None and not (hints.merge_key or hints.keeps_versions or hints.deletes_absent)


def _accepted_values(load: ResourceLoad, keys: KeyPath) -> Iterator[Any]:
    for table in load.tables:
        if not table.spool.key.path:
            for position, key in enumerate(table.spool.fields):
                if key.path == keys:
                    for array in table.spool.values(table.spool.fields[position]):
                        yield from _python(pc.unique(array.drop_null()), key.value_class)


def _rows_of_values(load: ResourceLoad, move: CursorMove, values: Collection[Any]) -> Iterator[_Row]:
    """The rows that can be left out and whose cursor holds one of some values, in order.

    They are told by what was read of them: when they come again, schema contracts have taken nothing out of them yet.
    """
    as_read = load.as_read or load.tables
    spools = {table.spool.key: table.spool for table in as_read}
    for table in load.tables if values else ():
        if table.spool.key.path or not _stand_alone(table):
            continue
        found: dict[str, Any] = {}
        for batch in table.spool.read():
            ids = batch.column(ROW_ID)
            for number, value in enumerate(cursor_values(table.spool, batch, move.keys)):
                if value is not None and value in values:
                    found[ids[number].as_py()] = value
        root = spools.get(table.spool.key, table.spool)
        identities = _identities(as_read, root, move.identity, strings(list(found)))
        for row_id, value in found.items():
            yield _Row(row_id, value, identities[row_id])


def _identities(tables: Iterable[DesiredTable], root: SpooledTable, key: Iterable[str], ids: pa.Array) -> Mapping[str, str]:
    """For each of some root rows what tells it from others: its key, or all that it says, with the rows nested in it."""
    if not len(ids):
        return {}
    contents: dict[str, list[Any]] = {}
    for row_id, record in _records(root, ROW_ID, ids):
        own = [record.get(name) for name in key]
        contents[row_id] = own if any(value is not None for value in own) else [record]
    whole = {row_id for row_id, content in contents.items() if len(content) == 1 and isinstance(content[0], dict)}
    for table in tables:
        if table.spool.key.path and table.spool.key.root == root.key.root and whole:
            for row_id, record in _records(table.spool, ROOT_ID, strings(sorted(whole))):
                contents[row_id].append([table.spool.key.path, record])
    return {row_id: hashed_id(json.dumps(content, sort_keys=True)) for row_id, content in contents.items()}


def _records(spool: SpooledTable, id_column: str, ids: pa.Array) -> Iterator[tuple[str, dict[str, Any]]]:
    for batch in spool.read():
        found = batch.filter(pc.is_in(batch.column(id_column), value_set=ids))
        yield from zip(found.column(id_column).to_pylist(), records_of(spool, found), strict=True)


def _without_ids(batch: pa.RecordBatch, *, dropped: pa.Array) -> pa.RecordBatch:
    column = ROOT_ID if ROOT_ID in batch.schema.names else ROW_ID
    return batch.filter(pc.invert(pc.is_in(batch.column(column), value_set=dropped)))


def _python(array: pa.Array, value_class: ValueClass) -> list[Any]:
    """Values as records hold them."""
    match value_class:
        case ValueClass.WIDE:
            return [None if value is None else int(value) for value in array.to_pylist()]
        case ValueClass.DECIMAL | ValueClass.NUMERAL:
            return [None if text is None else Decimal(text) for text in printed(array, value_class).to_pylist()]
        case ValueClass.JSON:
            return [None] * len(array)
        case ValueClass.DOUBLE:
            return [value if value == value else None for value in array.to_pylist()]
        case _:
            return list(array.to_pylist())
