"""Column types, and the classes that values fall into before a column has been given a type."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, get_args

from dlt_orchestrate.dataclass import dataclass

DataType = Literal["text", "bigint", "double", "bool", "timestamp", "date", "time", "binary", "json", "decimal", "wei"]

DATA_TYPES: frozenset[str] = frozenset(get_args(DataType))


class ValueClass(StrEnum):
    """What a single value is, told by its Python or Arrow type alone.

    Columns of the spool hold one class each; a column gets its type from the classes seen in the whole load
    (`schema.evolve`), so a type never depends on how rows were split into pages.
    """

    BOOL = "bool"
    BIGINT = "bigint"
    """An integer within 64 bits."""
    WIDE = "wide"
    """An integer beyond 64 bits, up to 38 digits."""
    DOUBLE = "double"
    DECIMAL = "decimal"
    """A decimal with up to 38 digits before and up to 38 after the point."""
    NUMERAL = "numeral"
    """A number that no numeric column holds exactly, as text: a longer integer or decimal, or a decimal NaN."""
    TEXT = "text"
    TIMESTAMP = "timestamp"
    """A moment with a zone, in UTC."""
    NAIVE_TIMESTAMP = "naive_timestamp"
    """A date and time without a zone."""
    DATE = "date"
    TIME = "time"
    BINARY = "binary"
    JSON = "json"
    """A nested value kept whole, as JSON text."""


@dataclass(frozen=True, slots=True)
class ColumnType:
    """The type of a column.

    Attributes:
        kind: The data type, in dlt's words.
        precision: Digits of a decimal, bits of a bigint (8, 16, 32), characters of a text; None for the default.
        scale: Digits after the point of a decimal; None for the default.
        timezone: False for a timestamp without a zone. None otherwise.

    >>> str(ColumnType("decimal", 38, 9)), str(ColumnType("timestamp", timezone=False))
    ('decimal(38,9)', 'timestamp without time zone')
    """

    kind: DataType
    precision: int | None = None
    scale: int | None = None
    timezone: bool | None = None

    def __str__(self) -> str:
        if self.kind == "decimal" and self.precision is not None:
            return f"decimal({self.precision},{self.scale or 0})"
        if self.kind == "timestamp" and self.timezone is False:
            return "timestamp without time zone"
        return self.kind


TEXT = ColumnType("text")
BIGINT = ColumnType("bigint")
DOUBLE = ColumnType("double")
BOOL = ColumnType("bool")
TIMESTAMP = ColumnType("timestamp")
NAIVE_TIMESTAMP = ColumnType("timestamp", timezone=False)
DATE = ColumnType("date")
TIME = ColumnType("time")
BINARY = ColumnType("binary")
JSON = ColumnType("json")


def settled(column_type: ColumnType) -> ColumnType:
    """A hinted type with its defaults filled in, so that it can be compared with a stored one.

    >>> str(settled(ColumnType("decimal"))), str(settled(ColumnType("wei")))
    ('decimal(38,9)', 'decimal(38,0)')
    """
    match column_type.kind:
        case "decimal":
            scale = column_type.scale if column_type.scale is not None else (9 if column_type.precision is None else 0)
            return ColumnType("decimal", column_type.precision or 38, scale)
        case "wei":
            return ColumnType("decimal", 38, 0)
        case "bigint":
            return ColumnType("bigint", column_type.precision if column_type.precision in (8, 16, 32) else None)
        case "timestamp":
            return NAIVE_TIMESTAMP if column_type.timezone is False else TIMESTAMP
        case _:
            return ColumnType(column_type.kind)
