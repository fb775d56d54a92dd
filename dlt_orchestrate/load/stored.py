"""From rows of the system tables to the snapshot that a run is planned on: the same for every destination."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from dlt_orchestrate.errors import SystemTablesNewerError
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.system_tables import SYSTEM_TABLES_VERSION, commit_record
from dlt_orchestrate.schema.document import schema_from_json
from dlt_orchestrate.state.commits import CommitRecord, UnitKey
from dlt_orchestrate.state.document import decode_state


def snapshot_of(
    scope: Scope,
    commits: Iterable[Mapping[str, Any]],
    states: Iterable[str],
    schemas: Mapping[str, str],
    newest_at: datetime | None,
) -> Snapshot:
    """What is stored of a pipeline, in a dataset that has system tables.

    Args:
        commits: Rows of the commit table: the latest of each unit, all made under one of the scope's keys, and all that a
            newer release made, for whichever pipeline.
        states: The newest state document of the pipeline; nothing before the first.
        schemas: The newest schema document of each source.
        newest_at: The moment of the newest load record, of any pipeline.

    Raises:
        SystemTablesNewerError: A newer release of this package wrote them.
    """
    rows = list(commits)
    newest = max((row["system_tables_version"] for row in rows), default=0)
    if newest > SYSTEM_TABLES_VERSION:
        raise SystemTablesNewerError(dataset=scope.dataset_name, found=newest, known=SYSTEM_TABLES_VERSION)
    records = [commit_record(row) for row in rows if row["pipeline_name"] == scope.pipeline_name]
    return Snapshot(
        exists=True,
        schemas={name: schema_from_json(text) for name, text in schemas.items()},
        state=next((decode_state(text) for text in states), {}),
        latest=_latest(records),
        repeated=_by_key(records, scope.idempotency_keys),
        newest_at=newest_at.replace(tzinfo=newest_at.tzinfo or UTC) if newest_at is not None else None,
    )


def _latest(records: list[CommitRecord]) -> dict[UnitKey, CommitRecord]:
    return {record.unit: record for record in sorted(records, key=lambda record: record.number)}


def _by_key(records: list[CommitRecord], keys: tuple[str, ...]) -> dict[str, tuple[CommitRecord, ...]]:
    found: dict[str, tuple[CommitRecord, ...]] = {}
    for record in records:
        if record.idempotency_key in keys and record.idempotency_key is not None:
            found[record.idempotency_key] = (*found.get(record.idempotency_key, ()), record)
    return found
