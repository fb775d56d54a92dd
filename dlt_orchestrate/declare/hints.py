"""What a resource declares of its table: keys, columns, write disposition, in the forms that users write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.schema.table import ColumnHint, TableHints, WriteDisposition
from dlt_orchestrate.schema.types import DATA_TYPES, ColumnType

TableName = str | Callable[[Any], str]
"""The name of a table, or a function that tells it from a record."""

Keys = str | Sequence[str] | None
"""One column or several."""

ColumnsDeclaration = Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]] | None
"""Column hints by name, or a list of hints that carry their `name`."""

_DISPOSITIONS: tuple[WriteDisposition, ...] = ("append", "replace", "merge")
_STRATEGIES = ("delete-insert",)
_TYPE_KEYS = frozenset({"data_type", "precision", "scale", "timezone"})
_KNOWN_KEYS = _TYPE_KEYS | {"name", "nullable", "description", "primary_key", "merge_key"}


@dataclass(frozen=True, slots=True)
class Declared:
    """The hints of one resource, checked.

    Attributes:
        columns: Hints by column name, as the user wrote them.
        primary_key, merge_key: As declared for the table; columns may add to them.
        table_format, file_format, references: Kept for the destination and the stored schema.
    """

    table_name: TableName | None = None
    write_disposition: WriteDisposition = "append"
    primary_key: tuple[str, ...] = ()
    merge_key: tuple[str, ...] = ()
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    max_table_nesting: int | None = None
    schema_contract: Any = None
    table_format: str | None = None
    file_format: str | None = None
    references: Any = None

    def changed(self, resource: str, **given: Any) -> Declared:
        """These hints with some replaced; None leaves a hint as it is, columns are merged by name."""
        changes = {key: value for key, value in given.items() if value is not None}
        if "write_disposition" in changes:
            changes["write_disposition"] = parse_disposition(resource, changes["write_disposition"])
        for key in ("primary_key", "merge_key"):
            if key in changes:
                changes[key] = parse_key(resource, key, changes[key])
        if "columns" in changes:
            changes["columns"] = _merge_columns(self.columns, parse_columns(resource, changes["columns"]))
        if "table_name" in changes:
            _expect_table_name(resource, changes["table_name"])
        if "max_table_nesting" in changes:
            _expect_nesting(resource, changes["max_table_nesting"])
        return dataclasses.replace(self, **changes)

    def key(self, kind: str) -> tuple[str, ...]:
        """The columns of the `primary_key` or `merge_key`: those declared for the table, then those of columns."""
        of_table: tuple[str, ...] = getattr(self, kind)
        of_columns = (name for name, column in self.columns.items() if column.get(kind))
        return tuple(dict.fromkeys([*of_table, *of_columns]))

    def table_hints(self, description: str | None) -> TableHints:
        """The hints in the form that the later steps read."""
        return TableHints(
            write_disposition=self.write_disposition,
            primary_key=self.key("primary_key"),
            merge_key=self.key("merge_key"),
            columns={name: _column_hint(column) for name, column in self.columns.items()},
            max_nesting=self.max_table_nesting,
            description=description,
        )


def parse_disposition(resource: str, declared: Any) -> WriteDisposition:
    """Read a write disposition: its name, or a dictionary with `disposition` and `strategy`."""
    strategy = None
    name = declared
    if isinstance(declared, Mapping):
        name = declared.get("disposition")
        strategy = declared.get("strategy")
    if name not in _DISPOSITIONS:
        raise DeclarationError(
            f"Resource {resource!r}: there is no write disposition {name!r}. Choose one of {', '.join(_DISPOSITIONS)}."
        )
    if strategy is not None and (name != "merge" or strategy not in _STRATEGIES):
        raise DeclarationError(
            f"Resource {resource!r}: strategy {strategy!r} of write disposition {name!r} is not supported yet. "
            f"Supported is merge with {', '.join(map(repr, _STRATEGIES))}, which is the default."
        )
    return next(known for known in _DISPOSITIONS if known == name)


def parse_key(resource: str, kind: str, declared: Any) -> tuple[str, ...]:
    """Read a key: one column name or several.

    >>> parse_key("issues", "primary_key", "id"), parse_key("issues", "primary_key", ["owner", "id"])
    (('id',), ('owner', 'id'))
    """
    names = (declared,) if isinstance(declared, str) else declared
    if not isinstance(names, Sequence) or not all(isinstance(name, str) and name for name in names):
        raise DeclarationError(
            f"Resource {resource!r}: {kind} must be a column name or a list of column names, not {_type_name(declared)}."
        )
    return tuple(dict.fromkeys(names))


def parse_columns(resource: str, declared: Any) -> dict[str, Mapping[str, Any]]:
    """Read column hints: a dictionary by name, or a list of hints that carry their `name`."""
    if isinstance(declared, Mapping):
        pairs = list(declared.items())
    elif isinstance(declared, Sequence) and not isinstance(declared, str):
        pairs = [(hint.get("name") if isinstance(hint, Mapping) else None, hint) for hint in declared]
    else:
        raise DeclarationError(
            f"Resource {resource!r}: columns must be a dictionary of hints by column name or a list of hints with a name, "
            f"not {_type_name(declared)}."
        )
    return {name: _checked_column(resource, name, hint) for name, hint in pairs}


def _checked_column(resource: str, name: Any, hint: Any) -> Mapping[str, Any]:
    if not isinstance(name, str) or not isinstance(hint, Mapping):
        raise DeclarationError(
            f"Resource {resource!r}: a column hint must be a dictionary such as {{'data_type': 'text'}} under the name of "
            f"its column; found {_type_name(hint)} under {name!r}."
        )
    kind = hint.get("data_type")
    if kind is not None and kind not in DATA_TYPES:
        raise DeclarationError(
            f"Resource {resource!r}, column {name!r}: there is no data type {kind!r}. "
            f"Choose one of {', '.join(sorted(DATA_TYPES))}."
        )
    if kind is None and not _TYPE_KEYS.isdisjoint(hint):
        raise DeclarationError(
            f"Resource {resource!r}, column {name!r}: precision, scale and timezone need a data_type beside them."
        )
    return dict(hint)


def _column_hint(column: Mapping[str, Any]) -> ColumnHint:
    kind = column.get("data_type")
    return ColumnHint(
        type=ColumnType(kind, column.get("precision"), column.get("scale"), column.get("timezone")) if kind else None,
        nullable=column.get("nullable"),
        description=column.get("description"),
        hints={key: value for key, value in column.items() if key not in _KNOWN_KEYS},
    )


def _merge_columns(
    stored: Mapping[str, Mapping[str, Any]], given: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Mapping[str, Any]]:
    return {**stored, **{name: {**stored.get(name, {}), **hint} for name, hint in given.items()}}


def _expect_table_name(resource: str, table_name: Any) -> None:
    if not callable(table_name) and not (isinstance(table_name, str) and table_name):
        raise DeclarationError(
            f"Resource {resource!r}: table_name must be a name or a function from a record to a name, "
            f"not {_type_name(table_name)}."
        )


def _expect_nesting(resource: str, levels: Any) -> None:
    if not isinstance(levels, int) or levels < 0:
        raise DeclarationError(f"Resource {resource!r}: max_table_nesting must be 0 or a positive number, not {levels!r}.")


def _type_name(value: Any) -> str:
    return f"{value!r} of type {type(value).__name__}" if isinstance(value, str) else type(value).__name__
