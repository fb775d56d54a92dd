"""What drivers give as Arrow, in the types that the columns declare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from dlt_orchestrate.errors import DatabaseReadError
from dlt_orchestrate.flow import kernels as pc
from dlt_orchestrate.normalize.arrow import beyond_text, python_values
from dlt_orchestrate.sources.sql_database.kinds import ColumnPlan
from dlt_orchestrate.sources.sql_database.rows import records_of

_NUMERIC = "numeric"
_MIDNIGHT = 86_400 * 10**6
"""In microseconds, as PostgreSQL's client gives times."""
_END_OF_DAY = "24:00:00"
_BEYOND = {
    pa.int64(): {946_684_800_000_000 - 2**63: "-infinity", 946_684_800_000_000 - 2**63 - 1: "infinity"},
    pa.int32(): {10_957 - 2**31: "-infinity", 10_957 - 2**31 - 1: "infinity"},
}
"""What PostgreSQL's client makes of the moments and days before and after all others.

The server sends the least and the greatest number; the client counts from 1970 in place of 2000, past the end of the range.
So do the last years before infinity: what is less than it lies behind the end, since nothing is as long ago as that.
"""


def chunks_of(batch: pa.RecordBatch, plans: Mapping[str, ColumnPlan], chunk_rows: int) -> Iterator[Any]:
    """The batch in chunks of at most so many rows, as Arrow, or as records if a value fits no Arrow type of its column.

    Raises:
        DatabaseReadError: A column has a type that the driver does not decode.
    """
    for start in range(0, batch.num_rows, chunk_rows):
        part = batch.slice(start, chunk_rows)
        names = part.schema.names
        found = [_settled(name, array, plans.get(name)) for name, array in zip(names, part.columns, strict=True)]
        if any(isinstance(column, list) for column in found):
            columns = [column if isinstance(column, list) else _python(column) for column in found]
            yield records_of(list(zip(*columns, strict=True)), names, [plans.get(name) for name in names])
        else:
            yield pa.table(dict(zip(names, found, strict=True)))


def records_of_table(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries."""
    columns = [_python(column.combine_chunks()) for column in table.columns]
    return [dict(zip(table.column_names, row, strict=True)) for row in zip(*columns, strict=True)]


def _settled(name: str, array: pa.Array, plan: ColumnPlan | None) -> Any:
    """The column in its type; a list of Python values if some are of none."""
    kind = array.type
    wanted = plan.kind.arrow if plan else None
    if isinstance(kind, pa.OpaqueType):
        if kind.type_name == _NUMERIC:
            return _decimals(array.storage, wanted)
        raise DatabaseReadError(
            location=kind.vendor_name,
            what=f"column {name!r}",
            problem=f"its type {kind.type_name} is not decoded",
            advice=f"Ask for it as text in the query: CAST({name} AS text).",
        )
    if isinstance(kind, pa.UuidType):
        # A cast would take the bytes for a text.
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_date32(kind):
        ticks = array.cast(pa.int64() if pa.types.is_timestamp(kind) else pa.int32())
        least = pc.min(ticks).as_py()
        if least is not None and least <= max(_BEYOND[ticks.type]):
            return _with_ends(array, ticks)
    if pa.types.is_time64(kind) and pc.max(array.cast(pa.int64())).as_py() == _MIDNIGHT:
        # 24:00, which Python's times would take for 0:00.
        told = zip(_ticks(array), _python(array), strict=True)
        return [_END_OF_DAY if ticks == _MIDNIGHT else time for ticks, time in told]
    if wanted is None or kind == wanted:
        return array
    return _cast(array, wanted)


def _cast(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """The column in the declared type where Arrow can do it without loss; as it came otherwise."""
    if isinstance(wanted, pa.JsonType):
        if pa.types.is_string(array.type):
            return pa.ExtensionArray.from_storage(wanted, array)
        return array
    try:
        return array.cast(wanted)
    except pa.ArrowException:
        return array


def _decimals(texts: pa.Array, wanted: pa.DataType | None) -> Any:
    """Numbers that come as texts, of the declared precision, else of the one that holds them; as Python's if none does."""
    candidates = (wanted,) if wanted is not None else (pa.decimal128(38, 9), pa.decimal128(38, 18))
    for kind in candidates:
        try:
            return texts.cast(kind)
        except pa.ArrowException:
            continue
    from decimal import Decimal

    return [None if text is None else Decimal(text) for text in texts.to_pylist()]


def _with_ends(array: pa.Array, ticks: pa.Array) -> list[Any]:
    """Moments as Python's, those without end and those behind the client's range as texts."""
    ends = _BEYOND[ticks.type]
    is_beyond = pc.less_equal(ticks, pa.scalar(max(ends), ticks.type))
    values = python_values(pc.if_else(is_beyond, pa.scalar(None, array.type), array))
    for row in pc.indices_nonzero(is_beyond).to_pylist():
        tick = ticks[row].as_py()
        values[row] = ends.get(tick) or beyond_text(tick + 2**ticks.type.bit_width, array.type)
    return values


def _ticks(array: pa.Array) -> list[int | None]:
    return array.cast(pa.int64()).to_pylist()  # type: ignore[no-any-return]


def _python(array: pa.Array) -> list[Any]:
    """The values as Python's; days and moments that Python does not have as texts."""
    return python_values(array.storage if isinstance(array.type, pa.JsonType) else array)
