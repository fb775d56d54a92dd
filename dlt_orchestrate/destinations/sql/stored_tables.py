"""The columns of stored tables within one transaction, which may change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dlt_orchestrate.load.system_tables import SYSTEM_TABLES

LookUp = Callable[[Iterable[str] | None], Iterable[tuple[Any, ...]]]
"""Finds table, column and type, in order: of some tables, or of all for None."""


class StoredTables:
    """The tables of a dataset with the types of their columns, as the database prints them."""

    def __init__(self, look_up: LookUp, *, few: int = 0) -> None:
        """
        Args:
            few: Until so many are known, tables are looked up one by one, since a dataset may have thousands of others;
                then all are, since a query costs as much.
        """
        self._look_up = look_up
        self._few = few
        self._tables: dict[str, dict[str, str]] = {}
        self._known: set[str] = set()
        self._knows_all = False

    def __getitem__(self, table: str) -> Mapping[str, str] | None:
        """The columns of a table; None if it does not exist."""
        if not self._knows_all and table not in self._known:
            self._read(None if len(self._known) >= self._few else {table, *SYSTEM_TABLES})
        return self._tables.get(table)

    def start_empty(self) -> None:
        """Know that there are no tables yet, without looking them up."""
        self._knows_all = True

    def everything(self) -> Mapping[str, Mapping[str, str]]:
        """All tables."""
        if not self._knows_all:
            self._read(None)
        return self._tables

    def add(self, table: str, columns: Mapping[str, str]) -> None:
        """Take in columns that a table has got; one that nobody has asked for yet is looked up when somebody does."""
        if self._knows_all or table in self._known:
            self._tables.setdefault(table, {}).update(columns)

    def drop(self, table: str) -> None:
        """Forget a table that is no more."""
        self._known.add(table)
        self._tables.pop(table, None)

    def _read(self, asked: set[str] | None) -> None:
        wanted = None if asked is None else asked - self._known
        found: dict[str, dict[str, str]] = {}
        for table, column, data_type in self._look_up(wanted):
            found.setdefault(table, {})[column] = data_type
        self._tables = {**found, **self._tables}
        self._knows_all = wanted is None
        self._known |= wanted or set()
