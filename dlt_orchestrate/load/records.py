"""What remembers a commit: rejects, state, schemas, commit records and load records; and how long they are kept."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import datetime

from dlt_orchestrate.flow.operation import (
    AddColumns,
    CreateTable,
    DeleteOld,
    InsertRows,
    Operation,
)
from dlt_orchestrate.flow.package import LoadPackage, ResourceLoad, TableCounts
from dlt_orchestrate.load import system_tables
from dlt_orchestrate.load.plan import CommitPlan
from dlt_orchestrate.load.rows import FixedRows
from dlt_orchestrate.load.system_tables import SYSTEM_TABLES, SYSTEM_TABLES_VERSION
from dlt_orchestrate.schema.document import ENGINE_VERSION, schema_to_json
from dlt_orchestrate.schema.table import LOAD_ID
from dlt_orchestrate.state.commits import UnitKey
from dlt_orchestrate.state.document import (
    STATE_ENGINE_VERSION,
    encode_state,
)


def system_definitions(present: Mapping[str, Collection[str]]) -> Iterable[Operation]:
    """Create the system tables that are not there yet, and the columns that those of an older release or dlt lack.

    Args:
        present: The columns of each system table that is there.
    """
    for name, columns in SYSTEM_TABLES.items():
        if name not in present:
            yield CreateTable(name, columns)
        elif missing := tuple(replace(column, nullable=True) for column in columns if column.name not in present[name]):
            yield AddColumns(name, missing)


def retention_operations(package: LoadPackage) -> Iterable[DeleteOld]:
    """Remove the records that the package's retention lets go; states go before the loads that they refer to."""
    kept, now = package.retention, package.created_at
    if kept.rejects is not None:
        yield DeleteOld(system_tables.REJECTS, "rejected_at", now - kept.rejects)
    if kept.commits is not None:
        unit = system_tables.UNIT
        yield DeleteOld(system_tables.COMMITS, "committed_at", now - kept.commits, unit, "commit_number")
    if kept.loads is not None:
        yield DeleteOld(system_tables.STATE, "created_at", now - kept.loads, ("pipeline_name",), "version")
        referring = ((system_tables.STATE, LOAD_ID), (system_tables.COMMITS, "load_id"))
        yield DeleteOld(
            system_tables.LOADS, "inserted_at", now - kept.loads, ("schema_name",), None, ("load_id", referring)
        )


def record_operations(
    package: LoadPackage, plan: CommitPlan, counts: Mapping[UnitKey, Mapping[str, TableCounts]], at: datetime
) -> Iterable[Operation]:
    """Insert what remembers the commit: rejects, state, schemas, commit records, and the load records last.

    Args:
        at: The moment of the commit.
    """
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in SYSTEM_TABLES}
    for reject in (reject for load in plan.loads for reject in load.rejects):
        rows[system_tables.REJECTS].append(
            (package.load_id, reject.resource, reject.table, reject.row, reject.column, reject.cause, at)
        )
    of_resets = [ResourceLoad(unit, base_commit=number, begins_anew=True) for unit, number in plan.reset_units.items()]
    for load in (*plan.loads, *of_resets):
        unit = load.unit
        if not load.changes_anything:
            continue
        touched = {name: asdict(done) for name, done in counts.get(unit, {}).items()}
        if load.rejects:
            touched[system_tables.REJECTS] = asdict(TableCounts(loaded=len(load.rejects), inserted=len(load.rejects)))
        rows[system_tables.COMMITS].append(
            (
                *system_tables.unit_columns(unit).values(),
                load.base_commit + 1,
                package.load_id,
                load.idempotency_key,
                json.dumps(touched),
                _json_or_none(load.cursor_before),
                _json_or_none(load.cursor_after),
                package.host,
                at,
                SYSTEM_TABLES_VERSION,
                load.earlier.to_text(own_rows=load.rows_extracted) if load.earlier is not None else None,
            )
        )
    if plan.state is not None:
        state = plan.state
        rows[system_tables.STATE].append(
            (
                state["_state_version"],
                STATE_ENGINE_VERSION,
                package.pipeline_name,
                encode_state(state),
                at,
                state["_version_hash"],
                package.load_id,
                f"{package.load_id}.state",
            )
        )
    for source, schema in plan.schemas.items():
        if source in plan.changed_schemas:
            document = schema_to_json(schema)
            rows[system_tables.VERSION].append((schema.version, ENGINE_VERSION, at, source, schema.content_hash, document))
        rows[system_tables.LOADS].append((package.load_id, source, 0, at, schema.content_hash))
    order = (
        system_tables.REJECTS, system_tables.STATE, system_tables.VERSION, system_tables.COMMITS, system_tables.LOADS,
    )  # fmt: skip
    for table in order:
        if rows[table]:
            yield InsertRows(table, FixedRows(SYSTEM_TABLES[table], rows[table]))


def _json_or_none(value: object) -> str | None:
    return None if value is None else json.dumps(value, default=str)
