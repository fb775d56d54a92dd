"""Reading state, schemas and commit numbers from the system tables of a dataset: one query, whatever it holds."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from dlt_orchestrate.destinations.postgresql.sql import POSTGRESQL, qualified
from dlt_orchestrate.destinations.sql.snapshot import IS_NEWER, newest_load, newest_schemas, newest_state, read
from dlt_orchestrate.destinations.sql.text import is_one_of, is_same, literal
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.system_tables import COMMITS, LOADS, STATE, VERSION

Rows = Callable[[str], list[tuple[Any, ...]]]


def tables_of_dataset(rows: Rows, dataset: str) -> dict[str, dict[str, str]]:
    """Every table of a dataset with its columns and their PostgreSQL types, in order."""
    found: dict[str, dict[str, str]] = {}
    for table, column, data_type in rows(POSTGRESQL.columns_of_dataset(dataset)):
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
    queries = [newest_load(qualified(scope.dataset_name, LOADS))]
    if COMMITS in present:
        queries.append(_commits(scope))
    if present >= {STATE, VERSION}:
        state, loads, version = (qualified(scope.dataset_name, table) for table in (STATE, LOADS, VERSION))
        queries += [newest_state(scope, state, loads), newest_schemas(scope, version)]
    found = rows(" UNION ALL ".join(f"({query})" for query in queries))
    commits = [_commit(text) for kind, _, text in found if kind == "commit"]
    return read(scope, commits, [row for row in found if row[0] != "commit"])


def has_load(dataset: str, load_id: str) -> str:
    """Query whether a load is completed."""
    return f"SELECT 1 FROM {qualified(dataset, LOADS)} WHERE load_id = {literal(load_id)} AND status = 0 LIMIT 1"


def _commits(scope: Scope) -> str:
    """The latest commit of each unit, every one made under one of the scope's keys, and all that a newer release made."""
    return (
        "SELECT 'commit', load_id, to_json(c)::text FROM (SELECT *, row_number() OVER (PARTITION BY source_name, "
        "resource_name, window_start, window_end ORDER BY commit_number DESC) AS recency "
        f"FROM {qualified(scope.dataset_name, COMMITS)} "
        f"WHERE {is_same('pipeline_name', scope.pipeline_name)} OR {IS_NEWER}) c "
        f"WHERE recency = 1 OR {IS_NEWER} OR {is_one_of('idempotency_key', scope.idempotency_keys)}"
    )


def _commit(text: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(text)
    return {**row, "committed_at": datetime.fromisoformat(row["committed_at"])}
