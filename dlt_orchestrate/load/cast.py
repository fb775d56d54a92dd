"""Fit the values of one class into a column of some type: exactly, or not at all.

`fit` splits an array into what the column holds exactly and the rest, which goes to a variant column. Nothing is rounded,
cut or guessed: texts become numbers only if the number prints back as the same text.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal, InvalidOperation
from math import isfinite
from typing import Any

import pyarrow as pa

from dlt_orchestrate.flow import kernels as pc
from dlt_orchestrate.flow.batch import Observed
from dlt_orchestrate.schema.evolve import EXACT_IN_DOUBLE
from dlt_orchestrate.schema.iso import parse_iso
from dlt_orchestrate.schema.types import ColumnType, ValueClass

_DATE_LENGTH = len("2024-01-01")
_FIRST_MICROSECOND = -62_135_596_800_000_000
_LAST_MICROSECOND = 253_402_300_799_999_999
"""The years 1 to 9999 in microseconds since 1970."""
_ZERO_BEFORE = re.compile(r"\s*[+-]?0\d")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]{1,64}")
_WIDE_CONTEXT = Context(prec=80)
"""Enough digits for every decimal that travels in a batch, so that `normalize` never rounds."""


def column_arrow_type(column_type: ColumnType) -> pa.DataType:
    """The Arrow type in which a column's values reach the destination."""
    match column_type.kind:
        case "text" | "json":
            return pa.string()
        case "bigint":
            return pa.int64()
        case "double":
            return pa.float64()
        case "bool":
            return pa.bool_()
        case "timestamp":
            return pa.timestamp("us") if column_type.timezone is False else pa.timestamp("us", "UTC")
        case "date":
            return pa.date32()
        case "time":
            return pa.time64("us")
        case "binary":
            return pa.binary()
        case "decimal":
            return pa.decimal128(column_type.precision or 38, column_type.scale or 0)
        case "wei":
            return pa.decimal128(38, 0)


def fits_always(value_class: ValueClass, seen: Observed, column_type: ColumnType, *, coerces: bool) -> bool | None:
    """Whether all values of a class fit a column (True), none do (False), or each must be looked at (None)."""
    kind = column_type.kind
    if kind in ("text", "json"):
        return True
    match value_class, kind:
        case (ValueClass.BIGINT, "bigint"):
            return True if column_type.precision is None else None
        case (ValueClass.BIGINT, "double"):
            return True if _magnitude(seen) <= EXACT_IN_DOUBLE else None
        case (ValueClass.BIGINT | ValueClass.WIDE, "decimal" | "wei"):
            whole = (column_type.precision or 38) - (column_type.scale or 0)
            return True if len(str(_magnitude(seen))) <= whole else None
        case (ValueClass.DECIMAL, "decimal"):
            scale = column_type.scale or 0
            return True if seen.scale <= scale and seen.digits <= (column_type.precision or 38) - scale else None
        case (
            (ValueClass.BOOL, "bool")
            | (ValueClass.DOUBLE, "double")
            | (ValueClass.DATE, "date")
            | (ValueClass.TIME, "time")
            | (ValueClass.BINARY, "binary")
            | (ValueClass.DATE, "timestamp")
        ):
            return True
        case (ValueClass.TIMESTAMP, "timestamp"):
            return column_type.timezone is not False or coerces
        case (ValueClass.NAIVE_TIMESTAMP, "timestamp"):
            return column_type.timezone is False or coerces
        case (ValueClass.TEXT, _):
            return None
        case (
            (ValueClass.BIGINT | ValueClass.DOUBLE, "timestamp")
            | (ValueClass.DOUBLE, "decimal")
            | (ValueClass.DOUBLE | ValueClass.DECIMAL, "bigint")
            | (ValueClass.DECIMAL, "double")
            | (ValueClass.BIGINT | ValueClass.DOUBLE | ValueClass.DECIMAL, "bool")
        ):
            return None if coerces else False
        case (ValueClass.DECIMAL, "wei"):
            return None
        case _:
            return False


