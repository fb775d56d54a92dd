"""What a column of a database becomes: the type it gets in Arrow and in the destination, and how it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.schema.types import DataType

if TYPE_CHECKING:
    import pyarrow as pa

MOST_DIGITS = 38

ReflectionLevel = Literal["minimal", "full", "full_with_precision"]
TypeAdapter = Callable[[Any], Any]
Asking = Literal[
    "as it is",
    "as text",
    "as bigint",
    "as unsigned",
    "as double",
    "as numeric",
    "as huge decimal",
    "address as text",
    "array as json",
    "nested as json",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a column.

    Attributes:
        data_type: In the words of schemas; None if the values tell.
        precision: Digits of a decimal, bits of an integer, length of a text or of bytes.
        timezone: False for a timestamp without a zone.
        asked: How the column is asked for.
        is_measured: Whether the precision is that of a text, of bytes or of an integer: of account only by
            `reflection_level="full_with_precision"`.
        is_certain: Whether the database holds every value to it; what SQLite calls a moment may be any text.
    """

    data_type: DataType | None = None
    precision: int | None = None
    scale: int | None = None
    timezone: bool | None = None
    asked: Asking = "as it is"
    is_measured: bool = False
    is_certain: bool = True

    @property
    def arrow(self) -> pa.DataType | None:
        """The type in Arrow; None if the values tell."""
        import pyarrow as pa

        match self.data_type:
            case "decimal":
                return pa.decimal128(self.precision or MOST_DIGITS, self.scale or 0)
            case "timestamp":
                return pa.timestamp("us", None if self.timezone is False else "UTC")
            case None | "wei":
                return None
            case known:
                return _arrow_types()[known]

    def hint(self, level: ReflectionLevel) -> dict[str, Any]:
        """The hint of the column's type, which gives way to what is stored and to the values."""
        if self.data_type is None or level == "minimal" or not self.is_certain:
            return {}
        shown: dict[str, Any] = {"data_type": self.data_type, "timezone": self.timezone, "type_gives_way": True}
        if not self.is_measured or level == "full_with_precision":
            shown |= {"precision": self.precision, "scale": self.scale}
        return {key: value for key, value in shown.items() if value is not None}


@cache
def _arrow_types() -> Mapping[str, pa.DataType]:
    import pyarrow as pa

    return {
        "bool": pa.bool_(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "text": pa.string(),
        "binary": pa.binary(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "json": pa.json_(pa.string()),
    }


@dataclass(frozen=True)
class ColumnPlan:
    """A column that is read.

    Attributes:
        name: Its name in the database.
        kind: What it becomes.
        dialect: Of the database, as SQLAlchemy calls it.
        nullable, is_unique, comment: What the database says of it.
    """

    name: str
    kind: Kind
    dialect: str
    nullable: bool
    is_unique: bool
    comment: str | None
