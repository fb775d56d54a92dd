"""Cursor values on the scale of their kind: moved by a lag, read from the bounds of a window.

Moments often are texts. A text is compared as it is, so a bound must be written in the very shape of the records.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

_ISO = re.compile(
    r"""
    (?P<date>\d{4}-\d{2}-\d{2})
    (?: (?P<separator>[T ]) (?P<minutes>\d{2}:\d{2}) (?P<seconds>:\d{2})? (?: (?P<point>[.,]) (?P<fraction>\d+) )?
        (?P<zone>Z|[+-]\d{2}(?::?\d{2})?)? )?
    """,
    re.VERBOSE,
)


class NotOnScale(ValueError):
    """A value is neither a number nor a moment, or is no such text."""


def moved(value: Any, lag: float) -> Any:
    """A cursor value moved by a lag: seconds for moments, days for dates, units for numbers; texts keep their shape.

    Raises:
        NotOnScale: The value is neither a number nor a moment.
        OverflowError: There is no such moment.

    >>> moved("2024-01-02T00:00:00Z", -60), moved("2024-03-01", -1), moved(10, -3)
    ('2024-01-01T23:59:00Z', '2024-02-29', 7)
    """
    match value:
        case str():
            return _moved_text(value, lag)
        case datetime():
            return value + timedelta(seconds=lag)
        case date():
            return value + timedelta(days=lag)
        case Decimal():
            return value + Decimal(str(lag))
        case bool():
            raise NotOnScale(value)
        case int():
            return value + int(lag) if float(lag).is_integer() else value + lag
        case float():
            return value + lag
        case _:
            raise NotOnScale(value)


def read_like(text: str, example: Any) -> Any:
    """Read a window's bound as a value of the kind, and for texts of the shape, of an example.

    Moments without a zone are taken for UTC.

    Raises:
        NotOnScale: The text is no such value, or names a moment that such values cannot tell from its neighbours.

    >>> read_like("2024-01-02T00:00:00+00:00", "1970-01-01T00:00:00Z"), read_like("2024-01-02T00:00:00", date(1970, 1, 1))
    ('2024-01-02T00:00:00Z', datetime.date(2024, 1, 2))
    """
    try:
        match example:
            case str():
                return _in_shape_of(text, example)
            case datetime():
                return in_zone_of(datetime.fromisoformat(text), example)
            case date():
                return _date_of(datetime.fromisoformat(text))
            case bool():
                raise NotOnScale(text)
            case int() | float() | Decimal():
                return type(example)(text)
            case _:
                raise NotOnScale(text)
    except (ValueError, ArithmeticError):
        raise NotOnScale(text) from None


def in_zone_of(value: Any, example: Any) -> Any:
    """The same moment, with a zone if the example has one and without if not; without a zone means UTC.

    Values that are no moments stay as they are, and so do all whose example is none. Zones have fixed offsets.

    >>> in_zone_of(datetime(2024, 1, 1), datetime(1970, 1, 1, tzinfo=UTC)).isoformat()
    '2024-01-01T00:00:00+00:00'
    """
    if not (isinstance(value, datetime) and isinstance(example, datetime)):
        return value
    if example.tzinfo is None:
        return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    return in_fixed_zones([value])[0]


def in_fixed_zones(values: Sequence[Any]) -> Sequence[Any]:
    """Values, moments among them in zones of fixed offsets.

    Python compares two moments of one named zone by their clocks, so that those of the hour that comes twice in autumn
    stand in the wrong order, and takes such a moment for unequal to the same one in another zone.
    """
    zones = {type(value.tzinfo) for value in values if isinstance(value, datetime)}
    if zones <= {timezone, type(None)}:
        return values
    return [v.astimezone(UTC) if isinstance(v, datetime) and v.tzinfo is not None else v for v in values]


class MomentText(str):
    """A text that names a moment, compared as the moment that it names."""

    __slots__ = ("moment",)

    def __new__(cls, text: str, moment: datetime) -> MomentText:
        made = super().__new__(cls, text)
        made.moment = moment
        return made

    moment: datetime

    def __hash__(self) -> int:
        return hash(self.moment)

    def __eq__(self, other: object) -> bool:
        found = moment_of(other)
        return found is not None and found == self.moment

    def __ne__(self, other: object) -> bool:
        return not self == other  # that of texts would compare the spelling

    def __lt__(self, other: str) -> bool:
        return self.moment < _expected(other)

    def __le__(self, other: str) -> bool:
        return self.moment <= _expected(other)

    def __gt__(self, other: str) -> bool:
        return self.moment > _expected(other)

    def __ge__(self, other: str) -> bool:
        return self.moment >= _expected(other)


def moment_of(value: object) -> datetime | None:
    """The moment that a text names; None if it names none.

    >>> moment_of("2024-01-01T01:00:00+01:00") == moment_of("2024-01-01T00:00:00Z"), moment_of("2024")
    (True, None)
    """
    if isinstance(value, MomentText):
        return value.moment
    if not isinstance(value, str) or value[10:11] not in ("T", " ") or _ISO.fullmatch(value) is None:
        return None
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def as_moments(values: Sequence[Any]) -> Sequence[Any]:
    """Texts that all name moments as such, and whatever is not all texts of moments as it is."""
    moments = [moment_of(value) for value in values]
    if any(moment is None and value is not None for value, moment in zip(values, moments, strict=True)):
        return values
    return [None if m is None else MomentText(value, m) for value, m in zip(values, moments, strict=True)]


def spelling(text: Any) -> tuple[int, str] | None:
    """How a text spells a moment: texts of one spelling sort as their moments do. None if it does not look like one.

    >>> spelling("2024-01-01T01:00:00.5+01:00"), spelling("2024-01-01T00:00:00Z"), spelling("abc")
    ((27, 'T+01:00'), (20, 'TZ'), None)
    """
    if not isinstance(text, str) or text[10:11] not in ("T", " ") or text[4:5] != "-":
        return None
    return len(text), text[10] + text[16:].lstrip(":.,0123456789")


def _expected(other: object) -> datetime:
    found = moment_of(other)
    if found is None:
        raise TypeError(f"{other!r} names no moment")
    return found


def _date_of(moment: datetime) -> date:
    if moment.time() != time():
        raise NotOnScale(moment.isoformat())
    return moment.date()


def _moved_text(text: str, lag: float) -> str:
    shape = _ISO.fullmatch(text)
    if shape is None:
        raise NotOnScale(text)
    if shape["separator"] is None:
        return (date.fromisoformat(text) + timedelta(days=lag)).isoformat()
    local = datetime.fromisoformat(text).replace(tzinfo=None) + timedelta(seconds=lag)
    return _written(local, shape)


def _in_shape_of(text: str, example: str) -> str:
    """A moment written as the example is; a text that is no moment, or has no such example, stays as it is."""
    shape = _ISO.fullmatch(example)
    if shape is None or _ISO.fullmatch(text) is None:
        return text
    moment = datetime.fromisoformat(text)
    if shape["separator"] is None:
        # A day is the one that the moment itself names, whatever its zone; so a window of a day in Berlin is that day.
        moment = moment.replace(tzinfo=None)
    elif moment.tzinfo is not None:
        moment = moment.astimezone(_offset(shape["zone"])).replace(tzinfo=None)
    elif shape["zone"]:
        moment = moment.replace(tzinfo=UTC).astimezone(_offset(shape["zone"])).replace(tzinfo=None)
    written = _written(moment, shape)
    if datetime.fromisoformat(written).replace(tzinfo=None) != moment:
        raise NotOnScale(text)
    return written


def _offset(zone: str | None) -> timezone:
    if zone in (None, "Z"):
        return UTC
    found = datetime.fromisoformat(f"2000-01-01T00:00{zone}").utcoffset()
    return timezone(found) if found else UTC


def _written(local: datetime, shape: re.Match[str]) -> str:
    if shape["separator"] is None:
        return local.date().isoformat()
    fraction = f"{local.microsecond:06d}".ljust(len(shape["fraction"] or ""), "0")[: len(shape["fraction"] or "")]
    return "".join(
        [
            local.date().isoformat(),
            shape["separator"],
            f"{local:%H:%M}",
            f":{local:%S}" if shape["seconds"] else "",
            f"{shape['point']}{fraction}" if shape["point"] else "",
            shape["zone"] or "",
        ]
    )
