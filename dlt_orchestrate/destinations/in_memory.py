"""A destination in memory: for tests, for trying sources out, and as the second proof of what a destination must do."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, assert_never

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.operation import (
    AddColumns,
    AddVersions,
    AllowNulls,
    Arrivals,
    CreateTable,
    DeleteOld,
    DeleteRange,
    DeleteRows,
    Describe,
    DropTable,
    ForgetAttempts,
    GiveIds,
    InsertRows,
    Match,
    MergeRows,
    NestedRows,
    Operation,
    Preference,
    Rows,
    ValueRange,
    WidenColumn,
)
from dlt_orchestrate.flow.package import CommitResult, LoadPackage, TableCounts
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.commit import commit_in
from dlt_orchestrate.load.stored import snapshot_of
from dlt_orchestrate.load.system_tables import COMMITS, LOADS, STATE, VERSION, commit_record
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, ROW_ID
from dlt_orchestrate.schema.types import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]


@dataclass
class StoredTable:
    """One table: column types in order, and rows; a row lacks the columns that are null in it."""

    columns: dict[str, ColumnType]
    required: frozenset[str] = frozenset()
    rows: list[Row] = field(default_factory=list)

    def copy(self) -> StoredTable:
        return StoredTable(dict(self.columns), self.required, list(self.rows))


Dataset = dict[str, StoredTable]


class Memory:
    """Keeps datasets in this process. A commit works on a copy and puts it in place in one step."""

    name = "memory"
    location = "memory"
    capabilities = Capabilities()

    def __init__(self) -> None:
        self._datasets: dict[str, Dataset] = {}
        self._turn = threading.RLock()

    def read_state(self, scope: Scope) -> Snapshot:
        """Read schemas, state and commit numbers."""
        with self._turn:
            return MemoryTransaction(self._copy(scope.dataset_name)).snapshot(scope)

    def commit(self, package: LoadPackage) -> CommitResult:
        """Make rows, schema, state and records visible together, or change nothing.

        Raises:
            CommitConflictError, StateConflictError, SchemaError: See `protocols.destination`.
        """
        with self._turn:
            changed = self._copy(package.dataset_name)
            result = commit_in(MemoryTransaction(changed), package, self.capabilities)
            if not result.repeated:
                self._datasets[package.dataset_name] = changed
            return result

    @contextmanager
    def reader(self, dataset_name: str) -> Iterator[MemoryReader]:
        """Open a dataset for reading, as it is now."""
        yield MemoryReader(self._copy(dataset_name))

    def datasets(self) -> list[str]:
        """Names of the datasets that loads were committed to."""
        with self._turn:
            return sorted(name for name, tables in self._datasets.items() if LOADS in tables)

    def type_name(self, column_type: ColumnType) -> str:
        return str(column_type)

    def qualified_name(self, dataset_name: str, table: str) -> str:
        return f"memory.{dataset_name}.{table}"

    def _copy(self, dataset_name: str) -> Dataset:
        return {name: table.copy() for name, table in self._datasets.get(dataset_name, {}).items()}


class MemoryTransaction:
    """The verbs of a commit over a copy of a dataset."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def snapshot(self, scope: Scope) -> Snapshot:
        if LOADS not in self._dataset:
            return Snapshot()
        states = [row for row in self._rows(STATE) if row["pipeline_name"] == scope.pipeline_name]
        newest = max(states, key=lambda row: row["version"], default=None)
        versions = sorted(self._rows(VERSION), key=lambda row: row["version"])
        return snapshot_of(
            scope,
            self._rows(COMMITS),
            [newest["state"]] if newest else [],
            {
                row["schema_name"]: row["schema"]
                for row in versions
                if not scope.sources or row["schema_name"] in scope.sources
            },
            max((row["inserted_at"] for row in self._rows(LOADS)), default=None),
        )

    def columns(self, table: str) -> Mapping[str, ColumnType] | None:
        stored = self._dataset.get(table)
        return dict(stored.columns) if stored else None

    def integer_range(self, table: str, column: str) -> tuple[int, int] | None:
        values = [row[column] for row in self._rows(table) if column in row]
        return (min(values), max(values)) if values else None

    def any_text(self, table: str, column: str) -> str | None:
        return next((str(row[column]) for row in self._rows(table) if column in row), None)

    def row_count(self, table: str) -> int:
        return len(self._rows(table))

    def row_count_after(self, table: str, change: int) -> int:  # noqa: ARG002 - counting is cheap
        return self.row_count(table)

    def carry_out(self, operation: Operation) -> Mapping[str, TableCounts]:
        match operation:
            case CreateTable(table, columns):
                assert table not in self._dataset
                required = frozenset(column.name for column in columns if not column.nullable)
                self._dataset[table] = StoredTable({c.name: c.type for c in columns if c.type is not None}, required)
                return {}
            case AddColumns(table, columns):
                self._dataset[table].columns.update({c.name: c.type for c in columns if c.type is not None})
                return {}
            case WidenColumn(table, column, new_type):
                self._widen(table, column, new_type)
                return {}
            case AllowNulls(table, column):
                stored = self._dataset[table]
                self._dataset[table] = replace(stored, required=stored.required - {column})
                return {}
            case DropTable(table):
                return {table: TableCounts(deleted=len(self._dataset.pop(table).rows))}
            case Describe():
                return {}
            case GiveIds(table, prefix):
                numbered = enumerate(self._rows(table))
                self._dataset[table].rows = [{ROW_ID: f"{prefix}{number}", **row} for number, row in numbered]
                return {}
            case DeleteOld(table):
                return {table: TableCounts(deleted=self._delete_old(operation))}
            case ForgetAttempts(unit):
                self._dataset[COMMITS].rows = [
                    {**row, "idempotency_key": None} if commit_record(row).unit == unit else row
                    for row in self._rows(COMMITS)
                ]
                return {}
            case DeleteRows(table):
                deleted = len(self._rows(table))
                self._dataset[table].rows = []
                return {table: TableCounts(deleted=deleted)}
            case DeleteRange(table, wanted, nested):
                doomed = {row[ROW_ID] for row in self._rows(table) if _is_in(row, wanted)}
                return self._delete_families(table, nested, doomed)
            case InsertRows(table, rows):
                inserted = self._insert(table, _rows_of(rows))
                return {table: TableCounts(loaded=inserted, inserted=inserted)}
            case MergeRows():
                return self._merge(operation)
            case AddVersions():
                return self._add_versions(operation)
            case unknown:
                assert_never(unknown)

    def _merge(self, merge: MergeRows) -> dict[str, TableCounts]:
        arrivals = merge.arrivals
        new = _rows_of(arrivals.rows)
        met = {row[ROW_ID] for row in self._meeting(merge.table, merge.match, new) if not _is_in(row, merge.spared)}
        kept = self._on_time(merge.table, _kept(new, arrivals), arrivals.key, merge.spared)
        stored_keys = {_values(row, arrivals.key) for row in self._rows(merge.table)} if arrivals.key else set()
        if merge.spares_stored:
            kept = [row for row in kept if _values(row, arrivals.key) not in stored_keys]
        replaced = sum(_values(row, arrivals.key) in stored_keys for row in kept)
        counts = self._delete_families(merge.table, arrivals.nested, met) if merge.match else {merge.table: TableCounts()}
        loaded = self._insert(merge.table, [_with_key_id(row, arrivals.key_id) for row in kept])
        counts[merge.table] = TableCounts(
            loaded=loaded,
            inserted=loaded - replaced,
            updated=replaced,
            deleted=counts[merge.table].deleted - replaced,
        )
        ids_of_roots = {row[ROW_ID]: row[arrivals.key_id or ROW_ID] for row in kept}
        for child in arrivals.nested:
            if child.rows is not None:
                nested = [row for row in _rows_of(child.rows) if row[ROOT_ID] in ids_of_roots]
                loaded = self._insert(child.table, [_with_root_id(row, ids_of_roots[row[ROOT_ID]]) for row in nested])
                deleted = counts.get(child.table, TableCounts()).deleted
                counts[child.table] = TableCounts(loaded=loaded, inserted=loaded, deleted=deleted)
        return counts

    def _delete_families(self, root: str, nested: Sequence[NestedRows], met: set[str]) -> dict[str, TableCounts]:
        """Delete root rows and, level by level along the parent links, all rows nested in them."""
        doomed = {root: met}
        for child in nested:
            parents = set[str]().union(*(doomed[parent] for parent in child.parents))
            doomed[child.table] = {row[ROW_ID] for row in self._rows(child.table) if row[PARENT_ID] in parents}
        counts = {}
        for table, ids in doomed.items():
            before = len(self._rows(table))
            self._dataset[table].rows = [row for row in self._rows(table) if row[ROW_ID] not in ids]
            counts[table] = TableCounts(deleted=before - len(self._rows(table)))
        return counts

    def _add_versions(self, versions: AddVersions) -> dict[str, TableCounts]:
        def is_open(row: Row) -> bool:
            return row.get(versions.closed_in) in (None, versions.open_until)

        new = _rows_of(versions.arrivals.rows) if versions.arrivals is not None else []
        ended = {
            row[ROW_ID] for row in self._meeting(versions.table, versions.match, new) if not _is_in(row, versions.spared)
        }
        on_time: list[Row] = []
        if versions.arrivals is not None:
            key = versions.arrivals.key
            on_time = self._on_time(versions.table, _kept(new, versions.arrivals), key, versions.spared)
        kept = {row[ROW_ID]: row for row in on_time}
        stored = self._dataset[versions.table]
        closing = [is_open(row) and row[ROW_ID] in ended and row[ROW_ID] not in kept for row in stored.rows]
        stored.rows = [
            {**row, versions.closed_in: versions.closed_at} if closes else row
            for row, closes in zip(stored.rows, closing, strict=True)
        ]
        open_ids = {row[ROW_ID] for row in stored.rows if is_open(row)}
        fresh = [row for row_id, row in kept.items() if row_id not in open_ids]
        loaded = self._insert(versions.table, fresh)
        counts = {versions.table: TableCounts(loaded=loaded, inserted=loaded, updated=sum(closing))}
        roots = {row[ROW_ID] for row in fresh}
        for child in versions.arrivals.nested if versions.arrivals is not None else ():
            if child.rows is not None:
                there = {row[ROW_ID] for row in self._rows(child.table)}
                nested = {row[ROW_ID]: row for row in _rows_of(child.rows) if row[ROOT_ID] in roots}
                loaded = self._insert(child.table, [row for row_id, row in nested.items() if row_id not in there])
                counts[child.table] = TableCounts(loaded=loaded, inserted=loaded)
        return counts

    def _delete_old(self, old: DeleteOld) -> int:
        stored = self._rows(old.table)
        last: dict[tuple[Any, ...], Row] = {}
        for row in sorted(stored, key=lambda row: (row[old.ranked_by] if old.ranked_by else 0, row[old.column])):
            last[tuple(row.get(name) for name in old.last_of)] = row
        last_rows = {id(row) for row in last.values()} if old.last_of else set()
        column, others = old.referred or ("", ())
        referred = {row.get(theirs) for other, theirs in others for row in self._rows(other)}
        kept = [
            row
            for row in stored
            if row[old.column] >= old.before or id(row) in last_rows or (column and row.get(column) in referred)
        ]
        self._dataset[old.table].rows = kept
        return len(stored) - len(kept)

    def _meeting(self, table: str, match: Match, new: list[Row]) -> list[Row]:
        """The stored rows that meet a new one."""
        if () in match:
            return self._rows(table)
        known = {columns: {_values(row, columns) for row in new} for columns in match}
        return [
            row
            for row in self._rows(table)
            if any(all(name in row for name in columns) and _values(row, columns) in known[columns] for columns in match)
        ]

    def _on_time(self, table: str, kept: list[Row], key: tuple[str, ...], spared: ValueRange | None) -> list[Row]:
        """The rows whose key no spared row has."""
        if spared is None or not key:
            return kept
        held = {_values(row, key) for row in self._rows(table) if _is_in(row, spared)}
        return [row for row in kept if _values(row, key) not in held]

    def _insert(self, table: str, rows: list[Row]) -> int:
        stored = self._dataset[table]
        for row in rows:
            missing = stored.required - row.keys()
            assert not missing, f"table {table!r}: null in {sorted(missing)}"
        stored.rows = stored.rows + rows
        return len(rows)

    def _widen(self, table: str, column: str, new_type: ColumnType) -> None:
        stored = self._dataset[table]
        stored.columns[column] = new_type
        stored.rows = [{**row, column: _widened(row[column], new_type)} if column in row else row for row in stored.rows]

    def _rows(self, table: str) -> list[Row]:
        stored = self._dataset.get(table)
        return stored.rows if stored else []


