"""What normalize must know of a table's hints and of the destination."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.batch import KeyPath
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.growth import DEFAULT_MAX_NESTING

DEEPEST = DEFAULT_MAX_NESTING
"""Levels of nesting that become columns and tables, whatever the hints say; deeper values become JSON."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the records of one root table may become at most in one load; None for no limit.

    Attributes:
        columns: New keys of one table that become columns or nested tables; what further keys hold is left together.
            None for as many columns as the destination allows.
        tables: New tables nested in the root table.
        levels: Levels of nesting that become columns and tables; deeper values become JSON.
        key_length: Characters of a key that becomes a column.
        field_bytes: Bytes of one text, binary or JSON value; rows with longer ones are rejected.
    """

    columns: int | None = None
    tables: int | None = None
    levels: int = DEEPEST
    key_length: int | None = None
    field_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """How far values are taken apart, and what values may be.

    Attributes:
        deepest: Levels of nested tables and columns; deeper values become one JSON column.
        keeps_json: Whether the nested value at a path of a table, told by its own path, stays whole, as JSON; None if
            none does.
        detects_text: Whether texts may be date-times; False for input whose types were declared, such as Arrow.
    """

    capabilities: Capabilities = field(default_factory=Capabilities)
    deepest: int = DEEPEST
    keeps_json: Callable[[KeyPath, KeyPath], bool] | None = None
    detects_text: bool = True

    def keeps_whole(self, path: KeyPath, *, level: int, table: KeyPath = ()) -> bool:
        """Whether a nested value at `path` of a table, below `level` levels of nesting, stays one JSON value."""
        return level >= self.deepest or (self.keeps_json is not None and self.keeps_json(table, path))
