"""What a destination holds of a pipeline, as read before extraction or under the commit lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.state.commits import CommitRecord, UnitKey


@dataclass(frozen=True, slots=True)
class Scope:
    """Which part of a destination a run concerns.

    Attributes:
        sources: Names of the sources whose schemas are wanted; empty for all.
        idempotency_keys: Keys to look up among earlier commits.
    """

    pipeline_name: str
    dataset_name: str
    sources: tuple[str, ...] = ()
    idempotency_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a run needs to know of the destination.

    Attributes:
        exists: Whether the dataset has system tables.
        schemas: Newest stored schema of each source.
        state: The newest state document of the pipeline, decoded; empty before the first load.
        latest: The latest commit of each unit of the pipeline.
        repeated: Commits that were made under one of the scope's idempotency keys, by key.
        newest_at: The moment of the newest load of the dataset, whichever pipeline's.
    """

    exists: bool = False
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    latest: Mapping[UnitKey, CommitRecord] = field(default_factory=dict)
    repeated: Mapping[str, tuple[CommitRecord, ...]] = field(default_factory=dict)
    newest_at: datetime | None = None

    def succeeding(self, moment: datetime) -> datetime:
        """The moment of a commit that is made now, after all others: clocks differ, and who began first may commit last."""
        return moment if self.newest_at is None else max(moment, self.newest_at + timedelta(microseconds=1))

    def commit_number(self, unit: UnitKey) -> int:
        """The number of the unit's latest commit; 0 before the first."""
        record = self.latest.get(unit)
        return record.number if record else 0
