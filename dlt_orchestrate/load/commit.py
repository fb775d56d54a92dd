"""What every destination does inside the one transaction of a commit, whatever its database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from dlt_orchestrate.faults import faultpoint
from dlt_orchestrate.flow.operation import ForgetAttempts
from dlt_orchestrate.flow.package import CommitResult, LoadPackage, TableCounts
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.plan import plan_commit
from dlt_orchestrate.load.records import record_operations, retention_operations, system_definitions
from dlt_orchestrate.load.system_tables import SYSTEM_TABLES
from dlt_orchestrate.load.totals import RowTotals
from dlt_orchestrate.protocols.destination import Transaction
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.state.commits import UnitKey


def commit_in(transaction: Transaction, package: LoadPackage, capabilities: Capabilities) -> CommitResult:
    """Read, compare, plan and carry out one package; the caller commits or rolls back.

    Raises:
        CommitConflictError: A unit moved on since the package was planned.
        StateConflictError, SchemaError: The package does not fit what is stored.
    """
    keys = tuple(dict.fromkeys(load.idempotency_key for load in package.loads if load.idempotency_key))
    # The schemas of all sources are read: they may know nested tables below one that this package fills.
    snapshot = transaction.snapshot(Scope(package.pipeline_name, package.dataset_name, idempotency_keys=keys))
    earlier = _earlier(package, snapshot)
    if earlier is not None:
        return earlier
    committed_at = snapshot.succeeding(package.created_at)
    plan = plan_commit(package, snapshot, transaction, capabilities)
    present = {name: columns for name in SYSTEM_TABLES if (columns := transaction.columns(name)) is not None}
    for operation in system_definitions(present):
        faultpoint("commit.before_system_table")
        transaction.carry_out(operation)
    done: dict[UnitKey, dict[str, TableCounts]] = {
        **{unit: {} for unit in plan.reset_units},
        **{unit: dict.fromkeys(names, TableCounts()) for unit, names in plan.tables_of_unit.items()},
    }
    totals = RowTotals()
    for unit, operation in plan.resets:
        faultpoint("commit.before_operation")
        effect = transaction.carry_out(operation)
        totals.add(operation, effect)
        _add(done[unit], effect)
    for operation in plan.definitions:
        faultpoint("commit.before_operation")
        totals.add(operation, transaction.carry_out(operation))
    for unit, operation in plan.writes:
        faultpoint("commit.before_operation")
        effect = transaction.carry_out(operation)
        totals.add(operation, effect)
        _add(done[unit], effect)
    rows = {name: totals.of(name, transaction) for name in {name: None for counts in done.values() for name in counts}}
    by_unit = {
        unit: {name: replace(of_table, total=rows[name]) for name, of_table in counts.items()}
        for unit, counts in done.items()
    }
    pruned: dict[str, int] = {}
    for operation in (*map(ForgetAttempts, plan.forgotten), *record_operations(package, plan, by_unit, committed_at)):
        faultpoint("commit.before_record")
        transaction.carry_out(operation)
    for removal in retention_operations(package):
        faultpoint("commit.before_record")
        pruned |= {table: done.deleted for table, done in transaction.carry_out(removal).items()}
    return CommitResult(
        load_id=package.load_id,
        committed_at=committed_at,
        tables=_by_table(by_unit.values()),
        tables_of_unit=by_unit,
        new_columns=plan.new_columns,
        replanned=plan.replanned,
        warnings=plan.warnings,
        package_rows=plan.package_rows,
        schemas=plan.schemas,
        loads={load.unit: load for load in plan.loads},
        state_changed=plan.state is not None,
        pruned=pruned,
    )


def _earlier(package: LoadPackage, snapshot: Snapshot) -> CommitResult | None:
    """The result of the commits that the same attempt made before, if it made those of every unit."""
    made = {(key, record.unit): record for key, records in snapshot.repeated.items() for record in records}
    found = [made.get((load.idempotency_key or "", load.unit)) for load in package.loads]
    records = [record for record in found if record is not None]
    if not records or len(records) < len(found):
        return None
    by_unit = {
        record.unit: {name: TableCounts(**counts) for name, counts in record.row_counts.items()} for record in records
    }
    return CommitResult(
        load_id=records[0].load_id,
        committed_at=records[0].committed_at,
        tables=_by_table(by_unit.values()),
        tables_of_unit=by_unit,
        repeated=True,
    )


def _by_table(of_units: Iterable[Mapping[str, TableCounts]]) -> dict[str, TableCounts]:
    """What the units did to each table together."""
    found: dict[str, TableCounts] = {}
    for counts in of_units:
        _add(found, counts)
    return found


def _add(counts: dict[str, TableCounts], effect: Mapping[str, TableCounts]) -> None:
    """Add what was done to each table; totals are not summed, the later one stands."""
    for name, done in effect.items():
        before = counts.get(name, TableCounts())
        counts[name] = TableCounts(
            loaded=before.loaded + done.loaded,
            inserted=before.inserted + done.inserted,
            updated=before.updated + done.updated,
            deleted=before.deleted + done.deleted,
            total=done.total,
        )
