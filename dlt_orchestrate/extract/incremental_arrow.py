"""The incremental filter for Arrow tables: kernels judge the column, only rows at a boundary are looked at one by one."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce
from typing import Any

import pyarrow as pa

from dlt_orchestrate.extract.incremental import Cursor, Natural, told_instead
from dlt_orchestrate.flow import kernels as pc
from dlt_orchestrate.schema.jsonpath import parse_path
from dlt_orchestrate.state.moments import MomentText, moment_of


def accept_table(cursor: Cursor, table: pa.Table) -> pa.Table:
    """The new rows of a table; the cursor moves to the newest of them.

    Raises:
        CursorFieldMissingError: There is no such column, or it holds nulls, and the declaration says that this is an error.
        CursorValueError: The column cannot be compared with the cursor.
    """
    if table.num_rows == 0:
        return table
    column = _cursor_column(cursor, table)
    if column is None:
        return table if cursor.declared.on_cursor_value_missing == "include" else table.slice(0, 0)
    has_value = _has_value(column)
    if cursor.declared.on_cursor_value_missing == "raise" and not _all(has_value):
        raise cursor.miss("it holds null there")
    values = column.filter(has_value)
    order = cursor.order
    spelled = _spelled(cursor, column)
    if len(values) and isinstance(order, Natural) and spelled is None:
        _put_on_scale(cursor, values)
        passed = _judge(cursor, order, table, column)
    else:
        passed = _judge_each(cursor, table, spelled or list(map(_python, column)))
    _advance(cursor, table, column, pc.and_(passed, has_value), spelled)
    if cursor.declared.on_cursor_value_missing == "include":
        passed = pc.or_(passed, pc.invert(has_value))
    return table if _all(passed) else table.filter(passed)


def _cursor_column(cursor: Cursor, table: pa.Table) -> pa.ChunkedArray | None:
    steps = parse_path(cursor.declared.cursor_path)
    head = steps[0] if steps else None
    if not isinstance(head, str) or head not in table.column_names:
        if cursor.declared.on_cursor_value_missing == "raise":
            raise cursor.miss(told_instead(cursor.declared.cursor_path, table.column_names))
        cursor.miss_key(table.column_names)
        return None
    column = table.column(head)
    for step in steps[1:]:
        if not isinstance(step, str) or not pa.types.is_struct(column.type):
            raise cursor.miss(f"its column {head!r} is a {column.type}, which has no such part")
        column = pc.struct_field(column, step)
    return _comparable(column)


def _comparable(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Moments in microseconds, which is what Python and the state hold; texts plain."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _comparable(column.cast(kind.value_type))
    if pa.types.is_timestamp(kind) and kind.unit != "us":
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    return column


def _has_value(column: pa.ChunkedArray) -> Any:
    return pc.invert(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type)))


def _put_on_scale(cursor: Cursor, values: pa.ChunkedArray) -> None:
    example = _python(values[0])
    cursor.put_on_scale(example)
    for bound in (cursor.start_value, cursor.end_value, cursor.newest):
        if bound is not None:
            try:
                cursor.order.is_newer(example, bound)
            except TypeError:
                raise cursor.mismatch(example, bound) from None


def _judge(cursor: Cursor, order: Natural, table: pa.Table, column: pa.ChunkedArray) -> Any:
    """Which rows are new: a mask without nulls."""
    newer, older = (pc.greater, pc.less) if order.rises else (pc.less, pc.greater)
    passed = _has_value(column)
    if cursor.end_value is not None:
        end = _scalar(cursor, column, cursor.end_value)
        behind = newer(column, end) if cursor.keeps_end else pc.invert(older(column, end))
        behind = pc.fill_null(behind, False)
        cursor.end_out_of_range |= _any(behind)
        passed = pc.and_(passed, pc.invert(behind))
    if cursor.floor is not None:
        start = _scalar(cursor, column, cursor.floor)
        is_at_start = pc.fill_null(pc.equal(column, start), False)
        before = pc.fill_null(older(column, start), False)
        before = before if cursor.keeps_start else pc.or_(before, is_at_start)
        held = _without_held(cursor, table, column, _is_held(cursor, column, pc.and_(before, passed)))
        cursor.start_out_of_range |= _any(pc.and_(_before_start(cursor, column, before, older), passed))
        passed = pc.and_(passed, pc.invert(before))
        passed = _without_seen(cursor, table, pc.and_(passed, is_at_start), passed)
        passed = passed if held is None else pc.or_(passed, held)
    return passed


def _is_held(cursor: Cursor, column: pa.ChunkedArray, candidates: Any) -> Any:
    """Which of the rows behind the floor hold the value of a row that was rejected; None if no value is held."""
    if not cursor.held_values:
        return None
    for value in pc.unique(column.drop_null()):
        cursor.reach(_python(value))
    masks = [pc.equal(column, _scalar(cursor, column, value)) for value in cursor.held_values]
    return pc.and_(candidates, pc.fill_null(reduce(pc.or_, masks), False))


def _without_held(cursor: Cursor, table: pa.Table, column: pa.ChunkedArray, held: Any) -> Any:
    """The held rows without those that were passed before another one of their value was rejected."""
    if held is None or not cursor.knows_hashes_of_held:
        return held
    positions = pc.indices_nonzero(held)
    rows = table.take(positions).to_pylist() if len(positions) else []
    known = [
        place
        for place, row in zip(positions.to_pylist(), rows, strict=True)
        if cursor.was_held(_python(column[place]), row)
    ]
    if not known:
        return held
    everywhere = pa.array(range(table.num_rows), pa.int64())
    return pc.and_(held, pc.invert(pc.is_in(everywhere, value_set=pa.array(known, pa.int64()))))


def _before_start(cursor: Cursor, column: pa.ChunkedArray, before: Any, older: Any) -> Any:
    """Which rows are older than all that was asked for."""
    if not cursor.held_values:
        return before
    return pc.fill_null(older(column, _scalar(cursor, column, cursor.start_value)), False)


def _without_seen(cursor: Cursor, table: pa.Table, at_start: Any, passed: Any) -> Any:
    positions = pc.indices_nonzero(at_start)
    rows = table.take(positions).to_pylist() if len(positions) else []
    seen = [place for place, row in zip(positions.to_pylist(), rows, strict=True) if cursor.was_seen(row)]
    if not seen:
        return passed
    everywhere = pa.array(range(table.num_rows), pa.int64())
    return pc.and_(passed, pc.invert(pc.is_in(everywhere, value_set=pa.array(seen, pa.int64()))))


def _spelled(cursor: Cursor, column: pa.ChunkedArray) -> list[Any] | None:
    """The texts of a column that spells moments in several ways, as moments; None for every other column."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)) or column.null_count == len(column):
        return None
    if moment_of(column.drop_null()[0].as_py()) is None:
        return None
    texts = column.to_pylist()
    spelled = list(cursor.on_one_scale([text for text in texts if text is not None]))
    if not isinstance(spelled[0], MomentText):
        return None
    found = iter(spelled)
    return [None if text is None else next(found) for text in texts]


