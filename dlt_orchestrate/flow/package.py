"""The load package: everything one commit needs, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Literal

from dlt_orchestrate.config.redaction import redact
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.batch import KeyPath, SpooledTable
from dlt_orchestrate.flow.cursor import CursorMove
from dlt_orchestrate.schema.contracts import Contract
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.growth import Growth
from dlt_orchestrate.schema.table import TableHints
from dlt_orchestrate.state.commits import UnitKey
from dlt_orchestrate.state.parts import EarlierParts


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be loaded, and why; secrets in it are masked.

    Attributes:
        row: The record as JSON text, as far as it can be written. The repr leaves it out.
        column: The column that no type holds or that lacks a value; None if the whole row is at fault.
        cursor: The value of the resource's cursor in the row; None without one, and for nested rows.
    """

    resource: str
    table: str
    row: str = field(repr=False)
    column: str | None
    cause: str
    cursor: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", redact(self.row))
        object.__setattr__(self, "cause", redact(self.cause))


MAX_REJECTED_ROWS = 1_000
MAX_REJECTED_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class RejectLimits:
    """How many rows of a load may be rejected before the load is, and what rejected rows do.

    Attributes:
        max_rows: Rows that may be rejected; 0 for none.
        max_share: Of a load of many rows, the share that may.
        hold_cursor: Whether the cursor's next run asks for them again.
    """

    max_rows: int = MAX_REJECTED_ROWS
    max_share: float = MAX_REJECTED_SHARE
    hold_cursor: bool = True


@dataclass(frozen=True, slots=True)
class DesiredTable:
    """A table as one resource wants it: declared hints and observed values, not a difference to what is stored.

    The difference is planned under the commit lock, against what the destination holds at that moment.

    Attributes:
        hints: What the resource declares of the root table; None for nested tables.
        merges_by_content: No row carries the declared key, so rows are matched by their content, which `_dlt_id` is a
            hash of.
        nested_hints: What the resource declares of a nested table; None for nothing and for root tables.
        contract: The schema contract of the table; None for that of the load.
        is_wanted: Whether the table is to be created, or given its declared columns, even if no row comes for it.
    """

    spool: SpooledTable
    hints: TableHints | None = None
    merges_by_content: bool = False
    nested_hints: TableHints | None = None
    contract: Contract | None = None
    is_wanted: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    """What a commit takes away of earlier loads before it writes anything, with or without new rows.

    Attributes:
        resources: Those whose state and tables are reset; None for all that the source ever had, with the state that
            they share.
        tables: Whether their tables are dropped, with what the schema knows of them, or emptied, or left alone.
        state: Whether their state goes, too.
    """

    source: str
    resources: frozenset[str] | None = None
    tables: Literal["drop", "empty", "keep"] = "drop"
    state: bool = True

    def covers(self, source: str, resource: str) -> bool:
        """Whether it resets a resource."""
        return source == self.source and (self.resources is None or resource in self.resources)


