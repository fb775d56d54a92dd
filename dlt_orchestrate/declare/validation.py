"""Holding records to the pydantic model of their resource: they are coerced, rejected, or the load fails.

Whole pages are validated at once; only those that hold a bad record are gone through one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from dlt_orchestrate.config.redaction import MASK, looks_secret, redact
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.hints import Declared, TableName
from dlt_orchestrate.declare.mark import Aside, Mark, Marked
from dlt_orchestrate.declare.models import Model, read_model, with_extras
from dlt_orchestrate.declare.records import as_record, is_page
from dlt_orchestrate.declare.steps import is_frame
from dlt_orchestrate.errors import DataValidationError
from dlt_orchestrate.flow.cut import Cut
from dlt_orchestrate.schema.contracts import Contract, Entity, parse_contract

KEPT_REJECTS = 1_001
"""One more than a load may have at most, unless it is told otherwise."""

_EXTRA = {"evolve": "allow", "discard_value": "ignore", "freeze": "forbid", "discard_row": "forbid"}
"""What pydantic does with fields that a model does not know, by the mode of `columns`."""
_UNKNOWN_FIELD = "extra_forbidden"
_SHOWN_PROBLEMS = 3
_SHOWN_VALUE = 80
_SHOWN_RECORD = 400
_SHOWN_LEVELS = 20


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is not what the model says.

    Attributes:
        record: As it was yielded, an object with fields as a dictionary.
        column: The keys that lead to the value, joined by dots; None where the record as a whole is at fault.
    """

    resource: str
    table: str
    record: Any
    column: str | None
    cause: str


@dataclass(frozen=True, slots=True)
class _Problem:
    """One thing that is wrong with a record."""

    entity: Entity
    column: str | None
    rule: str
    found: str | None

    def __str__(self) -> str:
        place = f"of {self.column!r}: " if self.column else ""
        return f"{place}{self.rule}{f'; found {self.found}' if self.found is not None else ''}"


def validation_of(
    resource: str,
    declared: Declared,
    *,
    most_rejects: int = KEPT_REJECTS,
    is_new: Callable[[Any], bool] | None = None,
) -> Validation | None:
    """What holds the records of one run to the declared model; None without a model. Arguments as of `Validation`."""
    if declared.model is None:
        return None
    contract = parse_contract(f"Resource {resource!r}", declared.contract)
    return Validation(
        read_model(declared.model),
        contract,
        extra=_EXTRA[contract.columns] if _names_columns(declared.schema_contract) else None,
        resource=resource,
        table_name=declared.table_name or resource,
        most_rejects=most_rejects,
        is_new=is_new,
    )


def _names_columns(declared: Any) -> bool:
    return isinstance(declared, str) or (isinstance(declared, Mapping) and "columns" in declared)


