"""Reading state, schemas and commit numbers from the system tables of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.destinations.duckdb_file.sql import is_dataset, literal, literal_list, qualified
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.stored import snapshot_of
from dlt_orchestrate.load.system_tables import COMMITS, LOADS, STATE, SYSTEM_TABLES_VERSION, VERSION

if TYPE_CHECKING:
    import duckdb


def read_snapshot(connection: duckdb.DuckDBPyConnection, scope: Scope) -> Snapshot:
    """Read what a run needs to know; three queries, fewer where the dataset has no system tables yet.

    Raises:
        SystemTablesNewerError: A newer release of this package wrote them.
    """
    present = _tables(connection, scope.dataset_name)
    if LOADS not in present:
        return Snapshot()
    records = _commits(connection, scope, present[COMMITS]) if COMMITS in present else []
    documents = _documents(connection, scope, present) if present.keys() >= {STATE, VERSION} else []
    return snapshot_of(
        scope,
        records,
        [text for kind, _, text in documents if kind == "state"],
        {name: text for kind, name, text in documents if kind == "schema"},
    )


def _tables(connection: duckdb.DuckDBPyConnection, dataset: str) -> dict[str, str]:
    """The tables of a dataset with their full names in SQL."""
    found = connection.execute(
        "SELECT database_name, table_name FROM duckdb_tables() "  # noqa: S608
        f"WHERE {is_dataset(dataset)} AND database_name = current_database()"
    ).fetchall()
    return {table: qualified(database, dataset, table) for database, table in found}


def _commits(connection: duckdb.DuckDBPyConnection, scope: Scope, commits: str) -> list[dict[str, Any]]:
    """The latest commit of each unit, every commit made under one of the scope's keys, and all that a newer release made.

    All columns that there are, since an older release may have made fewer of them.
    """
    is_newer = f"system_tables_version > {SYSTEM_TABLES_VERSION:d}"
    # Each commit under one of the keys is a group of its own. A grouping takes half the time of a window function.
    found = connection.execute(
        f"SELECT max_by(c, commit_number) FROM {commits} c "  # noqa: S608
        f"WHERE pipeline_name = {literal(scope.pipeline_name)} OR {is_newer} "
        f"GROUP BY source_name, resource_name, window_start, window_end, {is_newer}, "
        f"CASE WHEN list_contains({literal_list(scope.idempotency_keys)}, idempotency_key) THEN commit_number END"
    ).fetchall()
    return [row for (row,) in found]


def _documents(
    connection: duckdb.DuckDBPyConnection, scope: Scope, tables: Mapping[str, str]
) -> list[tuple[str, str, str]]:
    """The newest state of the pipeline and the newest schema of each source, of completed loads."""
    state, loads, version = tables[STATE], tables[LOADS], tables[VERSION]
    return connection.execute(
        f"(SELECT 'state', s.pipeline_name, s.state FROM {state} s SEMI JOIN {loads} l "  # noqa: S608
        f"ON l.load_id = s._dlt_load_id AND l.status = 0 WHERE s.pipeline_name = {literal(scope.pipeline_name)} "
        "ORDER BY s.version DESC, s.created_at DESC LIMIT 1) "
        "UNION ALL (SELECT 'schema', schema_name, schema FROM "
        f"{version} WHERE {'true' if not scope.sources else f'list_contains({literal_list(scope.sources)}, schema_name)'} "
        "QUALIFY row_number() OVER (PARTITION BY schema_name ORDER BY inserted_at DESC, version DESC) = 1)"
    ).fetchall()
