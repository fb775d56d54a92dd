"""Large tables in parts: ranges of a key, each the key of a partition."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.sources.sql_database.database import Access, Reading
from dlt_orchestrate.sources.sql_database.failures import told
from dlt_orchestrate.sources.sql_database.opening import opened

if TYPE_CHECKING:
    import sqlalchemy as sa

    from dlt_orchestrate.sources.sql_database.columns import ReflectedColumn

SEPARATOR = ".."
WITHOUT_VALUE = "null"
"""The key of the partition of rows that have no value in the column, so that no range holds them."""

_log = logging.getLogger("dlt_orchestrate.sources.sql_database")


def key_ranges(low: int, high: int, size: int, *, nulls: bool = False) -> list[str]:
    """Ranges of whole numbers from `low` up to and with `high`, each of `size` numbers: keys of partitions.

    They lie on multiples of `size`, so that a table that grows gets further ranges and keeps those it has.

    Args:
        nulls: Whether there are rows without a value; the partition `null` reads these.

    >>> key_ranges(1, 25, 10), key_ranges(1, 5, 10, nulls=True)
    (['0..10', '10..20', '20..30'], ['0..10', 'null'])
    """
    if size < 1 or low > high:
        raise DeclarationError(f"key_ranges: from {low} to {high} there are no ranges of {size} numbers.")
    ranges = [f"{start}{SEPARATOR}{start + size}" for start in range(low // size * size, high + 1, size)]
    return [*ranges, WITHOUT_VALUE] if nulls else ranges


def find_key_ranges(credentials: Any, table: str, column: str, size: int, *, schema: str | None = None) -> list[str]:
    """The ranges of a column of whole numbers that a table has now, and `null` if it lacks some; asks the database.

    Args:
        size: Numbers of a range, so at most its rows where the column is a key.

    Raises:
        DatabaseReadError: The database cannot be asked.
        DeclarationError: The table has no such column, or it holds no whole numbers.
    """
    from dlt_orchestrate.sources.sql_database.columns import plan_columns

    with opened(Access(credentials)) as database:
        found = database.reflect(table, schema, None, with_foreign_keys=False)
        plan = split_column(plan_columns(found, database.dialect), column, table)
        reading = database.connect()
        try:
            with told(database.location, f"table {table!r}"):
                extremes = _extremes(reading, plan)
                nulls = _lacks_some(reading, plan)
        finally:
            reading.close()
    if extremes is None:
        return [WITHOUT_VALUE] if nulls else []
    return key_ranges(*extremes, size, nulls=nulls)


def warn_of_rows_outside(reading: Reading, plan: ReflectedColumn, table: str, key: str) -> None:
    """Tell of rows that no range holds, once for all ranges: where the one that holds the least value is read."""
    if key == WITHOUT_VALUE or not _lacks_some(reading, plan):
        return
    start, end = _bounds(plan, table, key)
    extremes = _extremes(reading, plan)
    if extremes is None or start <= extremes[0] < end:
        _log.warning(
            "Table %r: it has rows without %r, which are in none of its ranges. The partition %r reads them: see that "
            "there is one, as in key_ranges(..., nulls=True).",
            table,
            plan.name,
            WITHOUT_VALUE,
        )


def _extremes(reading: Reading, plan: ReflectedColumn) -> tuple[int, int] | None:
    """The least and the greatest value; None if there are none."""
    import sqlalchemy as sa

    query = sa.select(sa.func.min(plan.column).label("low"), sa.func.max(plan.column).label("high"))
    ((row,),) = [chunk if isinstance(chunk, list) else chunk.to_pylist() for chunk in reading.query(query, [], 1)]
    return None if row["low"] is None else (int(row["low"]), int(row["high"]))


def _lacks_some(reading: Reading, plan: ReflectedColumn) -> bool:
    if not plan.column.nullable:
        return False
    import sqlalchemy as sa

    query = sa.select(plan.column).where(plan.column.is_(None)).limit(1)
    return any(len(chunk) for chunk in reading.query(query, [], 1))


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
    """The query for the rows that the key of a partition names: those of a range, or those without a value.

    Raises:
        DeclarationError: The key of the partition is neither.
    """
    if key == WITHOUT_VALUE:
        return query.where(plan.column.is_(None))
    start, end = _bounds(plan, table, key)
    return query.where(plan.column >= start, plan.column < end)


def _bounds(plan: ReflectedColumn, table: str, key: str) -> tuple[int, int]:
    low, separator, high = key.partition(SEPARATOR)
    try:
        start, end = int(low), int(high)
    except ValueError:
        separator = ""
    if not separator:
        raise DeclarationError(
            f"Resource {table!r}: it is split by {plan.name!r}, and the partition {key!r} is no range of it such as "
            f"'0..1000', nor {WITHOUT_VALUE!r}. Make the keys with key_ranges(...)."
        )
    return start, end
