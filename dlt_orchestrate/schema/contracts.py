"""Schema contracts: what a load may change about the tables that it loads into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, get_args

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.schema.types import ColumnType

Entity = Literal["tables", "columns", "data_type"]
"""What a contract speaks of: new tables, new columns of a table that exists, other types than a column has."""

Mode = Literal["evolve", "freeze", "discard_row", "discard_value"]
"""What becomes of that: it is taken in, the load fails, the row is rejected, or the value is left out."""


@dataclass(frozen=True, slots=True)
class Contract:
    """The mode of each entity.

    Attributes:
        tables: May tables be created, root or nested? Where they may not, all rows of such a table offend.
        columns: May columns be added to a table that exists? A table that the load creates takes the columns it needs.
        data_type: May a column be widened, or a variant column be made for values that do not fit?
    """

    tables: Mode = "evolve"
    columns: Mode = "evolve"
    data_type: Mode = "evolve"

    @property
    def evolves(self) -> bool:
        """Whether a load may change everything."""
        return self == Contract()


def parse_contract(owner: str, declared: Any) -> Contract:
    """Read a contract: one mode for everything, or modes by entity; what is not named evolves.

    >>> parse_contract("Resource 'issues'", {"columns": "freeze"})
    Contract(tables='evolve', columns='freeze', data_type='evolve')
    """
    modes = {} if declared is None else _modes(declared)
    known, choices = [entity.name for entity in fields(Contract)], get_args(Mode)
    if modes is None or not modes.keys() <= set(known) or not all(mode in choices for mode in modes.values()):
        raise DeclarationError(
            f"{owner}: schema_contract={declared!r} cannot be read. Give one of {', '.join(map(repr, choices))}, or a "
            f"dictionary of them by {', '.join(map(repr, known))}."
        )
    return Contract(**modes)


def contract_over(below: Any, above: Any) -> Any:
    """The contract of two that are declared: what the upper one names, and of the lower what it leaves open.

    >>> contract_over("freeze", {"columns": "evolve"})
    {'tables': 'freeze', 'columns': 'evolve', 'data_type': 'freeze'}
    """
    if above is None or below is None or not isinstance(above, Mapping):
        return below if above is None else above
    return {**(_modes(below) or {}), **above}


def broken_rule(
    contract: Contract,
    *,
    table_existed: bool,
    stored: ColumnType | None,
    planned: ColumnType,
    is_variant: bool,
    is_declared: bool,
) -> Entity | None:
    """The rule that values break by going to a column; None if they may.

    Args:
        stored: The type that the column has; None for a new column.
        planned: The type that it would get.
        is_variant: It takes the values that another column cannot hold.
        is_declared: The resource itself asks for the column, or for its type: that is no surprise.
    """
    if stored == planned or (is_declared and not is_variant):
        return None
    if stored is not None or is_variant:
        return "data_type" if contract.data_type != "evolve" else None
    return "columns" if table_existed and contract.columns != "evolve" else None


def _modes(declared: Any) -> dict[str, Any] | None:
    if isinstance(declared, str):
        return {entity.name: declared for entity in fields(Contract)}
    return dict(declared) if isinstance(declared, Mapping) else None
