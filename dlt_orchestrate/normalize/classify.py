"""Which class one Python value belongs to, and how it is stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.types import ValueClass

Classified = tuple[ValueClass, Any]

LOW_BIGINT, HIGH_BIGINT = -(2**63), 2**63 - 1
MOST_DIGITS = 38
"""Digits that a decimal holds on either side of its point, and that a wide integer holds."""

_WIDE_END = 10**MOST_DIGITS
_ADVICE: Mapping[type, str] = {set: "make it a list", frozenset: "make it a list", complex: "make it two numbers"}


class JsonText(str):
    """A text that its source declares to be JSON."""

    __slots__ = ()


class _Leftover(str):
    """A key that equals no other, whatever its text."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


LEFTOVER = _Leftover("leftover")
"""The key under which `places` puts what is left of a record; no record of a source has it."""


class Unholdable(Exception):
    """A value that no column can hold; its row is rejected."""

    def __init__(self, cause: str) -> None:
        self.cause = cause
        self.path: tuple[str, ...] = ()
        super().__init__(cause)

    def at(self, path: tuple[str, ...]) -> Unholdable:
        """The same, with the keys that lead to the value unless they are known already."""
        self.path = self.path or path
        return self


def classify(value: Any, capabilities: Capabilities) -> Classified | None:
    """The class of a value that is no dict or list, and what is stored for it; None for nothing (None, `NaT`).

    >>> classify(2**63, Capabilities())
    (<ValueClass.WIDE: 'wide'>, 9223372036854775808)

    Raises:
        Unholdable: No column holds such a value.
    """
    if value is None:
        return None
    classifier = _BY_TYPE.get(type(value))
    return classifier(value, capabilities) if classifier else _classify_subclass(value, capabilities)


def nested(value: Any) -> dict[str, Any] | list[Any] | None:
    """A value with an inside as a dict with text keys or as a list; None for any other value.

    Mappings, dataclass instances and pydantic models are dicts; tuples are lists.

    Raises:
        Unholdable: Two keys read the same once they are text.
    """
    kind = type(value)
    if kind is dict or isinstance(value, Mapping):
        return _with_text_keys(value)
    if isinstance(value, list | tuple):
        return list(value)
    if dataclasses.is_dataclass(kind):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if hasattr(kind, "__pydantic_fields__"):
        return _with_text_keys(dict(value))
    return None


def check_text(text: str, capabilities: Capabilities) -> str:
    """The text, if it can be stored as UTF-8 in the destination.

    Raises:
        Unholdable: It holds half of a surrogate pair, or NUL where the destination takes none, or it is too long.
    """
    if len(text) * 4 > capabilities.max_field_bytes:
        check_size(len(text.encode(errors="surrogatepass")), capabilities)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Unholdable("half of a surrogate pair is not valid Unicode; clean the text in the source") from None
    if "\0" in text and not capabilities.holds_nul_in_text:
        raise Unholdable("the destination holds no NUL character in texts; remove it in the source")
    return text


def check_size(size: int, capabilities: Capabilities) -> None:
    """Expect a text or binary value of so many bytes to fit into a field.

    Raises:
        Unholdable: It does not.
    """
    if size > capabilities.max_field_bytes:
        raise Unholdable(
            f"a value of {size:,} bytes is longer than the {capabilities.max_field_bytes:,} that a field may have "
            "(schema.max_field_bytes)"
        )


# --- one class each --------------------------------------------------------------------------------------------


def _bool(value: bool, _: Capabilities) -> Classified:
    return ValueClass.BOOL, value


def _int(value: int, _: Capabilities) -> Classified:
    if LOW_BIGINT <= value <= HIGH_BIGINT:
        return ValueClass.BIGINT, value
    if -_WIDE_END < value < _WIDE_END:
        return ValueClass.WIDE, value
    try:
        return ValueClass.NUMERAL, str(value)
    except ValueError:
        raise Unholdable("an integer has more digits than Python prints; pass it as text") from None


def _float(value: float, _: Capabilities) -> Classified:
    return ValueClass.DOUBLE, value


def _str(value: str, capabilities: Capabilities) -> Classified:
    return ValueClass.TEXT, check_text(value, capabilities)


def _json_text(value: JsonText, capabilities: Capabilities) -> Classified:
    return ValueClass.JSON, check_text(str.__str__(value), capabilities)


def _uuid(value: UUID, _: Capabilities) -> Classified:
    return ValueClass.TEXT, str(value)


def _decimal(value: Decimal, _: Capabilities) -> Classified:
    if value.is_finite() and max(decimal_places(value)) <= MOST_DIGITS:
        return ValueClass.DECIMAL, value
    return ValueClass.NUMERAL, str(value)


