"""Marks: what a resource says of single yields, such as which of its tables they belong to.

A mark goes with its item through all steps, and over to what a transformer makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.hints import (
    ColumnsDeclaration,
    Keys,
    NestedHintsDeclaration,
    TableName,
    nested_hints_of,
)
from dlt_orchestrate.errors import DeclarationError

Hints = dict[str, Any]
"""Hints by name, as `make_hints` makes them."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is said of an item.

    Attributes:
        table_name: Its table; None for the one that the resource's hints tell.
        hints: Hints of that table, if `makes_variant`; else of the resource, from here on.
        makes_variant: Whether the hints are those of one table alone.
        gives_way: Whether the hints stand only beside what the resource declares, which goes before.
    """

    table_name: str | None = None
    hints: Mapping[str, Any] | None = None
    makes_variant: bool = False
    gives_way: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Marked:
    """A yield with a mark: a record, a page, a frame, or what stands for one."""

    item: Any
    mark: Mark

    def holding(self, item: Any) -> Any:
        """What a step made of the item, with the mark; a mark of its own goes before."""
        return item if item is None or type(item) is Marked else Marked(item, self.mark)


class Aside:
    """A yield that is no record: it passes by steps, models and cursors, which see only records."""


class EmptyTable(Aside):
    """Stands for no rows of a table that shall be there all the same."""

    def __repr__(self) -> str:
        return "materialize_table_schema()"


EMPTY_TABLE = EmptyTable()


class Checkpoint(Aside):
    """Stands for a place where the state of the resource alone tells where to go on."""

    def __repr__(self) -> str:
        return "checkpoint()"


CHECKPOINT = Checkpoint()


class Arrived(Aside):
    """Stands for the end of something that comes in several yields: calls back once all of them have passed every limit."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call

    def __repr__(self) -> str:
        return "arrived()"


class RejectedRow(Aside):
    """Stands for a row that a source could not read: it goes to the reject table, and counts as a rejected row.

    Attributes:
        record: What is known of it; anything that can be written as JSON.
        cause: What is wrong with it, as a part of a sentence.
        column: The column at fault; None if it is the row as a whole.
    """

    __slots__ = ("cause", "column", "record")

    def __init__(self, record: Any, cause: str, column: str | None = None) -> None:
        self.record = record
        self.cause = cause
        self.column = column

    def __repr__(self) -> str:
        return f"reject({self.cause!r})"


def with_table_name(item: Any, table_name: str) -> Marked:
    """Send a record, a page or a frame to a table that is named here.

    >>> with_table_name({"id": 1}, "orders").mark.table_name
    'orders'
    """
    given: Any = table_name
    if not isinstance(given, str) or not given.strip():
        raise DeclarationError(f"mark.with_table_name: the name of a table was expected, found {table_name!r}.")
    if isinstance(item, Marked):
        return Marked(item.item, replace(item.mark, table_name=table_name))
    return Marked(item, Mark(table_name))


def with_hints(item: Any, hints: Mapping[str, Any] | None, create_table_variant: bool = False) -> Marked:
    """Give hints along with an item, as `make_hints` makes them; they count from this item on.

    Args:
        create_table_variant: Whether they count only for the table that they name, which has the other hints of the
            resource besides. Without it they change the hints of the resource.

    Raises:
        DeclarationError: A hint is not known, or a variant names no table.
    """
    given = dict(hints or {})
    _expect_known(given)
    name = given.get("table_name")
    if create_table_variant and not isinstance(name, str):
        raise DeclarationError(
            "mark.with_hints: hints of one table alone must say which: pass table_name='...' to make_hints, as a text."
        )
    inner = item.mark.table_name if isinstance(item, Marked) else None
    mark = Mark(name if create_table_variant else inner, given or None, create_table_variant)
    return Marked(item.item if isinstance(item, Marked) else item, mark)


def reject(record: Any, cause: str, column: str | None = None) -> RejectedRow:
    """Stands for a row that cannot be read: yielded, it goes to `_dlt_rejects` with its cause, instead of a table.

    Args:
        record: What is known of the row, such as `{"file": ..., "line": 7, "text": ...}`.
        column: The column at fault, if it is one.

    >>> reject({"line": 7, "text": "1,2,3"}, "3 fields, where the header has 2")
    reject('3 fields, where the header has 2')
    """
    return RejectedRow(record, cause, column)


def checkpoint() -> Checkpoint:
    """Stands for a place where all that was yielded before may be committed, if a checkpoint is due.

    For resources that keep in `resource_state()` where they are. The first one is yielded before anything else, and says
    that the resource is one of these.
    """
    return CHECKPOINT


def with_found_hints(
    item: Any, *, primary_key: Keys = None, columns: Mapping[str, Mapping[str, Any]], references: Any = None
) -> Marked:
    """Give along what a source knows of its table by itself, such as a database; what the resource declares goes before.

    >>> with_found_hints({"id": 1}, primary_key="id", columns={}).mark.hints
    {'primary_key': 'id', 'columns': {}, 'references': None}
    """
    hints = {"primary_key": primary_key, "columns": columns, "references": references}
    return Marked(item, Mark(hints=hints, gives_way=True))


def materialize_table_schema() -> EmptyTable:
    """Stands for no rows: yielded, it makes the table with its declared columns, if it is not there yet."""
    return EMPTY_TABLE


def make_hints(
    table_name: TableName | None = None,
    write_disposition: Any = None,
    columns: ColumnsDeclaration = None,
    primary_key: Keys = None,
    merge_key: Keys = None,
    schema_contract: Any = None,
    max_table_nesting: int | None = None,
    table_format: str | None = None,
    file_format: str | None = None,
    references: Any = None,
    nested_hints: NestedHintsDeclaration = None,
) -> Hints:
    """Hints for `with_hints`, by the names and with the meaning that they have in `resource`; None for none.

    >>> make_hints(table_name="orders", primary_key="id")
    {'table_name': 'orders', 'primary_key': 'id'}
    """
    return {name: value for name, value in locals().items() if value is not None}


def make_nested_hints(
    columns: ColumnsDeclaration = None,
    primary_key: Keys = None,
    merge_key: Keys = None,
    schema_contract: Any = None,
    references: Any = None,
    description: str | None = None,
    **others: Any,
) -> Hints:
    """Hints of one nested table, for `nested_hints`; None for none.

    Raises:
        DeclarationError: Nested tables do not have such a hint.

    >>> make_nested_hints(columns={"price": {"data_type": "decimal"}})
    {'columns': {'price': {'data_type': 'decimal'}}}
    """
    given = {name: value for name, value in locals().items() if name != "others" and value is not None}
    return nested_hints_of("make_nested_hints", {**given, **others})


_KNOWN = tuple(make_hints.__annotations__.keys() - {"return"})


def _expect_known(hints: Mapping[str, Any]) -> None:
    for name in hints:
        if name not in _KNOWN:
            reason = "A cursor cannot change while it runs." if name == "incremental" else meant(name, _KNOWN)
            raise DeclarationError(f"mark.with_hints: there is no hint {name!r} for an item. {reason}")
