"""Python values of one class as Arrow arrays, and what was observed of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from dlt_orchestrate.flow import kernels as pc
from dlt_orchestrate.flow.arrays import array_of
from dlt_orchestrate.flow.batch import Observed
from dlt_orchestrate.normalize.classify import check_size, classify, decimal_places
from dlt_orchestrate.normalize.rules import Rules
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.iso import TextShape, text_shape
from dlt_orchestrate.schema.types import ValueClass

FEW_VALUES = 100
"""Up to so many values are compared in Python, so that the smallest loads import no compute functions."""


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
        Unholdable: A value is too long.
    """
    array = array_of(value_class, values)
    count = len(array) - array.null_count
    if count == 0:
        return None
    expect_short(value_class, array, rules)
    first = 0 if values[0] is not None else next(i for i, value in enumerate(values) if value is not None)
    shape = text_shape(values[first]) if value_class is ValueClass.TEXT and rules.detects_text else "other"
    return ClassColumn(value_class, array, observe(value_class, array, values, count=count, first_text=shape), first)


def expect_short(value_class: ValueClass, array: pa.Array, rules: Rules) -> None:
    """Expect every text and binary value to fit into a field.

    Raises:
        Unholdable: One does not.
    """
    is_long = value_class in _SIZED and array.nbytes > rules.capabilities.max_field_bytes
    if is_long:
        check_size(pc.max(pc.binary_length(array)).as_py() or 0, rules.capabilities)


_SIZED = frozenset({ValueClass.TEXT, ValueClass.BINARY, ValueClass.JSON, ValueClass.NUMERAL})


def observe(
    value_class: ValueClass, array: pa.Array, values: Sequence[Any], *, count: int, first_text: TextShape
) -> Observed:
    """What there is to know of the values of a class; `values` are the same as in `array`."""
    match value_class:
        case ValueClass.BIGINT:
            if len(values) <= FEW_VALUES:
                integers = [value for value in values if value is not None]
                return Observed(count, low=min(integers), high=max(integers))
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
        part = _in_utc(part) if kind is datetime else part
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


def _in_utc(values: Sequence[Any]) -> Sequence[Any]:
    """Moments of other zones in UTC; values as they are, where one has no zone or leaves the years that Python counts."""
    if {id(value.tzinfo) for value in values if value is not None} <= {id(None), id(UTC)}:
        return values
    try:
        if any(value.utcoffset() is None for value in values if value is not None):
            return values
        return [None if value is None else value.astimezone(UTC) for value in values]
    except OverflowError:
        return values


def _holds_every_year(capabilities: Capabilities) -> bool:
    return capabilities.earliest_year <= date.min.year and capabilities.latest_year >= date.max.year
