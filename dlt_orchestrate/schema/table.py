"""Tables and columns as they stand in a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.schema import paths
from dlt_orchestrate.schema.types import ColumnType

WriteDisposition = Literal["append", "replace", "merge"]
MergeStrategy = Literal["delete-insert", "upsert", "insert-only", "scd2", "cdc"]

LOAD_ID = "_dlt_load_id"
ROW_ID = "_dlt_id"
PARENT_ID = "_dlt_parent_id"
LIST_INDEX = "_dlt_list_idx"
ROOT_ID = "_dlt_root_id"

KEY_ID = "_dlt_key_id"
"""A row id made from the row's key. It travels beside the rows of a load and is no column of any table."""

OVERFLOW_COLUMN = "_dlt_overflow"
"""The column of JSON that takes what no other column has room for."""

SYSTEM_COLUMNS = frozenset({LOAD_ID, ROW_ID, PARENT_ID, LIST_INDEX, ROOT_ID, KEY_ID, OVERFLOW_COLUMN})

DEDUP_SORT = "dedup_sort"
"""Hint of the column that decides which of the new rows with the same key is kept: "asc" the least, "desc" the greatest."""
HARD_DELETE = "hard_delete"
"""Hint of the column that marks a row as deleted in the source: true, or for other types any value."""
HASHED_BY_DLT = "x-row-version"
"""Hint of the row ids of a table whose versions dlt made, by its own hash of a record; such a table keeps that hash."""
NAIVE_IS_UTC = "x-naive-is-utc"
"""Hint of a column of moments that dlt made: there, one without zone is meant in UTC."""
VALID_FROM = "x-valid-from"
VALID_TO = "x-valid-to"
"""Hints of the two columns that say when a version was the valid one."""


class _Document:
    """Can be read by the keys of its stored form, too, as code for dlt does: `schema.tables["orders"]["columns"]`."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """The stored form."""
        raise NotImplementedError

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def __contains__(self, key: object) -> bool:
        return key in self.to_dict()

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def keys(self) -> list[str]:
        return list(self.to_dict())

    def get(self, key: str, default: Any = None) -> Any:
        return self.to_dict().get(key, default)


@dataclass(frozen=True, slots=True)
class Column(_Document):
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

    def to_dict(self) -> dict[str, Any]:
        """The stored form.

        >>> Column("id", ColumnType("bigint"), nullable=False).to_dict()
        {'name': 'id', 'data_type': 'bigint', 'nullable': False}
        """
        kind = self.type
        return _stated(
            {
                "name": self.name,
                "data_type": kind.kind if kind else None,
                "precision": kind.precision if kind else None,
                "scale": kind.scale if kind else None,
                "timezone": kind.timezone if kind else None,
                "nullable": self.nullable,
                "primary_key": self.primary_key or None,
                "merge_key": self.merge_key or None,
                "description": self.description,
                **self.hints,
                "x-path": paths.written(self.path),
            }
        )


@dataclass(frozen=True)
class Table(_Document):
    """One table of a schema: a root table, or a nested table with its parent.

    Attributes:
        columns: Columns by name, in the order of the destination.
        resource: The resource that fills it (root tables).
        path: The root table as the resource names it, then the keys that lead from its records to the list that fills a
            nested table; empty if unknown.
        references: What is declared of columns that refer to other tables, as the user wrote it.
        is_chosen_by_rows: Whether rows of the resource chose the table, one by one or with marks.
    """

    name: str
    columns: Mapping[str, Column]
    parent: str | None = None
    resource: str | None = None
    write_disposition: WriteDisposition = "append"
    strategy: MergeStrategy = "delete-insert"
    path: tuple[str, ...] = ()
    description: str | None = None
    references: Any = None
    is_chosen_by_rows: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The stored form."""
        return _stated(
            {
                "name": self.name,
                "columns": {name: column.to_dict() for name, column in self.columns.items()},
                "write_disposition": self.write_disposition if self.parent is None else None,
                "resource": self.resource,
                "parent": self.parent,
                "description": self.description,
                "references": self.references,
                "x-merge-strategy": self.strategy if self.strategy != "delete-insert" else None,
                "x-path": paths.written(self.path),
                "x-chosen-by-rows": self.is_chosen_by_rows or None,
            }
        )

    @cached_property
    def stored_json(self) -> str:
        """The stored form as text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @cached_property
    def canonical_json(self) -> str:
        """The stored form as a text that is equal for equal tables."""
        return json.dumps(self.to_dict(), ensure_ascii=False, sort_keys=True)


def _stated(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what it says nothing of."""
    return {key: value for key, value in document.items() if value is not None and value != []}


