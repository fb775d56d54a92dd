"""Tables and columns as they stand in a schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dlt_orchestrate.schema.types import ColumnType

WriteDisposition = Literal["append", "replace", "merge"]

LOAD_ID = "_dlt_load_id"
ROW_ID = "_dlt_id"
PARENT_ID = "_dlt_parent_id"
LIST_INDEX = "_dlt_list_idx"
ROOT_ID = "_dlt_root_id"

SYSTEM_COLUMNS = frozenset({LOAD_ID, ROW_ID, PARENT_ID, LIST_INDEX, ROOT_ID})


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: The identifier in the destination.
        type: Its type; None for a column that was declared or seen but never had a value that gives it one.
        path: The keys that lead from the record to the value, as the source wrote them; empty if unknown.
        hints: Further hints, such as `unique`, `sort` or `x-...`, kept for the destination and the stored schema.
    """

    name: str
    type: ColumnType | None = None
    nullable: bool = True
    primary_key: bool = False
    merge_key: bool = False
    description: str | None = None
    path: tuple[str, ...] = ()
    hints: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a schema: a root table, or a nested table with its parent.

    Attributes:
        columns: Columns by name, in the order of the destination.
        resource: The resource that fills it (root tables).
        path: The root table as the resource names it, then the keys that lead from its records to the list that fills a
            nested table; empty if unknown.
    """

    name: str
    columns: Mapping[str, Column]
    parent: str | None = None
    resource: str | None = None
    write_disposition: WriteDisposition = "append"
    path: tuple[str, ...] = ()
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnHint:
    """What a resource declares of one column; None leaves it to the data."""

    type: ColumnType | None = None
    nullable: bool | None = None
    description: str | None = None
    hints: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TableHints:
    """What a resource declares of its root table.

    Attributes:
        columns: Hints by column name, as the user wrote it (not yet normalized).
        max_nesting: Levels of nested tables and columns; deeper values become one JSON column. None for no limit.
    """

    write_disposition: WriteDisposition = "append"
    primary_key: tuple[str, ...] = ()
    merge_key: tuple[str, ...] = ()
    columns: Mapping[str, ColumnHint] = field(default_factory=dict)
    max_nesting: int | None = None
    description: str | None = None
