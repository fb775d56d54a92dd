"""What a load knows of its cursor, so that rows which are rejected on the way do not move it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Protocol

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.batch import KeyPath


class CursorOrder(Protocol):
    """Which of two cursor values is the newer one."""

    def is_newer(self, value: Any, bound: Any) -> bool:
        """Whether a value is newer than a bound."""

    def newest(self, value: Any, bound: Any) -> Any:
        """The newer of two; the bound may be None."""


@dataclass(frozen=True)
class CursorMove:
    """How extraction moved the cursor of a resource's own records, as if every row were accepted.

    Attributes:
        keys: The keys that lead to the cursor's field in a root record.
        stored: What the run before left.
        initial_value: Where the first run started.
        newest: The newest value that extraction saw, or the one that it started from.
        identity: The keys of a record that tell it from others of the same cursor value; () for all.
        deduplicates: Whether rows that equal the newest value are told apart from new ones by the next run.
        moves: Whether the run moves the cursor at all.
        was_cut: Whether a limit ended the run: then rows behind its end have not been looked at.
        is_merge: Whether a row takes the place of an earlier one.
        came_again: By held value, the identities of rows that were loaded before and came again.
        is_pending: Whether the state keeps the move aside, until the extraction is finished.
        knows_all_of_a_value: Whether rows of the values that are rejected cannot have been committed by earlier parts.
        rejected_before: Values of rows that earlier parts of the same extraction rejected.
        known_rejections: Identities of rejections that are recorded already; None for those of `stored`.
        keeps: Which values that were held before stay so, if the run was cut short; None for all.
    """

    path: str
    keys: KeyPath
    order: CursorOrder
    stored: Mapping[str, Any] = field(default_factory=dict)
    initial_value: Any = None
    newest: Any = None
    identity: tuple[str, ...] = ()
    deduplicates: bool = True
    moves: bool = True
    was_cut: bool = False
    is_merge: bool = False
    came_again: Mapping[Any, Counter[str]] = field(default_factory=dict)
    is_pending: bool = False
    knows_all_of_a_value: bool = True
    rejected_before: tuple[Any, ...] = ()
    known_rejections: frozenset[str] | None = None
    keeps: frozenset[Any] | None = None


def value_at(record: Any, keys: KeyPath) -> Any:
    """What stands in a record under keys, one in the other; None if nothing does, or without keys."""
    if not keys:
        return None
    for key in keys:
        if not isinstance(record, Mapping):
            return None
        record = record.get(key)
    return record