class MemoryReader:
    """Read access to a copy of a dataset, through an in-memory DuckDB."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def tables(self) -> Mapping[str, Mapping[str, str]]:
        return {
            name: {column: str(kind) for column, kind in table.columns.items()} for name, table in self._dataset.items()
        }

    def query(self, sql: str, parameters: Sequence[object] = ()) -> pa.Table:
        import duckdb

        with duckdb.connect(":memory:") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            for name, table in self._dataset.items():
                connection.register(name, _arrow(table))
            return connection.sql(sql, params=list(parameters) or None).to_arrow_table()

    def stream(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[pa.RecordBatch]:
        yield from self.query(sql, parameters).to_batches()

    def qualified(self, table: str) -> str:
        return self.quoted(table)

    def quoted(self, identifier: str) -> str:
        return '"' + identifier.replace('"', '""') + '"'


def _rows_of(rows: Rows) -> list[Row]:
    return [
        {name: value for name, value in row.items() if value is not None}
        for batch in rows.batches()
        for row in batch.to_pylist()
    ]


def _is_in(row: Row, wanted: ValueRange | None) -> bool:
    """Whether a row lies in a range; without a range, none does."""
    if wanted is None or wanted.column not in row:
        return False
    value = _sortable(row[wanted.column])
    if value < _sortable(wanted.start):
        return False
    if wanted.end is None:
        return True
    end = _sortable(wanted.end)
    return bool(value <= end if wanted.includes_end else value < end)


def _values(row: Row, columns: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row.get(name) for name in columns)


def _kept(new: list[Row], arrivals: Arrivals) -> list[Row]:
    """One row of each key, without those that stand for a deletion."""
    kept = new
    if arrivals.key:
        by_key: dict[tuple[Any, ...], Row] = {}
        for row in new:
            before = by_key.get(_values(row, arrivals.key))
            if before is None or _is_preferred(row, before, arrivals.preference):
                by_key[_values(row, arrivals.key)] = row
        kept = list(by_key.values())
    tombstones = arrivals.tombstones
    if tombstones is None:
        return kept
    return [row for row in kept if not (row.get(tombstones.column) if tombstones.is_flag else tombstones.column in row)]


def _is_preferred(row: Row, before: Row, preference: Preference | None) -> bool:
    """Whether a row is taken instead of an earlier one."""
    if preference is None or preference.column not in before:
        return True
    if preference.column not in row:
        return False
    one, other = _sortable(row[preference.column]), _sortable(before[preference.column])
    return one >= other if preference.greatest else one <= other


def _sortable(value: Any) -> tuple[bool, Any]:
    """Not a number comes after every number."""
    return (True, 0) if value != value else (False, value)


def _with_key_id(row: Row, key_id: str | None) -> Row:
    if key_id is None:
        return row
    return {**{name: value for name, value in row.items() if name != key_id}, ROW_ID: row[key_id]}


def _with_root_id(row: Row, root_id: str) -> Row:
    """A nested row whose ids begin with the id of its root row."""
    before = len(row[ROOT_ID])
    return {**row, **{name: root_id + row[name][before:] for name in (ROW_ID, PARENT_ID, ROOT_ID)}}


def _arrow(table: StoredTable) -> pa.Table:
    import pyarrow as pa

    from dlt_orchestrate.load.cast import column_arrow_type

    schema = pa.schema([(name, column_arrow_type(kind)) for name, kind in table.columns.items()])
    return pa.Table.from_pylist([{name: row.get(name) for name in table.columns} for row in table.rows], schema)


def _widened(value: Any, new_type: ColumnType) -> Any:
    match new_type.kind, value:
        case "double", int():
            return float(value)
        case "decimal", int():
            return Decimal(value)
        case "timestamp", date() if not isinstance(value, datetime):
            return datetime.combine(value, time())
        case "text", _:
            return str(value)
        case _:
            return value
