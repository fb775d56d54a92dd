"""Values of the state as JSON, and back exactly.

Texts, whole numbers, floats, booleans and null stand for themselves. Everything else is a text behind one character of
Unicode's private use area that tells its type, in dlt's assignment, so that either can read the other's state.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from dlt_orchestrate.errors import DeclarationError

_DECIMAL, _DATETIME, _DATE, _UUID, _BYTES, _TIME = "\uf026", "\uf027", "\uf028", "\uf029", "\uf02b", "\uf02d"
_TEXT = "\uf02f"
"""Marks a text that begins with a mark of its own accord; unknown to dlt."""

_READERS: dict[str, Callable[[str], Any]] = {
    _DECIMAL: Decimal,
    _DATETIME: datetime.fromisoformat,
    _DATE: date.fromisoformat,
    _UUID: UUID,
    _BYTES: base64.b64decode,
    _TIME: time.fromisoformat,
    _TEXT: str,
}


def encode(value: Any) -> Any:
    """Write a value, or a dictionary or list of values, as JSON-like data.

    >>> encode({"seen": date(2024, 1, 2), "count": 3})
    {'seen': '\\uf0282024-01-02', 'count': 3}
    """
    match value:
        case str():
            return _TEXT + value if value[:1] in _READERS else str(value)
        case None | bool() | int() | float():
            return value
        case Mapping():
            return {key: encode(inner) for key, inner in value.items()}
        case list() | tuple():
            return [encode(inner) for inner in value]
        case datetime():
            return _DATETIME + value.isoformat()
        case date():
            return _DATE + value.isoformat()
        case time():
            return _TIME + value.isoformat()
        case Decimal() | UUID():
            return (_DECIMAL if isinstance(value, Decimal) else _UUID) + str(value)
        case bytes():
            return _BYTES + base64.b64encode(value).decode("ascii")
        case _:
            raise DeclarationError(
                f"The state cannot keep a {type(value).__name__}. Keep texts, numbers, moments, and lists and dictionaries "
                "of them."
            )


def decode(value: Any) -> Any:
    """Read what `encode` wrote.

    >>> decode(encode([Decimal("1.50"), None, "text"]))
    [Decimal('1.50'), None, 'text']
    """
    match value:
        case str():
            reader = _READERS.get(value[:1])
            return reader(value[1:]) if reader else value
        case Mapping():
            return {key: decode(inner) for key, inner in value.items()}
        case list():
            return [decode(inner) for inner in value]
        case _:
            return value


def printable(value: Any) -> Any:
    """A cursor value as people and commit records show it: JSON-like, moments in ISO 8601.

    >>> printable(date(2024, 1, 2)), printable(Decimal("1.50")), printable(7)
    ('2024-01-02', '1.50', 7)
    """
    written = encode(value)
    return written[1:] if isinstance(written, str) and written[:1] in _READERS else written
