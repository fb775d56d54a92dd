"""How many rows tables have after a commit, without counting where that follows from what the commit did."""

from __future__ import annotations

from collections.abc import Mapping

from dlt_orchestrate.flow.operation import CreateTable, DeleteRows, DropTable, Operation
from dlt_orchestrate.flow.package import TableCounts
from dlt_orchestrate.protocols.destination import Transaction


class RowTotals:
    """The rows of the tables of one commit, told by the operations that it carries out."""

    def __init__(self) -> None:
        self._change: dict[str, int] = {}
        self._began_empty: set[str] = set()

    def add(self, operation: Operation, effect: Mapping[str, TableCounts]) -> None:
        """Take in an operation and what it did; what leaves a table without rows makes it known for good."""
        if isinstance(operation, CreateTable | DropTable | DeleteRows):
            self._began_empty.add(operation.table)
            self._change[operation.table] = 0
            return
        for table, counts in effect.items():
            self._change[table] = self._change.get(table, 0) + counts.inserted - counts.deleted

    def of(self, table: str, transaction: Transaction) -> int:
        """Number of rows of a table after the operations."""
        change = self._change.get(table, 0)
        return change if table in self._began_empty else transaction.row_count_after(table, change)
