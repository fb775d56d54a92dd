"""The bounds of a window as values of a column's type."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from dlt_orchestrate.schema.iso import parse_iso
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.moments import NotOnScale, in_zone_of, read_like

_AWARE, _NAIVE = datetime(1970, 1, 1, tzinfo=UTC), datetime(1970, 1, 1)
_INFINITE = float("inf")
_MOST_DIGITS = 38


def bound_of(text: str, column_type: ColumnType, example: str | None = None) -> Any:
    """Read a window's bound as a value of a column's type, exactly; moments without a zone are taken for UTC.

    Args:
        example: A text of the column, which tells the shape that moments have there; used for text columns alone.

    Raises:
        NotOnScale: The text is no such value, or the type cannot tell it from its neighbours.

    >>> bound_of("2026-01-01T02:00:00+02:00", ColumnType("timestamp", timezone=False))
    datetime.datetime(2026, 1, 1, 0, 0)
    >>> bound_of("2026-01-01T00:00:00+00:00", ColumnType("text"), "2025-12-31")
    '2026-01-01'
    """
    try:
        match column_type.kind:
            case "timestamp":
                return in_zone_of(_moment(text), _NAIVE if column_type.timezone is False else _AWARE)
            case "date":
                return _date(text)
            case "bigint":
                return int(text)
            case "double":
                return _double(text)
            case "decimal" | "wei":
                return _decimal(text, column_type)
            case "text":
                return text if example is None else read_like(text, example)
            case _:
                raise NotOnScale(text)
    except (ValueError, ArithmeticError):
        raise NotOnScale(text) from None


def _moment(text: str) -> datetime:
    return parse_iso(text) or datetime.combine(date.fromisoformat(text), time())


def _date(text: str) -> date:
    """The day as the bound itself names it, whatever its zone, as extraction compares it."""
    moment = datetime.fromisoformat(text)
    if moment.time() != time():
        raise NotOnScale(text)
    return moment.date()


def _double(text: str) -> float:
    value = float(text)
    if not abs(value) < _INFINITE or Decimal(text) != Decimal(repr(value)):
        raise NotOnScale(text)
    return value


def _decimal(text: str, column_type: ColumnType) -> Decimal:
    value, scale = Decimal(text), column_type.scale or 0
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or value.adjusted() > _MOST_DIGITS:
        raise NotOnScale(text)
    # The digits after the point are counted out: arithmetic on decimals would round to its context.
    surplus = -scale - exponent
    if surplus > 0 and any(digits[-surplus:]):
        raise NotOnScale(text)
    kept = digits[:-surplus] if surplus > 0 else (*digits, *(0,) * -surplus)
    if len(str(int("".join(map(str, kept)) or "0"))) > (column_type.precision or 38):
        raise NotOnScale(text)
    return Decimal((sign, kept or (0,), -scale))
