"""The operations of a commit, carried out as set-based statements inside one transaction of a SQL database.

Rows arrive in temporary tables. Stored rows that go are found once, and deleted by their places.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, assert_never

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.destinations.sql.dialect import Dialect, Kinds
from dlt_orchestrate.destinations.sql.stored_tables import StoredTables
from dlt_orchestrate.destinations.sql.text import quoted
from dlt_orchestrate.errors import TableConflictError
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
from dlt_orchestrate.flow.package import TableCounts
from dlt_orchestrate.load.system_tables import COMMITS
from dlt_orchestrate.schema.table import PARENT_ID, ROOT_ID, ROW_ID, Column
from dlt_orchestrate.schema.types import ColumnType


@dataclass(frozen=True, slots=True)
class Staged:
    """A temporary table of rows that have arrived.

    Attributes:
        relation: Its name as it stands in SQL.
        place: The column, as it stands in SQL, by which its rows are ordered as they arrived.
    """

    relation: str
    kinds: Kinds
    place: str


@dataclass(frozen=True, slots=True)
class Doomed:
    """A temporary table of stored rows that are to go: the `place` of each, its `id` where that is asked for, and `key0`,
    `key1`, ... of the key that new rows are matched by.

    Attributes:
        relation: Its name as it stands in SQL.
        count: How many they are.
        key: The columns of that key.
    """

    relation: str
    count: int
    key: tuple[str, ...] = ()


class SQLTransaction(ABC):
    """The verbs of a commit over one open transaction of one dataset, but for what each database does its own way.

    Attributes:
        always_finds_ids: Whether stored rows are found with their ids, even if none are nested in them.
    """

    always_finds_ids: ClassVar[bool] = False

    def __init__(self, dialect: Dialect, tables: StoredTables) -> None:
        self._dialect = dialect
        self._tables = tables
        self._numbers = itertools.count(1)

    # --- what a database adds ----------------------------------------------------------------------------------------

    @abstractmethod
    def _execute(self, statement: str) -> int:
        """Run a statement; returns the number of rows it changed, or wrote into a new table."""

    @abstractmethod
    def _rows(self, statement: str) -> Sequence[tuple[Any, ...]]:
        """What a query finds."""

    @abstractmethod
    def _name(self, table: str) -> str:
        """The full name of a table of the dataset, quoted."""

    @abstractmethod
    def _create_dataset(self) -> None:
        """Make the dataset unless it is there."""

    @abstractmethod
    def _append(self, table: str, rows: Rows) -> int:
        """Append rows to a table of the dataset, in bulk."""

    @abstractmethod
    def _stage(self, rows: Rows) -> Staged:
        """Put rows into a temporary table, in bulk."""

    # --- looking -----------------------------------------------------------------------------------------------------

    def columns(self, table: str) -> Mapping[str, ColumnType] | None:
        """The columns of a table as they really are.

        Raises:
            TableConflictError: One has a type that loads cannot write.
        """
        stored = self._tables[table]
        return None if stored is None else {name: self._type_of(table, name, kind) for name, kind in stored.items()}

    def integer_range(self, table: str, column: str) -> tuple[int, int] | None:
        name = quoted(column)
        low, high = self._rows(f"SELECT min({name}), max({name}) FROM {self._name(table)}")[0]
        return None if low is None else (int(low), int(high))

    def any_text(self, table: str, column: str) -> str | None:
        name = quoted(column)
        found = self._rows(f"SELECT {name}::text FROM {self._name(table)} WHERE {name} IS NOT NULL LIMIT 1")
        return str(found[0][0]) if found else None

    def row_count(self, table: str) -> int:
        return self._count(f"FROM {self._name(table)}") if self._tables[table] is not None else 0

    def row_count_after(self, table: str, change: int) -> int:  # noqa: ARG002 - for databases where counting is dear
        """Number of rows of a table that this commit gave `change` more rows than it had."""
        return self.row_count(table)

    # --- operations --------------------------------------------------------------------------------------------------

    def carry_out(self, operation: Operation) -> Mapping[str, TableCounts]:
        """Do one operation; returns what it did to the rows of each table."""
        match operation:
            case CreateTable(table, columns):
                self._create_dataset()
                self._create_table(table, columns)
                self._remember(table, columns)
                return {}
            case AddColumns(table, columns):
                for statement in self._dialect.add_columns(self._name(table), columns):
                    self._execute(statement)
                self._remember(table, columns)
                return {}
            case WidenColumn(table, column, new_type):
                self._execute(self._dialect.alter_type(self._name(table), column, new_type))
                self._remember(table, (Column(column, new_type),))
                return {}
            case AllowNulls(table, column):
                self._execute(f"ALTER TABLE {self._name(table)} ALTER COLUMN {quoted(column)} DROP NOT NULL")
                return {}
            case DropTable(table):
                counts = TableCounts(deleted=self.row_count(table))
                self._execute(f"DROP TABLE {self._name(table)}")
                self._tables.drop(table)
                return {table: counts}
            case Describe(table, column, description):
                self._execute(self._dialect.comment_on(self._name(table), column, description))
                return {}
            case GiveIds(table, prefix):
                self._execute(self._dialect.give_ids(self._name(table), prefix))
                return {}
            case DeleteOld(table):
                return {table: TableCounts(deleted=self._execute(self._dialect.delete_old(self._name, operation)))}
            case ForgetAttempts(unit):
                self._execute(self._dialect.forget_attempts(self._name(COMMITS), unit))
                return {}
            case DeleteRows(table):
                return {table: TableCounts(deleted=self._execute(f"DELETE FROM {self._name(table)}"))}
            case DeleteRange(table, wanted, nested):
                found = self._found(table, with_ids=bool(nested))
                inside = self._dialect.in_range("t", wanted)
                return self._delete_families(
                    table, nested, self._doomed(f"{found} FROM {self._name(table)} t WHERE {inside}")
                )
            case InsertRows(table, rows):
                inserted = self._append(table, rows)
                return {table: TableCounts(loaded=inserted, inserted=inserted)}
            case MergeRows():
                return self._merge(operation)
            case AddVersions():
                return self._add_versions(operation)
            case unknown:
                assert_never(unknown)

    def _create_table(self, table: str, columns: Sequence[Column]) -> None:
        self._execute(self._dialect.create_table(self._name(table), columns))

    def _merge(self, merge: MergeRows) -> dict[str, TableCounts]:
        """Stage, find what is replaced, keep one row of each key, delete at every level, insert."""
        arrivals, root = merge.arrivals, self._name(merge.table)
        staged = self._stage(arrivals.rows)
        found = self._found(merge.table, with_ids=bool(arrivals.nested), key=arrivals.key)
        doomed = self._matching(found, root, merge.match, staged, merge.spared, arrivals.key)
        self._keep_one(staged, arrivals)
        self._drop_late(root, staged, arrivals, merge.spared)
        if merge.spares_stored:
            stored = f"SELECT 1 FROM {root} t WHERE {self._same_key(staged, arrivals.key)}"
            self._execute(f"DELETE FROM {staged.relation} s WHERE EXISTS ({stored})")
        counts: dict[str, TableCounts] = {}
        replaced = deleted = 0
        if doomed is not None:
            replaced = self._met_by(staged, doomed)
            counts = self._delete_families(merge.table, arrivals.nested, doomed)
            deleted = counts[merge.table].deleted
        loaded = self._insert_staged(root, staged, arrivals)
        counts[merge.table] = TableCounts(
            loaded=loaded, inserted=loaded - replaced, updated=replaced, deleted=deleted - replaced
        )
        for child in arrivals.nested:
            if child.rows is not None:
                loaded = self._insert_nested(child.table, self._stage(child.rows), staged, arrivals.key_id)
                before = counts.get(child.table, TableCounts())
                counts[child.table] = TableCounts(loaded=loaded, inserted=loaded, deleted=before.deleted)
        return counts

    def _add_versions(self, versions: AddVersions) -> dict[str, TableCounts]:
        """Stage, find the versions that may have ended, keep what is new, close, insert."""
        arrivals, root = versions.arrivals, self._name(versions.table)
        staged = self._stage(arrivals.rows) if arrivals is not None else None
        closed_in, row_id = quoted(versions.closed_in), quoted(ROW_ID)
        is_open = f"(t.{closed_in} IS NULL"
        is_open += (
            f" OR t.{closed_in} = {self._dialect.value(versions.open_until)})" if versions.open_until is not None else ")"
        )
        ended = self._matching(f"SELECT t.{row_id} AS id", root, versions.match, staged, versions.spared)
        if arrivals is not None and staged is not None:
            self._keep_one(staged, arrivals)
            self._drop_late(root, staged, arrivals, versions.spared)
        closed = 0
        if ended is not None:
            same_id = f"s.{row_id} = t.{row_id}"
            lasts = f"AND NOT EXISTS (SELECT 1 FROM {staged.relation} s WHERE {same_id})" if staged is not None else ""
            closed = self._execute(
                f"UPDATE {root} t SET {closed_in} = {self._dialect.value(versions.closed_at)} "
                f"WHERE {is_open} AND EXISTS (SELECT 1 FROM {ended.relation} e WHERE e.id = t.{row_id}) {lasts}"
            )
        if arrivals is None or staged is None:
            return {versions.table: TableCounts(updated=closed)}
        known = f"SELECT 1 FROM {root} t WHERE t.{row_id} = s.{row_id} AND {is_open}"
        self._execute(f"DELETE FROM {staged.relation} s WHERE EXISTS ({known})")
        loaded = self._insert_staged(root, staged, arrivals)
        counts = {versions.table: TableCounts(loaded=loaded, inserted=loaded, updated=closed)}
        for child in arrivals.nested:
            if child.rows is not None:
                nested, stored = self._stage(child.rows), self._name(child.table)
                self._keep_last(nested, (ROW_ID,))
                known = f"SELECT 1 FROM {stored} t WHERE t.{row_id} = s.{row_id}"
                self._execute(f"DELETE FROM {nested.relation} s WHERE EXISTS ({known})")
                loaded = self._insert_nested(child.table, nested, staged)
                counts[child.table] = TableCounts(loaded=loaded, inserted=loaded)
        return counts

    # --- rows that go ------------------------------------------------------------------------------------------------

    def _matching(
        self,
        found: str,
        root: str,
        match: Match,
        staged: Staged | None,
        spared: ValueRange | None,
        key: tuple[str, ...] = (),
    ) -> Doomed | None:
        """The stored rows that meet a staged one and are not spared; None if none can.

        Args:
            found: Selects what is kept of each, called `t`.
            key: What of it tells later which staged rows take their places.
        """
        exposed = f"({self._dialect.in_range('t', spared)}) IS NOT TRUE" if spared is not None else "true"
        query = f"{found} FROM {root} t WHERE {exposed}"
        if () in match:
            return self._doomed(query, key)
        if not match or staged is None:
            return None
        return self._doomed(
            " UNION ".join(
                f"{query} AND EXISTS (SELECT 1 FROM {staged.relation} s WHERE {self._same_key(staged, columns)})"
                for columns in match
            ),
            key,
        )

    def _met_by(self, staged: Staged, doomed: Doomed) -> int:
        """How many staged rows take the place of a doomed one."""
        if not doomed.key:
            return 0
        same = " AND ".join(
            f"{self._dialect.comparable('s', name, staged.kinds)} = d.key{number}" for number, name in enumerate(doomed.key)
        )
        return self._count(f"FROM {staged.relation} s WHERE EXISTS (SELECT 1 FROM {doomed.relation} d WHERE {same})")

    def _delete_families(self, root: str, nested: Sequence[NestedRows], doomed: Doomed) -> dict[str, TableCounts]:
        """Delete the doomed root rows and, level by level along the parent links, all rows nested in them."""
        parents = {parent for child in nested for parent in child.parents}
        levels = {root: doomed}
        counts = {root: TableCounts(deleted=self._delete(root, doomed))}
        for child in nested:
            table, above = self._name(child.table), [levels[parent].relation for parent in child.parents]
            link = f"a.id = t.{quoted(PARENT_ID)}"
            if child.table in parents:
                found = f"{self._found(child.table, with_ids=True)} FROM {table} t"
                levels[child.table] = self._doomed(
                    " UNION ALL ".join(f"{found} WHERE EXISTS (SELECT 1 FROM {ids} a WHERE {link})" for ids in above)
                )
                deleted = self._delete(child.table, levels[child.table])
            else:
                deleted = sum(self._execute(f"DELETE FROM {table} t USING {ids} a WHERE {link}") for ids in above)
            counts[child.table] = TableCounts(deleted=deleted)
        return counts

    def _delete(self, table: str, doomed: Doomed) -> int:
        return self._execute(
            f"DELETE FROM {self._name(table)} t USING {doomed.relation} d WHERE t.{self._place_in(table)} = d.place"
        )

    def _found(self, table: str, *, with_ids: bool, key: Iterable[str] = ()) -> str:
        """Select what is kept of rows that are found as `t`."""
        kinds = self.columns(table) or {}
        chosen = [f"t.{self._place_in(table)} AS place"]
        if with_ids or self.always_finds_ids:
            chosen.append(f"t.{quoted(ROW_ID)} AS id")
        chosen += [f"{self._dialect.comparable('t', name, kinds)} AS key{number}" for number, name in enumerate(key)]
        return f"SELECT {', '.join(chosen)}"

    def _place_in(self, table: str) -> str:
        """The column, as it stands in SQL, that tells the rows of a table apart while the transaction lasts."""
        return self._dialect.place_among(self._tables[table] or ())

    def _doomed(self, query: str, key: tuple[str, ...] = ()) -> Doomed:
        name = self._temporary_name("doomed")
        return Doomed(name, self._execute(self._dialect.create_temporary_of(name, query)), key)

    # --- rows that come ----------------------------------------------------------------------------------------------

    def _drop_late(self, root: str, staged: Staged, arrivals: Arrivals, spared: ValueRange | None) -> None:
        """Drop the staged rows whose key a spared row has."""
        if spared is not None and arrivals.key:
            later = f"{self._same_key(staged, arrivals.key)} AND {self._dialect.in_range('t', spared)}"
            self._execute(f"DELETE FROM {staged.relation} s WHERE EXISTS (SELECT 1 FROM {root} t WHERE {later})")

    def _keep_one(self, staged: Staged, arrivals: Arrivals) -> None:
        """Of staged rows with the same key keep one, and that only if it stands for no deletion."""
        if arrivals.key:
            self._keep_last(staged, arrivals.key, arrivals.preference)
        if arrivals.tombstones is not None:
            column = quoted(arrivals.tombstones.column)
            is_gone = column if arrivals.tombstones.is_flag else f"{column} IS NOT NULL"
            self._execute(f"DELETE FROM {staged.relation} WHERE {is_gone}")

    def _keep_last(self, staged: Staged, key: tuple[str, ...], preference: Preference | None = None) -> None:
        """Of rows with the same key keep the preferred, else the last one yielded."""
        keys = ", ".join(self._dialect.comparable("s", name, staged.kinds) for name in key)
        total, distinct = self._rows(
            f"SELECT (SELECT count(*) FROM {staged.relation}), "
            f"(SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {staged.relation} s) AS keys)"
        )[0]
        if distinct < total:
            self._execute(self._dialect.delete_surplus(staged.relation, staged.place, key, staged.kinds, preference))

    def _insert_staged(self, target: str, staged: Staged, arrivals: Arrivals) -> int:
        columns = [name for name in staged.kinds if name != arrivals.key_id]
        origin = (
            staged.relation
            if arrivals.key_id is None
            else self._dialect.with_ids(staged.relation, columns, arrivals.key_id)
        )
        return self._execute(self._dialect.insert(target, columns, origin))

    def _insert_nested(self, target: str, nested: Staged, staged: Staged, key_id: str | None = None) -> int:
        """Insert the nested rows whose root row is staged."""
        if key_id is not None:
            origin = self._dialect.with_root_ids(nested.relation, nested.kinds, staged.relation, key_id)
        else:
            root = f"SELECT 1 FROM {staged.relation} s WHERE s.{quoted(ROW_ID)} = n.{quoted(ROOT_ID)}"
            origin = f"{nested.relation} n WHERE EXISTS ({root})"
        return self._execute(self._dialect.insert(self._name(target), nested.kinds, origin))

    # --- details -----------------------------------------------------------------------------------------------------

    def _same_key(self, staged: Staged, key: Iterable[str]) -> str:
        """The condition that a staged row `s` and a stored one `t` have the same key."""
        return self._dialect.same_key("s", "t", key, staged.kinds)

    def _count(self, clause: str) -> int:
        return int(self._rows(f"SELECT count(*) {clause}")[0][0])

    def _temporary_name(self, kind: str) -> str:
        return f"{self._dialect.temporary}.{kind}_{next(self._numbers)}"

    def _remember(self, table: str, columns: Iterable[Column]) -> None:
        types = {column.name: self._dialect.sql_type(column.type) for column in columns if column.type is not None}
        self._tables.add(table, types)

    def _type_of(self, table: str, column: str, data_type: str) -> ColumnType:
        kind = self._dialect.column_type(data_type)
        if kind is None:
            raise TableConflictError(
                table=table,
                problem=f"its column {column!r} has the type {data_type}, which loads cannot write. Load into another "
                "table or dataset, or change the column's type.",
            )
        return kind
