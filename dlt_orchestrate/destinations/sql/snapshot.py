"""Queries of the system tables that are the same in every SQL database, and what is made of their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from dlt_orchestrate.destinations.sql.text import is_one_of, is_same
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.stored import snapshot_of
from dlt_orchestrate.load.system_tables import SYSTEM_TABLES_VERSION

IS_NEWER = f"system_tables_version > {SYSTEM_TABLES_VERSION:d}"
"""The condition that a commit was made by a newer release."""


def newest_state(scope: Scope, state: str, loads: str) -> str:
    """Query the newest state of the pipeline, of a completed load: `state`, its name, the document."""
    return (
        f"SELECT 'state', s.pipeline_name, s.state FROM {state} s WHERE {is_same('pipeline_name', scope.pipeline_name)} "
        f"AND EXISTS (SELECT 1 FROM {loads} l WHERE l.load_id = s._dlt_load_id AND l.status = 0) "
        "ORDER BY s.version DESC, s.created_at DESC LIMIT 1"
    )


def newest_load(loads: str) -> str:
    """Query the moment of the newest load of any pipeline: `moment`, an empty name, the moment as text."""
    return f"SELECT 'moment', '', max(inserted_at)::text FROM {loads}"


def newest_schemas(scope: Scope, version: str) -> str:
    """Query the newest schema of each source: `schema`, its name, the document."""
    wanted = f"WHERE {is_one_of('schema_name', scope.sources)} " if scope.sources else ""
    return (
        f"SELECT DISTINCT ON (schema_name) 'schema', schema_name, schema FROM {version} "
        f"{wanted}ORDER BY schema_name, inserted_at DESC, version DESC"
    )


def read(scope: Scope, commits: Iterable[Mapping[str, Any]], documents: Iterable[tuple[str, str, str | None]]) -> Snapshot:
    """What is stored of a pipeline.

    Args:
        commits: Rows of the commit table, as `load.stored.snapshot_of` wants them.
        documents: What the queries above found.

    Raises:
        SystemTablesNewerError: A newer release of this package wrote them.
    """
    found: dict[str, dict[str, str]] = {}
    for kind, name, text in documents:
        if text is not None:
            found.setdefault(kind, {})[name] = text
    moments = map(datetime.fromisoformat, found.get("moment", {}).values())
    return snapshot_of(scope, commits, found.get("state", {}).values(), found.get("schema", {}), next(moments, None))
