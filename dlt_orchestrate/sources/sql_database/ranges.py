"""Large tables in parts: ranges of a key, each the key of a partition."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.sources.sql_database.database import Access
from dlt_orchestrate.sources.sql_database.failures import told
from dlt_orchestrate.sources.sql_database.opening import opened

if TYPE_CHECKING:
    import sqlalchemy as sa

    from dlt_orchestrate.sources.sql_database.columns import ReflectedColumn

SEPARATOR = ".."

_log = logging.getLogger("dlt_orchestrate.sources.sql_database")


def key_ranges(low: int, high: int, size: int) -> list[str]:
    """Ranges of whole numbers from `low` up to and with `high`, each of `size` numbers: keys of partitions.

    They lie on multiples of `size`, so that a table that grows gets further ranges and keeps those it has.

    >>> key_ranges(1, 25, 10)
    ['0..10', '10..20', '20..30']
    """
    if size < 1 or low > high:
        raise DeclarationError(f"key_ranges: from {low} to {high} there are no ranges of {size} numbers.")
    return [f"{start}{SEPARATOR}{start + size}" for start in range(low // size * size, high + 1, size)]


def find_key_ranges(credentials: Any, table: str, column: str, size: int, *, schema: str | None = None) -> list[str]:
    """The ranges of a column of whole numbers that a table has now; asks the database.

    Args:
        size: Numbers of a range, so at most its rows where the column is a key.

    Raises:
        DatabaseReadError: The database cannot be asked.
        DeclarationError: The table has no such column, or it holds no whole numbers.
    """
    import sqlalchemy as sa

    from dlt_orchestrate.sources.sql_database.columns import plan_columns

    with opened(Access(credentials)) as database:
        found = database.reflect(table, schema, None, with_foreign_keys=False)
        plan = split_column(plan_columns(found, database.dialect), column, table)
        asked: list[Any] = [sa.func.min(plan.column).label("low"), sa.func.max(plan.column).label("high")]
        if plan.column.nullable:
            again = found.alias()
            asked.append(sa.exists().where(again.c[column].is_(None)).label("lacks_some"))
        query = sa.select(*asked)
        reading = database.connect()
        try:
            with told(database.location, f"table {table!r}"):
                (chunk,) = reading.query(query, [], 1)
        finally:
            reading.close()
    (row,) = chunk if isinstance(chunk, list) else chunk.to_pylist()
    if row.get("lacks_some"):
        _log.warning(
            "Table %r: there are rows without %r, which are in none of its ranges. Split it by a column that has a "
            "value in each row, or load these by themselves.",
            table,
            column,
        )
    return [] if row["low"] is None else key_ranges(int(row["low"]), int(row["high"]), size)


def split_column(plans: Sequence[ReflectedColumn], column: str, table: str) -> ReflectedColumn:
    """The column that a table is split by.

    Raises:
        DeclarationError: There is none of that name, or it holds no whole numbers.
    """
    plan = next((plan for plan in plans if plan.name == column), None)
    if plan is None:
        raise DeclarationError(
            f"Table {table!r}: there is no column {column!r} to split it by. It has "
            f"{', '.join(plan.name for plan in plans)}."
        )
    if plan.kind.data_type not in ("bigint", "decimal") or plan.kind.scale:
        raise DeclarationError(f"Table {table!r}: a table is split by a column of whole numbers, and {column!r} is none.")
    return plan


def in_range(query: sa.Select[Any], plan: ReflectedColumn, table: str, key: str) -> sa.Select[Any]:
    """The query for the range that the key of a partition names.

    Raises:
        DeclarationError: The key of the partition is no range.
    """
    low, separator, high = key.partition(SEPARATOR)
    try:
        start, end = int(low), int(high)
    except ValueError:
        separator = ""
    if not separator:
        raise DeclarationError(
            f"Resource {table!r}: it is split by {plan.name!r}, and the partition {key!r} is no range of it such as "
            "'0..1000'. Make the keys with key_ranges(...)."
        )
    return query.where(plan.column >= start, plan.column < end)