class Validation:
    """Holds the records of one run of a resource to its model.

    Attributes:
        seen: Records so far.
        rejected: The first of those that were turned away; `rejected_count` counts all.
    """

    def __init__(
        self,
        model: Model,
        contract: Contract,
        *,
        extra: str | None,
        resource: str,
        table_name: TableName,
        most_rejects: int = KEPT_REJECTS,
        is_new: Callable[[Any], bool] | None = None,
    ) -> None:
        """
        Args:
            extra: What becomes of fields that the model does not know; None leaves it to the model.
            most_rejects: Records in `rejected`.
            is_new: Whether a record that is turned away has not been seen by a run before: else it is no news.
        """
        from pydantic import TypeAdapter, ValidationError

        self.seen = 0
        self.rejected: list[Rejected] = []
        self.rejected_count = 0
        self._model = model
        self._contract = contract
        self._resource = resource
        self._table_name = table_name
        self._marked_name: str | None = None
        self._most_rejects = most_rejects
        self._is_new = is_new
        self._invalid = ValidationError
        one: TypeAdapter[Any] = TypeAdapter(model.type)
        many: TypeAdapter[list[Any]] = TypeAdapter(list[model.type])  # type: ignore[name-defined]
        options: dict[str, Any] = {} if extra is None else {"extra": extra}
        self._validate: Callable[[Any], Any] = partial(one.validate_python, **options)
        self._validate_all: Callable[[Any], list[Any]] = partial(many.validate_python, **options)
        self._dump_page: Callable[[Any], list[Any]] = partial(many.dump_python, by_alias=True, warnings=False)
        self._keeps_extras = extra == "allow"
        self._takes_attributes = model.is_its_dict and (extra or model.extra) != "allow"

    def begin_part(self) -> None:
        """Count, and keep, what is turned away from here on only."""
        self.rejected = []
        self.rejected_count = 0

    def over(self, yields: Iterable[Any]) -> Iterator[Any]:
        """The stream behind the model; marks stay; Arrow tables and other frames go through as they are.

        Raises:
            DataValidationError: A record is not what the model says, and the contract is frozen.
        """
        try:
            for item in yields:
                mark = item if type(item) is Marked else None
                self._heed(mark.mark if mark else None)
                for part in self._held(mark.item if mark else item):
                    yield mark.holding(part) if mark else part
        finally:
            close = getattr(yields, "close", None)
            if close is not None:
                close()

    def _heed(self, mark: Mark | None) -> None:
        """Take in what a mark says of the table."""
        self._marked_name = mark.table_name if mark else None
        if mark and mark.hints and not mark.makes_variant:
            self._table_name = mark.hints.get("table_name") or self._table_name

    def _held(self, item: Any) -> Iterable[Any]:
        kind = type(item)
        if kind is dict:
            return self._record(item)
        if is_page(item):
            if any(isinstance(part, Marked | Aside) for part in item):
                return self.over(iter(item))
            records = self._page(item)
            return (records,) if records or not item else ()
        if isinstance(item, Aside | Cut) or is_frame(item):
            return (item,)
        return () if item is None else self._record(item)

    def _page(self, page: Sequence[Any]) -> list[Any]:
        is_plain = set(map(type, page)) == {dict}
        records = page if is_plain else [self._taken(record) for record in page]
        try:
            valid = self._validate_all(records)
        except self._invalid:
            valid = None
        if valid is None:
            return [kept for record in records for kept in self._record(record)]
        self.seen += len(records)
        return self._dumped(valid, are_new=is_plain)

    def _record(self, item: Any) -> tuple[Any, ...]:
        """The one record that a record becomes, or none."""
        self.seen += 1
        record = self._taken(item)
        try:
            (dumped,) = self._dumped([self._validate(record)], are_new=type(record) is dict)
            return (dumped,)
        except self._invalid as invalid:
            errors = invalid.errors(include_url=False, include_context=False)
        return self._judged(as_record(record), [self._problem(error) for error in errors])

    def _dumped(self, valid: list[Any], *, are_new: bool) -> list[Any]:
        """Instances as records.

        Args:
            are_new: They were made of dictionaries just now: nobody else holds them, and they are of no derived model.
        """
        takes_attributes = self._takes_attributes and are_new
        dumped = [instance.__dict__ for instance in valid] if takes_attributes else self._dump_page(valid)
        if self._keeps_extras:
            dumped = [with_extras(instance, record) for instance, record in zip(valid, dumped, strict=True)]
        return list(map(self._model.plain, dumped)) if self._model.made_plain else dumped

    def _taken(self, item: Any) -> Any:
        """What pydantic takes: instances of the model as they are, other objects with fields as dictionaries."""
        return item if isinstance(item, self._model.type) else as_record(item)

    # --- records that are not what the model says ------------------------------------------------------------------

    def _judged(self, record: Any, problems: Sequence[_Problem]) -> tuple[Any, ...]:
        for mode in ("freeze", "discard_row"):
            found = [problem for problem in problems if getattr(self._contract, problem.entity) == mode]
            if found and mode == "freeze":
                raise self._violation(record, found[0])
            if found:
                self._reject(record, found)
                return ()
        return (self._as_it_is(record),)

    def _as_it_is(self, record: Any) -> Any:
        """A record that is taken in all the same, under the names of the columns."""
        if not isinstance(record, Mapping):
            return record
        keys = self._model.keys
        takes_all = self._contract.columns == "evolve"
        return {keys.get(key, key): value for key, value in record.items() if takes_all or key in keys}

    def _reject(self, record: Any, problems: Sequence[_Problem]) -> None:
        if self._is_new is not None and not self._is_new(record):
            return
        self.rejected_count += 1
        if len(self.rejected) >= self._most_rejects:
            return
        first = problems[0]
        shown = "; and ".join(map(str, problems[:_SHOWN_PROBLEMS]))
        more = f"; and {len(problems) - _SHOWN_PROBLEMS} more" if len(problems) > _SHOWN_PROBLEMS else ""
        cause = (
            f"the schema contract says {first.entity}='discard_row', and model {self._model.type.__qualname__} says "
            f"{shown}{more}"
        )
        self.rejected.append(Rejected(self._resource, self._table(record), record, first.column, cause))

    def _violation(self, record: Any, problem: _Problem) -> DataValidationError:
        return DataValidationError(
            resource=self._resource,
            table=self._table(record),
            model=self._model.type.__qualname__,
            contract=problem.entity,
            column=problem.column,
            row=self.seen,
            record=_shortened(redact(repr(_without_secrets(record))), _SHOWN_RECORD),
            rule=problem.rule,
            found=problem.found,
        )

    def _problem(self, error: Mapping[str, Any]) -> _Problem:
        path = error["loc"]
        is_unknown = error["type"] == _UNKNOWN_FIELD and self._contract.columns in ("freeze", "discard_row")
        is_missing = error["type"] == "missing"
        is_secret = any(isinstance(key, str) and looks_secret(key) for key in path)
        found = MASK if is_secret else _shortened(redact(repr(_without_secrets(error["input"]))), _SHOWN_VALUE)
        return _Problem(
            entity="columns" if is_unknown else "data_type",
            column=".".join(map(str, path)) or None,
            rule=_rule(error),
            found=None if is_missing or not path else found,
        )

    def _table(self, record: Any) -> str:
        """The table that a record is meant for; the resource's name, if it does not tell."""
        if self._marked_name:
            return self._marked_name
        if isinstance(self._table_name, str):
            return self._table_name
        try:
            return str(self._table_name(record))
        except Exception:  # noqa: BLE001 - a function of the user's, on a record that is known to be bad
            return self._resource


def _rule(error: Mapping[str, Any]) -> str:
    """What pydantic says is wrong, as a part of a sentence."""
    if error["type"] == "missing":
        return "the field is required, and the record lacks it"
    if error["type"] == _UNKNOWN_FIELD:
        return "there is no such field"
    text = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")
    return redact(text[:1].lower() + text[1:])


def _without_secrets(value: Any, level: int = 0) -> Any:
    """A value without what is named like a secret, as deep as anyone would read."""
    if level > _SHOWN_LEVELS and isinstance(value, Mapping | list | tuple):
        return "…"
    if isinstance(value, Mapping):
        return {
            key: MASK if isinstance(key, str) and looks_secret(key) else _without_secrets(inner, level + 1)
            for key, inner in value.items()
        }
    return [_without_secrets(inner, level + 1) for inner in value] if isinstance(value, list | tuple) else value


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
