"""Arrow input: flat columns are cast without loss, structs and lists go the way of records.

Types were declared by whoever made the table, so texts stay texts even where they look like dates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from dlt_orchestrate.errors import TableConflictError
from dlt_orchestrate.flow import kernels as pc
from dlt_orchestrate.flow.arrays import ARROW_TYPES
from dlt_orchestrate.flow.batch import FieldKey, KeyPath, Observed, TableBatch, TableKey
from dlt_orchestrate.normalize.arrays import ClassColumn, columns_of_any, expect_short, integer_range
from dlt_orchestrate.normalize.classify import HIGH_BIGINT, MOST_DIGITS, JsonText, Unholdable, decimal_places
from dlt_orchestrate.normalize.columns import FEW_RECORDS, Refused, normalize_columns
from dlt_orchestrate.normalize.ids import Ids
from dlt_orchestrate.normalize.places import Places
from dlt_orchestrate.normalize.rows import OnReject, normalize_rows
from dlt_orchestrate.normalize.rules import Rules
from dlt_orchestrate.schema.iso import duration_text
from dlt_orchestrate.schema.types import ValueClass

_EPOCH = datetime(1970, 1, 1)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
PIECE_ROWS = 65_536
"""Rows of a table that become one batch."""


def normalize_arrow(
    root: str, frame: pa.Table, ids: Ids, rules: Rules, refusals: Counter[str], on_reject: OnReject, places: Places
) -> list[TableBatch]:
    """Normalize an Arrow table; rows with a value that nothing holds go to `on_reject`.

    The ids must not depend on content, since no records are made of flat columns.

    Raises:
        TableConflictError: Two columns share a name.
    """
    twice = [name for name, count in Counter(frame.column_names).items() if count > 1]
    if twice:
        raise TableConflictError(
            table=root, problem=f"the Arrow table has more than one column {twice[0]!r}. Rename or drop all but one."
        )
    rules = replace(rules, detects_text=False)
    batches: list[TableBatch] = []
    for start in range(0, frame.num_rows, PIECE_ROWS):
        batches += _piece(root, frame.slice(start, PIECE_ROWS), ids, rules, refusals, on_reject, places)
    return batches


def flat_columns(frame: pa.Table) -> list[str]:
    """The columns without an inside."""
    return [field.name for field in frame.schema if not _has_inside(field.type)]


def python_rows(frame: pa.Table) -> list[dict[str, Any]]:
    """The rows as records, exact: what a Python value would cut short is a text."""
    columns = [python_values(_whole(column)) for column in frame.columns]
    names = frame.column_names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)] if columns else []


def as_declared(batch: TableBatch, frame: pa.Table) -> TableBatch:
    """What records became that a frame was made into, with the digits that its decimals declare."""
    declared = {
        FieldKey((field.name,), ValueClass.DECIMAL): field.type
        for field in frame.schema
        if pa.types.is_decimal(field.type) and _declared_digits(field.type) is not None
    }
    if batch.key.path or declared.keys().isdisjoint(batch.observed):
        return batch
    observed = {
        key: replace(batch.observed[key], scale=kind.scale, declared_digits=_declared_digits(kind))
        for key, kind in declared.items()
        if key in batch.observed
    }
    return replace(batch, observed={**batch.observed, **observed})


def _piece(
    root: str, frame: pa.Table, ids: Ids, rules: Rules, refusals: Counter[str], on_reject: OnReject, places: Places
) -> list[TableBatch]:
    """Cast a piece; where some rows hold what no column holds, halve it down to a few that are taken row by row."""
    try:
        return _cast_piece(root, frame, ids, rules, refusals, places)
    except (Unholdable, Refused) as reason:
        refusals["chunk: an Arrow table that cannot be cast"] += 1
        is_local = not isinstance(reason, Refused) or reason.is_local
    if is_local and frame.num_rows > FEW_RECORDS:
        half = frame.num_rows // 2
        parts = (frame.slice(0, half), frame.slice(half))
        return [batch for part in parts for batch in _piece(root, part, ids, rules, refusals, on_reject, places)]
    batches = normalize_rows(root, python_rows(frame), ids, rules, on_reject, places)
    return [as_declared(batch, frame) for batch in batches]


def _cast_piece(
    root: str, frame: pa.Table, ids: Ids, rules: Rules, refusals: Counter[str], places: Places
) -> list[TableBatch]:
    arrays = {name: _whole(frame[name]) for name in frame.column_names}
    columns: list[tuple[KeyPath, ClassColumn]] = []
    apart: list[str] = []
    for name, array in arrays.items():
        found = _cast(array, rules)
        if found is None:
            apart.append(name)
        else:
            columns += [((name,), column) for column in found]
    rest = _records_path(root, {name: arrays[name] for name in apart}, frame.num_rows, ids, rules, refusals, places)
    nulls = frozenset((name,) for name in arrays if arrays[name].null_count and name not in apart)
    return [_joined(rest[0], columns, nulls, tuple(arrays)), *rest[1:]]


def _records_path(
    root: str, arrays: dict[str, pa.Array], length: int, ids: Ids, rules: Rules, refusals: Counter[str], places: Places
) -> list[TableBatch]:
    """The columns with an inside, as records; the root table comes first, with the ids of all rows."""
    if not arrays:
        return [TableBatch(TableKey(root), ids.take(range(length)), {}, {})]
    return normalize_columns(root, python_rows(pa.table(arrays)), ids, rules, refusals, places)


def _joined(
    rest: TableBatch, columns: list[tuple[KeyPath, ClassColumn]], nulls: frozenset[KeyPath], names: tuple[str, ...]
) -> TableBatch:
    """The root table with its flat columns and those that were taken apart, in the order of the first values."""
    fields: dict[FieldKey, tuple[pa.Array, Observed]] = {
        FieldKey(path, column.value_class): (column.values, column.observed) for path, column in columns
    }
    fields |= {key: (array, rest.observed[key]) for key, array in rest.columns.items()}
    rank = {name: position for position, name in enumerate(names)}
    order = sorted(fields, key=lambda key: (_first_index(fields[key][0]), rank[key.path[0]] if key.path else len(rank)))
    seen = {key.path for key in fields}
    return replace(
        rest,
        columns={key: fields[key][0] for key in order},
        observed={key: fields[key][1] for key in order},
        null_paths=(rest.null_paths | nulls) - seen,
    )


def _first_index(array: pa.Array) -> int:
    if array.null_count == 0 or array[0].is_valid:
        return 0
    return int(pc.indices_nonzero(array.is_valid())[0].as_py())


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """One array, without dictionaries, run ends and extension types other than UUID and JSON."""
    # Of a single chunk, too, `combine_chunks` makes a copy.
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    return _plain(array)


def _plain(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(array))
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name not in ("arrow.uuid", "arrow.json"):
        return _plain(array.cast(pa.bool_()) if kind.extension_name == "arrow.bool8" else array.storage)
    return array


# --- flat columns ----------------------------------------------------------------------------------------------


def _cast(array: pa.Array, rules: Rules) -> list[ClassColumn] | None:
    """The column by class; None if it has an inside.

    Raises:
        Unholdable: A value is one that no column holds.
    """
    if len(array) == array.null_count and not _has_inside(array.type):
        return []
    for applies, cast in _CASTS:
        if applies(array.type):
            return cast(array, rules)
    return None if _has_inside(array.type) else columns_of_any(python_values(array), rules)


def _column(value_class: ValueClass, array: pa.Array, observed: Observed | None = None) -> list[ClassColumn]:
    count = len(array) - array.null_count
    if count == 0:
        return []
    cast = array.cast(ARROW_TYPES[value_class])
    return [ClassColumn(value_class, cast, observed or Observed(count), _first_index(array))]


def _bools(array: pa.Array, _: Rules) -> list[ClassColumn]:
    return _column(ValueClass.BOOL, array)


def _integers(array: pa.Array, rules: Rules) -> list[ClassColumn]:
    low, high = integer_range(array)
    if high > HIGH_BIGINT:
        return columns_of_any(array.to_pylist(), rules)
    return _column(ValueClass.BIGINT, array, Observed(len(array) - array.null_count, low=low, high=high))


def _doubles(array: pa.Array, _: Rules) -> list[ClassColumn]:
    return _column(ValueClass.DOUBLE, array)


def _texts(array: pa.Array, rules: Rules) -> list[ClassColumn]:
    array = array.cast(pa.string())
    if not rules.capabilities.holds_nul_in_text and pc.any(pc.match_substring(array, "\0")).as_py():
        return columns_of_any(array.to_pylist(), rules)
    expect_short(ValueClass.TEXT, array, rules)
    return _column(ValueClass.TEXT, array)


def _json(array: pa.Array, rules: Rules) -> list[ClassColumn]:
    expect_short(ValueClass.JSON, array.storage, rules)
    return _column(ValueClass.JSON, array.storage)


def _binaries(array: pa.Array, rules: Rules) -> list[ClassColumn]:
    array = array.cast(pa.binary())
    expect_short(ValueClass.BINARY, array, rules)
    return _column(ValueClass.BINARY, array)


def _decimals(array: pa.Array, rules: Rules) -> list[ClassColumn]:
    scale = max(0, array.type.scale)
    if scale > MOST_DIGITS or array.type.precision - array.type.scale > MOST_DIGITS:
        return columns_of_any(array.to_pylist(), rules)
    if array.type.bit_width < 128:  # which Arrow can hold, and hardly compute with
        array = array.cast(pa.decimal128(array.type.precision, array.type.scale))
    extremes = pc.min_max(array)
    digits = max(decimal_places(extremes[end].as_py())[0] for end in ("min", "max"))
    count = len(array) - array.null_count
    seen = Observed(count, digits=digits, scale=scale, declared_digits=_declared_digits(array.type))
    if pa.types.is_decimal128(array.type) and array.type.scale >= 0:
        # To widen them, and to cast them to their column after that, takes as long as to load them.
        return [ClassColumn(ValueClass.DECIMAL, array, seen, _first_index(array))]
    return _column(ValueClass.DECIMAL, array, seen)


def _declared_digits(kind: pa.DataType) -> int | None:
    """Digits before the point that a type of decimals has room for; None of one that cuts digits before the point."""
    return kind.precision - kind.scale if kind.scale >= 0 else None


def _dates(array: pa.Array, rules: Rules) -> list[ClassColumn]:
    days = array.cast(pa.date32())
    low, high = integer_range(days.cast(pa.int32()))
    first, last = _years(rules)
    if low < (first - _EPOCH).days or high > (last - _EPOCH).days:
        raise Unholdable("a date outside the years that the destination holds")
    return _column(ValueClass.DATE, days)


def _times(array: pa.Array, rules: Rules) -> list[ClassColumn]:
    if array.type.unit == "ns" and _cuts(array.cast(pa.int64())):
        return columns_of_any(python_values(array), rules)
    return _column(ValueClass.TIME, array)


def _timestamps(array: pa.Array, rules: Rules) -> list[ClassColumn]:
    ticks = array.cast(pa.int64())
    low, high = integer_range(ticks)
    first, last = (_ticks(moment, array.type.unit) for moment in _years(rules))
    if low < first or high > last:
        raise Unholdable("a timestamp outside the years that the destination holds")
    if array.type.unit == "ns" and _cuts(ticks):
        return columns_of_any(python_values(array), rules)
    if array.type.tz is None:
        return _column(ValueClass.NAIVE_TIMESTAMP, array)
    return _column(ValueClass.TIMESTAMP, array.cast(pa.timestamp(array.type.unit, "UTC")))


def _years(rules: Rules) -> tuple[datetime, datetime]:
    first = datetime(max(1, rules.capabilities.earliest_year), 1, 1)
    last = datetime(min(9999, rules.capabilities.latest_year), 12, 31, 23, 59, 59, 999_999)
    return first, last


def _ticks(moment: datetime, unit: str) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * _PER_SECOND[unit] // 10**6


def _cuts(nanoseconds: pa.Array) -> bool:
    """Whether microseconds cannot tell one of the values."""
    whole = pc.multiply(pc.divide(nanoseconds, 1000), 1000)
    return bool(pc.any(pc.not_equal(whole, nanoseconds)).as_py())


def _is_extension(name: str) -> Callable[[pa.DataType], bool]:
    return lambda kind: isinstance(kind, pa.BaseExtensionType) and kind.extension_name == name


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


_CASTS: Sequence[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array, Rules], list[ClassColumn]]]] = (
    (pa.types.is_boolean, _bools),
    (pa.types.is_integer, _integers),
    (pa.types.is_floating, _doubles),
    (_is_text, _texts),
    (_is_binary, _binaries),
    (pa.types.is_decimal, _decimals),
    (pa.types.is_date, _dates),
    (pa.types.is_time, _times),
    (pa.types.is_timestamp, _timestamps),
    (_is_extension("arrow.json"), _json),
)


# --- Python values ---------------------------------------------------------------------------------------------


def python_values(array: pa.Array) -> list[Any]:
    """The values of an array, exact: times and timestamps with nanoseconds, or beyond Python's years, are texts."""
    array = _plain(array)
    kind = array.type
    if pa.types.is_struct(kind):
        return _structs(array)
    if _is_list(kind):
        return _lists(array)
    if pa.types.is_timestamp(kind):
        return _each(array, _timestamp_value(kind))
    if pa.types.is_time64(kind) and kind.unit == "ns":
        return _each(array, _time_value)
    if pa.types.is_date(kind):
        return [None if days is None else _date_value(days) for days in _days(array)]
    if pa.types.is_duration(kind):
        return _each(array, _duration_value(_PER_SECOND[kind.unit]))
    if pa.types.is_interval(kind):
        return [None if value is None else str(value) for value in array.to_pylist()]
    if _is_extension("arrow.json")(kind):
        return [None if text is None else JsonText(text) for text in array.storage.to_pylist()]
    return array.to_pylist()  # type: ignore[no-any-return]


