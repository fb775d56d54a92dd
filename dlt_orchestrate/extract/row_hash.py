"""A short hash of a record or of its key, equal whenever their content is; dlt's, so that either reads the other's."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

_HASH_BYTES = 9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_OLD_HASH_BYTES = 15
_OLD_HASH_LENGTH = 20
"""What dlt wrote before 1.29 is told by its length."""


def row_hash(row: Any, key: Sequence[str] = ()) -> str:
    """Hash the values of a key, or the whole record where it has no key or lacks all of it.

    >>> row_hash({"id": 1, "v": "a"}, ["id"]) == row_hash({"v": "b", "id": 1}, ["id"])
    True
    >>> row_hash({"id": 1, "v": "a"}) == row_hash({"v": "b", "id": 1})
    False
    """
    values = _key_values(row, key)
    return _digest(row if values is None else values[0] if len(values) == 1 else values)


def is_hashed(row: Any, key: Sequence[str], hashes: Collection[str]) -> bool:
    """Whether the hash of a record or of its key is among some that this package or dlt wrote.

    >>> is_hashed({"id": 1}, ["id"], {row_hash({"id": 1, "v": 2}, ["id"])})
    True
    """
    if not hashes:
        return False
    values = _key_values(row, key)
    # A key of one column may have been declared by its name or as a list.
    contents = [row] if values is None else [values[0], values] if len(values) == 1 else [values]
    is_old = any(len(known) == _OLD_HASH_LENGTH for known in hashes)
    return any(
        _digest(content) in hashes
        or _digest(content, _written_by_dlt) in hashes
        or (is_old and _old_digest(content) in hashes)
        for content in contents
    )


def _key_values(row: Any, key: Sequence[str]) -> list[Any] | None:
    """The values of the key; None where the whole record stands for itself."""
    values = [row.get(name) for name in key] if isinstance(row, Mapping) else []
    return values if any(value is not None for value in values) else None


def _digest(content: Any, written: Callable[[Any], Any] | None = None) -> str:
    return _encoded(_canonical(content, written or _written), _HASH_BYTES)


def _encoded(text: bytes, size: int) -> str:
    return base64.b64encode(hashlib.shake_128(text).digest(size)).decode("ascii").rstrip("=")


def _canonical(content: Any, written: Callable[[Any], Any]) -> bytes:
    """JSON with sorted keys; moments as microseconds, so that a moment is the same in every zone."""
    import orjson

    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
    try:
        return orjson.dumps(content, default=written, option=options)
    except TypeError:
        # Integers beyond 64 bits and texts that are no valid Unicode: rare, and only here.
        try:
            return json.dumps(content, default=written, sort_keys=True, separators=(",", ":")).encode()
        except (RecursionError, ValueError):
            return b"nested too deeply"  # such a row is rejected: nobody needs to tell it from others


def _old_digest(content: Any) -> str | None:
    import orjson

    options = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
    try:
        return _encoded(orjson.dumps(content, default=_written_by_dlt, option=options), _OLD_HASH_BYTES)
    except TypeError:
        return None


def _written(value: Any) -> Any:
    match value:
        case Decimal() if value.is_finite():
            return str(value.normalize())  # how many zeros follow says nothing: Arrow has as many as the column asks for
        case datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return (aware - _EPOCH) // timedelta(microseconds=1)
        case date() | time():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case Enum():
            return value.value
        case set() | frozenset():
            return sorted(map(str, value))
        case _:
            return str(value)


def _written_by_dlt(value: Any) -> Any:
    """As dlt writes decimals: with the zeros that they come with."""
    return str(value) if isinstance(value, Decimal) else _written(value)
