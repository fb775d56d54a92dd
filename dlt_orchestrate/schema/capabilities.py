"""What a destination can hold: the table it hands to normalize and to the planning of a load."""

from __future__ import annotations

from typing import Literal

from dlt_orchestrate.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Limits of a destination.

    Attributes:
        max_identifier_length: Longest name of a table or column.
        identifiers_measured_in: What that length counts: characters, or bytes in UTF-8.
        case_sensitive_identifiers: Whether names that differ only in case name different tables and columns.
        naming_convention: The naming convention of new datasets where none is configured; None for no preference.
        max_columns: Most columns of one table.
        default_max_columns: Columns of one table up to which a load makes new ones unless it is set: with so many a row can
            be written whatever they hold. 1,000 is what DuckDB writes within a gigabyte, with room to spare.
        max_decimal_precision: Most digits of a decimal.
        holds_nul_in_text: Whether a text may contain the character NUL.
        earliest_year: First year that date and timestamp columns hold.
        latest_year: Last year that they hold.
        reserved_columns: Names that no column can have.
        max_field_bytes: Most bytes of one text, binary or JSON value.
    """

    max_identifier_length: int = 65_536
    identifiers_measured_in: Literal["characters", "bytes"] = "characters"
    case_sensitive_identifiers: bool = False
    naming_convention: str | None = None
    max_columns: int = 2_000
    default_max_columns: int = 1_000
    max_decimal_precision: int = 38
    holds_nul_in_text: bool = True
    earliest_year: int = 1
    latest_year: int = 9999
    reserved_columns: frozenset[str] = frozenset()
    max_field_bytes: int = 2**30
