"""From a document to a configuration, with a note for all that was guessed or left out."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urljoin

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import OpenApiDocumentError
from dlt_orchestrate.http.selection import WHOLE
from dlt_orchestrate.sources.openapi.credentials import Credentials, credentials_for
from dlt_orchestrate.sources.openapi.document import Document, Node
from dlt_orchestrate.sources.openapi.names import resource_names, slug
from dlt_orchestrate.sources.openapi.operations import Operation, Parameter, operations_of
from dlt_orchestrate.sources.openapi.paging import LAST_ID, Paging, paging_of
from dlt_orchestrate.sources.openapi.records import changed_at, primary_key_of, records_of
from dlt_orchestrate.sources.openapi.relations import Candidate, relate

NO_ADDRESS = "https://api.example"
_MOST_REFERENCES = 3
_SINCE = re.compile(
    r"since|(changed|modified|updated)[a-z]*(after|from|gte?|min|start)|(from|min|start)(date|time)|mintime"
)


@dataclass(frozen=True, slots=True)
class DraftedResource:
    """One resource.

    Attributes:
        config: As a configuration writes it.
        summary: Method, path and what it does.
        checks: What was guessed.
        suggestions: Parts of the configuration that may be switched on.
        missing: What has to be known before it can be asked for.
    """

    config: dict[str, Any]
    summary: str
    checks: tuple[str, ...] = ()
    suggestions: tuple[tuple[str, dict[str, Any]], ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return str(self.config["name"])


@dataclass(frozen=True, slots=True)
class Draft:
    """A configuration for `rest_api_source`, and what is to be known about it.

    Attributes:
        title: Of the API.
        client, resource_defaults: As a configuration writes them.
        client_checks: What was guessed of the client.
        resources: Those that can be asked for.
        incomplete: Those that need a value first.
        left_out: Method and path of requests that became no resource, and why.
    """

    title: str
    version: str
    location: str
    client: dict[str, Any]
    resource_defaults: dict[str, Any]
    client_checks: tuple[str, ...]
    resources: tuple[DraftedResource, ...]
    incomplete: tuple[DraftedResource, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as a dictionary."""
        made: dict[str, Any] = {"client": self.client}
        if self.resource_defaults:
            made["resource_defaults"] = self.resource_defaults
        return {**made, "resources": [one.config for one in self.resources]}

    def to_json(self) -> str:
        """The configuration as JSON, which has no place for notes."""
        return json.dumps(self.config, indent=2, ensure_ascii=False)

    def to_yaml(self) -> str:
        """The configuration as YAML, with the notes as comments."""
        from dlt_orchestrate.sources.openapi.yaml_text import written

        return written(self)


def draft_from(
    document: Document,
    *,
    base_url: str | None = None,
    only: Sequence[str] = (),
    with_search: bool = False,
    with_details: bool = False,
    values: Mapping[str, str] | None = None,
) -> Draft:
    """Draft a configuration.

    Args:
        base_url: Where the API is, instead of the first server of the document.
        only: Patterns of names or paths, as of file names; a resource is drafted if one fits, with its parents.
        with_search: Whether POST requests that search are drafted, too.
        with_details: Whether requests for one record by its key are drafted, too.
        values: Of names in paths and of parameters that the API requires.

    Raises:
        OpenApiDocumentError: Nothing is left to draft.
    """
    return _Drafting(document, base_url, only, with_search, with_details, values or {}).draft()


