"""A look into the dataset of the conformance tests."""

from __future__ import annotations

from typing import Any

from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.testing.packages import DATASET


def rows(destination: Destination, table: str, *columns: str, order: str | None = None) -> list[tuple[Any, ...]]:
    """Some columns of a table, ordered by them or by SQL of one's own."""
    with destination.reader(DATASET) as reader:
        chosen = ", ".join(map(reader.quoted, columns))
        found = reader.query(f"SELECT {chosen} FROM {reader.qualified(table)} ORDER BY {order or chosen}")  # noqa: S608
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def scalar(destination: Destination, sql: str) -> Any:
    """The first value that a query finds."""
    with destination.reader(DATASET) as reader:
        return reader.query(sql).column(0)[0].as_py()


def orphans(destination: Destination, table: str, parent: str) -> int:
    """How many rows of a nested table belong to no row of the table above."""
    return int(
        scalar(
            destination,
            f"SELECT count(*) FROM {table} n WHERE n._dlt_parent_id NOT IN (SELECT _dlt_id FROM {parent})",  # noqa: S608
        )
    )