def _duration_value(per_second: int) -> Callable[[int], timedelta | str]:
    def convert(ticks: int) -> timedelta | str:
        microseconds, cut = divmod(ticks * 10**6, per_second)
        try:
            return timedelta(microseconds=microseconds) if cut == 0 else duration_text(ticks, per_second)
        except OverflowError:
            return duration_text(ticks, per_second)

    return convert


def _has_inside(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) or _is_list(kind))


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_map)
    return any(test(kind) for test in tests)


def _structs(array: pa.StructArray) -> list[dict[str, Any] | None]:
    names = [array.type.field(position).name for position in range(array.type.num_fields)]
    columns = [python_values(field) for field in array.flatten()]
    rows = zip(*columns, strict=True) if columns else (() for _ in range(len(array)))
    return [
        dict(zip(names, row, strict=True)) if valid else None
        for row, valid in zip(rows, array.is_valid().to_pylist(), strict=True)
    ]


def _lists(array: pa.Array) -> list[list[Any] | None]:
    """The lists of a list array; the entries of a map are dicts with `key` and `value`."""
    lengths = pc.list_value_length(_as_list(array)).to_pylist()
    values = iter(python_values(_as_list(array).flatten()))
    return [None if length is None else [next(values) for _ in range(length)] for length in lengths]


