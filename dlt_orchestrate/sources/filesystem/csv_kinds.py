"""The types that the text of a CSV file can have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from dlt_orchestrate.errors import DeclarationError

Kind = Literal["bigint", "double", "bool", "date", "timestamp", "naive_timestamp", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which a column is tried."""


def fixed_types(types: Mapping[str, str] | None, reader: str) -> dict[str, Kind]:
    """The types that a user gives.

    Raises:
        DeclarationError: One of them is none of those that text is read as.
    """
    found: dict[str, Kind] = {}
    for name, kind in (types or {}).items():
        if kind not in KINDS:
            raise DeclarationError(f"{reader}: column {name!r} cannot have type {kind!r}. It can be: {', '.join(KINDS)}.")
        found[name] = kind
    return found
