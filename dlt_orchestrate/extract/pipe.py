"""What the yields of a resource become: flat lists of records and Arrow tables, gathered into pages by table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.declare.records import as_record, is_page
from dlt_orchestrate.declare.steps import is_frame
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.flow.page import Page

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_PER_PAGE = 1_000
"""Records that are yielded one by one are gathered into pages of so many."""


def in_slices(rows: Sequence[Any]) -> Iterator[Any]:
    """Records at hand, many at a time where they are all plain dictionaries, one by one elsewhere."""
    for start in range(0, len(rows), ROWS_PER_PAGE):
        part = list(rows[start : start + ROWS_PER_PAGE])
        if set(map(type, part)) == {dict}:
            yield part
        else:
            yield from part


def settled(yields: Iterable[Any], record: Callable[[Any], Any] = as_record) -> Iterator[Any]:
    """Each yield as a record, a flat list of records or an Arrow table; None is left out.

    Args:
        record: What becomes of records that are no dictionaries.
    """
    for item in yields:
        kind = type(item)
        if kind is dict:
            yield item
        elif is_page(item):
            yield from _flat_parts(item, record)
        elif is_frame(item):
            yield as_table(item)
        elif item is not None:
            yield record(item)


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
        return pa.Table.from_pandas(frame, preserve_index=has_named_index).replace_schema_metadata(None)
    return pa.table(frame)


def gathered(items: Iterable[Any]) -> Iterator[Any]:
    """Records that come one by one in lists of bounded length; lists and tables as they come, the order kept."""
    records: list[Any] = []
    for item in items:
        kind = type(item)
        if kind is dict or not (kind is list or is_frame(item)):
            records.append(item)
            if len(records) == ROWS_PER_PAGE:
                yield records
                records = []
            continue
        if records:
            yield records
            records = []
        yield item
    if records:
        yield records


def pages_of(item: Any, table_name: str | Callable[[Any], str]) -> Iterator[Page]:
    """The pages that a list of records or a table makes; one for each table that `table_name` names."""
    if is_frame(item):
        yield Page(table_name if isinstance(table_name, str) else _table_of(item, table_name), frame=item)
    elif isinstance(table_name, str):
        yield Page(table_name, item)
    else:
        rows_of: dict[str, list[Any]] = {}
        for row in item:
            rows_of.setdefault(_table_of(row, table_name), []).append(row)
        for name, rows in rows_of.items():
            yield Page(name, rows)


def _table_of(item: Any, table_name: Callable[[Any], str]) -> str:
    name: Any = table_name(item)
    if not isinstance(name, str) or not name.strip():
        raise DeclarationError(
            f"The function given as table_name returned {name!r} for a record; expected the name of a table. "
            "Return a text for every record, or filter out the records that belong to no table."
        )
    return name


def _flat_parts(items: Sequence[Any], record: Callable[[Any], Any]) -> Iterator[Any]:
    """A list as flat lists of records, with the frames in it as tables between them; an empty list stays."""
    if not items or set(map(type, items)) == {dict}:
        yield items if type(items) is list else list(items)  # list subclasses, such as pages of a REST client, too
        return
    records: list[Any] = []
    for item in _leaves(items):
        if is_frame(item):
            if records:
                yield records
            yield as_table(item)
            records = []
        else:
            records.append(record(item))
    if records:
        yield records


def _leaves(items: Sequence[Any]) -> Iterator[Any]:
    for item in items:
        if is_page(item):
            yield from _leaves(item)
        elif item is not None:
            yield item
