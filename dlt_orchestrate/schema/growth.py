"""How far the tables of a resource may grow: whether column types widen, how many columns and tables there may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Literal

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.schema.capabilities import Capabilities

TypePolicy = Literal["widen", "variant"]
"""What happens to values that do not fit their column: it takes a wider type if every value stays exact, or it keeps its
type. Values that still do not fit go to a variant column."""

DEFAULT_MAX_NESTED_TABLES = 500
DEFAULT_MAX_NESTING = 64
DEFAULT_MAX_FIELD_BYTES = 64 * 2**20
DEFAULT_MAX_KEY_LENGTH = 1_000


@dataclass(frozen=True, slots=True)
class Growth:
    """What is set for a resource; None for the default.

    Attributes:
        max_columns: Columns of one table up to which a load makes new ones.
        max_new_columns: Columns that one load makes in one table; as many as there is room for by default.
        max_nested_tables: Tables nested in one root table up to which a load makes new ones.
        max_new_nested_tables: Nested tables that one load makes; as many as there is room for by default.
        max_nesting: Levels of nesting that become columns and tables; what lies deeper becomes JSON.
        max_field_bytes: Bytes of one text, binary or JSON value; rows with longer ones are rejected.
        max_key_length: Characters of a key; what stands under longer ones has no column of its own.
    """

    type_policy: TypePolicy = "widen"
    max_columns: int | None = None
    max_new_columns: int | None = None
    max_nested_tables: int | None = None
    max_new_nested_tables: int | None = None
    max_nesting: int | None = None
    max_field_bytes: int | None = None
    max_key_length: int | None = None

    def columns_within(self, capabilities: Capabilities) -> int:
        """Columns of a table up to which new ones are made in a destination."""
        return min(_given(self.max_columns, capabilities.default_max_columns), capabilities.max_columns)

    def new_columns_within(self, most: int) -> int:
        """New columns that a load may make, in a table that has room for so many."""
        return most if self.max_new_columns is None else min(self.max_new_columns, most)

    def new_tables_beside(self, stored: int) -> int:
        """New nested tables that a load may make, where so many are stored."""
        room = max(0, _given(self.max_nested_tables, DEFAULT_MAX_NESTED_TABLES) - stored)
        return room if self.max_new_nested_tables is None else min(self.max_new_nested_tables, room)


def _given(value: int | None, default: int) -> int:
    return default if value is None else value


def strictest(growths: Iterable[Growth]) -> Growth:
    """What holds for a table that several resources fill: the type stays if one wants it to, the least limits count.

    >>> found = strictest([Growth("variant"), Growth(max_columns=50)])
    >>> found.type_policy, found.max_columns
    ('variant', 50)
    """
    found = list(growths)
    policy: TypePolicy = next((growth.type_policy for growth in found if growth.type_policy != "widen"), "widen")
    limits = (field.name for field in fields(Growth) if field.name != "type_policy")
    least = {name: min((v for g in found if (v := getattr(g, name)) is not None), default=None) for name in limits}
    return Growth(policy, **least)