def _as_list(array: pa.Array) -> pa.Array:
    if not pa.types.is_map(array.type):
        return array
    entries = pa.struct([("key", array.type.key_type), ("value", array.type.item_type)])
    return array.cast(pa.list_(entries))


def _each(array: pa.Array, convert: Callable[[int], Any]) -> list[Any]:
    return [None if ticks is None else convert(ticks) for ticks in array.cast(pa.int64()).to_pylist()]


def _days(array: pa.Array) -> list[int | None]:
    return array.cast(pa.date32()).cast(pa.int32()).to_pylist()  # type: ignore[no-any-return]


def beyond_text(ticks: int, kind: pa.DataType) -> str:
    """A moment or a day beyond Python's years as a text.

    >>> beyond_text(2933263, pa.date32())
    '2933263 days since 1970'
    """
    return f"{ticks} {kind.unit if pa.types.is_timestamp(kind) else 'days'} since 1970"


def _date_value(days: int) -> date | str:
    try:
        return _EPOCH.date() + timedelta(days=days)
    except OverflowError:
        return beyond_text(days, pa.date32())


def _timestamp_value(kind: pa.TimestampType) -> Callable[[int], datetime | str]:
    per_second, zone = _PER_SECOND[kind.unit], None if kind.tz is None else UTC

    def convert(ticks: int) -> datetime | str:
        seconds, fraction = divmod(ticks, per_second)
        nanoseconds = fraction * 10**9 // per_second
        try:
            moment = (_EPOCH + timedelta(seconds=seconds, microseconds=nanoseconds // 1000)).replace(tzinfo=zone)
        except OverflowError:
            return beyond_text(ticks, kind)
        cut = nanoseconds % 1000
        return moment if cut == 0 else _with_nanoseconds(moment, nanoseconds)

    return convert


def _with_nanoseconds(moment: datetime, nanoseconds: int) -> str:
    zone = "" if moment.tzinfo is None else "+00:00"
    return f"{moment.replace(microsecond=0, tzinfo=None).isoformat()}.{nanoseconds:09d}{zone}"


def _time_value(nanoseconds: int) -> Any:
    microseconds, cut = divmod(nanoseconds, 1000)
    moment = (_EPOCH + timedelta(microseconds=microseconds)).time()
    return moment if cut == 0 else f"{moment.replace(microsecond=0).isoformat()}.{nanoseconds % 10**9:09d}"