def _judge_each(cursor: Cursor, table: pa.Table, values: list[Any]) -> Any:
    """Which rows are new, asked value by value: for a `last_value_func` of the user's own, and for moments as texts."""
    passed = []
    for row, value in zip(table.to_pylist(), values, strict=True):
        cursor.put_on_scale(value)
        passed.append(value is not None and cursor.passes(value, row))
    return pa.array(passed, pa.bool_())


def _advance(cursor: Cursor, table: pa.Table, column: pa.ChunkedArray, passed: Any, spelled: list[Any] | None) -> None:
    values = column.filter(passed)
    if not len(values):
        return
    order = cursor.order
    if not isinstance(order, Natural) or spelled is not None:
        for position in pc.indices_nonzero(passed).to_pylist():
            value = _python(column[position]) if spelled is None else spelled[position]
            if cursor.newest is None or order.reaches(value, cursor.newest):
                cursor.advance(value, table.slice(position, 1).to_pylist())
        return
    newest = pc.max(values) if order.rises else pc.min(values)
    value = _python(newest)
    if cursor.newest is None or order.reaches(value, cursor.newest):
        ties = pc.and_(passed, pc.fill_null(pc.equal(column, newest), False))
        cursor.advance(value, table.filter(ties).to_pylist())


def _scalar(cursor: Cursor, column: pa.ChunkedArray, bound: Any) -> pa.Scalar:
    """A bound as the column's type; as its own type where the column's would round it."""
    for kind in (column.type, None):
        try:
            scalar = pa.scalar(bound, type=kind)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            continue
        if scalar.as_py() == bound:
            return scalar
    raise cursor.mismatch(_python(column.drop_null()[0]), bound)


def _python(scalar: pa.Scalar) -> Any:
    """A value of the column; moments in UTC, since the state keeps offsets and not the names of zones."""
    value = scalar.as_py()
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def _any(mask: Any) -> bool:
    return bool(pc.any(mask).as_py())


def _all(mask: Any) -> bool:
    return bool(pc.all(mask).as_py())
