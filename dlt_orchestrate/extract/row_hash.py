"""A short hash of a record or of its key, equal whenever their content is."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

_HASH_BYTES = 12


def row_hash(row: Any, key: Sequence[str] = ()) -> str:
    """Hash the values of a key, or the whole record where it has no key or lacks all of it.

    >>> row_hash({"id": 1, "v": "a"}, ["id"]) == row_hash({"v": "b", "id": 1}, ["id"])
    True
    >>> row_hash({"id": 1, "v": "a"}) == row_hash({"v": "b", "id": 1})
    False
    """
    values = [row.get(name) for name in key] if isinstance(row, Mapping) else []
    content = values if any(value is not None for value in values) else row
    digest = hashlib.blake2b(_canonical(content), digest_size=_HASH_BYTES).digest()
    return base64.b64encode(digest).decode("ascii")


def _canonical(content: Any) -> bytes:
    import orjson

    try:
        return orjson.dumps(content, default=_written, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:
        # Integers beyond 64 bits and texts that are no valid Unicode: rare, and only here.
        try:
            return json.dumps(content, default=_written, sort_keys=True, separators=(",", ":")).encode()
        except (RecursionError, ValueError):
            return b"nested too deeply"  # such a row is rejected: nobody needs to tell it from others


def _written(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(map(str, value))
    if isinstance(value, Decimal) and value.is_finite():
        return str(value.normalize())  # how many zeros follow says nothing: Arrow has as many as the column asks for
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if callable(isoformat) else str(value)