@dataclass(frozen=True, slots=True)
class ColumnHint:
    """What a resource declares of one column; None leaves it to the data.

    Attributes:
        is_primary_key, is_merge_key: Whether it is a part of the key of a nested table.
        gives_way: Whether the type is only where a new column begins: it widens by its values as if it were the stored one,
            and a stored type that it does not fit stays.
    """

    type: ColumnType | None = None
    nullable: bool | None = None
    description: str | None = None
    hints: Mapping[str, Any] = field(default_factory=dict)
    is_primary_key: bool = False
    is_merge_key: bool = False
    gives_way: bool = False

    @property
    def is_typed(self) -> bool:
        """Whether it says once and for all which type the column has."""
        return self.type is not None and not self.gives_way


_DECIDING_HINTS = frozenset({DEDUP_SORT, HARD_DELETE, "unique"})


@dataclass(frozen=True, slots=True)
class Validity:
    """How a table of versions says from when to when each was the valid one.

    Attributes:
        from_column, to_column: The two columns, as the user wrote them (not yet normalized).
        boundary: The moment that ends the versions which a load closes and begins those which it adds; None for that of
            the load.
        open_until: What `to_column` holds in versions that are still valid; None for null.
    """

    from_column: str = "_dlt_valid_from"
    to_column: str = "_dlt_valid_to"
    boundary: datetime | None = None
    open_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TableHints:
    """What a resource declares of its root table.

    Attributes:
        strategy: How a merge meets the rows that are there; of no account for other dispositions.
        validity: The columns of a table of versions (`scd2`).
        columns: Hints by column name, as the user wrote it (not yet normalized).
        max_nesting: Levels of nested tables and columns; deeper values become one JSON column. None for no limit.
        is_chosen_by_rows: Whether a function or marks choose the table for each row, so that the resource fills several.
        nested: Hints of nested tables by the keys that lead from a record to their lists, as the user wrote them; of
            account are their columns, keys, description, references and contract.
        references: Columns that refer to other tables; kept in the stored schema.
        contract: The schema contract of this table, as declared, where it is not that of the resource.
    """

    write_disposition: WriteDisposition = "append"
    strategy: MergeStrategy = "delete-insert"
    validity: Validity = field(default_factory=Validity)
    primary_key: tuple[str, ...] = ()
    merge_key: tuple[str, ...] = ()
    columns: Mapping[str, ColumnHint] = field(default_factory=dict)
    max_nesting: int | None = None
    description: str | None = None
    is_chosen_by_rows: bool = False
    nested: Mapping[tuple[str, ...], TableHints] = field(default_factory=dict)
    references: Any = None
    contract: Any = None

    @property
    def is_merge(self) -> bool:
        return self.write_disposition == "merge"

    @property
    def matches_rows(self) -> bool:
        """Whether new rows take the place of stored ones by something that they have in common; without a key only
        versions do, by their content.
        """
        return self.is_merge and (bool(self.primary_key or self.merge_key) or self.deletes_absent)

    @property
    def keeps_versions(self) -> bool:
        """Whether stored rows are closed and succeeded instead of replaced."""
        return self.is_merge and self.strategy == "scd2"

    @property
    def deletes_absent(self) -> bool:
        """Whether a row that the source no longer has is retired or deleted."""
        return self.is_merge and self.strategy in ("scd2", "cdc")

    @property
    def has_key_ids(self) -> bool:
        """Whether the id of a row is made from its primary key, so that it stays when the row changes."""
        return self.is_merge and self.strategy in ("upsert", "insert-only", "cdc")

    @property
    def required_key(self) -> tuple[str, ...]:
        """The columns that every row of a merge must carry: the primary key, or else the merge key."""
        return (self.primary_key or self.merge_key) if self.is_merge else ()

    @property
    def deciding_columns(self) -> tuple[str, ...]:
        """The columns whose values decide which rows are kept, replaced or deleted, or that are said to differ."""
        hinted = (name for name, column in self.columns.items() if column.hints.keys() & _DECIDING_HINTS)
        return tuple(dict.fromkeys((*self.primary_key, *self.merge_key, *hinted)))

    def columns_hinted(self, hint: str) -> tuple[str, ...]:
        """The columns of the root table that have a hint."""
        return tuple(name for name, column in self.columns.items() if column.hints.get(hint))
