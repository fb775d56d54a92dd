"""Row ids: numbered, made from content, or derived from a parent's; each a string array for many rows at once."""

from __future__ import annotations

import base64
import hashlib
import secrets
from array import array
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

import orjson
import pyarrow as pa

from dlt_orchestrate.flow import kernels as pc
from dlt_orchestrate.flow.arrays import strings
from dlt_orchestrate.flow.row_ids import ALPHABET, ID_LENGTH, hashed_id
from dlt_orchestrate.normalize.canonical import content_json
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.system import PREFIX

PREFIX_LENGTH = 8

_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_BLOCK = len(_PAIRS)


class Ids(Protocol):
    """Gives root rows their ids, in the order of the rows."""

    def take(self, records: Sequence[Any]) -> pa.Array:
        """An id for each record, as a string array; all or, if a record has no content to hash, none."""


def new_prefix() -> str:
    """The random part of the ids of one table in one load: 48 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(PREFIX_LENGTH))


class RowIds:
    """Consecutive ids: a prefix and a counter of six characters.

    >>> RowIds("PREFIX--").take(["a", "b"]).to_pylist()
    ['PREFIX--------', 'PREFIX-------0']
    """

    def __init__(self, prefix: str) -> None:
        assert len(prefix) == PREFIX_LENGTH
        self.prefix = prefix
        self._next = 0
        self._block = -1
        self._ids = bytearray()

    def take(self, records: Sequence[Any]) -> pa.Array:
        first, self._next = self._next, self._next + len(records)
        return _fixed_width(b"".join(self._of_block(start, self._next) for start in _block_starts(first, self._next)))

    def _of_block(self, start: int, stop: int) -> bytearray:
        """The ids from `start` to the end of its block of 4,096, or to `stop`, one after the other."""
        block, offset = divmod(start, _BLOCK)
        if block != self._block:
            self._begin(block)
        return self._ids[offset * ID_LENGTH : (offset + stop - start) * ID_LENGTH]

    def _begin(self, block: int) -> None:
        """Write the ids of a block over those of the one before: they differ in the same characters of every id."""
        if not self._ids:
            head = self.prefix + "-" * (ID_LENGTH - PREFIX_LENGTH - 2)
            self._ids = bytearray((head + head.join(_PAIRS)).encode())
        for place, character in enumerate(_PAIRS[block // _BLOCK] + _PAIRS[block % _BLOCK], PREFIX_LENGTH):
            self._ids[place::ID_LENGTH] = character.encode() * _BLOCK
        self._block = block


def _block_starts(first: int, stop: int) -> list[int]:
    if first == stop:
        return []
    return [first, *range((first // _BLOCK + 1) * _BLOCK, stop, _BLOCK)]


def _fixed_width(text: bytes) -> pa.Array:
    count = len(text) // ID_LENGTH
    return pa.Array.from_buffers(pa.string(), count, [None, _offsets(count), pa.py_buffer(text)])


@lru_cache(maxsize=4)
def _offsets(count: int) -> pa.Buffer:
    """Where each of `count` ids begins; most chunks of a load are of one length."""
    return pa.py_buffer(array("i", range(0, count * ID_LENGTH + 1, ID_LENGTH)))


class ContentIds:
    """Ids made from what is in the row.

    Rows with equal content are told apart by how many came before, if they are to be: that remembers one entry for every
    distinct row.
    """

    def __init__(self, capabilities: Capabilities, *, are_distinct: bool = True) -> None:
        self._capabilities = capabilities
        self._are_distinct = are_distinct
        self._occurrences: dict[str, int] = {}

    def take(self, records: Sequence[Any]) -> pa.Array:
        contents = list(map(self._of_content, records))
        if not self._are_distinct:
            return _fixed_width("".join(contents).encode())
        return _fixed_width("".join(map(self._distinct, records, contents)).encode())

    def _of_content(self, record: Any) -> str:
        return content_id(record, 0, self._capabilities)

    def _distinct(self, record: Any, content: str) -> str:
        occurrence = self._occurrences.get(content, 0)
        self._occurrences[content] = occurrence + 1
        return content if occurrence == 0 else content_id(record, occurrence, self._capabilities)


class DltContentIds(ContentIds):
    """Ids made from what is in the row as dlt makes them, so that what has not changed since dlt loaded it is recognized.

    A record that dlt cannot hash has an id of `ContentIds`.
    """

    def _of_content(self, record: Any) -> str:
        fields = record if isinstance(record, dict) else {"value": record}
        try:
            text = orjson.dumps(
                {key: value for key, value in fields.items() if not str(key).startswith(PREFIX)},
                default=_as_dlt_writes,
                option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME,
            )
        except TypeError:
            return super()._of_content(record)
        return base64.b64encode(hashlib.shake_128(text).digest(_DLT_ID_BYTES)).decode("ascii").rstrip("=")


_DLT_ID_BYTES = 10


def _as_dlt_writes(value: Any) -> str:
    """A value that JSON does not know: a text behind a character that tells its type."""
    match value:
        case Decimal():
            return f"\uf026{value}"
        case datetime():
            return f"\uf027{value.isoformat()}"
        case date():
            return f"\uf028{value.isoformat()}"
        case time():
            return f"\uf02d{value.isoformat()}"
        case bytes():
            return f"\uf02b{base64.b64encode(value).decode('ascii')}"
        case _:
            raise TypeError


def content_id(record: Any, occurrence: int, capabilities: Capabilities) -> str:
    """An id of 84 bits of a record's canonical JSON, and of how many equal records came before it in the load.

    >>> content_id({"a": 1, "b": None}, 0, Capabilities()) == content_id({"a": 1}, 0, Capabilities())
    True
    """
    text = content_json(record, capabilities)
    return hashed_id(f"{occurrence} {text}")


def nested_ids(parent_ids: pa.Array, list_indexes: pa.Array) -> pa.Array:
    """The ids of rows in lists: the parent's id, a dot, and the place in the list."""
    # A separator given as a Python string would make pyarrow import pandas.
    return pc.binary_join_element_wise(parent_ids, list_indexes.cast(pa.string()), strings(["."])[0])
