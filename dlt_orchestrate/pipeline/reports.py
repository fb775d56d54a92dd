"""From commits to reports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.flow.package import CommitResult, TableCounts
from dlt_orchestrate.flow.snapshot import Snapshot
from dlt_orchestrate.load.system_tables import STATE
from dlt_orchestrate.pipeline.extraction import Extracted
from dlt_orchestrate.pipeline.info import LoadPackageInfo, NormalizeInfo, ResourceReport
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.jsonpath import parse_path
from dlt_orchestrate.schema.naming import Naming
from dlt_orchestrate.schema.table import Column
from dlt_orchestrate.state.commits import CommitRecord, UnitKey
from dlt_orchestrate.state.parts import EarlierParts, added


def package_info(result: CommitResult) -> LoadPackageInfo:
    """What the load info says of one commit."""
    return LoadPackageInfo(
        load_id=result.load_id,
        schema_names=tuple(result.schemas),
        completed_at=result.committed_at,
        tables=result.new_columns,
    )


def normalize_info(results: Iterable[CommitResult]) -> NormalizeInfo:
    """Rows by table over all commits of a run, before de-duplication."""
    counts: dict[str, int] = {}
    ids = []
    for result in results:
        ids.append(result.load_id)
        if result.state_changed:
            counts[STATE] = counts.get(STATE, 0) + 1
        for table, rows in result.package_rows.items():
            counts[table] = counts.get(table, 0) + rows
    return NormalizeInfo(row_counts=dict(sorted(counts.items())), loads_ids=tuple(ids))


def of_extracted(
    extracted: Extracted,
    result: CommitResult | None,
    snapshot: Snapshot,
    naming: Naming,
    parts: Sequence[CommitResult] = (),
) -> ResourceReport:
    """The report of a resource that was extracted.

    Args:
        result: What its commit did, the last one if there were several; None if there was nothing to commit.
        parts: What was committed at its checkpoints, in this run.
    """
    unit = extracted.load.unit
    latest = snapshot.latest.get(unit)
    load = result.loads.get(unit, extracted.load) if result else extracted.load
    schema = result.schemas.get(unit.source) if result else snapshot.schemas.get(unit.source)
    tables = dict(result.tables_of_unit.get(unit, {})) if result else _unchanged(latest)
    earlier = extracted.load.earlier or EarlierParts()
    if result and not result.repeated:
        tables = _with_earlier(earlier, tables)
    report = ResourceReport(
        source=unit.source,
        resource=unit.resource,
        table=_root(tables, schema, extracted, naming),
        load_id=result.load_id if result else (latest.load_id if latest else None),
        load_ids=(*earlier.load_ids, result.load_id) if result else (),
        checkpoints=earlier.loads,
        changed=result is not None and not result.repeated,
        repeated=result is not None and result.repeated,
        rows_rejected=earlier.rejected + len(load.rejects) if result else 0,
        primary_key=load.tables[0].hints.primary_key if load.tables and load.tables[0].hints else (),
        cursor_path=extracted.cursor_path,
        cursor_before=extracted.cursor_before,
        cursor_after=load.cursor_after,
        seconds=dict(load.seconds),
        pages=extracted.pages,
        http=extracted.http,
        rejects=load.rejects,
        warnings=tuple(dict.fromkeys(text for done in (*parts, result) for text in done.warnings))
        if result
        else load.warnings,
        committed_at=result.committed_at if result else (latest.committed_at if latest else None),
        refusals=extracted.refusals,
        bytes=extracted.bytes_of_parts + sum(table.spool.byte_count for table in load.tables),
    )
    known = snapshot.schemas.get(unit.source)
    if result is not None and known is not None and report.table in known.tables:
        changes: dict[str, dict[str, str]] = {}
        for done in (*parts, result):
            for name, found in done.new_columns.items():
                if name in tables:
                    changes.setdefault(name, {}).update(found)
        report = replace(report, new_columns=changes)
    return _with_tables(report, tables, schema, _cursor_column(load.cursor_path, naming))


def of_repeated(
    unit: UnitKey, record: CommitRecord, snapshot: Snapshot, resource: Resource, naming: Naming
) -> ResourceReport:
    """The report of a load that the same attempt had committed before."""
    cursor_path = resource.incremental.cursor_path if resource.incremental else None
    earlier = record.earlier or EarlierParts()
    tables = _with_earlier(earlier, {name: TableCounts(**counts) for name, counts in record.row_counts.items()})
    report = ResourceReport(
        source=unit.source,
        resource=unit.resource,
        table=next(iter(tables), unit.resource),
        load_id=record.load_id,
        load_ids=(*earlier.load_ids, record.load_id),
        checkpoints=earlier.loads,
        changed=False,
        repeated=True,
        primary_key=resource.primary_key,
        cursor_path=cursor_path,
        rows_rejected=earlier.rejected + record.rows_rejected,
        cursor_before=record.cursor_before,
        cursor_after=record.cursor_after,
        committed_at=record.committed_at,
    )
    return _with_tables(report, tables, snapshot.schemas.get(unit.source), _cursor_column(cursor_path, naming))


def _with_earlier(earlier: EarlierParts, tables: Mapping[str, TableCounts]) -> dict[str, TableCounts]:
    """What all parts of an extraction did to each table."""
    own = {name: asdict(counts) for name, counts in tables.items()}
    return {name: TableCounts(**counts) for name, counts in added(earlier.row_counts, own).items()}


def _cursor_column(cursor_path: str | None, naming: Naming) -> str | None:
    """The name of the column that holds what a cursor reads; None if the path is not one of keys."""
    steps = parse_path(cursor_path) if cursor_path else ()
    path = tuple(step for step in steps if isinstance(step, str))
    return naming.path(path) if path and len(path) == len(steps) else None


def _with_tables(
    report: ResourceReport, tables: dict[str, TableCounts], schema: Schema | None, cursor_column: str | None
) -> ResourceReport:
    columns = _columns(schema, report.table)
    known = schema.tables if schema else {}
    # Tables that the commit dropped for good are known no more; they may have been nested ones.
    roots = [c for name, c in tables.items() if (known[name].parent is None if name in known else name == report.table)]
    return replace(
        report,
        tables=tables,
        rows_loaded=sum(counts.loaded for counts in roots),
        rows_inserted=sum(counts.inserted for counts in roots),
        rows_updated=sum(counts.updated for counts in roots),
        rows_deleted=sum(counts.deleted for counts in roots),
        total_rows=sum(counts.total for counts in roots),
        columns=columns,
        cursor_column=cursor_column if any(column.name == cursor_column for column in columns) else None,
        nested_columns={
            name: tuple(known[name].columns.values()) for name in tables if name in known and known[name].parent
        },
    )


def _unchanged(latest: CommitRecord | None) -> dict[str, TableCounts]:
    """The tables of the latest commit: nothing was done to them, their totals stand."""
    if latest is None:
        return {}
    return {name: TableCounts(total=counts.get("total", 0)) for name, counts in latest.row_counts.items()}


def _root(tables: dict[str, TableCounts], schema: Schema | None, extracted: Extracted, naming: Naming) -> str:
    known = schema.tables if schema else {}
    roots = [name for name in tables if name not in known or known[name].parent is None]
    if roots:
        return roots[0]
    table_name = extracted.resource.table_name
    return naming.table((table_name if isinstance(table_name, str) else extracted.resource.name,))


def _columns(schema: Schema | None, table: str) -> tuple[Column, ...]:
    found = schema.tables.get(table) if schema else None
    return tuple(found.columns.values()) if found else ()
