"""Reading state, schemas and commit numbers from the system tables of a dataset: one query, whatever it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from dlt_orchestrate.destinations.postgresql.sql import columns_of_dataset, literal, literal_list, qualified
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.stored import snapshot_of
from dlt_orchestrate.load.system_tables import COMMITS, LOADS, STATE, SYSTEM_TABLES_VERSION, VERSION

Rows = Callable[[str], list[tuple[Any, ...]]]


def tables_of_dataset(rows: Rows, dataset: str) -> dict[str, dict[str, str]]:
    """Every table of a dataset with its columns and their PostgreSQL types, in order."""
    found: dict[str, dict[str, str]] = {}
    for table, column, data_type in rows(columns_of_dataset(dataset)):
        found.setdefault(table, {})[column] = data_type
    return found


def read_snapshot(rows: Rows, scope: Scope, present: frozenset[str]) -> Snapshot:
    """Read what a run needs to know.

    Args:
        rows: Runs a query.
        present: The tables that are there, at least those of the system.

    Raises:
        SystemTablesNewerError: A newer release of this package wrote them.
    """
    if LOADS not in present:
        return Snapshot()
    queries = []
    if COMMITS in present:
        queries.append(_commits(scope))
    if present >= {STATE, VERSION}:
        queries += [_state(scope), _schemas(scope)]
    found = rows(" UNION ALL ".join(f"({query})" for query in queries)) if queries else []
    return snapshot_of(
        scope,
        [_commit(text) for kind, _, text in found if kind == "commit"],
        [text for kind, _, text in found if kind == "state"],
        {name: text for kind, name, text in found if kind == "schema"},
    )


def has_load(dataset: str, load_id: str) -> str:
    """Query whether a load is completed."""
    return f"SELECT 1 FROM {qualified(dataset, LOADS)} WHERE load_id = {literal(load_id)} AND status = 0 LIMIT 1"  # noqa: S608


def _commits(scope: Scope) -> str:
    """The latest commit of each unit, every one made under one of the scope's keys, and all that a newer release made."""
    is_newer = f"system_tables_version > {SYSTEM_TABLES_VERSION:d}"
    return (
        "SELECT 'commit', load_id, to_json(c)::text FROM (SELECT *, row_number() OVER (PARTITION BY source_name, "  # noqa: S608
        "resource_name, window_start, window_end ORDER BY commit_number DESC) AS recency "
        f"FROM {qualified(scope.dataset_name, COMMITS)} "
        f"WHERE pipeline_name = {literal(scope.pipeline_name)} OR {is_newer}) c "
        f"WHERE recency = 1 OR {is_newer} OR idempotency_key = ANY({literal_list(scope.idempotency_keys)})"
    )


def _state(scope: Scope) -> str:
    """The newest state of the pipeline, of a completed load."""
    state, loads = qualified(scope.dataset_name, STATE), qualified(scope.dataset_name, LOADS)
    return (
        f"SELECT 'state', s.pipeline_name, s.state FROM {state} s "  # noqa: S608
        f"WHERE s.pipeline_name = {literal(scope.pipeline_name)} "
        f"AND EXISTS (SELECT FROM {loads} l WHERE l.load_id = s._dlt_load_id AND l.status = 0) "
        "ORDER BY s.version DESC, s.created_at DESC LIMIT 1"
    )


def _schemas(scope: Scope) -> str:
    """The newest schema of each source."""
    wanted = f"WHERE schema_name = ANY({literal_list(scope.sources)}) " if scope.sources else ""
    return (
        f"SELECT DISTINCT ON (schema_name) 'schema', schema_name, schema FROM {qualified(scope.dataset_name, VERSION)} "  # noqa: S608
        f"{wanted}ORDER BY schema_name, inserted_at DESC, version DESC"
    )


def _commit(text: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(text)
    return {**row, "committed_at": datetime.fromisoformat(row["committed_at"])}
