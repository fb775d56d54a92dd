"""Arrow arrays from Python values, without the detours of `pa.array` where a load is small."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import accumulate
from typing import Any

import pyarrow as pa

from dlt_orchestrate.flow.batch import arrow_type
from dlt_orchestrate.schema.types import ValueClass

ARROW_TYPES = {value_class: arrow_type(value_class) for value_class in ValueClass}


def array_of(value_class: ValueClass, values: Sequence[Any]) -> pa.Array:
    """Stored values of one class, and None, as an array of the class's Arrow type.

    The values must have been classified: pyarrow converts what is not of a type silently.
    """
    if value_class in BUFFER_MADE and _budget.allows(len(values)):
        return BUFFER_MADE[value_class](values)
    made = pa.array(values, ARROW_TYPES[value_class])
    if isinstance(made, pa.ChunkedArray):
        raise OverflowError("2 GiB or more of text in one column of one chunk of records; yield smaller pages")
    return made


def strings(values: Sequence[Any]) -> pa.Array:
    """Texts and None as a string array."""
    return array_of(ValueClass.TEXT, values)


def integers(values: Sequence[Any]) -> pa.Array:
    """Integers within 64 bits and None as an int64 array."""
    return array_of(ValueClass.BIGINT, values)


class _BufferBudget:
    """How many values are still made into arrays without `pa.array`, which imports pandas if it is installed.

    That import costs as much as a million values made from buffers lose, so small loads do without it.
    """

    def __init__(self, values: int) -> None:
        self.values = values

    def allows(self, count: int) -> bool:
        if self.values <= 0 or "pandas" in sys.modules or not _has_pandas():
            return False
        self.values -= count
        return True


_budget = _BufferBudget(1_000_000)


@cache
def _has_pandas() -> bool:
    return find_spec("pandas") is not None


def _bools(values: Sequence[Any]) -> pa.Array:
    plain, validity = _filled(values, False)
    return _restored(_bits(plain), pa.bool_(), validity)


def _bigints(values: Sequence[Any]) -> pa.Array:
    plain, validity = _filled(values, 0)
    return _from(pa.int64(), len(values), [validity, pa.py_buffer(array("q", plain))])


def _doubles(values: Sequence[Any]) -> pa.Array:
    plain, validity = _filled(values, 0.0)
    return _from(pa.float64(), len(values), [validity, pa.py_buffer(array("d", plain))])


def _texts(values: Sequence[Any]) -> pa.Array:
    plain, validity = _filled(values, "")
    encoded = list(map(str.encode, plain))
    offsets = array("i", accumulate(map(len, encoded), initial=0))
    return _from(pa.string(), len(values), [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))])


BUFFER_MADE: Mapping[ValueClass, Callable[[Sequence[Any]], pa.Array]] = {
    ValueClass.BOOL: _bools,
    ValueClass.BIGINT: _bigints,
    ValueClass.DOUBLE: _doubles,
    ValueClass.TEXT: _texts,
    ValueClass.NUMERAL: _texts,
    ValueClass.JSON: _texts,
}
"""How arrays of the common classes are made without `pa.array`; equal to what it makes."""


def _filled(values: Sequence[Any], filler: Any) -> tuple[Sequence[Any], pa.Buffer | None]:
    """The values with `filler` for None, and the bitmap that tells which they are; None if there are none."""
    if None not in values:
        return values, None
    validity = _bits([value is not None for value in values])
    return [filler if value is None else value for value in values], validity.buffers()[1]


_DIGITS = bytes.maketrans(b"\0\1", b"01")


def _bits(flags: Sequence[bool]) -> pa.Array:
    """Flags as Arrow packs them, the first in the lowest bit; a cast would import Arrow's compute functions."""
    number = int(bytes(reversed(flags)).translate(_DIGITS) or b"0", 2)
    return _from(pa.bool_(), len(flags), [None, pa.py_buffer(number.to_bytes((len(flags) + 7) // 8, "little"))])


def _restored(array: pa.Array, kind: pa.DataType, validity: pa.Buffer | None) -> pa.Array:
    return array if validity is None else _from(kind, len(array), [validity, array.buffers()[1]])


def _from(kind: pa.DataType, length: int, buffers: list[pa.Buffer | None]) -> pa.Array:
    return pa.Array.from_buffers(kind, length, buffers)
