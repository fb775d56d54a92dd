"""What a database says of a table beside its rows: keys, nulls, uniqueness, comments, types, references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.sources.sql_database.kinds import ColumnPlan, ReflectionLevel

if TYPE_CHECKING:
    import sqlalchemy as sa

_DYNAMIC = ("sqlite",)
"""Dialects that may hold another type of value than a column declares: then the column itself is null."""
_LOOSE = ("mysql", "mariadb")
"""Dialects whose dates may be none, times longer than a day, and truth values any small number: such a value goes beside
the column, which then is null."""


def primary_key_of(table: sa.Table) -> list[str]:
    """The columns of the primary key; none if one of them is left out."""
    there = {column.name for column in table.columns}
    key = [column.name for column in table.primary_key.columns]
    return key if there.issuperset(key) else []


def column_hints(plans: Sequence[ColumnPlan], level: ReflectionLevel) -> dict[str, dict[str, Any]]:
    """Hints of columns by name; types give way to what is stored and to the values."""
    return {plan.name: hints for plan in plans if (hints := _hints_of(plan, level))}


def _hints_of(plan: ColumnPlan, level: ReflectionLevel) -> dict[str, Any]:
    found: dict[str, Any] = plan.kind.hint(level)
    if not plan.nullable and _keeps_its_type(plan):
        found |= {"nullable": False, "type_gives_way": True}
    if plan.is_unique:
        found["unique"] = True
    if plan.comment:
        found["description"] = plan.comment
    return found


def _keeps_its_type(plan: ColumnPlan) -> bool:
    is_loose = plan.dialect in _LOOSE and plan.kind.data_type in ("date", "timestamp", "time", "bool")
    return plan.dialect not in _DYNAMIC and not is_loose


def references_of(table: sa.Table) -> list[dict[str, Any]]:
    """The foreign keys, in the form of a schema's references."""
    return [
        {
            "columns": [column.name for column in constraint.columns],
            "referenced_table": constraint.elements[0].target_fullname.split(".")[-2],
            "referenced_columns": [element.target_fullname.split(".")[-1] for element in constraint.elements],
        }
        for constraint in sorted(table.foreign_key_constraints, key=lambda found: str(found.name))
    ]
