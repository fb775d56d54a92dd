"""What a resource declares of its table: keys, columns, write disposition, in the forms that users write them."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, get_args

from dlt_orchestrate.config.spelling import likely, meant
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.models import is_model, read_model
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.schema.contracts import Entity, Mode, contract_over, parse_contract
from dlt_orchestrate.schema.naming import PATH_SEPARATOR
from dlt_orchestrate.schema.table import (
    DEDUP_SORT,
    HARD_DELETE,
    ColumnHint,
    MergeStrategy,
    TableHints,
    Validity,
    WriteDisposition,
)
from dlt_orchestrate.schema.types import DATA_TYPES, ColumnType

if TYPE_CHECKING:
    from pydantic import BaseModel

TableName = str | Callable[[Any], str]
"""The name of a table, or a function that tells it from a record."""

Keys = str | Sequence[str] | None
"""One column or several."""

ColumnsDeclaration = Mapping[str, Mapping[str, Any]] | Sequence[Mapping[str, Any]] | type[Any] | None
"""Column hints by name, a list of hints that carry their `name`, or a pydantic model."""

NestedHintsDeclaration = Mapping[str | Sequence[str], Mapping[str, Any]] | None
"""Hints of nested tables by the key, or the keys, that lead from a record of the root table to their lists."""

_DISPOSITIONS: tuple[WriteDisposition, ...] = ("append", "replace", "merge")
_STRATEGIES: tuple[MergeStrategy, ...] = get_args(MergeStrategy)
_NEEDING_PRIMARY_KEY = ("upsert", "insert-only", "cdc")
_OPTIONS = frozenset({"validity_column_names", "active_record_timestamp", "boundary_timestamp"})
"""What the dictionary of a write disposition may hold for strategy scd2, besides `disposition` and `strategy`."""
_TYPE_KEYS = frozenset({"data_type", "precision", "scale", "timezone"})
_KNOWN_KEYS = _TYPE_KEYS | {"name", "nullable", "description", "primary_key", "merge_key", "type_gives_way"}
_FURTHER_KEYS = frozenset(
    "unique sort partition cluster row_key parent_key root_key variant hard_delete dedup_sort incremental".split()
)
_NESTED_KEYS = frozenset({"columns", "primary_key", "merge_key", "schema_contract", "references", "description"})
_OF_ROOTS = frozenset({"write_disposition", "incremental", "table_name", "nested_hints"})
_ASKABLE = (
    "write_disposition", "columns", "primary_key", "merge_key", "schema_contract", "references", "nested_hints",
    "table_format", "file_format",
)  # fmt: skip
"""Hints that may be functions of a record."""
_OWN_KEY_PREFIX = "x-"
"""Hints whose key begins so are the user's own: kept in the stored schema, whatever they say."""


