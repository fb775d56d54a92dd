"""The bounds of an incremental cursor as conditions of a query.

A condition may let rows through that are not new, since every row is judged by the cursor afterwards, but never holds back
one that is. So it is left out wherever the order of the database may be another than that of the values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.sql.elements import ColumnElement

from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.sources.sql_database.columns import ReflectedColumn
from dlt_orchestrate.state.moments import moment_of

DAY = timedelta(days=1)
_WITH_INFINITY = ("postgresql", "duckdb")
_WITH_ODD_MOMENTS = (*_WITH_INFINITY, "mysql", "mariadb")


class _NoBound(Exception):
    """A value cannot be compared by the database as it is by the cursor."""


def bounded(query: sa.Select[Any], plan: ReflectedColumn, cursor: Incremental[Any]) -> sa.Select[Any]:
    """The query, for rows that may be new only, in the declared order of the records.

    Args:
        plan: The column that the cursor reads.
    """
    column = _compared(plan)
    if column is not None and cursor.last_value_func in (max, min):
        conditions = _conditions(column, plan, cursor)
        if conditions:
            query = query.where(_with_nulls(sa.and_(*conditions), plan, cursor))
    if cursor.on_cursor_value_missing == "exclude":
        query = query.where(*_is_value(plan))
    if cursor.row_order is not None:
        by = plan.column if column is None else column
        query = query.order_by(by.asc() if cursor.row_order == "asc" else by.desc())
    return query


def _conditions(column: ColumnElement[Any], plan: ReflectedColumn, cursor: Incremental[Any]) -> list[ColumnElement[bool]]:
    rises = cursor.last_value_func is not min
    if plan.kind.data_type == "text" and cursor.initial_value is None and cursor.end_value is not None:
        return []  # the bounds of a window are in no spelling of the records yet
    found: list[ColumnElement[bool]] = []
    for value, is_start in ((cursor.start_value, True), (cursor.end_value, False)):
        if value is None:
            continue
        is_lower = is_start == rises
        try:
            bound = _on_scale(value, plan, is_lower=is_lower)
        except (_NoBound, ValueError, OverflowError, ArithmeticError):
            continue
        found.append(_condition(column, bound, plan, is_lower=is_lower, is_open=_is_open(cursor, is_start, value, plan)))
    return found


def _is_open(cursor: Incremental[Any], is_start: bool, value: Any, plan: ReflectedColumn) -> bool:
    """Whether rows that equal the bound are left to others: those of an open end, where the bound is the very value."""
    is_exact = plan.dialect != "sqlite" and type(value) in (int, datetime)
    return not is_start and cursor.range_end == "open" and is_exact and plan.kind.data_type in ("bigint", "timestamp")


def _condition(
    column: ColumnElement[Any], bound: Any, plan: ReflectedColumn, *, is_lower: bool, is_open: bool
) -> ColumnElement[bool]:
    value = sa.literal(bound, type_=_literal_type(plan, bound))
    if is_lower:
        condition = column > value if is_open else column >= value
    else:
        condition = column < value if is_open else column <= value
    if _is_text_of_sqlite(plan):
        return sa.or_(condition, sa.func.typeof(plan.column) != "text")
    return condition


def _with_nulls(condition: ColumnElement[bool], plan: ReflectedColumn, cursor: Incremental[Any]) -> ColumnElement[bool]:
    """Rows without a value are read unless they are not wanted: the cursor includes them, or takes them for an error."""
    if cursor.on_cursor_value_missing == "exclude" or not plan.column.nullable:
        return condition
    return sa.or_(condition, plan.column.is_(None))


def _is_value(plan: ReflectedColumn) -> Iterator[ColumnElement[bool]]:
    """What holds of a column that has a value: `infinity`, years before 1 and `0000-00-00` are no moments of the cursor."""
    if plan.column.nullable:
        yield plan.column.is_not(None)
    if plan.kind.data_type not in ("timestamp", "date") or plan.dialect not in _WITH_ODD_MOMENTS:
        return
    yield plan.column >= sa.literal_column("'0001-01-01'")
    if plan.dialect in _WITH_INFINITY:
        yield plan.column < sa.literal_column("'10000-01-01'")
    else:
        yield sa.extract("month", plan.column) > 0
        yield sa.extract("day", plan.column) > 0


def _compared(plan: ReflectedColumn) -> ColumnElement[Any] | None:
    """The column as the database has to compare it; None if it cannot compare it as the cursor does."""
    if plan.kind.asked not in ("as it is", "as double") or plan.kind.data_type in (None, "json", "binary", "bool", "time"):
        return None
    if plan.kind.data_type == "text":
        match plan.dialect:
            case "postgresql":
                return sa.collate(plan.column, "C")
            case "mysql" | "mariadb":
                return sa.collate(sa.cast(plan.column, mysql.CHAR(charset="utf8mb4")), "utf8mb4_bin")
            case "sqlite":
                return sa.collate(plan.column, "BINARY")
            case "duckdb":
                return plan.column
            case _:
                return None
    if _is_text_of_sqlite(plan):
        return sa.type_coerce(plan.column, sa.Text())
    return plan.column


def _is_text_of_sqlite(plan: ReflectedColumn) -> bool:
    """SQLite keeps moments as texts, in whatever spelling they were written; some have a zone, or are numbers."""
    return plan.dialect == "sqlite" and plan.kind.data_type in ("timestamp", "date")


def _on_scale(value: Any, plan: ReflectedColumn, *, is_lower: bool) -> Any:
    """A bound as a value of the column's type, moved outward where it falls between two of them."""
    if isinstance(value, bool):
        raise _NoBound
    convert = _SCALES.get(plan.kind.data_type or "")
    if convert is None:
        raise _NoBound
    bound = convert(value, is_lower)
    if plan.kind.data_type == "timestamp":
        if plan.dialect == "sqlite":
            return _outer_day(bound, is_lower)
        if plan.kind.timezone is False or plan.dialect in ("mysql", "mariadb"):
            return bound.astimezone(UTC).replace(tzinfo=None) if bound.tzinfo else bound
        return bound if bound.tzinfo else bound.replace(tzinfo=UTC)
    if plan.kind.data_type == "date" and plan.dialect == "sqlite":
        return _outer_day(datetime.combine(bound, time()), is_lower)
    if plan.kind.data_type == "decimal" and plan.dialect == "sqlite":
        raise _NoBound
    return bound


