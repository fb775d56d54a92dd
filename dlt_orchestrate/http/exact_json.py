"""JSON without loss. Files are read with it, too: it imports nothing of the client, which costs more than a small load."""

from __future__ import annotations

import json
from typing import Any

import orjson

_LONG = b"0" * 19
_ONLY_DIGITS = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))


def parse_json(content: bytes) -> Any:
    """Parse JSON bytes without loss: integers of any size stay exact, lone surrogates stay as they are.

    orjson turns integers beyond 64 bits into floats and refuses lone surrogates, NaN and other encodings than UTF-8;
    the standard library takes over there.

    >>> parse_json(b'[18446744073709551617, 1.5]')
    [18446744073709551617, 1.5]
    """
    if not has_long_integer(content):
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            pass
    return json.loads(content)


def has_long_integer(content: bytes) -> bool:
    """Whether a number of 19 digits or more stands where a value may start; digits inside of strings rarely do."""
    digits = content.translate(_ONLY_DIGITS)  # a search for one text is many times faster than one for a pattern
    at = digits.find(_LONG)
    while at >= 0:
        before = content[max(0, at - 32) : at].rstrip(b"-").rstrip()
        if not before or before.endswith((b",", b"[")) or (before.endswith(b":") and before[:-1].rstrip().endswith(b'"')):
            return True
        at = digits.find(_LONG, at + len(_LONG))
    return False