def fit(
    array: pa.Array, value_class: ValueClass, column_type: ColumnType, *, coerces: bool = False
) -> tuple[pa.Array, pa.Array | None]:
    """Split an array into the values a column holds exactly and the rest.

    Args:
        array: Values of the class, of its Arrow type (`flow.batch.arrow_type`); decimals may be narrower.
        coerces: The type was declared, or stays whatever comes. So values of other classes that say the same are taken:
            dates, naive times and seconds since 1970 as moments; floats as they print (19.99 is 19.99) and numbers in
            any spelling ("7.50", "0xff") as decimals; 1.0 as 1; 0, 1, "true" and "false" as booleans; base64 as bytes.

    Returns:
        Two arrays as long as the input, each null where the value is in the other; the first of the column's Arrow
        type, the second of the input's, or None if nothing is left over.
    """
    target = column_arrow_type(column_type)
    match value_class, column_type.kind:
        case (_, "text"):
            return printed(array, value_class), None
        case (_, "json"):
            return _as_json(array, value_class), None
        case (ValueClass.TEXT, "timestamp"):
            return _timestamps(array, column_type, coerces)
        case (ValueClass.TEXT, "decimal") if coerces:
            return _one_by_one(array, target, lambda text: _exact_decimal(_spoken_number(text), target))
        case (ValueClass.DOUBLE, "decimal") if coerces:
            return _one_by_one(array, target, lambda number: _exact_decimal(_number(repr(number)), target))
        case (ValueClass.TEXT, "decimal" | "wei"):
            return _one_by_one(array, target, lambda text: _exact_decimal(_decimal(text), target))
        case (ValueClass.TEXT, "bigint"):
            return _one_by_one(array, target, lambda text: _integer(text, *_bigint_range(column_type)))
        case (ValueClass.TEXT, kind):
            parsers = {**_TEXT_PARSERS, **_COERCING_TEXT_PARSERS} if coerces else _TEXT_PARSERS
            return _one_by_one(array, target, parsers[kind])
        case (ValueClass.DOUBLE | ValueClass.DECIMAL, "bigint") if coerces:
            return _one_by_one(array, target, lambda number: _whole(number, *_bigint_range(column_type)))
        case (ValueClass.DECIMAL, "double") if coerces:
            return _one_by_one(array, target, _printed_alike)
        case (ValueClass.BIGINT | ValueClass.DOUBLE | ValueClass.DECIMAL, "bool") if coerces:
            return _one_by_one(array, target, lambda number: None if _whole(number, 0, 1) is None else bool(number))
        case (ValueClass.BIGINT | ValueClass.DOUBLE, "timestamp"):
            if not coerces:
                return pa.nulls(len(array), target), array
            return _one_by_one(array, target, _moment_of_seconds)
        case (ValueClass.BIGINT, "bigint") if column_type.precision is None:
            return array, None
        case (ValueClass.BIGINT, "bigint"):
            return _where(array, _within(array, *_bigint_range(column_type)), target)
        case (ValueClass.BIGINT, "double"):
            return _where(array, _within(array, -EXACT_IN_DOUBLE, EXACT_IN_DOUBLE), target)
        case (ValueClass.DATE, "timestamp"):
            return array.cast(pa.timestamp("us")).cast(target), None
        case (ValueClass.TIMESTAMP | ValueClass.NAIVE_TIMESTAMP, "timestamp"):
            if pa.types.is_timestamp(array.type) and (array.type.tz is None) != (target.tz is None) and not coerces:
                return pa.nulls(len(array), target), array
            return array.cast(target), None
        case (ValueClass.BIGINT | ValueClass.WIDE | ValueClass.DECIMAL, "decimal" | "wei"):
            return _decimals(array, target)
        case _ if fits_always(value_class, Observed(count=len(array)), column_type, coerces=coerces) is True:
            return array.cast(target), None
        case _:
            return pa.nulls(len(array), target), array


def printed(array: pa.Array, value_class: ValueClass) -> pa.Array:
    """Values as text: numbers as Python prints them, moments in ISO 8601, bytes in base64."""
    if pa.types.is_string(array.type):
        return array
    printer = _PRINTERS.get(value_class, str)
    return pa.array([None if value is None else printer(value) for value in array.to_pylist()], pa.string())


