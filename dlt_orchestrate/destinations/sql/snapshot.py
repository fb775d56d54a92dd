"""Queries of the system tables that are the same in every SQL database."""

from __future__ import annotations

from dlt_orchestrate.destinations.sql.text import is_one_of, is_same
from dlt_orchestrate.flow.snapshot import Scope
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


def newest_schemas(scope: Scope, version: str) -> str:
    """Query the newest schema of each source: `schema`, its name, the document."""
    wanted = f"WHERE {is_one_of('schema_name', scope.sources)} " if scope.sources else ""
    return (
        f"SELECT DISTINCT ON (schema_name) 'schema', schema_name, schema FROM {version} "
        f"{wanted}ORDER BY schema_name, inserted_at DESC, version DESC"
    )
