"""What extraction hands to normalize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.cut import Cut
from dlt_orchestrate.schema.table import TableHints


@dataclass(frozen=True, slots=True)
class Page:
    """Some records of one resource, in the order they were yielded.

    Attributes:
        table_name: The root table, as the resource names it (not yet normalized).
        rows: Records: dictionaries, or scalars (which become a column `value`).
        frame: A `pyarrow.Table` instead of rows, for resources that yield Arrow data; `rows` is empty then.
        hints: What is declared of the table by now; None for what the resource declares.
        is_wanted: Whether the table shall be there even if no row comes for it.
        cut: All pages before this one may be committed; then this one holds nothing else.
    """

    table_name: str
    rows: Sequence[Any] = ()
    frame: Any = None
    hints: TableHints | None = None
    is_wanted: bool = False
    cut: Cut | None = None
