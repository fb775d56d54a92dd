"""Tables that were found out before: what there is is asked for once, and kept; making resources of it asks nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.config.values import secrets
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import source
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.sources.sql_database.database import Access, place_of
from dlt_orchestrate.sources.sql_database.opening import opened
from dlt_orchestrate.sources.sql_database.reading import TableOptions, reflected
from dlt_orchestrate.sources.sql_database.selection import declared_for, selected
from dlt_orchestrate.sources.sql_database.snapshot import Snapshot
from dlt_orchestrate.sources.sql_database.source import DEFAULT_CHUNK_ROWS, SECTION, Credentials, table_resource


def discover_tables(
    credentials: Any,
    *,
    schema: str | None = None,
    table_names: Sequence[str] | None = None,
    exclude: Sequence[str] | None = None,
    include_views: bool = False,
    root: str | None = None,
) -> list[dict[str, Any]]:
    """What tables a database has, and what it says of each: JSON-like, for `discovered_tables`.

    Args:
        table_names, exclude: Names and patterns.
        root: The folder that the relative path of a file lies in; the working directory by default.

    Raises:
        DatabaseCredentialsError, DatabaseReadError: The database cannot be asked.
        DeclarationError: A name or a pattern means no table.
    """
    with opened(Access(credentials, root=_folder(root))) as database:
        there = database.table_names(schema, include_views=include_views or bool(table_names))
        names = selected(
            there,
            table_names,
            exclude,
            location=place_of(database, schema),
            everything=lambda: database.table_names(schema, include_views=True),
        )
        found = [reflected(database, name, TableOptions(schema=schema)) for name in names]
    return [
        {
            "name": one.table.name,
            "description": one.table.comment,
            **one.hints,
            "uncertain_types": one.uncertain_types,
        }
        for one in found
    ]


@source(name="sql_database", section=SECTION)
def discovered_tables(
    discovered: Any,
    credentials: Credentials = secrets.value,
    schema: str | None = None,
    chunk_size: int = DEFAULT_CHUNK_ROWS,
    tables: Any = None,
    write_disposition: Any = None,
    snapshot: bool = False,
    root: str | None = None,
) -> list[Resource]:
    """Resources of tables that `discover_tables` has found.

    Args:
        discovered: What it gave.
        tables: What is declared of tables, by name or pattern: `incremental` (the arguments of one), `primary_key`,
            `write_disposition`, `columns`, `included_columns`, `excluded_columns`, `split_by`. A name
            goes before patterns, and of these the first that means the table counts.
        write_disposition: Of those that declare none.
        root: As of `discover_tables`.

    Raises:
        DeclarationError: A name or pattern means none of the tables.
    """
    declared: Mapping[str, Mapping[str, Any]] = tables or {}
    names = [found["name"] for found in discovered]
    for pattern in declared:
        if pattern not in names and not any(fnmatchcase(name, pattern) for name in names):
            raise DeclarationError(
                f"Source 'sql_database': tables.{pattern} means none of the tables that were found. {meant(pattern, names)}"
            )
    access = Access(credentials, root=_folder(root))
    shared = Snapshot(access) if snapshot else None
    return [
        _resource(found, access, TableOptions(schema=schema, chunk_size=chunk_size), shared, declared, write_disposition)
        for found in discovered
    ]


def _folder(root: str | None) -> Path | None:
    return None if root is None else Path(root)


def _resource(
    found: Mapping[str, Any],
    access: Access,
    options: TableOptions,
    snapshot: Snapshot | None,
    declared: Mapping[str, Mapping[str, Any]],
    write_disposition: Any,
) -> Resource:
    name = found["name"]
    own = dict(declared_for(name, declared) or {})
    cursor = own.pop("incremental", None)
    chosen = {key: own.pop(key) for key in ("included_columns", "excluded_columns", "split_by") if key in own}
    columns = own.pop("columns", None)
    made = table_resource(
        name,
        access,
        replace(options, **chosen),
        snapshot,
        incremental=_cursor(name, cursor, types_of(found)) if cursor else None,
        write_disposition=own.pop("write_disposition", None) or write_disposition,
        **own,
    )
    if columns:
        made.apply_hints(columns=columns)
    if not chosen:
        made.apply_hints(**made.declared.beside({key: found.get(key) for key in ("primary_key", "columns")}))
    made.description = found.get("description") or made.description
    return made


_FORMS = {
    "timestamp": "a moment in ISO 8601, such as 2026-01-31 or 2026-01-31T08:00:00Z",
    "date": "a date in ISO 8601, such as 2026-01-31",
    "decimal": "a number, such as 12.50",
}


def _cursor(table: str, declared: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]]) -> Incremental[Any]:
    given = dict(declared)
    hint = columns.get(given.get("cursor_path", ""), {})
    for argument in ("initial_value", "end_value"):
        if argument in given:
            try:
                given[argument] = as_value_of(given[argument], hint)
            except ValueError as error:
                owner = f"Table {table!r}, incremental {given['cursor_path']!r}"
                raise DeclarationError(f"{owner}: {argument} {error}.") from None
    return Incremental(**given)


def as_value_of(written: Any, hint: Mapping[str, Any]) -> Any:
    """A value as YAML writes it, as one of the column; moments without a zone are taken for UTC.

    Raises:
        ValueError: It is none.

    >>> as_value_of("2024-01-01", {"data_type": "timestamp", "timezone": False})
    datetime.datetime(2024, 1, 1, 0, 0)
    >>> as_value_of("yesterday", {"data_type": "date"})
    Traceback (most recent call last):
    ValueError: 'yesterday' is no date. Write a date in ISO 8601, such as 2026-01-31
    """
    kind = hint.get("data_type")
    try:
        return _as_value_of(written, kind, is_naive=hint.get("timezone") is False)
    except (ValueError, ArithmeticError):
        raise ValueError(f"{written!r} is no {kind}. Write {_FORMS[str(kind)]}") from None


def _as_value_of(written: Any, kind: str | None, *, is_naive: bool) -> Any:
    match kind, written:
        case "timestamp", datetime() | date() | str():
            moment = datetime.fromisoformat(written if isinstance(written, str) else written.isoformat())
            if is_naive:
                return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        case "date", str():
            return date.fromisoformat(written)
        case "decimal", int() | float() | str():
            return Decimal(str(written))
        case _:
            return written


def types_of(found: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The types of the columns of a table that was discovered, by their names."""
    columns: Mapping[str, Mapping[str, Any]] = found.get("uncertain_types", {}) | found["columns"]
    return columns
