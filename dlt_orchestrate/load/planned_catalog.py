"""The tables as they will be once planned operations are carried out: a commit may drop or empty a table before it fills
it, and its sources may share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dlt_orchestrate.flow.operation import AddColumns, CreateTable, DeleteRows, DropTable, Operation, WidenColumn
from dlt_orchestrate.protocols.destination import Catalog
from dlt_orchestrate.schema.types import ColumnType

BIGINT_RANGE = (-(2**63), 2**63 - 1)


class PlannedCatalog:
    """A destination's catalog with operations that are planned and not carried out yet."""

    def __init__(self, stored: Catalog) -> None:
        self._stored = stored
        self._changed: dict[str, dict[str, ColumnType]] = {}
        self._dropped: set[str] = set()
        self._emptied: set[str] = set()

    def plan(self, operations: Iterable[Operation]) -> None:
        """Take in definitions, and what leaves a table without rows."""
        for operation in operations:
            match operation:
                case DropTable(table):
                    self._dropped.add(table)
                    self._emptied.add(table)
                case DeleteRows(table):
                    self._emptied.add(table)
                case CreateTable(table, columns) | AddColumns(table, columns):
                    named = {column.name: column.type for column in columns if column.type is not None}
                    self._changed[table] = {**(self.columns(table) or {}), **named}
                case WidenColumn(table, column, new_type):
                    self._changed[table] = {**(self.columns(table) or {}), column: new_type}

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables with planned definitions."""
        return tuple(self._changed)

    def columns(self, table: str) -> Mapping[str, ColumnType] | None:
        stored = None if table in self._dropped else self._stored.columns(table)
        return self._changed.get(table) or stored

    def integer_range(self, table: str, column: str) -> tuple[int, int] | None:
        """Least and greatest value; the widest range where rows of the same commit may bring any."""
        if table in self._changed:
            return BIGINT_RANGE
        return None if table in self._emptied else self._stored.integer_range(table, column)

    def row_count(self, table: str) -> int:
        return 0 if table in self._emptied else self._stored.row_count(table)

    def any_text(self, table: str, column: str) -> str | None:
        stored = None if table in self._emptied else self._stored.columns(table)
        return self._stored.any_text(table, column) if stored and column in stored else None
