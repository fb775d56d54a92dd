"""Whether rows come in the order of their cursor, where a database sorts moments as the texts that it keeps of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from dlt_orchestrate.normalize.arrow import python_values
from dlt_orchestrate.sources.sql_database.kinds import ColumnPlan
from dlt_orchestrate.state.moments import as_moments, spelling


def sorts_as_text(plan: ColumnPlan) -> bool:
    """Whether a column may hold moments that the database compares as texts, knowing neither zones nor spellings."""
    return plan.kind.data_type == "text" or (plan.dialect == "sqlite" and plan.kind.data_type in ("timestamp", "date"))


class OrderWatch:
    """Sees whether moments rise, or fall, from row to row, and from chunk to chunk."""

    def __init__(self, plan: ColumnPlan, *, rises: bool) -> None:
        self._name = plan.name
        self._rises = rises
        self._last: Any = None
        self._spellings: set[Any] = set()

    def problem_in(self, chunk: Any) -> str | None:
        """What is wrong with the order of the next rows; None if nothing is."""
        values = [value for value in _values(chunk, self._name) if value is not None]
        if not values:
            return None
        moments = self._compared([values[0] if self._last is None else self._last, *values])
        self._last = values[-1]
        for before, after in pairwise(moments):
            is_wrong = _is_before(after, before) if self._rises else _is_before(before, after)
            if type(before) is type(after) and is_wrong:
                return (
                    f"column {self._name!r} spells moments in several ways, so that the database, which compares them as "
                    f"texts, puts {after!s} behind {before!s}"
                )
        return None

    def _compared(self, values: Sequence[Any]) -> Sequence[Any]:
        """Values in the order of the cursor; none of texts that sort as they are."""
        self._spellings.update(map(spelling, values))
        if isinstance(values[-1], str):
            return as_moments(values) if len(self._spellings - {None}) > 1 else ()
        return values


def _values(chunk: Any, name: str) -> list[Any]:
    if isinstance(chunk, list):
        return [row[name] for row in chunk]
    return python_values(chunk.column(name).combine_chunks())


def _is_before(value: Any, other: Any) -> bool:
    try:
        return bool(value < other)
    except TypeError:  # one has a zone, and the other none: the cursor says so
        return False
