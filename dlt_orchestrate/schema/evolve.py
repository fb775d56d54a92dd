"""How a column gets its type, and how that type widens: one pure function for every path through the product.

A column's type is the stored or hinted one, joined with the classes of all values of the load in the order of their first
appearance. It widens only where every stored and new value stays exact, and by the policy `variant` never: then the first
class decides for good. Values that the type cannot hold go to a variant column, `<column>__v_<type>`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from dlt_orchestrate.schema import types
from dlt_orchestrate.schema.growth import TypePolicy
from dlt_orchestrate.schema.types import ColumnType, ValueClass

EXACT_IN_DOUBLE = 2**53
"""Integers up to this magnitude are exact in an IEEE 754 double."""

MAX_DIGITS = 38
DEFAULT_SCALE = 9
BIGINT_DIGITS = 19

StoredRange = Callable[[], tuple[int, int] | None]


class Extent(Protocol):
    """What was seen of one class in one column (`flow.batch.Observed`)."""

    @property
    def low(self) -> int | None: ...
    @property
    def high(self) -> int | None: ...
    @property
    def digits(self) -> int: ...
    @property
    def scale(self) -> int: ...
    @property
    def declared_digits(self) -> int | None: ...
    @property
    def first_text(self) -> str: ...


_NATURAL = {
    ValueClass.BOOL: types.BOOL,
    ValueClass.BIGINT: types.BIGINT,
    ValueClass.WIDE: ColumnType("decimal", MAX_DIGITS, 0),
    ValueClass.DOUBLE: types.DOUBLE,
    ValueClass.NUMERAL: types.TEXT,
    ValueClass.TEXT: types.TEXT,
    ValueClass.TIMESTAMP: types.TIMESTAMP,
    ValueClass.NAIVE_TIMESTAMP: types.NAIVE_TIMESTAMP,
    ValueClass.DATE: types.DATE,
    ValueClass.TIME: types.TIME,
    ValueClass.BINARY: types.BINARY,
    ValueClass.JSON: types.JSON,
}


def join(
    stored: ColumnType | None,
    seen: Sequence[tuple[ValueClass, Extent]],
    stored_range: StoredRange = lambda: None,
    policy: TypePolicy = "widen",
) -> ColumnType | None:
    """The type of a column after a load.

    Args:
        stored: The type it has or is hinted with; None for a new column.
        seen: Classes of the load's values, in the order of their first appearance.
        stored_range: Gives least and greatest stored integer; asked only where it decides.
    """
    if policy == "variant":
        return stored if stored is not None or not seen else natural_type(*seen[0])
    extents = dict(seen)
    column_type = stored
    for value_class, extent in seen:
        column_type = _join_one(column_type, value_class, extent, extents, stored_range)
    return column_type


def natural_type(value_class: ValueClass, extent: Extent) -> ColumnType:
    """The type of a new column whose first value is of a class."""
    if value_class is ValueClass.TEXT:
        return {"aware": types.TIMESTAMP, "naive": types.NAIVE_TIMESTAMP}.get(extent.first_text, types.TEXT)
    if value_class is ValueClass.DECIMAL:
        return _declared(extent) or _decimal(extent.digits, extent.scale) or types.TEXT
    return _NATURAL[value_class]


def variant_type(value_class: ValueClass, extent: Extent) -> ColumnType:
    """The type of the variant column that takes values of a class; holds every one of them."""
    if value_class is ValueClass.DECIMAL:
        return _decimal(extent.digits, extent.scale) or types.TEXT
    return _NATURAL[value_class]


def variant_label(column_type: ColumnType) -> str:
    """The ending of a variant column's name after `__v_`."""
    if column_type == types.NAIVE_TIMESTAMP:
        return "timestamp_naive"
    return column_type.kind


