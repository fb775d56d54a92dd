"""What a run reports: the load info that `run()` returns, and what each resource contributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.package import Reject, TableCounts
from dlt_orchestrate.http.traffic import TrafficCounts
from dlt_orchestrate.schema.table import Column


@dataclass(frozen=True, slots=True)
class ResourceReport:
    """What one resource did in a run.

    Attributes:
        table: Its root table in the destination.
        load_id: The load that committed it; with nothing new that of its latest commit, None before the first.
        load_ids: All loads that committed it, in order, or the newest of very many: those at checkpoints, also of runs that
            failed, and the last.
        checkpoints: How often it was committed before its end.
        changed: Whether this run changed the destination.
        repeated: The same attempt had committed before (by its idempotency key): nothing was extracted.
        rows_loaded: Rows of its root tables, mostly one, after de-duplication; `rows_inserted` of these were new,
            `rows_updated` replaced stored ones.
        rows_rejected: Rows that this load put into `_dlt_rejects`.
        total_rows: Rows of the root tables after the run.
        tables: Counts of every table of the resource, root first.
        columns: The root table's columns after the run; `nested_columns` those of its nested tables.
        cursor_before, cursor_after: The incremental cursor; None without one.
        cursor_column: The column of the root table that the resource's own cursor reads; None if there is none.
        seconds: Wall seconds by step: `extract`, `normalize`, `load`.
        bytes: Size of the rows that were loaded, nested ones included, in memory and uncompressed.
        http: What was asked for over HTTP; None if that was nothing, or nothing that this package's clients know of.
        new_columns: Columns that the load added or widened, with their types, by table; empty if it made the root table.
        refusals: Columns or chunks that normalize could not take on its fast path, by reason.
    """

    source: str
    resource: str
    table: str
    load_id: str | None = None
    load_ids: tuple[str, ...] = ()
    checkpoints: int = 0
    changed: bool = False
    repeated: bool = False
    rows_loaded: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_deleted: int = 0
    rows_rejected: int = 0
    total_rows: int = 0
    tables: Mapping[str, TableCounts] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    nested_columns: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)
    primary_key: tuple[str, ...] = ()
    cursor_path: str | None = None
    cursor_before: Any = None
    cursor_after: Any = None
    cursor_column: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    pages: int = 0
    http: TrafficCounts | None = None
    rejects: tuple[Reject, ...] = ()
    warnings: tuple[str, ...] = ()
    committed_at: datetime | None = None
    refusals: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0
    new_columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadPackageInfo:
    """One committed package.

    Attributes:
        tables: New and widened columns with their types, by table.
    """

    load_id: str
    schema_names: tuple[str, ...]
    completed_at: datetime
    tables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    state: str = "loaded"

    def __str__(self) -> str:
        return f"Load package {self.load_id} is {self.state.upper()} and contains no failed jobs"


@dataclass(frozen=True, slots=True)
class NormalizeInfo:
    """What normalize made of the extracted records.

    Attributes:
        row_counts: Rows by table, before de-duplication; `_dlt_pipeline_state` stands among them when the state changed.
        refusals: Columns and chunks of records that were too irregular for the fast path, by reason.
    """

    row_counts: Mapping[str, int] = field(default_factory=dict)
    loads_ids: tuple[str, ...] = ()
    refusals: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.row_counts:
            return "No data found to normalize"
        lines = ["Normalized data for the following tables:"]
        lines += [f"- {table}: {rows} row(s)" for table, rows in self.row_counts.items()]
        if self.refusals:
            lines += ["Not on the fast path:", *(f"- {reason}: {count} time(s)" for reason, count in self.refusals.items())]
        packages = [f"Load package {load_id} is NORMALIZED and LOADED" for load_id in self.loads_ids]
        return "\n".join([*lines, "", *packages])


@dataclass(frozen=True, slots=True)
class ExtractInfo:
    """What was extracted: records, pages and requests by resource."""

    row_counts: Mapping[str, int] = field(default_factory=dict)
    pages: Mapping[str, int] = field(default_factory=dict)
    http: Mapping[str, TrafficCounts] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.row_counts:
            return "Nothing was extracted"
        return "\n".join(
            f"- {name}: {rows} record(s), {self.pages[name]} page(s)"
            + (f", {self.http[name]}" if name in self.http else "")
            for name, rows in self.row_counts.items()
        )


@dataclass(frozen=True, slots=True)
class LoadInfo:
    """What a run loaded, and where.

    Attributes:
        pipeline_name: The pipeline.
        loads_ids: Load ids of the committed packages.
        resources: A report for every resource that took part and succeeded, by name.
        first_run: The dataset did not exist before.
    """

    pipeline_name: str
    destination_type: str
    destination_displayable_credentials: str
    dataset_name: str | None
    started_at: datetime
    finished_at: datetime
    loads_ids: tuple[str, ...] = ()
    load_packages: tuple[LoadPackageInfo, ...] = ()
    resources: Mapping[str, ResourceReport] = field(default_factory=dict)
    first_run: bool = False

    @property
    def destination_name(self) -> str:
        return self.destination_type

    @property
    def is_empty(self) -> bool:
        """Whether nothing was committed."""
        return not self.loads_ids

    @property
    def has_failed_jobs(self) -> bool:
        """Always False: a load is committed whole or not at all."""
        return False

    def raise_on_failed_jobs(self) -> None:
        """Do nothing: a run that fails raises by itself."""

    def asdict(self) -> dict[str, Any]:
        """The facts as a dictionary that can itself be loaded."""
        return {
            "pipeline_name": self.pipeline_name,
            "destination_type": self.destination_type,
            "destination_displayable_credentials": self.destination_displayable_credentials,
            "dataset_name": self.dataset_name,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "first_run": self.first_run,
            "loads_ids": list(self.loads_ids),
            "load_packages": [
                {
                    "load_id": package.load_id,
                    "state": package.state,
                    "completed_at": package.completed_at,
                    "schema_names": list(package.schema_names),
                    "tables": [
                        {"name": table, "columns": [{"name": name, "data_type": kind} for name, kind in columns.items()]}
                        for table, columns in package.tables.items()
                    ],
                }
                for package in self.load_packages
            ],
        }

    def asstr(self, verbosity: int = 0) -> str:
        """A summary in a few lines; with verbosity the changed columns, too."""
        seconds = (self.finished_at - self.started_at).total_seconds()
        step = "did not start" if self.is_empty else f"finished in {seconds:.2f} seconds"
        dataset = None if self.is_empty else self.dataset_name
        lines = [
            f"Pipeline {self.pipeline_name} load step {step}",
            f"{len(self.loads_ids)} load package(s) were loaded to destination {self.destination_type} "
            f"and into dataset {dataset}",
            f"The {self.destination_type} destination used {self.destination_displayable_credentials} location "
            "to store data",
        ]
        rejected = {name: report.rows_rejected for name, report in self.resources.items() if report.rows_rejected}
        lines += [
            f"Resource {name}: {rows} row(s) were rejected, see table _dlt_rejects" for name, rows in rejected.items()
        ]
        for package in self.load_packages:
            lines.append(str(package))
            if verbosity > 0:
                lines += [
                    f"\t{table}.{name} {kind}"
                    for table, columns in package.tables.items()
                    for name, kind in columns.items()
                ]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.asstr()
