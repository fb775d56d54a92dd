"""How far the tables of a resource may grow: whether column types widen, and how many columns there may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

TypePolicy = Literal["widen", "variant"]
"""What happens to values that do not fit their column: it takes a wider type if every value stays exact, or it keeps its
type. Values that still do not fit go to a variant column."""


DEFAULT_MAX_COLUMNS = 1_000
"""What DuckDB writes within a gigabyte of memory, whatever the number of rows, with room to spare."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What is set for a resource.

    Attributes:
        max_columns: Columns of one table up to which a load makes new ones; None for the default.
    """

    type_policy: TypePolicy = "widen"
    max_columns: int | None = None

    def columns_within(self, most: int) -> int:
        """Columns up to which new ones are made, in a destination that allows so many."""
        return min(DEFAULT_MAX_COLUMNS if self.max_columns is None else self.max_columns, most)


def strictest(growths: Iterable[Growth]) -> Growth:
    """What holds for a table that several resources fill: the type stays if one wants it to, the least limit counts.

    >>> strictest([Growth("variant"), Growth(max_columns=50)])
    Growth(type_policy='variant', max_columns=50)
    """
    policy: TypePolicy = "widen"
    limits = []
    for growth in growths:
        policy = growth.type_policy if policy == "widen" else policy
        limits += [] if growth.max_columns is None else [growth.max_columns]
    return Growth(policy, min(limits, default=None))