def can_widen(stored: ColumnType, wanted: ColumnType, stored_range: StoredRange) -> bool:
    """Whether a stored column may be altered to a hinted type without changing any value."""
    match stored.kind, wanted.kind:
        case (_, "text" | "json"):
            return stored.kind not in ("binary", "text")
        case ("bigint", "bigint"):
            return (stored.precision or 64) <= (wanted.precision or 64)
        case ("bigint", "double"):
            return _within(stored_range(), EXACT_IN_DOUBLE)
        case ("bigint", "decimal"):
            return _whole_digits(wanted) >= BIGINT_DIGITS or _within(stored_range(), 10 ** _whole_digits(wanted) - 1)
        case ("decimal", "decimal"):
            return _whole_digits(wanted) >= _whole_digits(stored) and (wanted.scale or 0) >= (stored.scale or 0)
        case ("date", "timestamp"):
            return True
        case _:
            return False


def _join_one(
    column_type: ColumnType | None,
    value_class: ValueClass,
    extent: Extent,
    extents: dict[ValueClass, Extent],
    stored_range: StoredRange,
) -> ColumnType | None:
    if column_type is None:
        return natural_type(value_class, extent)
    match column_type.kind, value_class:
        case ("bigint", ValueClass.BIGINT) if column_type.precision is not None:
            return column_type if _within(_range(extent), 2 ** (column_type.precision - 1) - 1) else types.BIGINT
        case ("bigint", ValueClass.WIDE):
            return ColumnType("decimal", MAX_DIGITS, 0)
        case ("bigint", ValueClass.DOUBLE):
            new_values = extents.get(ValueClass.BIGINT)
            exact = _within(_range(new_values), EXACT_IN_DOUBLE) and _within(stored_range(), EXACT_IN_DOUBLE)
            return types.DOUBLE if exact else column_type
        case ("bigint", ValueClass.DECIMAL):
            return _decimal(max(BIGINT_DIGITS, extent.digits), extent.scale) or column_type
        case ("decimal", ValueClass.BIGINT):
            return _widened(column_type, _digits(_range(extent)), 0)
        case ("decimal", ValueClass.WIDE | ValueClass.DECIMAL):
            return _widened(column_type, extent.digits, extent.scale)
        case _:
            return column_type


def _declared(extent: Extent) -> ColumnType | None:
    """The type that Arrow's decimals declare; None if it leaves less room to widen than a decimal of 38 digits has."""
    digits, scale = extent.declared_digits, extent.scale
    if digits is None or digits > MAX_DIGITS - DEFAULT_SCALE or digits + scale > MAX_DIGITS:
        return None
    return ColumnType("decimal", digits + scale, scale)


def _decimal(digits: int, scale: int) -> ColumnType | None:
    """A decimal of 38 digits with dlt's nine after the point where they suffice, else as many as are needed."""
    scale = DEFAULT_SCALE if scale <= DEFAULT_SCALE and digits <= MAX_DIGITS - DEFAULT_SCALE else scale
    return ColumnType("decimal", MAX_DIGITS, scale) if digits + scale <= MAX_DIGITS else None


def _widened(column_type: ColumnType, digits: int, scale: int) -> ColumnType:
    whole = max(_whole_digits(column_type), digits)
    fraction = max(column_type.scale or 0, scale)
    if whole + fraction > MAX_DIGITS:
        return column_type
    return ColumnType("decimal", max(column_type.precision or MAX_DIGITS, whole + fraction), fraction)


def _whole_digits(column_type: ColumnType) -> int:
    return (column_type.precision or MAX_DIGITS) - (column_type.scale or 0)


def _range(extent: Extent | None) -> tuple[int, int] | None:
    if extent is None or extent.low is None or extent.high is None:
        return None
    return extent.low, extent.high


def _within(values: tuple[int, int] | None, bound: int) -> bool:
    return values is None or max(abs(values[0]), abs(values[1])) <= bound


def _digits(values: tuple[int, int] | None) -> int:
    return 0 if values is None else max(len(str(abs(value))) for value in values)
