"""Names and values as they stand in SQL: whatever is put into a statement has passed through here."""

from __future__ import annotations

from collections.abc import Iterable


def quoted(identifier: str) -> str:
    """An identifier as it stands in SQL.

    >>> quoted('odd"name')
    '"odd""name"'
    """
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as it stands in SQL, whatever the server takes a backslash for.

    >>> literal("it's")
    "'it''s'"
    """
    quotes_doubled = text.replace("'", "''")
    if "\\" in text:
        return "E'" + quotes_doubled.replace("\\", "\\\\") + "'"
    return f"'{quotes_doubled}'"


def column_list(columns: Iterable[str]) -> str:
    """Columns as a list of names.

    >>> column_list(["id", "at"])
    '"id", "at"'
    """
    return ", ".join(map(quoted, columns))


def is_one_of(column: str, texts: Iterable[str]) -> str:
    """The condition that a column holds one of some texts.

    >>> is_one_of("name", ["a", "b"]), is_one_of("name", [])
    ('"name" IN (\\'a\\', \\'b\\')', 'false')
    """
    values = ", ".join(map(literal, texts))
    return f"{quoted(column)} IN ({values})" if values else "false"


def is_same(column: str, text: str | None) -> str:
    """The condition that a column holds a text, or nothing where that is None."""
    return f"{quoted(column)} IS NULL" if text is None else f"{quoted(column)} = {literal(text)}"
