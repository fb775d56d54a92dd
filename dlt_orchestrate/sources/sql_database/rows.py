"""Rows of a driver as Arrow, of the types that the columns declare; as records where a value is of another."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import orjson
import pyarrow as pa

from dlt_orchestrate.normalize.classify import JsonText
from dlt_orchestrate.sources.sql_database.kinds import ColumnPlan

DAY = timedelta(days=1)
_MIDNIGHT = datetime(1970, 1, 1)


class _Unfit(ValueError):
    """A value is not of the type that its column declares."""


def chunk_of(
    rows: Sequence[Sequence[Any]], names: Sequence[str], plans: Sequence[ColumnPlan | None]
) -> pa.Table | list[dict[str, Any]]:
    """Some rows as an Arrow table; as records if a value is not of the type that its column declares."""
    try:
        columns = [_array(values, plan) for values, plan in zip(zip(*rows, strict=True), plans, strict=True)]
    except (pa.ArrowException, _Unfit, TypeError, ValueError, OverflowError, InvalidOperation):
        return records_of(rows, names, plans)
    return pa.table(dict(zip(names, columns, strict=True)))


def records_of(
    rows: Sequence[Sequence[Any]], names: Sequence[str], plans: Sequence[ColumnPlan | None]
) -> list[dict[str, Any]]:
    """Rows as dictionaries; what is of the declared type but for its spelling is brought to it, the rest stays."""
    readers = [_reader(plan) for plan in plans]
    return [
        {name: value if read is None else read(value) for name, value, read in zip(names, row, readers, strict=True)}
        for row in rows
    ]


def _array(values: Sequence[Any], plan: ColumnPlan | None) -> pa.Array:
    wanted = plan.kind.arrow if plan is not None else None
    if wanted is None:
        return _inferred(values)
    assert plan is not None
    match plan.kind.data_type:
        case "bool":
            return pa.array(list(map(_as_bool, values)), wanted)
        case "decimal":
            return pa.array(list(map(_as_decimal, values)), wanted)
        case "timestamp":
            return _moments(values, wanted, is_naive=plan.kind.timezone is False, is_certain=plan.kind.is_certain)
        case "date":
            return _dates(values, wanted)
        case "time":
            return _times(values, wanted)
        case "json":
            return pa.ExtensionArray.from_storage(wanted, pa.array(list(map(_as_json_text, values)), pa.string()))
        case "text":
            return _texts(values, wanted)
        case "bigint":
            return pa.array(_whole(values), wanted)
        case "double":
            return pa.array(_of_types(values, float, int), wanted)
        case _:
            return pa.array(values, wanted)


def _of_types(values: Sequence[Any], *kinds: type) -> Sequence[Any]:
    if set(map(type, values)) - {type(None), *kinds}:
        raise _Unfit
    return values


def _whole(values: Sequence[Any]) -> Sequence[Any]:
    """Integers, also where the driver gives them as decimals or doubles; Arrow would cut fractions off."""
    if not set(map(type, values)) - {type(None), int}:
        return values
    return [None if value is None else _as_int(value) for value in values]


def _as_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or value != int(value):
        raise _Unfit
    return int(value)


def _inferred(values: Sequence[Any]) -> pa.Array:
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {UUID}:
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    if len(kinds) > 1 or kinds & {dict, list, timedelta}:
        raise _Unfit
    return pa.array(values)


def _as_bool(value: Any) -> bool | None:
    if value is None or value is True or value is False:
        return value
    if value in (0, 1):
        return bool(value)
    if value in (b"\0", b"\1"):
        return bool(value == b"\1")
    raise _Unfit


def _as_decimal(value: Any) -> Decimal | None:
    match value:
        case None | Decimal():
            return value
        case bool():
            raise _Unfit
        case int():
            return Decimal(value)
        case float():
            return Decimal(repr(value))  # SQLite keeps decimals as doubles: the shortest text is what was meant
        case str():
            return Decimal(value)
        case _:
            raise _Unfit


def _moments(values: Sequence[Any], wanted: pa.DataType, *, is_naive: bool, is_certain: bool) -> pa.Array:
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {str}:
        texts = pa.array(values, pa.string())
        try:
            return texts.cast(wanted)
        except pa.ArrowException:
            if is_certain:
                raise
            return texts.cast(pa.timestamp("us", "UTC"))
    if kinds and not all(issubclass(kind, datetime) for kind in kinds):
        raise _Unfit
    if is_naive and any(value is not None and value.tzinfo is not None for value in values):
        raise _Unfit
    return pa.array(values, wanted)


def _dates(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {str}:
        return pa.array(values, pa.string()).cast(wanted)
    if kinds - {date}:
        raise _Unfit
    return pa.array(values, wanted)


def _times(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {str}:
        return pa.array(values, pa.string()).cast(wanted)
    return pa.array([_as_time(value) for value in values], wanted)


def _as_time(value: Any) -> time | None:
    if value is None or isinstance(value, time):
        return value
    if isinstance(value, timedelta) and timedelta() <= value < DAY:
        return (_MIDNIGHT + value).time()
    raise _Unfit


def _texts(values: Sequence[Any], wanted: pa.DataType) -> pa.Array:
    kinds = set(map(type, values)) - {type(None), str}
    if kinds == {UUID}:
        return pa.array([None if value is None else str(value) for value in values], wanted)
    if kinds == {set}:
        return pa.array([None if value is None else ",".join(sorted(value)) for value in values], wanted)
    if kinds:
        raise _Unfit
    return pa.array(values, wanted)


def _as_json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode()
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, default=str)


def _reader(plan: ColumnPlan | None) -> Callable[[Any], Any] | None:
    """What brings a value of a record to the type of its column, if it is one but for its spelling."""
    match plan.kind.data_type if plan is not None else None:
        case "bool":
            return _leniently(_as_bool)
        case "decimal":
            return _leniently(_as_decimal)
        case "time":
            return _leniently(_as_time)
        case "timestamp" if plan is not None and plan.kind.timezone is None:
            return _in_utc
        case "json":
            return _leniently(_as_json)
        case _:
            return _spelled


def _leniently(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def attempt(value: Any) -> Any:
        try:
            return read(value)
        except (ValueError, TypeError, InvalidOperation):
            return _spelled(value)

    return attempt


def _as_json(value: Any) -> Any:
    """A JSON text as such: its numbers may have more digits than Python's."""
    if not isinstance(value, str | bytes):
        return value
    try:
        orjson.loads(value)
    except ValueError:
        json.loads(value)  # a column of SQLite may hold any text, and any column a number that orjson has no room for
    return JsonText(value if isinstance(value, str) else value.decode())


def _in_utc(value: Any) -> Any:
    """A moment of a session whose zone is UTC."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else _spelled(value)


def _spelled(value: Any) -> Any:
    """A value as records hold it."""
    match value:
        case timedelta():
            return _clock(value)
        case set():
            return ",".join(sorted(value))
        case memoryview() | bytearray():
            return bytes(value)
        case _:
            return value


def _clock(span: timedelta) -> str:
    """A span of time as MySQL writes it.

    >>> _clock(timedelta(hours=-30, minutes=-5))
    '-30:05:00'
    """
    microseconds = abs(span) // timedelta(microseconds=1)
    seconds, fraction = divmod(microseconds, 10**6)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    sign = "-" if span < timedelta() else ""
    return f"{sign}{hour:02d}:{minute:02d}:{second:02d}" + (f".{fraction:06d}" if fraction else "")