@dataclass(frozen=True, slots=True)
class WindowReset:
    """What a commit takes away of the earlier loads of one window.

    Attributes:
        load_ids: The loads whose rows go, from the root tables of the unit with all that is nested in them. With none of
            them nothing goes but the memory of the attempts that loaded the window, so that they load it again.
        shared: What other resources have loaded in the same loads: unit, load and table.
    """

    unit: UnitKey
    load_ids: tuple[str, ...] = ()
    shared: tuple[tuple[UnitKey, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a commit leaves what earlier ones recorded; None for ever.

    The latest commit record of each unit always stays, and so do the newest state of each pipeline and the load that it
    belongs to: nothing that a load is compared with is ever removed.

    Attributes:
        loads: For load records, and states that are not the newest.
        rejects: For rejected rows.
        commits: For commit records, and with them for idempotency keys.
    """

    loads: timedelta | None = None
    rejects: timedelta | None = None
    commits: timedelta | None = None


@dataclass(frozen=True, slots=True)
class StateChange:
    """A part of the state before and after extraction, JSON-like."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ResourceLoad:
    """What one resource contributes to a package: the unit of the compare-and-swap.

    Attributes:
        base_commit: Number of the unit's latest commit when extraction started; 0 before the first.
        tables: Root tables before the tables nested in them.
        as_read: The tables before schema contracts took anything out of them; () if none did.
        state: The resource's state; None where it must not change (windows).
        cursor: How extraction moved that cursor; None where rejected rows cannot hold it back.
        rejects: Rows that were rejected, but for those of `rejected_again`, which are in `_dlt_rejects` already.
        rows_rejected: How many rows were rejected; as many as `rejects` unless they are too many.
        warnings: What the user should know of the load.
        rows_extracted: Records that passed the pipe, rejects included.
        is_complete: Whether extraction came to its own end; False if a limit cut it short, or the source gave only a part.
        replaces_partition: What the load before of the same partition has left goes, also where the table merges.
        contract: What the load may change about its tables.
        begins_anew: The resource was extracted as if for the first time; the package resets what is there of it.
        growth: How far its tables may grow.
        cursor_path: The field of the root records that the resource's own cursor reads; None without one.
        seconds: Wall seconds by step (`extract`, `normalize`).
        earlier: What loads before brought of the same extraction, if it is committed in parts.
        is_last_part: Whether nothing of the extraction comes behind the load.
    """

    unit: UnitKey
    base_commit: int
    tables: tuple[DesiredTable, ...] = ()
    as_read: tuple[DesiredTable, ...] = ()
    state: StateChange | None = None
    cursor_before: Any = None
    cursor_after: Any = None
    rejects: tuple[Reject, ...] = ()
    rejected_again: tuple[Reject, ...] = ()
    rows_rejected: int = 0
    reject_limits: RejectLimits = field(default_factory=RejectLimits)
    rows_extracted: int = 0
    is_complete: bool = True
    replaces_partition: bool = False
    begins_anew: bool = False
    cursor_path: str | None = None
    cursor: CursorMove | None = None
    warnings: tuple[str, ...] = ()
    idempotency_key: str | None = None
    contract: Contract = field(default_factory=Contract)
    growth: Growth = field(default_factory=Growth)
    seconds: Mapping[str, float] = field(default_factory=dict)
    earlier: EarlierParts | None = None
    is_last_part: bool = True

    @property
    def rows_extracted_so_far(self) -> int:
        """Records of the whole extraction, as far as it has come."""
        return self.rows_extracted + (self.earlier.rows if self.earlier is not None else 0)

    @property
    def rows_rejected_so_far(self) -> int:
        """Rows that were rejected of the whole extraction, as far as it has come."""
        return self.rows_rejected + (self.earlier.rejected if self.earlier is not None else 0)

    @property
    def cursor_keys(self) -> KeyPath:
        """The keys that lead to the cursor, as far as it is a plain path; () without one."""
        return tuple(self.cursor_path.split(".")) if self.cursor_path else ()

    @property
    def changes_anything(self) -> bool:
        """Whether a commit would change the destination."""
        return (
            self.begins_anew
            or bool(self.rejects)
            or (self.state is not None and self.state.before != self.state.after)
            or any(t.spool.row_count or t.is_wanted or (t.hints and self._empties(t.hints)) for t in self.tables)
        )

    @property
    def covers_everything(self) -> bool:
        """Whether a row that is not in the load is not in the source either."""
        return self.is_complete and self.unit.window is None and not self.rejects and not self.rejected_again

    def _empties(self, hints: TableHints) -> bool:
        """Whether a load without rows changes the table."""
        absence_counts = hints.deletes_absent and not hints.merge_key and self.covers_everything
        replaces_window = self.unit.window is not None and (self.replaces_partition or not hints.matches_rows)
        return hints.write_disposition == "replace" or absence_counts or replaces_window


@dataclass(frozen=True, slots=True)
class LoadPackage:
    """One commit: its rows, desired tables, state and records, and what it was planned on.

    Attributes:
        load_id: Unique by construction; stands in `_dlt_load_id` of every root row.
        loads: What each resource contributes.
        source_states: Changes of the state that all resources of a source share, by source.
        fingerprints: For each source and table the fingerprint of the stored schema that was read before extraction;
            a table whose fingerprint has moved by the time of the commit is planned anew, which the result reports.
        namings: Names of the naming conventions by source, for the sources that have no stored schema.
        resets: What goes before anything comes, in the same commit.
        window_resets: The same for single windows.
        reset_bases: Commit numbers of all units that the resets concern, as somebody saw them who decided on the resets;
            None takes away whatever there is.
        retention: How long records of earlier commits stay.
        imported: Further hints of tables and columns, by source and under their names in the destination; what resources
            declare goes before them.
    """

    load_id: str
    pipeline_name: str
    dataset_name: str
    created_at: datetime
    host: str
    loads: tuple[ResourceLoad, ...]
    source_states: Mapping[str, StateChange] = field(default_factory=dict)
    fingerprints: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    namings: Mapping[str, str] = field(default_factory=dict)
    destination_type: str = ""
    resets: tuple[Reset, ...] = ()
    window_resets: tuple[WindowReset, ...] = ()
    reset_bases: Mapping[UnitKey, int] | None = None
    retention: Retention = field(default_factory=Retention)
    imported: Mapping[str, Schema] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that take part, in order, each once."""
        resets = (*(reset.source for reset in self.resets), *(reset.unit.source for reset in self.window_resets))
        return tuple(dict.fromkeys([*(load.unit.source for load in self.loads), *self.source_states, *resets]))

    def resets_unit(self, unit: UnitKey) -> bool:
        """Whether what a unit loaded before goes."""
        return any(reset.covers(unit.source, unit.resource) for reset in self.resets) or any(
            reset.unit == unit for reset in self.window_resets
        )

    @property
    def changes_anything(self) -> bool:
        """Whether a commit would change the destination."""
        return (
            bool(self.resets or self.window_resets)
            or any(load.changes_anything for load in self.loads)
            or any(change.before != change.after for change in self.source_states.values())
        )


@dataclass(frozen=True, slots=True)
class TableCounts:
    """What a commit did to one table, in rows.

    Attributes:
        loaded: Rows of the package after de-duplication.
        inserted: Of these, rows whose key was not stored before; new versions.
        updated: Of these, rows that replaced stored ones; versions that were closed.
        deleted: Stored rows that went without a successor (`replace`, deletions, nested rows).
        total: Rows of the table after the commit.
    """

    loaded: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a commit did.

    Attributes:
        tables: Counts by table, for the tables of the package.
        tables_of_unit: What each resource did to its tables, root first; the totals are those of the whole tables. Of
            resources that replace one table together, the first deletes what was there.
        new_columns: Columns that this commit created or widened, by table, with their type as text.
        replanned: Tables whose stored schema had moved since the package was planned.
        package_rows: Rows of the package by table, before de-duplication.
        schemas: The schemas after the commit, by source.
        loads: The loads of the package by unit, as they were committed: without what schema contracts turned away.
        state_changed: Whether the pipeline's state document changed.
        pruned: How many old rows of each system table went.
        repeated: The package had been committed before, under the same idempotency key; nothing was changed.
    """

    load_id: str
    committed_at: datetime
    tables: Mapping[str, TableCounts] = field(default_factory=dict)
    tables_of_unit: Mapping[UnitKey, Mapping[str, TableCounts]] = field(default_factory=dict)
    new_columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    replanned: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    package_rows: Mapping[str, int] = field(default_factory=dict)
    schemas: Mapping[str, Schema] = field(default_factory=dict)
    loads: Mapping[UnitKey, ResourceLoad] = field(default_factory=dict)
    state_changed: bool = False
    pruned: Mapping[str, int] = field(default_factory=dict)
    repeated: bool = False
