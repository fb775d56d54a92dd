"""Reading state, schemas and commit numbers from the system tables of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dlt_orchestrate.destinations.duckdb_file.sql import column_list, is_dataset, literal, literal_list, qualified
from dlt_orchestrate.errors import SystemTablesNewerError
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.system_tables import (
    COMMITS,
    LOADS,
    STATE,
    SYSTEM_TABLES,
    SYSTEM_TABLES_VERSION,
    VERSION,
    commit_record,
)
from dlt_orchestrate.schema.document import Schema, schema_from_json
from dlt_orchestrate.state.commits import CommitRecord, UnitKey
from dlt_orchestrate.state.document import decode_state

if TYPE_CHECKING:
    import duckdb

_COMMIT_COLUMNS = [column.name for column in SYSTEM_TABLES[COMMITS]]


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
    return Snapshot(
        exists=True,
        schemas={name: schema for name, schema in map(_schema, documents) if schema is not None},
        state=next((decode_state(text) for kind, _, text in documents if kind == "state"), {}),
        latest=_latest(records),
        repeated=_by_key(records, scope.idempotency_keys),
    )


def _tables(connection: duckdb.DuckDBPyConnection, dataset: str) -> dict[str, str]:
    """The tables of a dataset with their full names in SQL."""
    found = connection.execute(
        "SELECT database_name, table_name FROM duckdb_tables() "  # noqa: S608
        f"WHERE {is_dataset(dataset)} AND database_name = current_database()"
    ).fetchall()
    return {table: qualified(database, dataset, table) for database, table in found}


def _commits(connection: duckdb.DuckDBPyConnection, scope: Scope, commits: str) -> list[CommitRecord]:
    """The latest commit of each unit, and every commit made under one of the scope's keys."""
    found = connection.execute(
        f"SELECT {column_list(_COMMIT_COLUMNS)} FROM {commits} WHERE pipeline_name = {literal(scope.pipeline_name)} "  # noqa: S608
        f"QUALIFY list_contains({literal_list(scope.idempotency_keys)}, idempotency_key) OR row_number() OVER ("
        "PARTITION BY source_name, resource_name, window_start, window_end ORDER BY commit_number DESC) = 1"
    ).fetchall()
    rows = [dict(zip(_COMMIT_COLUMNS, values, strict=True)) for values in found]
    newest = max((row["system_tables_version"] for row in rows), default=0)
    if newest > SYSTEM_TABLES_VERSION:
        raise SystemTablesNewerError(dataset=scope.dataset_name, found=newest, known=SYSTEM_TABLES_VERSION)
    return [commit_record(row) for row in rows]


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


def _schema(document: tuple[str, str, str]) -> tuple[str, Schema | None]:
    kind, name, text = document
    return name, schema_from_json(text) if kind == "schema" else None


def _latest(records: list[CommitRecord]) -> dict[UnitKey, CommitRecord]:
    latest: dict[UnitKey, CommitRecord] = {}
    for record in sorted(records, key=lambda record: record.number):
        latest[record.unit] = record
    return latest


def _by_key(records: list[CommitRecord], keys: tuple[str, ...]) -> dict[str, tuple[CommitRecord, ...]]:
    found: dict[str, tuple[CommitRecord, ...]] = {}
    for record in records:
        if record.idempotency_key in keys and record.idempotency_key is not None:
            found[record.idempotency_key] = (*found.get(record.idempotency_key, ()), record)
    return found