def decimal_places(value: Decimal) -> tuple[int, int]:
    """Digits before and after the point of a finite decimal.

    >>> decimal_places(Decimal("12.50")), decimal_places(Decimal("1E+3")), decimal_places(Decimal("0.001"))
    ((2, 2), (4, 0), (0, 3))
    """
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    before = max(0, len(digits) + exponent) if value else 0
    return before, max(0, -exponent)


def _datetime(value: datetime, capabilities: Capabilities) -> Classified:
    if value.utcoffset() is None:
        return ValueClass.NAIVE_TIMESTAMP, _within_years(value.replace(tzinfo=None), capabilities)
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        raise Unholdable(f"the timestamp {value.isoformat()} lies outside the years 1 to 9999 in UTC") from None
    return ValueClass.TIMESTAMP, _within_years(moment, capabilities)


def _date(value: date, capabilities: Capabilities) -> Classified:
    return ValueClass.DATE, _within_years(value, capabilities)


def _within_years(value: date, capabilities: Capabilities) -> date:
    if capabilities.earliest_year <= value.year <= capabilities.latest_year:
        return value
    raise Unholdable(
        f"the destination holds the years {capabilities.earliest_year} to {capabilities.latest_year}, "
        f"and {value.isoformat()} lies outside"
    )


def _time(value: time, _: Capabilities) -> Classified:
    """A time with a zone is text: without a date its zone cannot be resolved, and no column type would keep it."""
    if value.tzinfo is not None:
        return ValueClass.TEXT, value.isoformat()
    return ValueClass.TIME, value


def _binary(value: bytes | bytearray | memoryview, capabilities: Capabilities) -> Classified:
    check_size(memoryview(value).nbytes, capabilities)
    return ValueClass.BINARY, value if type(value) is bytes else bytes(memoryview(value))


_BY_TYPE: Mapping[type, Callable[[Any, Capabilities], Classified]] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    JsonText: _json_text,
    UUID: _uuid,
    Decimal: _decimal,
    datetime: _datetime,
    date: _date,
    time: _time,
    bytes: _binary,
    bytearray: _binary,
    memoryview: _binary,
}


# --- subclasses ------------------------------------------------------------------------------------------------


def _classify_subclass(value: Any, capabilities: Capabilities) -> Classified | None:
    """Classify a value by its base class; enum members by their value. Order matters: a datetime is also a date."""
    if isinstance(value, Enum):
        return classify(value.value, capabilities)
    if isinstance(value, str):
        return _str(str.__str__(value), capabilities)
    if isinstance(value, int):
        return _int(int.__int__(value), capabilities)
    if isinstance(value, float):
        return _float(float.__float__(value), capabilities)
    if isinstance(value, datetime):
        return _classify_datetime_subclass(value, capabilities)
    if isinstance(value, date):
        return _date(date(value.year, value.month, value.day), capabilities)
    if isinstance(value, time):
        return _time(_plain_time(value), capabilities)
    if isinstance(value, Decimal):
        return _decimal(Decimal(value), capabilities)
    if isinstance(value, UUID):
        return _uuid(value, capabilities)
    if isinstance(value, bytes | bytearray):
        return _binary(value, capabilities)
    advice = _ADVICE.get(type(value), "make it a text, a number, a date, a list or a dict")
    raise Unholdable(f"no column holds a value of type {type(value).__qualname__}; {advice}")


def _classify_datetime_subclass(value: datetime, capabilities: Capabilities) -> Classified | None:
    """`pandas.NaT` is a datetime that is not itself; `pandas.Timestamp` may hold nanoseconds, kept as text."""
    if value != value:
        return None
    nanosecond = getattr(value, "nanosecond", 0)
    if isinstance(nanosecond, int) and nanosecond:
        return ValueClass.TEXT, value.isoformat()
    parts = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
    return _datetime(datetime(*parts, value.tzinfo, fold=value.fold), capabilities)


def _plain_time(value: time) -> time:
    return time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold)


# --- keys ------------------------------------------------------------------------------------------------------


_KEY_TYPES = frozenset({str, _Leftover})


def _with_text_keys(mapping: Mapping[Any, Any]) -> dict[str, Any]:
    if type(mapping) is dict and set(map(type, mapping)) <= _KEY_TYPES:
        return mapping
    texts = {_key_text(key): value for key, value in mapping.items()}
    if len(texts) < len(mapping):
        raise Unholdable("two keys of a dict read the same as text; rename one in the source")
    return texts


def _key_text(key: Any) -> str:
    if isinstance(key, Enum):
        key = key.value
    return str.__str__(key) if isinstance(key, str) else str(key)
