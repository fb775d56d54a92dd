"""How sessions with PostgreSQL begin, and how values and names stand in statements."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

CONNECT_TIMEOUT_SECONDS = 10
SESSION_PARAMETERS = {"connect_timeout": str(CONNECT_TIMEOUT_SECONDS), "application_name": "dlt_orchestrate"}
"""What an address asks of the client, unless it says otherwise itself."""
SETTINGS = (
    "SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO, YMD', false), "
    "set_config('IntervalStyle', 'iso_8601', false), set_config('extra_float_digits', '1', false), "
    "set_config('standard_conforming_strings', 'on', false), set_config('bytea_output', 'hex', false)"
)
"""Makes texts of values alike, whatever server, database and role set."""


def literal(value: Any) -> str:
    """A value as a statement spells it, of unknown type where it is quoted.

    >>> literal("it's"), literal(None), literal(True), literal([1, "a"])
    ("'it''s'", 'NULL', 'true', "ARRAY[1, 'a']")
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return str(value)
        case float():
            return f"'{value!r}'"
        case bytes() | memoryview():
            return f"'\\x{bytes(value).hex()}'"
        case datetime() | date() | time():
            return f"'{value.isoformat()}'"
        case str() | UUID():
            doubled = str(value).replace("'", "''")
            return f"'{doubled}'"
        case Sequence():
            return f"ARRAY[{', '.join(map(literal, value))}]"
        case _:
            raise TypeError(f"a value of type {type(value).__name__} cannot be written into a query")


def quoted(*names: str | None) -> str:
    """A name as a statement spells it, with those that lead to it.

    >>> print(quoted("shop", 'a"b'), quoted(None, "orders"))
    "shop"."a""b" "orders"
    """
    return ".".join('"' + name.replace('"', '""') + '"' for name in names if name is not None)
