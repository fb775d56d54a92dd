"""The tables that every dataset has beside its data: dlt's in dlt's shapes, and two of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dlt_orchestrate.schema.system import DLT_TABLES, LOADS, STATE, VERSION, moment, number, text
from dlt_orchestrate.schema.table import Column
from dlt_orchestrate.state.commits import CommitRecord, UnitKey, Window
from dlt_orchestrate.state.parts import EarlierParts

SYSTEM_TABLES_VERSION = 2
"""Version of the shapes below; stands in every commit record, so that an older release refuses newer tables.

A new version adds tables and columns, which the first commit that meets older ones makes; it renames and removes none.
Version 2 commits in parts: an older release would begin an unfinished extraction anew, and append its rows twice.
"""


COMMITS = "_dlt_commits"
UNIT = ("pipeline_name", "source_name", "resource_name", "window_start", "window_end")
"""The columns of `COMMITS` that name a unit."""
REJECTS = "_dlt_rejects"

SYSTEM_TABLES: dict[str, tuple[Column, ...]] = {
    **DLT_TABLES,
    COMMITS: (
        text("pipeline_name", nullable=False),
        text("source_name", nullable=False),
        text("resource_name", nullable=False),
        text("window_start"),
        text("window_end"),
        number("commit_number", nullable=False),
        text("load_id", nullable=False),
        text("idempotency_key"),
        text("row_counts", nullable=False),
        text("cursor_before"),
        text("cursor_after"),
        text("host", nullable=False),
        moment("committed_at"),
        number("system_tables_version", nullable=False),
        text("earlier_parts"),
    ),
    REJECTS: (
        text("load_id", nullable=False),
        text("resource_name", nullable=False),
        text("table_name", nullable=False),
        text("row", nullable=False),
        text("column_name"),
        text("cause", nullable=False),
        moment("rejected_at"),
    ),
}

__all__ = [
    "COMMITS",
    "LOADS",
    "REJECTS",
    "STATE",
    "SYSTEM_TABLES",
    "SYSTEM_TABLES_VERSION",
    "UNIT",
    "VERSION",
    "commit_record",
    "unit_columns",
]


def unit_columns(unit: UnitKey) -> dict[str, str | None]:
    """What `_dlt_commits` says of a unit; `commit_record` reads it again."""
    texts = unit.window.to_texts() if unit.window else (None, None)
    return dict(zip(UNIT, (unit.pipeline, unit.source, unit.resource, *texts), strict=True))


def commit_record(row: Mapping[str, Any]) -> CommitRecord:
    """Read a row of `_dlt_commits`; columns that are null may be left out."""
    unit: list[Any] = [row.get(name) for name in UNIT]
    pipeline, source, resource, start, end = unit
    before, after = row.get("cursor_before"), row.get("cursor_after")
    earlier = row.get("earlier_parts")
    row_counts = json.loads(row["row_counts"])
    rejected = row_counts.pop(REJECTS, {})
    return CommitRecord(
        unit=UnitKey(pipeline, source, resource, Window.from_texts(start, end) if start is not None else None),
        number=row["commit_number"],
        load_id=row["load_id"],
        committed_at=row["committed_at"],
        host=row["host"],
        idempotency_key=row.get("idempotency_key"),
        row_counts=row_counts,
        rows_rejected=rejected.get("inserted", 0),
        cursor_before=json.loads(before) if before is not None else None,
        cursor_after=json.loads(after) if after is not None else None,
        earlier=EarlierParts.from_text(earlier) if earlier is not None else None,
    )
