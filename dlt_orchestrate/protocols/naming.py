"""A naming convention: how one key of a source reads as an identifier. Subclass the base, or one of the known ones."""

from __future__ import annotations

from dlt_orchestrate.schema.conventions import (
    Direct,
    DuckCase,
    NamingConvention,
    S3Tables,
    SnakeCase,
    SqlCaseInsensitive,
    SqlCaseSensitive,
    UnicodeSnakeCase,
)

__all__ = [
    "Direct",
    "DuckCase",
    "NamingConvention",
    "S3Tables",
    "SnakeCase",
    "SqlCaseInsensitive",
    "SqlCaseSensitive",
    "UnicodeSnakeCase",
]