@dataclass(eq=False)
class _Drafting:
    document: Document
    base_url: str | None
    only: Sequence[str]
    with_search: bool
    with_details: bool
    values: Mapping[str, str]
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def draft(self) -> Draft:
        address, address_checks = self._address()
        all_candidates = self._candidates()
        names = [one.name for one in all_candidates]
        candidates = self._chosen(all_candidates)
        if not candidates:
            raise OpenApiDocumentError(
                location=self.document.location,
                problem="no request in it becomes a resource"
                + (f" that fits {', '.join(map(repr, self.only))}" if self.only else ""),
                advice=meant(self.only[0], names) if self.only and names else _why(self.left_out),
            )
        pagings = {one.name: paging_of(one.operation, one.records) for one in candidates}
        usual = _most_usual(paging.paginator for paging in pagings.values() if paging is not None)
        credentials = self._credentials(candidates, address)
        client: dict[str, Any] = {"base_url": address}
        checks = [*address_checks]
        if credentials is not None:
            checks += credentials.notes
            if credentials.auth is not None:
                client["auth"] = credentials.auth
        if usual is not None:
            client["paginator"] = usual
        defaults = self._defaults(candidates)
        drafted = [self._resource(one, pagings[one.name], usual, defaults, credentials) for one in candidates]
        whole = [one for one in drafted if not one.missing]
        return Draft(
            title=self.document.title,
            version=self.document.version,
            location=self.document.location,
            client=client,
            resource_defaults=defaults,
            client_checks=tuple(checks),
            resources=tuple(whole),
            incomplete=tuple(one for one in drafted if one.missing),
            left_out=tuple(self.left_out),
        )

    def _address(self) -> tuple[str, list[str]]:
        """The address of the API, and what is to be checked about it."""
        if self.base_url is not None:
            return self.base_url.rstrip("/"), []
        servers = self.document.children(self.document.root, "servers")
        address = _server(servers[0]) if servers else "/"
        checks = [f"which server is meant; others are {', '.join(map(_server, servers[1:]))}"] if len(servers) > 1 else []
        if not address.startswith(("http://", "https://")):
            if self.document.address is None:
                told = (
                    f"the address: the document names {address!r} only"
                    if servers
                    else "the address: the document names none"
                )
                return f"{NO_ADDRESS}{address}".rstrip("/"), [f"{told}; pass --base-url"]
            address = urljoin(self.document.address, address)
        return address.rstrip("/"), checks

    def _candidates(self) -> list[Candidate]:
        """What gives records, parents and children related."""
        operations = list(operations_of(self.document, with_search=self.with_search))
        for path, item in self.document.child(self.document.root, "paths").items():
            if not self.document.resolved(item) and (dangling := self.document.dangling(item)):
                self.left_out.append((str(path), _not_there(dangling)))
        found: list[Candidate] = []
        for operation in operations:
            reason = _reason_to_leave_out(operation)
            name = resource_names([operation.segments])[0]
            records = None if reason or operation.answer is None else records_of(operation.answer, name)
            if records is None:
                self._leave_out(operation, reason or "its answer holds no records, as far as the document tells")
                continue
            found.append(Candidate(name, operation, records))
        kept = [one for one in found if self.with_details or not one.is_detail]
        for one in found:
            if one not in kept:
                self._leave_out(one.operation, "it gives one record by its key; --details drafts these, too")
        for one, name in zip(kept, resource_names([one.operation.segments for one in kept]), strict=True):
            one.name = name
        relate(kept, self.values)
        return kept

    def _chosen(self, candidates: list[Candidate]) -> list[Candidate]:
        """Those that fit a pattern, and their parents."""
        if not self.only:
            return candidates
        wanted = {id(one) for one in candidates if self._is_wanted(one)}
        for one in candidates:
            parent = one.parent if id(one) in wanted else None
            while parent is not None:
                wanted.add(id(parent))
                parent = parent.parent
        return [one for one in candidates if id(one) in wanted]

    def _is_wanted(self, one: Candidate) -> bool:
        tags = [str(tag) for tag in one.operation.node.get("tags", []) or []]
        return any(fnmatchcase(text, pattern) for pattern in self.only for text in (one.name, one.operation.path, *tags))

    def _credentials(self, candidates: Sequence[Candidate], address: str) -> Credentials | None:
        """Those that the document wants, else those that most requests want."""
        wanted = self.document.root.get("security")
        if not wanted:
            wanted = _most_usual(one.operation.security for one in candidates if one.operation.security)
        return credentials_for(self.document, wanted, prefix=slug(self.document.title).upper(), base_url=address)

    def _defaults(self, candidates: Sequence[Candidate]) -> dict[str, Any]:
        """What holds for most resources."""
        keys = [primary_key_of(one.records.shape, one.name) for one in candidates]
        usual, count = Counter(key[0] for key in keys if key is not None).most_common(1)[0] if any(keys) else ("", 0)
        return {"primary_key": usual, "write_disposition": "merge"} if 2 * count > len(keys) and count > 1 else {}

    def _resource(
        self,
        one: Candidate,
        paging: Paging | None,
        usual: dict[str, Any] | None,
        defaults: Mapping[str, Any],
        credentials: Credentials | None,
    ) -> DraftedResource:
        operation, checks, missing = one.operation, [*one.notes], [*one.missing]
        endpoint: dict[str, Any] = {"path": self._path(one)}
        if operation.method != "GET":
            endpoint["method"] = operation.method
        own_params = paging.own_params if paging is not None else frozenset[str]()
        params = {**(paging.params if paging is not None else {})}
        for parameter in operation.query:
            if parameter.name in self.values:
                params[parameter.name] = self.values[parameter.name]
            elif parameter.is_required and parameter.name not in own_params | params.keys():
                _take_default(parameter, params, checks, missing)
        if params:
            endpoint["params"] = params
        headers = self._headers(operation, checks, missing)
        if headers:
            endpoint["headers"] = headers
        if operation.method == "POST":
            endpoint["json"] = {}
            checks.append("what the body of the request has to say")
        endpoint["data_selector"] = one.records.selector
        if one.records.rivals:
            checks.append(f"that {one.records.selector!r} is meant, and not {' or '.join(map(repr, one.records.rivals))}")
        checks += self._add_paginator(endpoint, one, paging, usual)
        checks += self._other_credentials(operation, credentials)
        if dangling := operation.dangling:
            checks.append(f"what is missing here: {_not_there(dangling)}")
        config: dict[str, Any] = {"name": one.name, **self._keys(one, defaults, checks), "endpoint": endpoint}
        if one.include_from_parent:
            config["include_from_parent"] = [*one.include_from_parent]
        return DraftedResource(
            config,
            summary=_summary(operation),
            checks=tuple(dict.fromkeys(checks)),
            suggestions=tuple(self._suggestions(one)),
            missing=tuple(dict.fromkeys(missing)),
        )

    def _path(self, one: Candidate) -> str:
        servers = one.operation.servers
        if not servers:
            return one.path or "/"
        return f"{_server(servers[0]).rstrip('/')}/{one.path}"

    def _headers(self, operation: Operation, checks: list[str], missing: list[str]) -> dict[str, Any]:
        """Headers that the API requires, apart from those that clients send by themselves."""
        headers: dict[str, Any] = {}
        for parameter in operation.parameters:
            own = parameter.name.lower() in ("accept", "authorization", "content-type", "user-agent")
            if parameter.place != "header" or not parameter.is_required or own:
                continue
            if parameter.name in self.values:
                headers[parameter.name] = self.values[parameter.name]
            else:
                _take_default(parameter, headers, checks, missing)
        return headers

    def _add_paginator(
        self, endpoint: dict[str, Any], one: Candidate, paging: Paging | None, usual: dict[str, Any] | None
    ) -> list[str]:
        """Say how it pages, where that is not how the others do; returns what is to be checked."""
        if paging is None:
            if not one.records.is_list:
                endpoint["paginator"] = "single_page"
            elif usual is not None:
                endpoint["paginator"] = "auto"  # found out when it runs: the document may leave things out
            return []
        if paging.paginator != usual:
            endpoint["paginator"] = dict(paging.paginator)
        if paging.paginator.get("cursor_path") == LAST_ID:
            key = primary_key_of(one.records.shape, one.name)
            outer = "" if one.records.selector == WHOLE else one.records.selector
            endpoint["paginator"] = {**paging.paginator, "cursor_path": f"{outer}[-1].{key[0] if key else 'id'}"}
        return list(paging.notes)

    def _other_credentials(self, operation: Operation, credentials: Credentials | None) -> list[str]:
        wanted = operation.security
        if not isinstance(wanted, list) or not wanted or any(not one for one in wanted):
            return []
        names = {str(name) for one in wanted if isinstance(one, Mapping) for name in one}
        if credentials is not None and credentials.scheme in names:
            return []
        return [f"the credentials: it wants {' or '.join(sorted(map(repr, names)))}"]

    def _keys(self, one: Candidate, defaults: Mapping[str, Any], checks: list[str]) -> dict[str, Any]:
        key = primary_key_of(one.records.shape, one.name)
        if key is None:
            found: dict[str, Any] = {"write_disposition": "replace"}
            return found if not defaults else {"primary_key": None, **found}
        if not key[1]:
            checks.append(f"that {key[0]!r} tells one record from another")
        found = {"primary_key": key[0], "write_disposition": "merge"}
        return {name: value for name, value in found.items() if defaults.get(name) != value}

    def _suggestions(self, one: Candidate) -> Iterable[tuple[str, dict[str, Any]]]:
        """A cursor, where the API takes a start and records tell when they changed."""
        since = next((parameter for parameter in one.operation.query if _SINCE.search(parameter.plain_name)), None)
        changed = changed_at(one.records.shape)
        if since is not None and changed is not None:
            cursor = {"cursor_path": changed, "start_param": since.name, "initial_value": "2020-01-01T00:00:00Z"}
            yield f"to load only what is new, if {since.name!r} is about {changed!r}", {"incremental": cursor}

    def _leave_out(self, operation: Operation, reason: str) -> None:
        if dangling := operation.dangling:
            reason = f"{reason}; {_not_there(dangling)}"
        self.left_out.append((f"{operation.method} {operation.path}", reason))