@dataclass(frozen=True, slots=True)
class Declared:
    """The hints of one resource, checked.

    Attributes:
        columns: Hints by column name, as the user wrote them, or as the model says.
        model: The pydantic model that records are held to.
        strategy, validity: What the dictionary form of the write disposition says besides.
        primary_key, merge_key: As declared for the table; columns may add to them.
        nested_hints: Hints of nested tables, by the keys that lead to them.
        table_format, file_format, references: Kept for the destination and the stored schema.
        dynamic: Hints that a function tells from a record, by the name of the hint.
    """

    table_name: TableName | None = None
    write_disposition: WriteDisposition = "append"
    strategy: MergeStrategy = "delete-insert"
    validity: Validity = field(default_factory=Validity)
    primary_key: tuple[str, ...] = ()
    merge_key: tuple[str, ...] = ()
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model: type[BaseModel] | None = None
    max_table_nesting: int | None = None
    schema_contract: Any = None
    table_format: str | None = None
    file_format: str | None = None
    references: Any = None
    nested_hints: Mapping[tuple[str, ...], Mapping[str, Any]] = field(default_factory=dict)
    dynamic: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    def changed(self, resource: str, **given: Any) -> Declared:
        """These hints with some replaced; None leaves a hint as it is, columns are merged by name.

        A model replaces the column hints before it.
        """
        changes = {key: value for key, value in given.items() if value is not None}
        if not changes:
            return self
        dynamic = {key: changes.pop(key) for key in _ASKABLE if key in changes and _asks_record(changes[key])}
        if dynamic or not self.dynamic.keys().isdisjoint(changes):
            kept = {key: ask for key, ask in self.dynamic.items() if key not in changes}
            changes["dynamic"] = {**kept, **dynamic}
        if "write_disposition" in changes:
            changes |= parse_disposition(resource, changes["write_disposition"])
        for key in ("primary_key", "merge_key"):
            if key in changes:
                changes[key] = parse_key(resource, key, changes[key])
        if is_model(changes.get("columns")):
            changes |= {"model": changes["columns"], "columns": read_model(changes["columns"]).columns}
        elif "columns" in changes:
            changes["columns"] = _merge_columns(self.columns, parse_columns(resource, changes["columns"]))
        if "nested_hints" in changes:
            changes["nested_hints"] = _merge_nested(
                self.nested_hints, parse_nested_hints(resource, changes["nested_hints"])
            )
        if "schema_contract" in changes:
            expect_contract(f"Resource {resource!r}", changes["schema_contract"])
            changes["schema_contract"] = contract_over(self.schema_contract, changes["schema_contract"])
        if "table_name" in changes:
            _expect_table_name(resource, changes["table_name"])
        if "max_table_nesting" in changes:
            _expect_nesting(resource, changes["max_table_nesting"])
        changed = dataclasses.replace(self, **changes)
        if changed.dynamic and not callable(changed.table_name):
            raise DeclarationError(
                f"Resource {resource!r}: {', '.join(changed.dynamic)} can be a function of a record only where table_name "
                "is one, too, since each table has its hints. Make table_name a function, or give the hint plainly."
            )
        changed.expect_validatable(resource)
        return changed

    def beside(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Hints that were found out, as far as they stand beside what is declared here, which goes before.

        Args:
            found: The hints by name: `primary_key`, `references`, and `columns` by name.
        """
        given = {"primary_key": self.key("primary_key"), "references": self.references}
        kept = {key: found[key] for key, declared in given.items() if found.get(key) and not declared}
        columns = {name: _under(hint, self.columns.get(name, {})) for name, hint in found.get("columns", {}).items()}
        return {**kept, "columns": {name: hint for name, hint in columns.items() if hint}}

    @property
    def contract(self) -> Any:
        """The schema contract: the declared one, over that which a model brings along."""
        return contract_over(read_model(self.model).contract if self.model else None, self.schema_contract)

    def expect_validatable(self, resource: str) -> None:
        """Refuse a contract that a model cannot carry out.

        Raises:
            DeclarationError: It says that values which do not fit are to be left out.
        """
        if self.model is not None and parse_contract(f"Resource {resource!r}", self.contract).data_type == "discard_value":
            raise DeclarationError(
                f"Resource {resource!r}: its columns are the model {self.model.__qualname__!r}, and its schema contract "
                "says data_type='discard_value'. A model judges records as a whole, so single values cannot be left out. "
                "Choose 'freeze', 'discard_row' or 'evolve', as in schema_contract={'data_type': 'discard_row'}."
            )

    def expect_workable(self, resource: str, *, is_incremental: bool) -> None:
        """Refuse hints that contradict each other; all of them are known only when a run begins.

        Args:
            is_incremental: Whether the resource yields only what is new.

        Raises:
            DeclarationError: The merge strategy lacks a key.
        """
        if self.write_disposition != "merge":
            return
        if self.strategy in _NEEDING_PRIMARY_KEY and not self.key("primary_key"):
            raise DeclarationError(
                f"Resource {resource!r}: the merge strategy {self.strategy!r} finds stored rows by their primary key, and "
                "none is declared. Pass primary_key=..."
            )
        if self.strategy in ("scd2", "cdc") and is_incremental and not self.key("merge_key"):
            raise DeclarationError(
                f"Resource {resource!r}: the merge strategy {self.strategy!r} takes rows that do not come for gone, and an "
                "incremental cursor holds back rows that have not changed. Pass merge_key=... to let absence count only "
                "among rows with the same merge key as one that came, or load without the cursor."
            )
        for hint in (DEDUP_SORT, HARD_DELETE):
            hinted = [name for name, column in self.columns.items() if column.get(hint)]
            if len(hinted) > 1:
                raise DeclarationError(
                    f"Resource {resource!r}: columns {', '.join(map(repr, hinted))} all have the hint {hint!r}. "
                    "Leave it to one of them."
                )

    def key(self, kind: str) -> tuple[str, ...]:
        """The columns of the `primary_key` or `merge_key`: those declared for the table, then those of columns."""
        of_table: tuple[str, ...] = getattr(self, kind)
        of_columns = (name for name, column in self.columns.items() if column.get(kind))
        return tuple(dict.fromkeys([*of_table, *of_columns]))

    def table_hints(self, description: str | None) -> TableHints:
        """The hints in the form that the later steps read."""
        columns = self.columns
        if self.model is not None and parse_contract("The resource", self.contract).data_type == "evolve":
            columns = read_model(self.model).without_demands(columns)
        return TableHints(
            write_disposition=self.write_disposition,
            strategy=self.strategy,
            validity=self.validity,
            primary_key=self.key("primary_key"),
            merge_key=self.key("merge_key"),
            columns={name: _column_hint(column) for name, column in columns.items()},
            max_nesting=self.max_table_nesting,
            description=description,
            is_chosen_by_rows=callable(self.table_name),
            nested={path: nested_table_hints(hints) for path, hints in self.nested_hints.items()},
            references=self.references,
        )


def expect_contract(owner: str, declared: Any) -> None:
    """Raise if a schema contract cannot be read; of misspelt names say which were meant.

    Raises:
        DeclarationError: It cannot.
    """
    try:
        parse_contract(owner, declared)
    except DeclarationError as error:
        pairs = declared.items() if isinstance(declared, Mapping) else [(None, declared)]
        entities, modes = get_args(Entity), get_args(Mode)
        near = [likely([str(entity)], entities) for entity, _ in pairs if entity is not None and entity not in entities]
        near += [likely([str(mode)], modes) for _, mode in pairs if mode not in modes]
        raise DeclarationError(" ".join([str(error), *filter(None, near)])) from None


def parse_disposition(resource: str, declared: Any) -> dict[str, Any]:
    """Read a write disposition, its name or a dictionary with more of it, as the fields of `Declared` that it decides.

    >>> parse_disposition("issues", {"disposition": "merge", "strategy": "upsert"})["strategy"]
    'upsert'
    """
    options = dict(declared) if isinstance(declared, Mapping) else {"disposition": declared}
    name = options.pop("disposition", None)
    if name not in _DISPOSITIONS:
        raise DeclarationError(
            f"Resource {resource!r}: there is no write disposition {name!r}. {meant(str(name), _DISPOSITIONS)}"
        )
    strategy = options.pop("strategy", None)
    if strategy is not None and (name != "merge" or strategy not in _STRATEGIES):
        raise DeclarationError(
            f"Resource {resource!r}: write disposition {name!r} has no strategy {strategy!r}. Merge has "
            f"{', '.join(map(repr, _STRATEGIES))}, the first by default; append and replace have none to choose."
        )
    unknown = sorted(options.keys() - (_OPTIONS if strategy == "scd2" else frozenset()))
    if unknown:
        raise DeclarationError(
            f"Resource {resource!r}: there is no option {unknown[0]!r} of write disposition {name!r}"
            f"{f' with strategy {strategy!r}' if strategy else ''}. "
            f"Strategy 'scd2' of merge has {', '.join(map(repr, sorted(_OPTIONS)))}."
        )
    return {
        "write_disposition": name,
        "strategy": strategy or "delete-insert",
        "validity": _parse_validity(resource, options),
    }


def _parse_validity(resource: str, options: Mapping[str, Any]) -> Validity:
    validity = Validity(
        boundary=_moment(resource, "boundary_timestamp", options.get("boundary_timestamp")),
        open_until=_moment(resource, "active_record_timestamp", options.get("active_record_timestamp")),
    )
    names = options.get("validity_column_names")
    if names is None:
        return validity
    columns = parse_key(resource, "validity_column_names", names)
    if len(columns) != len(("from", "to")):
        raise DeclarationError(
            f"Resource {resource!r}: validity_column_names must be two different names, of the columns that say from when "
            f"and to when a version is valid, not {names!r}."
        )
    return dataclasses.replace(validity, from_column=columns[0], to_column=columns[1])


def _moment(resource: str, option: str, given: Any) -> datetime | None:
    """Read a moment: a datetime, a date or an ISO text; in UTC if it names no zone."""
    try:
        moment = datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        moment = given
    if isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    if moment is None or isinstance(moment, datetime):
        return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
    raise DeclarationError(
        f"Resource {resource!r}: {option} must be a datetime, a date or a text such as '2026-01-31T00:00:00Z', "
        f"not {given!r}."
    )


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
            f"Resource {resource!r}: columns must be a dictionary of hints by column name, a list of hints with a name or "
            f"a pydantic model (the class, of pydantic 2), not {_type_name(declared)}."
        )
    return {name: _checked_column(resource, name, hint) for name, hint in pairs}


def _checked_column(resource: str, name: Any, hint: Any) -> Mapping[str, Any]:
    if not isinstance(name, str) or not isinstance(hint, Mapping):
        raise DeclarationError(
            f"Resource {resource!r}: a column hint must be a dictionary such as {{'data_type': 'text'}} under the name of "
            f"its column; found {_type_name(hint)} under {name!r}."
        )
    _expect_known_keys(resource, name, hint)
    kind = hint.get("data_type")
    if kind is not None and (not isinstance(kind, str) or kind not in DATA_TYPES):
        raise DeclarationError(
            f"Resource {resource!r}, column {name!r}: there is no data type {kind!r}. "
            f"{meant(str(kind), sorted(DATA_TYPES))}"
        )
    if kind is None and not _TYPE_KEYS.isdisjoint(hint):
        raise DeclarationError(
            f"Resource {resource!r}, column {name!r}: precision, scale and timezone need a data_type beside them."
        )
    if hint.get(DEDUP_SORT) not in (None, "asc", "desc"):
        raise DeclarationError(
            f"Resource {resource!r}, column {name!r}: {DEDUP_SORT} must be 'asc', to keep the row with the least value, or "
            f"'desc', to keep the one with the greatest; found {hint[DEDUP_SORT]!r}."
        )
    return dict(hint)


def _expect_known_keys(resource: str, column: str, hint: Mapping[Any, Any]) -> None:
    known = _KNOWN_KEYS | _FURTHER_KEYS
    for key in hint:
        if key not in known and not (isinstance(key, str) and key.startswith(_OWN_KEY_PREFIX)):
            raise DeclarationError(
                f"Resource {resource!r}, column {column!r}: there is no column hint {key!r}. {meant(key, known)} "
                f"A hint of your own begins with {_OWN_KEY_PREFIX!r}."
            )


def _column_hint(column: Mapping[str, Any]) -> ColumnHint:
    kind = column.get("data_type")
    return ColumnHint(
        type=ColumnType(kind, column.get("precision"), column.get("scale"), column.get("timezone")) if kind else None,
        nullable=column.get("nullable"),
        description=column.get("description"),
        hints={key: value for key, value in column.items() if key not in _KNOWN_KEYS},
        gives_way=bool(column.get("type_gives_way")),
    )


def _asks_record(declared: Any) -> bool:
    """Whether a hint is a function of a record; classes are none, although they can be called."""
    return inspect.isroutine(declared) or isinstance(declared, functools.partial)


# --- nested tables -----------------------------------------------------------------------------------------------


def parse_nested_hints(resource: str, declared: Any) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """Read hints of nested tables by the keys that lead to them; in one text they are parted as in names of tables.

    >>> parse_nested_hints("shop", {"orders": {"primary_key": "id"}, ("orders", "items"): {}})
    {('orders',): {'primary_key': ('id',)}, ('orders', 'items'): {}}
    """
    if not isinstance(declared, Mapping):
        raise DeclarationError(
            f"Resource {resource!r}: nested_hints must be a dictionary of hints by the key that leads to the nested table, "
            f"or by a tuple of keys, not {_type_name(declared)}."
        )
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for key, hints in declared.items():
        path: Any = key.split(PATH_SEPARATOR) if isinstance(key, str) else key
        if not isinstance(path, Sequence) or not path or not all(isinstance(part, str) and part for part in path):
            raise DeclarationError(
                f"Resource {resource!r}: nested_hints stand under the key that leads to the nested table, or under a tuple "
                f"of keys; found {key!r}."
            )
        found[tuple(path)] = nested_hints_of(".".join((resource, *path)), hints)
    return found


def nested_hints_of(table: str, declared: Any) -> dict[str, Any]:
    """Check the hints of one nested table.

    Args:
        table: The resource and the keys that lead to the table, for messages.

    Raises:
        DeclarationError: Nested tables do not have such a hint.
    """
    owner = f"Nested table {table!r}"
    if not isinstance(declared, Mapping):
        raise DeclarationError(f"{owner}: its hints must be a dictionary, not {_type_name(declared)}.")
    found = {key: value for key, value in declared.items() if value is not None}
    for key in found:
        if key in _OF_ROOTS:
            raise DeclarationError(
                f"{owner}: it has no {key} of its own, since its rows come and go with those they hang below. To load them "
                "by rules of their own, yield them from a transformer or with mark.with_table_name."
            )
        if key not in _NESTED_KEYS:
            raise DeclarationError(f"{owner}: there is no hint {key!r}. {meant(key, _NESTED_KEYS)}")
    if is_model(found.get("columns")):
        raise DeclarationError(
            f"{owner}: its columns cannot be a pydantic model. Let a model of the resource have a list of it, or give "
            "column hints."
        )
    if "columns" in found:
        found["columns"] = parse_columns(table, found["columns"])
    for key in ("primary_key", "merge_key"):
        if key in found:
            found[key] = parse_key(table, key, found[key])
    if "schema_contract" in found:
        expect_contract(owner, found["schema_contract"])
    return found


def nested_table_hints(declared: Mapping[str, Any]) -> TableHints:
    """Hints of a nested table in the form that the later steps read; keys of it take no nulls."""
    columns = {name: _column_hint(column) for name, column in declared.get("columns", {}).items()}
    primary_key, merge_key = (_nested_key(kind, declared) for kind in ("primary_key", "merge_key"))
    for name in (*primary_key, *merge_key):
        columns[name] = dataclasses.replace(
            columns.get(name, ColumnHint()),
            nullable=False,
            is_primary_key=name in primary_key,
            is_merge_key=name in merge_key,
        )
    return TableHints(
        primary_key=primary_key,
        merge_key=merge_key,
        columns=columns,
        description=declared.get("description"),
        references=declared.get("references"),
        contract=declared.get("schema_contract"),
    )


def _nested_key(kind: str, declared: Mapping[str, Any]) -> tuple[str, ...]:
    of_columns = (name for name, column in declared.get("columns", {}).items() if column.get(kind))
    return tuple(dict.fromkeys([*declared.get(kind, ()), *of_columns]))


def _merge_nested(
    stored: Mapping[tuple[str, ...], Mapping[str, Any]], given: Mapping[tuple[str, ...], Mapping[str, Any]]
) -> Mapping[tuple[str, ...], Mapping[str, Any]]:
    merged = dict(stored)
    for path, hints in given.items():
        before = merged.get(path, {})
        columns = _merge_columns(before.get("columns", {}), hints.get("columns", {}))
        merged[path] = {**before, **hints, **({"columns": columns} if columns else {})}
    return merged


def _merge_columns(
    stored: Mapping[str, Mapping[str, Any]], given: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Mapping[str, Any]]:
    return {**stored, **{name: {**stored.get(name, {}), **hint} for name, hint in given.items()}}


def _under(found: Mapping[str, Any], declared: Mapping[str, Any]) -> dict[str, Any]:
    """What was found out of a column and is not declared; a declared type goes before all of the type that was found."""
    of_type = _TYPE_KEYS | {"type_gives_way"} if "data_type" in declared else frozenset()
    return {key: value for key, value in found.items() if key not in declared and key not in of_type}


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
