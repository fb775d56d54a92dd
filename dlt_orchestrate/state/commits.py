"""The commit record: who committed which resource and window, when, and where its cursor stood."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.state.parts import EarlierParts

_OF_KEYS = "partition:"
"""Begins the stored bounds of a window that has keys."""


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The part of a resource's records that one load covers: a stretch of its history, a partition by key, or both.

    Attributes:
        start, end: Start included, end excluded; texts (ISO 8601 for moments), so that a window is a key. Both are empty if
            only `keys` tell the part.
        keys: The keys of the partition by the name of what they divide, such as `(("region", "eu"),)`.
    """

    start: str = ""
    end: str = ""
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def has_bounds(self) -> bool:
        """Whether it is a stretch of history, which bounds a cursor."""
        return bool(self.start or self.end)

    def to_texts(self) -> tuple[str, str]:
        """Two texts that it is read from again: its bounds, behind its keys if it has any."""
        if not self.keys:
            return self.start, self.end
        return _OF_KEYS + json.dumps([dict(self.keys), self.start]), _OF_KEYS + json.dumps([dict(self.keys), self.end])

    @classmethod
    def from_texts(cls, start: str, end: str) -> Window:
        """Read what `to_texts` wrote.

        >>> Window.from_texts(*Window("1", "2", (("region", "eu"),)).to_texts())
        Window(start='1', end='2', keys=(('region', 'eu'),))
        """
        if not start.startswith(_OF_KEYS):
            return cls(start, end)
        keys, first = json.loads(start.removeprefix(_OF_KEYS))
        _, last = json.loads(end.removeprefix(_OF_KEYS))
        return cls(first, last, tuple(keys.items()))

    def __str__(self) -> str:
        parts = [f"[{self.start}, {self.end})"] if self.has_bounds else []
        return " of ".join([*parts, *(f"{name} {key!r}" for name, key in self.keys)])


@dataclass(frozen=True, slots=True)
class UnitKey:
    """What the compare-and-swap compares: one resource of one source of one pipeline, in one window or none."""

    pipeline: str
    source: str
    resource: str
    window: Window | None = None


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """One commit of one unit; the latest gives the number that the next one must be planned on.

    Attributes:
        number: 1 for the first commit of the unit, rising by one.
        idempotency_key: Names the attempt, whoever makes it; a second commit of the unit with the same key changes nothing.
        row_counts: What the commit did to each table, in rows (the fields of `flow.package.TableCounts`).
        rows_rejected: Rows that it put into the table of rejects.
        cursor_before: The incremental state that extraction started from, JSON-like; None without a cursor.
        earlier: What loads before brought of the same extraction, if it was committed in parts.
    """

    unit: UnitKey
    number: int
    load_id: str
    committed_at: datetime
    host: str
    idempotency_key: str | None = None
    row_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    rows_rejected: int = 0
    cursor_before: Any = None
    cursor_after: Any = None
    earlier: EarlierParts | None = None


def new_load_id(now: datetime) -> str:
    """A load id in dlt's shape, seconds with a fraction, whose last eight digits are random: unique on every machine.

    >>> from datetime import UTC
    >>> new_load_id(datetime(2026, 1, 1, tzinfo=UTC))[:17]
    '1767225600.000000'
    """
    return f"{int(now.timestamp())}.{now.microsecond:06d}{secrets.randbelow(10**8):08d}"
