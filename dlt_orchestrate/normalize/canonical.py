"""Nested values as JSON text: the same text for the same value, whatever the order of its keys."""

from __future__ import annotations

import base64
import json
import math
from contextlib import suppress
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from typing import Any

import orjson

from dlt_orchestrate.normalize.classify import Unholdable, check_text, classify, nested
from dlt_orchestrate.schema.capabilities import Capabilities

DEEPEST_JSON = 200
"""Levels of nesting that a JSON column holds."""

_PLAIN = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)


def canonical_json(value: Any, capabilities: Capabilities) -> str:
    """Write a nested value as JSON with sorted keys.

    What JSON does not know is written as a text: dates and times in ISO 8601 (moments in UTC), decimals in full,
    bytes in base64, NaN and the infinities as "NaN", "Infinity" and "-Infinity". Integers are written in full.

    >>> canonical_json({"b": Decimal("1.50"), "a": [2**70, None]}, Capabilities())
    '{"a":[1180591620717411303424,null],"b":"1.50"}'

    Raises:
        Unholdable: A value inside is one that no column holds, or it is nested too deeply.
    """
    text = _plain_json(value)
    if text is None:
        text = _dump(_writable(value, capabilities, 0))
    return check_text(text, capabilities)


def content_json(record: Any, capabilities: Capabilities) -> str:
    """Write a record as `canonical_json` does, without the keys whose value is None: equal for equal content."""
    return _dump(_writable(record, capabilities, 0, drops_nulls=True))


LONGEST_REJECT = 2**20
"""Characters of a rejected row that are kept: a row may be rejected for its size."""


def record_text(record: Any) -> str:
    """Write a record as far as it can be written, for people to read; of a very long one the beginning."""
    text = _record_text(record)
    if len(text) <= LONGEST_REJECT:
        return text
    return f"{text[:LONGEST_REJECT]}… ({len(text):,} characters in all)"


def _record_text(record: Any) -> str:
    text = _written(record)
    if text is None and isinstance(record, dict):
        items = ((_written(key), _written(value) or _placeholder(value)) for key, value in record.items())
        text = "{" + ", ".join(f"{key}: {value}" for key, value in items) + "}"
    return text or _placeholder(record)


def _written(value: Any) -> str | None:
    """The value as JSON or else as Python prints it; None if it does not let itself be printed."""
    for write in (partial(json.dumps, default=str, ensure_ascii=False), repr):
        with suppress(Exception):  # what users hand in may raise anything when printed
            return str(write(value)).encode(errors="backslashreplace").decode()
    return None


def _placeholder(value: Any) -> str:
    return f"<{type(value).__qualname__}>"


def _plain_json(value: Any) -> str | None:
    """The text of a value that holds nothing but what JSON knows; None if that takes a closer look.

    orjson writes NaN as null, so a text with a null in it is not trusted; neither is one with a NUL.
    """
    try:
        text = orjson.dumps(value, option=_PLAIN)
    except (TypeError, ValueError):
        return None
    return None if b"null" in text or b"\\u0000" in text else text.decode()


def _dump(value: Any) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # integers beyond 64 bits
        return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _writable(value: Any, capabilities: Capabilities, depth: int, *, drops_nulls: bool = False) -> Any:
    """The value made of nothing but dicts with text keys, lists, texts, numbers, booleans and None."""
    if depth > DEEPEST_JSON:
        raise Unholdable(f"a value is nested deeper than {DEEPEST_JSON} levels")
    inner = nested(value)
    if isinstance(inner, dict):
        return {
            check_text(key, capabilities): _writable(item, capabilities, depth + 1, drops_nulls=drops_nulls)
            for key, item in inner.items()
            if not (drops_nulls and item is None)
        }
    if isinstance(inner, list):
        return [_writable(item, capabilities, depth + 1, drops_nulls=drops_nulls) for item in inner]
    classified = classify(value, capabilities)
    return None if classified is None else _writable_scalar(classified[1])


def _writable_scalar(stored: Any) -> Any:
    match stored:
        case float() if not math.isfinite(stored):
            return "NaN" if math.isnan(stored) else "Infinity" if stored > 0 else "-Infinity"
        case Decimal():
            return format(stored, "f") if stored.is_finite() else str(stored)
        case bytes():
            return base64.b64encode(stored).decode("ascii")
        case datetime() | date() | time():
            return stored.isoformat()
        case _:
            return stored
