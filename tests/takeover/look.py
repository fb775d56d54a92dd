"""The rows of a dataset, without what differs from load to load; imports neither dlt nor this package."""

from __future__ import annotations

from typing import Any


def rows_of(connection: Any, dataset: str) -> dict[str, list[list[str]]]:
    """Every table of data with its rows as texts, sorted, each value as `column=value`; nulls are left out.

    Ids are left out, nested rows keep their index; of versions it is told whether they are open.
    """
    connection.execute("SET TimeZone = 'UTC'")
    found = {}
    columns: dict[str, list[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = ? ORDER BY table_name, column_index",
        [dataset],
    ).fetchall():
        if not table.startswith("_dlt_"):
            columns.setdefault(table, []).append(column)
    for table, names in columns.items():
        shown = [
            f"('_dlt_valid_to' || '=' || (_dlt_valid_to IS NULL)::VARCHAR) AS \"{name}\""
            if name == "_dlt_valid_to"
            else f"'{name}=' || \"{name}\"::VARCHAR"
            for name in names
            if not name.startswith("_dlt_") or name in ("_dlt_list_idx", "_dlt_valid_to")
        ]
        rows = connection.execute(f'SELECT {", ".join(shown)} FROM "{dataset}"."{table}"').fetchall()
        found[table] = sorted([sorted(value for value in row if value is not None) for row in rows])
    return found