def _as_json(array: pa.Array, value_class: ValueClass) -> pa.Array:
    if value_class is ValueClass.JSON:
        return array
    if value_class in (ValueClass.BIGINT, ValueClass.WIDE, ValueClass.DECIMAL):
        return printed(array, value_class)
    if value_class in (ValueClass.BOOL, ValueClass.DOUBLE):
        return pa.array([None if v is None else _json_scalar(v) for v in array.to_pylist()], pa.string())
    texts = printed(array, value_class).to_pylist()
    return pa.array([None if t is None else json.dumps(t, ensure_ascii=False) for t in texts], pa.string())


def _json_scalar(value: bool | float) -> str:
    text = json.dumps(value)
    return text if text not in ("NaN", "Infinity", "-Infinity") else f'"{text}"'


def _timestamps(array: pa.Array, column_type: ColumnType, coerces: bool) -> tuple[pa.Array, pa.Array | None]:
    """Texts to moments: all at once where every text is a plain ISO date-time, else one by one."""
    target = column_arrow_type(column_type)
    with suppress(pa.ArrowInvalid):
        shortest = pc.min(pc.utf8_length(array)).as_py()
        if shortest is None or shortest > _DATE_LENGTH:
            moments = array.cast(target)
            if _is_within_years(moments):
                return moments, None
    aware = column_type.timezone is not False

    def parse(text: str) -> datetime | None:
        moment = parse_iso(text)
        if moment is None:
            return _midnight(text, aware) if coerces else None
        if (moment.tzinfo is not None) == aware:
            return moment
        if not coerces:
            return None
        return moment.replace(tzinfo=UTC) if aware else moment.astimezone(UTC).replace(tzinfo=None)

    return _one_by_one(array, target, parse)


def _is_within_years(moments: pa.Array) -> bool:
    """Whether all moments lie in the years 1 to 9999: a zone may move a text's moment out of them."""
    extremes = pc.min_max(moments.cast(pa.int64())).as_py()
    return all(extreme is None or _FIRST_MICROSECOND <= extreme <= _LAST_MICROSECOND for extreme in extremes.values())


def _midnight(text: str, aware: bool) -> datetime | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return datetime(day.year, day.month, day.day, tzinfo=UTC if aware else None)


def _decimals(array: pa.Array, target: pa.DataType) -> tuple[pa.Array, pa.Array | None]:
    """All at once where no number has too many digits before the point, else one by one."""
    extremes = pc.min_max(array).as_py()
    end = 10 ** (target.precision - target.scale)
    # Arrow refuses to cut digits off behind the point, but lets numbers overflow that are multiplied up to a scale.
    if all(extreme is None or abs(extreme) < end for extreme in extremes.values()):
        with suppress(pa.ArrowInvalid):
            return array.cast(target), None
    return _one_by_one(array, target, lambda value: _exact_decimal(Decimal(value), target))


def _exact_decimal(number: Decimal | None, target: pa.DataType) -> Decimal | None:
    """The number without needless zeros if the type holds it exactly."""
    if number is None:
        return None
    number = number.normalize(_WIDE_CONTEXT)
    whole, fraction = number.adjusted() + 1, -int(number.as_tuple().exponent)
    fits = not number or (whole <= target.precision - target.scale and fraction <= target.scale)
    return number if fits else None


def _where(array: pa.Array, fits: pa.Array, target: pa.DataType) -> tuple[pa.Array, pa.Array | None]:
    nothing = pa.scalar(None, array.type)
    fitted = pc.if_else(fits, array, nothing).cast(target)
    rest = pc.if_else(fits, nothing, array)
    return fitted, rest if rest.null_count < len(rest) else None


def _within(array: pa.Array, low: int, high: int) -> pa.Array:
    return pc.fill_null(pc.and_(pc.greater_equal(array, low), pc.less_equal(array, high)), True)


