"""What the yields of a resource become: flat lists of records and Arrow tables, each with its mark if it has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.declare.mark import Aside, Mark, Marked
from dlt_orchestrate.declare.records import as_record, is_page
from dlt_orchestrate.declare.steps import is_frame
from dlt_orchestrate.declare.workers import is_promise
from dlt_orchestrate.errors import DeclarationError, NestedTooDeeplyError
from dlt_orchestrate.flow.cut import Cut
from dlt_orchestrate.flow.typed_records import TypedRecords

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_PAGE = 1_000
"""Records that are yielded one by one are gathered into pages of so many."""

DEEPEST_LIST = 100
"""Levels of lists in lists that a yield may be."""


def in_slices(rows: Sequence[Any]) -> Iterator[Any]:
    """Records at hand, many at a time where they are all plain dictionaries, one by one elsewhere."""
    for start in range(0, len(rows), ROWS_PER_PAGE):
        part = list(rows[start : start + ROWS_PER_PAGE])
        if set(map(type, part)) == {dict}:
            yield part
        else:
            yield from part


def flattened(yields: Iterable[Any], record: Callable[[Any], Any] = as_record) -> Iterator[Any]:
    """Each yield as a record, a flat list of records or an Arrow table, perhaps with a mark; None is left out.

    Args:
        record: What becomes of records that are no dictionaries.
    """
    try:
        for item in yields:
            kind = type(item)
            if kind is dict or kind is TypedRecords:
                yield item
            elif is_page(item):
                yield from _flat_parts(item, record)
            elif is_frame(item):
                yield as_table(item)
            elif kind is Marked:
                yield from map(item.holding, flattened((item.item,), record))
            elif item is not None:
                yield item if kind is Cut else record(item)
    finally:
        close = getattr(yields, "close", None)
        if close is not None:
            close()


def as_table(frame: Any) -> pa.Table:
    """An Arrow table of any frame: Arrow data, pandas, polars, DuckDB, or whatever hands Arrow data out."""
    import pyarrow as pa

    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if type(frame).__module__.partition(".")[0] == "pandas":
        # An index with a name is data; one without is only a row number.
        has_named_index = any(name is not None for name in frame.index.names)
        # Arrow would share the memory of numbers with the frame, which its owner may change in place after the yield.
        owned = frame.copy()
        return pa.Table.from_pandas(owned, preserve_index=has_named_index).replace_schema_metadata(None)
    return pa.table(frame)


def gathered(items: Iterable[Any]) -> Iterator[Any]:
    """Records that come one by one in lists of bounded length; lists and tables as they come, the order kept.

    Records with the same mark share a list.
    """
    records: list[Any] = []
    shared: Mark | None = None
    for item in items:
        kind = type(item)
        mark = item.mark if kind is Marked else None
        inner = item.item if kind is Marked else item
        is_record = kind is dict or not (isinstance(inner, list | Aside | Cut) or is_frame(inner))
        if records and not (is_record and (mark is shared or mark == shared)):
            yield _marked(records, shared)
            records = []
        if not is_record:
            yield item
            continue
        shared = mark
        records.append(inner)
        if len(records) == ROWS_PER_PAGE:
            yield _marked(records, shared)
            records = []
    if records:
        yield _marked(records, shared)


def _marked(records: list[Any], mark: Mark | None) -> Any:
    return records if mark is None else Marked(records, mark)


def _flat_parts(items: Sequence[Any], record: Callable[[Any], Any]) -> Iterator[Any]:
    """A list as flat lists of records, with the frames and marked parts in it between them; an empty list stays."""
    if not items or set(map(type, items)) == {dict}:
        yield items if type(items) is list else list(items)  # list subclasses, such as pages of a REST client, too
        return
    records: list[Any] = []
    for item in _leaves(items):
        if type(item) is Marked or is_frame(item) or isinstance(item, Aside):
            if records:
                yield records
            yield from flattened((item,), record)
            records = []
        elif is_promise(item):
            raise DeclarationError(
                f"A list holds {type(item).__name__} objects beside records. Yield calls and coroutines one by one, or in "
                "lists that begin with one."
            )
        else:
            records.append(record(item))
    if records:
        yield records


def _leaves(items: Sequence[Any], level: int = 0) -> Iterator[Any]:
    if level > DEEPEST_LIST:
        raise NestedTooDeeplyError(most=DEEPEST_LIST)
    for item in items:
        if is_page(item):
            yield from _leaves(item, level + 1)
        elif item is not None:
            yield item