def _outer_day(moment: datetime, is_lower: bool) -> str:
    """A day that lies outside of the bound in every zone and spelling; texts of moments begin with their day."""
    return (moment.date() - DAY if is_lower else moment.date() + 2 * DAY).isoformat()


def _as_moment(value: Any, _: bool) -> datetime:
    match value:
        case datetime():
            return value
        case date():
            return datetime.combine(value, time())
        case str():
            return datetime.fromisoformat(value)
        case _:
            raise _NoBound


def _as_date(value: Any, is_lower: bool) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    moment = _as_moment(value, is_lower)
    return moment.date() if is_lower or moment.time() == time() else moment.date() + DAY


def _as_int(value: Any, is_lower: bool) -> int:
    match value:
        case int():
            return value
        case float() | Decimal():
            return math.floor(value) if is_lower else math.ceil(value)
        case str():
            return int(value)
        case _:
            raise _NoBound


def _as_decimal(value: Any, _: bool) -> Decimal:
    match value:
        case Decimal():
            return value
        case int() | str():
            return Decimal(value)
        case _:
            raise _NoBound


def _as_double(value: Any, _: bool) -> float:
    if isinstance(value, float | int | str):
        return float(value)
    raise _NoBound


def _as_text(value: Any, is_lower: bool) -> str:
    if not isinstance(value, str):
        raise _NoBound
    # The cursor compares texts of moments by what they mean, as soon as they are spelled in several ways.
    moment = moment_of(value)
    return value if moment is None else _outer_day(moment, is_lower)


_SCALES: dict[str, Callable[[Any, bool], Any]] = {
    "timestamp": _as_moment,
    "date": _as_date,
    "bigint": _as_int,
    "decimal": _as_decimal,
    "double": _as_double,
    "text": _as_text,
}


def _literal_type(plan: ReflectedColumn, bound: Any) -> Any:
    match bound:
        case str():
            return sa.Text()
        case datetime():
            return sa.DateTime(timezone=bound.tzinfo is not None)
        case Decimal():
            return sa.Numeric(asdecimal=True)
        case float():
            return sa.Double()
        case int():
            return sa.BigInteger()
        case _:
            return plan.column.type
