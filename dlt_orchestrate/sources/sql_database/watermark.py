"""The greatest value of a column, asked for in the way of a DB-API connection, as sensors ask."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.sources.sql_database.columns import plan_columns
from dlt_orchestrate.sources.sql_database.database import Access
from dlt_orchestrate.sources.sql_database.failures import told
from dlt_orchestrate.sources.sql_database.opening import open_database


class Watermark:
    """A connection, and its cursor, that answer one question, whatever they are asked."""

    def __init__(self, credentials: Any, *, table: str, column: str, schema: str | None) -> None:
        self._database = open_database(Access(credentials))
        self._place = table, schema
        self._column = column
        self._reading = self._database.connect()

    def cursor(self) -> Watermark:
        return self

    def execute(self, _: str) -> None:
        """Nothing: the question is known."""

    def fetchone(self) -> tuple[Any] | None:
        """The greatest value; None if there is no row.

        Raises:
            DatabaseReadError: The database cannot be asked.
            DeclarationError: The table has no such column.
        """
        name, schema = self._place
        table = self._database.reflect(name, schema, None, with_foreign_keys=False)
        plans = {plan.name: plan for plan in plan_columns(table, self._database.dialect)}
        if self._column not in plans:
            raise DeclarationError(f"Table {name!r} has no column {self._column!r}. It has {', '.join(plans)}.")
        query = sa.select(sa.func.max(table.c[self._column]).label(self._column))
        with told(self._database.location, f"table {name!r}"):
            for chunk in self._reading.query(query, [plans[self._column]], 1):
                (row,) = chunk if isinstance(chunk, list) else chunk.to_pylist()
                return (row[self._column],)
        return None

    def close(self) -> None:
        self._reading.close()
        self._database.close()
