"""Extractions that are committed in parts: what the state and the commit records keep of them.

While an extraction is unfinished, the resource's state holds `CHECKPOINT`: whose attempt it is, where its walks through
pages stand, and how far its cursors have come. The last part takes it away. The commit record of a part tells of those
before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.state.document import CURSORS

CHECKPOINT = "_dlt_checkpoint"
"""Where the state of a resource keeps its unfinished extraction."""
ATTEMPT, POSITIONS, REACHED = "attempt", "positions", "reached"
"""In it: the idempotency key it was begun with; bookmarks by walk; what the cursors will be, once it is finished."""

MOST_LOAD_IDS = 100
"""Loads that a commit record names of the parts before it; all are counted."""

RowCounts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class EarlierParts:
    """What loads before brought of the same extraction.

    Attributes:
        loads: How many they were.
        load_ids: The newest of them, in order.
        row_counts: What they did to each table, in rows.
        rows: Records that the extraction read so far; in a commit record those of its own load are among them.
        rejected: Rows that they rejected.
    """

    loads: int = 0
    load_ids: tuple[str, ...] = ()
    row_counts: RowCounts = field(default_factory=dict)
    rows: int = 0
    rejected: int = 0

    def and_load(self, load_id: str, row_counts: RowCounts, *, rows: int, rejected: int) -> EarlierParts:
        """These and one more."""
        return EarlierParts(
            loads=self.loads + 1,
            load_ids=(*self.load_ids, load_id)[-MOST_LOAD_IDS:],
            row_counts=added(self.row_counts, row_counts),
            rows=self.rows + rows,
            rejected=self.rejected + rejected,
        )

    def to_text(self, *, own_rows: int) -> str:
        """For the commit record of the load that comes behind them."""
        return json.dumps(
            {
                "loads": self.loads,
                "load_ids": list(self.load_ids),
                "row_counts": {table: dict(counts) for table, counts in self.row_counts.items()},
                "rows": self.rows + own_rows,
                "rejected": self.rejected,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> EarlierParts:
        """Read what `to_text` wrote."""
        found = json.loads(text)
        return cls(found["loads"], tuple(found["load_ids"]), found["row_counts"], found["rows"], found["rejected"])


def added(first: RowCounts, second: RowCounts) -> dict[str, dict[str, int]]:
    """What two loads did to tables, one after the other; of totals the later one stands."""
    found = {table: dict(counts) for table, counts in first.items()}
    for table, counts in second.items():
        before = found.get(table, {})
        found[table] = {
            name: number if name == "total" else before.get(name, 0) + number for name, number in counts.items()
        }
    return found


def cursors_in(state: Mapping[str, Any], *, is_pending: bool) -> Mapping[str, Any]:
    """The cursors of a resource by their paths: as they are, or as they will be once its extraction is finished."""
    place = state.get(CHECKPOINT, {}).get(REACHED, {}) if is_pending else state
    found: Mapping[str, Any] = place.get(CURSORS, {})
    return found


def with_cursor(state: Mapping[str, Any], path: str, cursor: Mapping[str, Any], *, is_pending: bool) -> dict[str, Any]:
    """The state with one of these cursors put in its place."""
    cursors = {**cursors_in(state, is_pending=is_pending), path: dict(cursor)}
    if not is_pending:
        return {**state, CURSORS: cursors}
    checkpoint = state.get(CHECKPOINT, {})
    return {**state, CHECKPOINT: {**checkpoint, REACHED: {**checkpoint.get(REACHED, {}), CURSORS: cursors}}}
