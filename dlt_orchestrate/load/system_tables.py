"""The tables that every dataset has beside its data: dlt's in dlt's shapes, and two of ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dlt_orchestrate.schema import types
from dlt_orchestrate.schema.table import LOAD_ID, ROW_ID, Column
from dlt_orchestrate.state.commits import CommitRecord, UnitKey, Window

SYSTEM_TABLES_VERSION = 1
"""Version of the shapes below; stands in every commit record, so that an older release refuses newer tables."""


def _text(name: str, *, nullable: bool = True) -> Column:
    return Column(name, types.TEXT, nullable)


def _number(name: str, *, nullable: bool = True) -> Column:
    return Column(name, types.BIGINT, nullable)


def _moment(name: str) -> Column:
    return Column(name, types.TIMESTAMP, nullable=False)


LOADS = "_dlt_loads"
VERSION = "_dlt_version"
STATE = "_dlt_pipeline_state"
COMMITS = "_dlt_commits"
REJECTS = "_dlt_rejects"

SYSTEM_TABLES: dict[str, tuple[Column, ...]] = {
    LOADS: (
        _text("load_id", nullable=False),
        _text("schema_name"),
        _number("status", nullable=False),
        _moment("inserted_at"),
        _text("schema_version_hash"),
    ),
    VERSION: (
        _number("version", nullable=False),
        _number("engine_version", nullable=False),
        _moment("inserted_at"),
        _text("schema_name", nullable=False),
        _text("version_hash", nullable=False),
        _text("schema", nullable=False),
    ),
    STATE: (
        _number("version", nullable=False),
        _number("engine_version", nullable=False),
        _text("pipeline_name", nullable=False),
        _text("state", nullable=False),
        _moment("created_at"),
        _text("version_hash"),
        _text(LOAD_ID, nullable=False),
        _text(ROW_ID, nullable=False),
    ),
    COMMITS: (
        _text("pipeline_name", nullable=False),
        _text("source_name", nullable=False),
        _text("resource_name", nullable=False),
        _text("window_start"),
        _text("window_end"),
        _number("commit_number", nullable=False),
        _text("load_id", nullable=False),
        _text("idempotency_key"),
        _text("row_counts", nullable=False),
        _text("cursor_before"),
        _text("cursor_after"),
        _text("host", nullable=False),
        _moment("committed_at"),
        _number("system_tables_version", nullable=False),
    ),
    REJECTS: (
        _text("load_id", nullable=False),
        _text("resource_name", nullable=False),
        _text("table_name", nullable=False),
        _text("row", nullable=False),
        _text("column_name"),
        _text("cause", nullable=False),
        _moment("rejected_at"),
    ),
}


def commit_record(row: Mapping[str, Any]) -> CommitRecord:
    """Read a row of `_dlt_commits`; columns that are null may be left out."""
    start = row.get("window_start")
    before, after = row.get("cursor_before"), row.get("cursor_after")
    return CommitRecord(
        unit=UnitKey(
            row["pipeline_name"],
            row["source_name"],
            row["resource_name"],
            Window(start, row["window_end"]) if start is not None else None,
        ),
        number=row["commit_number"],
        load_id=row["load_id"],
        committed_at=row["committed_at"],
        host=row["host"],
        idempotency_key=row.get("idempotency_key"),
        row_counts=json.loads(row["row_counts"]),
        cursor_before=json.loads(before) if before is not None else None,
        cursor_after=json.loads(after) if after is not None else None,
    )