def _reason_to_leave_out(operation: Operation) -> str | None:
    if operation.is_deprecated:
        return "it is deprecated"
    if operation.answers_something_else:
        return "its answer is no JSON"
    if operation.answer is None:
        return "the document does not say what it answers"
    return None


def _not_there(references: Sequence[str]) -> str:
    """What is told of references that lead nowhere."""
    shown = ", ".join(references[:_MOST_REFERENCES])
    more = f" and {len(references) - _MOST_REFERENCES} more" if len(references) > _MOST_REFERENCES else ""
    return f"the document refers to {shown}{more}, which {'is' if len(references) == 1 else 'are'} not in it"


def _take_default(parameter: Parameter, into: dict[str, Any], checks: list[str], missing: list[str]) -> None:
    """Give a parameter that is required the value that the document mentions."""
    if parameter.default is None:
        missing.append(parameter.name)
        into[parameter.name] = f"<{parameter.name}>"
    else:
        into[parameter.name] = parameter.default
        checks.append(f"the value of {parameter.name!r}, which the API requires")


def _summary(operation: Operation) -> str:
    return f"{operation.method} {operation.path}{f': {operation.summary}' if operation.summary else ''}"


def _server(server: Node) -> str:
    """The address of a server, its variables with their defaults."""
    address = str(server.get("url") or "/")
    variables = server.get("variables")
    for name, variable in variables.items() if isinstance(variables, Mapping) else ():
        default = variable.get("default", "") if isinstance(variable, Mapping) else ""
        address = address.replace(f"{{{name}}}", str(default))
    return address


def _most_usual(values: Iterable[Any]) -> Any:
    """The value that comes most often, the first of several; None without any."""
    listed = list(values)
    marks = [json.dumps(value, sort_keys=True, default=str) for value in listed]
    usual = Counter(marks).most_common(1)
    return listed[marks.index(usual[0][0])] if usual else None


def _why(left_out: Sequence[tuple[str, str]]) -> str:
    shown = "; ".join(f"{request}: {reason}" for request, reason in left_out[:3])
    return f"Of its requests, {len(left_out)} were left out: {shown}." if shown else "It describes no GET request."
