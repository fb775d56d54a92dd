"""Schemas and tables that are not there, told with those that are."""

from __future__ import annotations

from collections.abc import Sequence

from dlt_orchestrate.config.spelling import nearest
from dlt_orchestrate.errors import DatabaseReadError
from dlt_orchestrate.sources.sql_database.database import Database


def expect_schema(location: str, schema: str, there: Sequence[str]) -> None:
    """Refuse a schema that is none of those of the database.

    Raises:
        DatabaseReadError: It is not there.
    """
    if schema not in there:
        shown = ", ".join(repr(name) for name in sorted(there) if name != "information_schema")
        close = nearest(schema, there)
        raise DatabaseReadError(
            location=location,
            what=f"schema {schema!r}",
            problem=f"there is no such schema; there are {shown}",
            advice=f"Did you mean {close!r}?" if close else "",
        )


def missing_table(database: Database, name: str, schema: str | None) -> DatabaseReadError:
    """The error for a table that is not there, or no longer."""
    there = database.table_names(schema, include_views=True)
    shown = ", ".join(map(repr, there[:10])) + (f" and {len(there) - 10} more" if len(there) > 10 else "")
    where = f"schema {schema!r}" if schema else "its default schema"
    close = nearest(name, there)
    return DatabaseReadError(
        location=database.location,
        what=f"table {name!r}",
        problem=f"there is no such table or view in {where}, which has {shown or 'none'}",
        advice=f"{f'Did you mean {close!r}? Or was' if close else 'Was'} it dropped or renamed? Correct the name, or take "
        "the table out; what was loaded of it stays.",
    )
