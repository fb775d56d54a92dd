"""The commit record: who committed which resource and window, when, and where its cursor stood."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """The part of a resource's history that one load covers, such as a partition: start included, end excluded.

    Bounds are texts (ISO 8601 for moments), so that a window is a key.
    """

    start: str
    end: str

    def __str__(self) -> str:
        return f"[{self.start}, {self.end})"


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
        cursor_before: The incremental state that extraction started from, JSON-like; None without a cursor.
    """

    unit: UnitKey
    number: int
    load_id: str
    committed_at: datetime
    host: str
    idempotency_key: str | None = None
    row_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    cursor_before: Any = None
    cursor_after: Any = None


def new_load_id(now: datetime) -> str:
    """A load id in dlt's shape, seconds with a fraction, whose last eight digits are random: unique on every machine.

    >>> from datetime import UTC
    >>> new_load_id(datetime(2026, 1, 1, tzinfo=UTC))[:17]
    '1767225600.000000'
    """
    return f"{int(now.timestamp())}.{now.microsecond:06d}{secrets.randbelow(10**8):08d}"
