"""Python values of one class as Arrow arrays, and what was observed of them."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cache
from importlib.util import find_spec
from itertools import accumulate
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from dlt_orchestrate.flow.batch import Observed, arrow_type
from dlt_orchestrate.normalize.classify import classify, decimal_places
from dlt_orchestrate.normalize.rules import Rules
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.iso import TextShape, text_shape
from dlt_orchestrate.schema.types import ValueClass

ARROW_TYPES = {value_class: arrow_type(value_class) for value_class in ValueClass}


class ClassColumn(NamedTuple):
    """The values of one class in a column of mixed classes; null where the value is of another class.

    Attributes:
        first: Index of the first value.
    """

    value_class: ValueClass
    values: pa.Array
    observed: Observed
    first: int


def column_of(value_class: ValueClass, values: Sequence[Any], rules: Rules) -> ClassColumn | None:
    """Stored values of one class, and None, as a column; None if there is no value.

    Raises:
        UnicodeEncodeError, OverflowError: A text or an integer does not belong to the class.
    """
    array = array_of(value_class, values)
    count = len(array) - array.null_count
    if count == 0:
        return None
    first = 0 if values[0] is not None else next(i for i, value in enumerate(values) if value is not None)
    shape = text_shape(values[first]) if value_class is ValueClass.TEXT and rules.detects_text else "other"
    return ClassColumn(value_class, array, observe(value_class, array, values, count=count, first_text=shape), first)


def observe(
    value_class: ValueClass, array: pa.Array, values: Sequence[Any], *, count: int, first_text: TextShape
) -> Observed:
    """What there is to know of the values of a class; `values` are the same as in `array`."""
    match value_class:
        case ValueClass.BIGINT:
            low, high = integer_range(array)
            return Observed(count, low=low, high=high)
        case ValueClass.WIDE:
            integers = [value for value in values if value is not None]
            low, high = min(integers), max(integers)
            return Observed(count, low=low, high=high, digits=max(len(str(abs(low))), len(str(abs(high)))))
        case ValueClass.DECIMAL:
            places = [decimal_places(value) for value in values if value is not None]
            return Observed(count, digits=max(b for b, _ in places), scale=max(a for _, a in places))
        case _:
            return Observed(count, first_text=first_text)


def integer_range(array: pa.Array) -> tuple[int, int]:
    """Least and greatest value of an integer array that has one."""
    extremes = pc.min_max(array)
    return extremes["min"].as_py(), extremes["max"].as_py()


# --- columns of exact Python types -----------------------------------------------------------------------------


def columns_of_plain(values: Sequence[Any], kinds: set[type], rules: Rules) -> list[ClassColumn] | None:
    """Split a column by class in C-level loops; None where only a look at every value tells the class.

    Args:
        values: Scalars and None.
        kinds: The exact types that occur, without that of None.
    """
    columns = []
    for kind in kinds:
        part = values if len(kinds) == 1 else [value if type(value) is kind else None for value in values]
        value_class = _class_of_kind(kind, part, rules.capabilities)
        if value_class is None:
            return None
        try:
            column = column_of(value_class, part, rules)
        except (OverflowError, UnicodeEncodeError):
            return None
        if column is not None:
            columns.append(column)
    return columns


def columns_of_any(values: Sequence[Any], rules: Rules) -> list[ClassColumn]:
    """Split a column by class, value by value.

    Raises:
        Unholdable: No column holds one of the values.
    """
    by_class: dict[ValueClass, list[Any]] = {}
    for index, value in enumerate(values):
        classified = classify(value, rules.capabilities)
        if classified is not None:
            value_class, stored = classified
            by_class.setdefault(value_class, [None] * len(values))[index] = stored
    columns = (column_of(value_class, stored, rules) for value_class, stored in by_class.items())
    return [column for column in columns if column is not None]


def _class_of_kind(kind: type, values: Sequence[Any], capabilities: Capabilities) -> ValueClass | None:
    """The class that all values of an exact type share; None if they may differ or some may be refused."""
    if kind is str:
        holds_all = capabilities.holds_nul_in_text or "\0" not in "".join(filter(None, values))
        return ValueClass.TEXT if holds_all else None
    if kind is datetime:
        return _class_of_datetimes(values, capabilities)
    if kind is date:
        return ValueClass.DATE if _holds_every_year(capabilities) else None
    return _SHARED_CLASS.get(kind)


_SHARED_CLASS = {
    bool: ValueClass.BOOL,
    int: ValueClass.BIGINT,
    float: ValueClass.DOUBLE,
    bytes: ValueClass.BINARY,
}


def _class_of_datetimes(values: Sequence[Any], capabilities: Capabilities) -> ValueClass | None:
    zones = {id(value.tzinfo) for value in values if value is not None}
    if len(zones) > 1 or not _holds_every_year(capabilities):
        return None
    if zones == {id(None)}:
        return ValueClass.NAIVE_TIMESTAMP
    return ValueClass.TIMESTAMP if zones == {id(UTC)} else None


def _holds_every_year(capabilities: Capabilities) -> bool:
    return capabilities.earliest_year <= date.min.year and capabilities.latest_year >= date.max.year


# --- arrays ----------------------------------------------------------------------------------------------------


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


def _bits(flags: Sequence[bool]) -> pa.Array:
    return _from(pa.uint8(), len(flags), [None, pa.py_buffer(bytes(flags))]).cast(pa.bool_())


def _restored(array: pa.Array, kind: pa.DataType, validity: pa.Buffer | None) -> pa.Array:
    return array if validity is None else _from(kind, len(array), [validity, array.buffers()[1]])


def _from(kind: pa.DataType, length: int, buffers: list[pa.Buffer | None]) -> pa.Array:
    return pa.Array.from_buffers(kind, length, buffers)
