"""From what is declared of an endpoint to the request for its first page, and to its pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, field
from datetime import date
from typing import Any
from urllib.parse import quote

from dlt_orchestrate.config.redaction import looks_secret
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.http.client import RESTClient
from dlt_orchestrate.http.paginators import BasePaginator
from dlt_orchestrate.http.paging import Pages
from dlt_orchestrate.schema.jsonpath import find
from dlt_orchestrate.sources.rest_api.actions import Actions
from dlt_orchestrate.sources.rest_api.placeholders import (
    PARENTS,
    NoValue,
    Placeholder,
    Template,
    Values,
    is_path_part,
    parent_field,
    placeholders_in,
    rendered,
    text_of,
)


class FieldMissing(Exception):
    """A row of the parent lacks a field that a request needs."""

    def __init__(self, name: str, row: Any, problem: str) -> None:
        keys = ", ".join(sorted(map(str, row))) if isinstance(row, Mapping) else ""
        there = f"It has {keys}" if isinstance(row, Mapping) else f"It is a {type(row).__name__}; check the data_selector"
        super().__init__(f"its field {name!r} {problem}. {there}.")


@dataclass(frozen=True, slots=True)
class CursorParams:
    """The parameters that ask for what is new."""

    start_param: str | None = None
    end_param: str | None = None
    convert: Callable[[Any], Any] | None = None

    def value(self, cursor: Incremental[Any], name: str) -> Any:
        """A value of the cursor as the API takes it; moments in ISO 8601, unless a function says otherwise."""
        found = getattr(cursor, name)
        if found is None:
            return None
        found = found if self.convert is None else self.convert(found)
        return found.isoformat() if isinstance(found, date) else found

    def of(self, cursor: Incremental[Any]) -> dict[str, Any]:
        """The parameters with their values; those without one are left out."""
        named = ((self.start_param, "start_value"), (self.end_param, "end_value"))
        found = {param: self.value(cursor, name) for param, name in named if param is not None}
        return {param: value for param, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class First:
    """The request for the first page."""

    path: str
    method: str
    params: dict[str, Any] | None
    headers: dict[str, Any] | None
    json: Any
    data: Any

    @property
    def text(self) -> str:
        """All of it, to tell it from other requests."""
        return json.dumps(asdict(self), default=repr, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Asking:
    """How the records of one resource are asked for.

    Attributes:
        params, headers, json: As `placeholders.compiled` makes them.
        paginator: How it pages; None to find out.
        parent: The resource whose rows the request is made of, if any.
        bound: Fields of the parent by the names that stand for them in the path.
        names: All resources, to tell their names from those of fields.
    """

    resource: str
    client: RESTClient
    path: Template
    method: str = "GET"
    params: Any = None
    headers: Any = None
    json: Any = None
    data: Any = None
    auth: Any = None
    paginator: BasePaginator | None = None
    data_selector: str | None = None
    actions: Actions = field(default_factory=Actions)
    cursor: CursorParams = field(default_factory=CursorParams)
    parent: str | None = None
    bound: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def first(self, row: Any = None, cursor: Incremental[Any] | None = None) -> First:
        """The request for the first page, made of a row of the parent and of where the cursor stands.

        Raises:
            FieldMissing: The row lacks a field.
            DeclarationError: A text needs a value of the cursor that is not there yet.
        """

        def value(placeholder: Placeholder) -> Any:
            return self._value(placeholder, row, cursor)

        try:
            return self._first(value, row, cursor)
        except NoValue as error:
            written = f"{{{error.placeholder.name}}}"
            if error.placeholder.root == PARENTS:
                problem = f"is None, and {written} stands within a text"
                raise FieldMissing(self._field_name(error.placeholder), row, problem) from None
            raise DeclarationError(
                f"Resource {self.resource!r}: {written} stands within a text and has no value yet. Give the cursor an "
                "initial_value, or a parameter of its own, which is left out as long as there is none."
            ) from None

    def _first(self, value: Values, row: Any, cursor: Incremental[Any] | None) -> First:
        params = {name: part for name, part in (rendered(self.params, value) or {}).items() if part is not None}
        if cursor is not None:
            params |= self.cursor.of(cursor)
        return First(
            path=self._path(value, row),
            method=self.method,
            params={name: text_of(part) if isinstance(part, bool) else part for name, part in params.items()} or None,
            headers={
                name: text_of(part) for name, part in (rendered(self.headers, value) or {}).items() if part is not None
            },
            json=rendered(self.json, value),
            data=self.data,
        )

    def pages(self, first: First, *, auth: Any = None) -> Pages:
        """The pages, from that request on; nothing is asked for before its page is wanted."""
        found = self.client.paginate(
            first.path,
            first.method,  # type: ignore[arg-type]
            params=first.params,
            json=first.json,
            data=first.data,
            headers=first.headers,
            auth=auth or self.auth,
            paginator=self.paginator,
            data_selector=self.data_selector,
            hooks=self.actions.hooks,
        )
        assert isinstance(found, Pages)
        return found

    def fields_of(self, row: Any) -> dict[str, Any]:
        """The fields of a parent's row that its request is made of, for messages; without those named like secrets."""
        return {
            name: "***" if looks_secret(name.rpartition(".")[2]) else next(iter(find(name, row)), None)
            for name in self._parent_fields()
        }

    def _parent_fields(self) -> dict[str, None]:
        templates = [self.path, self.params, self.headers, self.json]
        found = dict.fromkeys(
            parent_field(placeholder.rest, self.names)[1]
            for placeholder in placeholders_in(templates)
            if placeholder.root == PARENTS
        )
        return dict.fromkeys(self.bound.values()) | found

    def _path(self, value: Values, row: Any) -> str:
        """The path, with values in it quoted; a slash stays one, as in `owner/name`, and leads no level up."""
        if self.path.only is not None:
            whole = value(self.path.only)
            if isinstance(whole, str) and whole.startswith(("http://", "https://")):
                return whole  # the row names an address; where that may lead is the client's affair
        parts: list[str] = []
        for part in self.path.parts:
            if isinstance(part, str):
                parts.append(part)
                continue
            found = value(part)
            if not is_path_part(found):
                way_out = (
                    f"; a filter in the processing_steps of {self.parent!r} leaves such rows out" if self.parent else ""
                )
                raise FieldMissing(self._field_name(part), row, f"is {found!r}, which is no part of a path{way_out}")
            parts.append(quote(text_of(found)))
        return "".join(parts)

    def _field_name(self, placeholder: Placeholder) -> str:
        """The field of the parent's row that a placeholder stands for; its own name if it stands for something else."""
        if placeholder.root == PARENTS:
            return parent_field(placeholder.rest, self.names)[1]
        return self.bound.get(placeholder.name, placeholder.name)

    def _value(self, placeholder: Placeholder, row: Any, cursor: Incremental[Any] | None) -> Any:
        if placeholder.name in self.bound:
            return _field(row, self.bound[placeholder.name])
        if placeholder.root == PARENTS:
            return _field(row, parent_field(placeholder.rest, self.names)[1])
        if cursor is None:
            raise DeclarationError(f"Resource {self.resource!r}: {{{placeholder.name}}} needs a cursor, and none runs.")
        return self.cursor.value(cursor, placeholder.rest)


def _field(row: Any, path: str) -> Any:
    found = find(path, row)
    if not found:
        raise FieldMissing(path, row, "is missing")
    return found[0]


class FieldTaken(Exception):
    """A record has a field of its own under the name that one of its parent's row would get."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"a record has a field {name!r} of its own, which include_from_parent would replace by another value. Rename "
            "the field of the parent by a map in its processing_steps, or the parent."
        )


def with_parent(record: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the fields that it takes over.

    Raises:
        FieldTaken: It has another value under such a name.
    """
    for name, value in fields.items():
        if name in record and record[name] != value:
            raise FieldTaken(name)
    return {**record, **fields}


def taken_over(row: Any, parent: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a parent's row that its children get, as `_<parent>_<field>`.

    Raises:
        FieldMissing: The row lacks one.

    >>> taken_over({"id": 7, "title": "x"}, "issues", ("id",))
    {'_issues_id': 7}
    """
    return {f"_{parent}_{name}": _field(row, name) for name in names}
