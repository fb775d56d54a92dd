"""What a destination carries out inside one transaction: a handful of operations, planned in `load.plan`.

No operation names a write disposition. A new disposition is a new plan over these; a new destination carries out these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dlt_orchestrate.schema.table import Column
from dlt_orchestrate.schema.types import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa


class Rows(Protocol):
    """Rows ready for one table: named and typed as the table's columns."""

    @property
    def column_types(self) -> Mapping[str, ColumnType]:
        """The columns that the batches hold, in order; columns of the table that are not named are null."""

    @property
    def row_count(self) -> int:
        """Number of rows in all batches."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in the order they were yielded; can be read any number of times."""


@dataclass(frozen=True, slots=True)
class CreateTable:
    """Create a table that is not there yet."""

    table: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class AddColumns:
    """Append columns to a table; stored rows hold null there."""

    table: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class WidenColumn:
    """Change a column to a type that holds every stored value exactly."""

    table: str
    column: str
    type: ColumnType


@dataclass(frozen=True, slots=True)
class DeleteRows:
    """Delete every row of a table."""

    table: str


@dataclass(frozen=True, slots=True)
class InsertRows:
    """Append rows to a table."""

    table: str
    rows: Rows


@dataclass(frozen=True, slots=True)
class NestedRows:
    """Rows of a nested table; `rows` is None where the table is stored but the load has none for it."""

    table: str
    parent: str
    rows: Rows | None


@dataclass(frozen=True, slots=True)
class MergeRows:
    """Replace the rows of a root table that share their key with a new row, each with all its nested rows.

    In this order: of new rows with the same key only the last one is kept, with its nested rows; stored rows whose key
    equals a kept row's are deleted, with their nested rows at every level; the kept rows are inserted. Keys hold no nulls.

    Attributes:
        nested: Every table nested below the root, parents before children, also those without new rows.
    """

    table: str
    key: tuple[str, ...]
    rows: Rows
    nested: tuple[NestedRows, ...] = ()


Operation = CreateTable | AddColumns | WidenColumn | DeleteRows | InsertRows | MergeRows