def _one_by_one(array: pa.Array, target: pa.DataType, parse: Callable[[Any], Any]) -> tuple[pa.Array, pa.Array | None]:
    fitted: list[Any] = []
    rest: list[Any] = []
    for value in array.to_pylist():
        parsed = None if value is None else parse(value)
        fitted.append(parsed)
        rest.append(value if parsed is None else None)
    left_over = any(value is not None for value in rest)
    return pa.array(fitted, target), pa.array(rest, array.type) if left_over else None


def _magnitude(seen: Observed) -> int:
    return max(abs(seen.low or 0), abs(seen.high or 0))


def _bigint_range(column_type: ColumnType) -> tuple[int, int]:
    """Least and greatest integer of a column."""
    end = 1 << ((column_type.precision or 64) - 1)
    return -end, end - 1


def _moment_of_seconds(value: int | float) -> datetime | None:
    """The moment so many seconds after 1970 began, if microseconds tell it exactly."""
    try:
        moment = datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.timestamp() == value else None


def _whole(number: float | Decimal | int, low: int, high: int) -> int | None:
    """The integer that a number is, within a range; none for minus zero, whose sign it would lose."""
    is_whole = low <= number <= high and number == int(number)
    return int(number) if is_whole and repr(number) != "-0.0" else None


def _printed_alike(number: Decimal) -> float | None:
    """The double that prints as the decimal does."""
    double = float(number)
    return double if isfinite(double) and Decimal(repr(double)) == number else None


# --- texts that print back identically ---------------------------------------------------------------------------


def _integer(text: str, low: int, high: int) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if str(number) == text and low <= number <= high else None


def _float(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if repr(number) == text else None


def _decimal(text: str) -> Decimal | None:
    number = _number(text)
    return number if number is not None and _print_decimal(number) == text else None


def _number(text: str) -> Decimal | None:
    """The number that a text writes in whatever way but with zeros before it, and that a float prints as."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if _ZERO_BEFORE.match(text):
        return None  # an identifier
    return number if number.is_finite() else None


def _spoken_number(text: str) -> Decimal | None:
    """The number that a text writes in whatever way, also in hexadecimal, as blockchains do: "0xff" is 255."""
    return Decimal(int(text, 16)) if _HEXADECIMAL.fullmatch(text) else _number(text)


def _bool(text: str) -> bool | None:
    return {"True": True, "False": False}.get(text)


def _date(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day.isoformat() == text else None


def _time(text: str) -> time | None:
    try:
        moment = time.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is None and moment.isoformat() == text else None


def _never(_text: str) -> None:
    return None


def _spoken_bool(text: str) -> bool | None:
    return {"true": True, "false": False, "True": True, "False": False}.get(text)


def _spoken_float(text: str) -> float | None:
    """The double that a text writes as an integer or as Python prints it."""
    integer = _integer(text, -EXACT_IN_DOUBLE, EXACT_IN_DOUBLE)
    return _float(text) if integer is None else float(integer)


def _bytes(text: str) -> bytes | None:
    """The bytes that a text writes in base64."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return raw if base64.b64encode(raw).decode("ascii") == text else None


_COERCING_TEXT_PARSERS: dict[str, Callable[[str], Any]] = {"bool": _spoken_bool, "double": _spoken_float, "binary": _bytes}

_TEXT_PARSERS: dict[str, Callable[[str], Any]] = {
    "double": _float,
    "bool": _bool,
    "date": _date,
    "time": _time,
    "binary": _never,
}


def _print_decimal(number: Decimal) -> str:
    plain = format(number.normalize(_WIDE_CONTEXT), "f")
    return "0" if plain == "-0" else plain


_PRINTERS: dict[ValueClass, Callable[[Any], str]] = {
    ValueClass.DECIMAL: _print_decimal,
    ValueClass.TIMESTAMP: lambda moment: moment.isoformat(),
    ValueClass.NAIVE_TIMESTAMP: lambda moment: moment.isoformat(),
    ValueClass.DATE: lambda day: day.isoformat(),
    ValueClass.TIME: lambda moment: moment.isoformat(),
    ValueClass.BINARY: lambda raw: base64.b64encode(raw).decode("ascii"),
}
