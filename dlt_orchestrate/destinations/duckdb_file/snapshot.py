"""Reading state, schemas and commit numbers from the system tables of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.destinations.duckdb_file.sql import is_dataset, qualified
from dlt_orchestrate.destinations.sql.snapshot import IS_NEWER, newest_load, newest_schemas, newest_state, read
from dlt_orchestrate.destinations.sql.text import is_one_of, is_same
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.system_tables import COMMITS, LOADS, STATE, VERSION

if TYPE_CHECKING:
    import duckdb


def tables_of(connection: duckdb.DuckDBPyConnection, dataset: str) -> dict[str, str]:
    """The tables of a dataset with their full names in SQL."""
    found = connection.execute(
        "SELECT database_name, table_name FROM duckdb_tables() "
        f"WHERE {is_dataset(dataset)} AND database_name = current_database()"
    ).fetchall()
    return {table: qualified(database, dataset, table) for database, table in found}


def read_snapshot(connection: duckdb.DuckDBPyConnection, scope: Scope, present: Mapping[str, str]) -> Snapshot:
    """Read what a run needs to know; two queries, none where the dataset has no system tables yet.

    Args:
        present: What `tables_of` finds.

    Raises:
        SystemTablesNewerError: A newer release of this package wrote them.
    """
    if LOADS not in present:
        return Snapshot()
    queries = [newest_load(present[LOADS])]
    if present.keys() >= {STATE, VERSION}:
        queries += [newest_state(scope, present[STATE], present[LOADS]), newest_schemas(scope, present[VERSION])]
    documents = connection.execute(" UNION ALL ".join(f"({query})" for query in queries)).fetchall()
    return read(scope, _commits(connection, scope, present[COMMITS]) if COMMITS in present else [], documents)


def _commits(connection: duckdb.DuckDBPyConnection, scope: Scope, commits: str) -> list[dict[str, Any]]:
    """The latest commit of each unit, every commit made under one of the scope's keys, and all that a newer release made.

    All columns that there are, since an older release may have made fewer of them.
    """
    # Each commit under one of the keys is a group of its own. A grouping takes half the time of a window function.
    found = connection.execute(
        f"SELECT max_by(c, commit_number) FROM {commits} c "
        f"WHERE {is_same('pipeline_name', scope.pipeline_name)} OR {IS_NEWER} "
        f"GROUP BY source_name, resource_name, window_start, window_end, {IS_NEWER}, "
        f"CASE WHEN {is_one_of('idempotency_key', scope.idempotency_keys)} THEN commit_number END"
    ).fetchall()
    return [row for (row,) in found]
