"""What a destination carries out inside one transaction: a handful of operations, planned in `load.plan`.

No operation names a write disposition. A new disposition is a new plan over these; a new destination carries out these.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.schema.table import Column
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.commits import UnitKey

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
class AllowNulls:
    """Let a column hold null that could not so far."""

    table: str
    column: str


@dataclass(frozen=True, slots=True)
class GiveIds:
    """Give each row that has no `_dlt_id` one of its own, which begins with a prefix that no other id begins with."""

    table: str
    prefix: str


@dataclass(frozen=True, slots=True)
class DropTable:
    """Remove a table with its rows; the same commit may create one of its name after that."""

    table: str


@dataclass(frozen=True, slots=True)
class Describe:
    """Say what a table or a column is, for people who look at the destination; it may have no place for that.

    Attributes:
        column: None for the table.
    """

    table: str
    column: str | None
    description: str


@dataclass(frozen=True, slots=True)
class DeleteOld:
    """Delete the rows of a table from before a moment, except those that are still needed.

    Attributes:
        column: Holds the moments.
        last_of: Of the rows that are equal in these columns, nulls included, the one with the greatest value in `ranked_by`
            stays, the latest of them if there are several; () for none.
        referred: A column of this table, and other tables with the columns whose values it must keep.
    """

    table: str
    column: str
    before: datetime
    last_of: tuple[str, ...] = ()
    ranked_by: str | None = None
    referred: tuple[str, tuple[tuple[str, str], ...]] | None = None


@dataclass(frozen=True, slots=True)
class ForgetAttempts:
    """Remove the idempotency keys from the commit records of a unit, so that the same attempts load again."""

    unit: UnitKey


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
    """Rows of a nested table.

    Attributes:
        parents: The tables that its rows hang below: several where a key held an object in some records and a list in
            others. All are the root or nested tables before this one.
        rows: None where the table is stored but the load has none for it.
    """

    table: str
    parents: tuple[str, ...]
    rows: Rows | None


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The rows whose value in a column lies in a range; rows without a value lie in none.

    Attributes:
        start: Included; a Python value of the column's type.
        end: Excluded, unless `includes_end`; None for no end.
    """

    column: str
    start: Any
    end: Any = None
    includes_end: bool = False


@dataclass(frozen=True, slots=True)
class DeleteRange:
    """Delete the rows of a root table that lie in a range, with their nested rows at every level.

    Attributes:
        nested: Every table nested below the root, parents before children.
    """

    table: str
    range: ValueRange
    nested: tuple[NestedRows, ...] = ()


Match = tuple[tuple[str, ...], ...]
"""When a stored row meets a new one: if the two have the same values, and no nulls, in every column of one of these lists.
A list without columns is met by every stored row, whatever the new ones."""


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of several rows is taken: the one with the least or greatest value; nulls come after every value."""

    column: str
    greatest: bool


@dataclass(frozen=True, slots=True)
class Tombstones:
    """The rows that stand for a deletion: true in a boolean column, or any value in a column of another type."""

    column: str
    is_flag: bool


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The rows of one root table in one load, with all their nested rows.

    Of rows with the same key one is kept: the preferred, and of equally preferred ones the last. Those of the kept that are
    tombstones are then dropped. A row's nested rows stay with it or go with it.

    Attributes:
        key: Columns without nulls that tell rows apart; () keeps all.
        nested: Every table nested below the root, parents before children, also those without new rows.
        key_id: A column of the rows, and of no table, that holds the `_dlt_id` which each row is to have instead of its
            own. Ids of nested rows begin with that of their root row and change with it. None leaves ids as they are.
    """

    key: tuple[str, ...]
    rows: Rows
    nested: tuple[NestedRows, ...] = ()
    preference: Preference | None = None
    tombstones: Tombstones | None = None
    key_id: str | None = None


@dataclass(frozen=True, slots=True)
class MergeRows:
    """Put new rows of a root table in the place of stored ones.

    In this order: stored rows that meet one of the new rows, kept or not, are deleted with their nested rows at every
    level; the kept rows are inserted with theirs.

    Attributes:
        match: When a stored row meets a new one; () for never.
        spares_stored: Kept rows whose key is stored, and was not deleted, are not inserted.
        spared: Stored rows that are never deleted; kept rows with the key of one are not inserted.
    """

    table: str
    arrivals: Arrivals
    match: Match
    spares_stored: bool = False
    spared: ValueRange | None = None


@dataclass(frozen=True, slots=True)
class AddVersions:
    """Add new rows of a root table as versions, and close the stored versions that they succeed.

    Rows with the same `_dlt_id` are equal in everything, nested rows included. In this order: open versions that meet one
    of the new rows, kept or not, and whose id no kept row has, are closed; kept rows whose id no open version has are
    inserted; so are their nested rows, unless the table has them from an earlier version of the same id.

    Attributes:
        arrivals: None if the load has no rows.
        match: When an open version meets a new row; () for never.
        closed_in: The column that says when a version ended. It is open if this holds null or `open_until`.
        spared: Versions that are never closed; kept rows with the key of one are not inserted.
    """

    table: str
    arrivals: Arrivals | None
    match: Match
    closed_in: str
    closed_at: datetime
    open_until: datetime | None = None
    spared: ValueRange | None = None


Operation = (
    CreateTable
    | AddColumns
    | WidenColumn
    | AllowNulls
    | Describe
    | GiveIds
    | DropTable
    | DeleteOld
    | ForgetAttempts
    | DeleteRows
    | DeleteRange
    | InsertRows
    | MergeRows
    | AddVersions
)
