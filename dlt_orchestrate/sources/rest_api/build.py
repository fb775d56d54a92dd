"""From a checked configuration to resources."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

from pydantic import BaseModel

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.recipe import DECLARED_AS, whole_stream
from dlt_orchestrate.declare.records import as_record, is_page
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.declare.steps import is_frame
from dlt_orchestrate.errors import ParentRowError
from dlt_orchestrate.flow.positions import kept_positions
from dlt_orchestrate.http.client import RESTClient
from dlt_orchestrate.http.failures import HttpStatusError
from dlt_orchestrate.http.paginators import SinglePagePaginator
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.sources.rest_api.actions import Actions
from dlt_orchestrate.sources.rest_api.asking import Asking, CursorParams, taken_over, with_parent
from dlt_orchestrate.sources.rest_api.checking import Checked
from dlt_orchestrate.sources.rest_api.children import ChildPages, Gate, SharedReader
from dlt_orchestrate.sources.rest_api.conditional import CountedPages, FirstRequestOnly, Memory, only_changed
from dlt_orchestrate.sources.rest_api.models import (
    HINTS,
    ClientConfig,
    EndpointConfig,
    IncrementalConfig,
    IncrementalParam,
    ResolveParam,
    ResourceConfig,
    ResourceDefaults,
)
from dlt_orchestrate.sources.rest_api.placeholders import Template, compiled
from dlt_orchestrate.sources.rest_api.relations import Relation
from dlt_orchestrate.sources.rest_api.sharing import Sharing

_MERGED = ("params", "headers")


@dataclass(frozen=True, slots=True)
class _Api:
    """What the resources of one configuration have in common.

    Attributes:
        names: The names of all of them.
    """

    config: ClientConfig
    client: RESTClient
    gate: Gate
    sharing: Sharing
    names: tuple[str, ...]
    section: str


def resources_of(checked: Checked, *, section: str, sharing: Sharing) -> list[Resource]:
    """The resources of a configuration, in its order.

    Args:
        sharing: Keeps pages that several of them need.
    """
    config = checked.config
    names = tuple(one.name for one in config.resources)
    gate = Gate(config.client.concurrency)
    api = _Api(config.client, client_of(config.client), gate, sharing, names, section)
    made: dict[str, Resource] = {}
    pending = dict(zip(names, zip(config.resources, checked.relations, strict=True), strict=True))
    while pending:
        ready = {name for name, (_, relation) in pending.items() if relation.parent is None or relation.parent in made}
        for name in [name for name in names if name in ready]:
            declared, relation = pending.pop(name)
            if isinstance(declared, Resource):
                made[name] = declared
            else:
                whole = _with_defaults(declared, config.resource_defaults)
                made[name] = _resource_of(whole, relation, api, made)
    return [made[name] for name in names]


def client_of(config: ClientConfig) -> RESTClient:
    """The client that all resources share, and with it its connections and its rate limit."""
    session = config.session
    if session is None:
        session = Session(max_connections=max(config.concurrency, 10))
    client = RESTClient(
        config.base_url,
        headers={name: str(value) for name, value in (config.headers or {}).items()},
        auth=config.auth,
        session=session,
        allowed_origins=config.allowed_origins,
        rate_limit=config.rate_limit,
    )
    client.environment = {}  # it lives as long as one run, and would else ask for each child
    return client


def _with_defaults(own: ResourceConfig, defaults: ResourceDefaults | None) -> ResourceConfig:
    """What a resource says over what holds for all; parameters and headers are merged by name."""
    if defaults is None:
        return own
    given = _given(own)
    merged = {**_given(defaults), **given}
    if own.endpoint is not None and defaults.endpoint is not None:
        merged["endpoint"] = _merged_endpoint(own.endpoint, defaults.endpoint)
    return ResourceConfig.model_construct(set(merged), **merged)


def _merged_endpoint(own: EndpointConfig, defaults: EndpointConfig) -> EndpointConfig:
    first, second = _given(defaults), _given(own)
    merged = {**first, **second}
    for key in _MERGED:
        if first.get(key) and second.get(key):
            merged[key] = {**first[key], **second[key]}
    if isinstance(first.get("body"), dict) and isinstance(second.get("body"), dict):
        merged["body"] = {**first["body"], **second["body"]}
    return EndpointConfig.model_construct(set(merged), **merged)


def _given(model: BaseModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in model.model_fields_set}


def _resource_of(
    own: ResourceConfig,
    relation: Relation,
    api: _Api,
    made: Mapping[str, Resource],
) -> Resource:
    endpoint = own.endpoint or EndpointConfig()
    asking = _asking(own, endpoint, relation, api)
    cursor = _cursor_of(endpoint)
    if relation.parent is None:
        is_conditional = _is_conditional(endpoint, asking)
        function = _reading(asking, cursor, api.sharing, _text_of(own, relation) if is_conditional else None)
    else:
        function = _reading_children(asking, cursor, tuple(own.include_from_parent or ()), api)
    setattr(function, DECLARED_AS, _text_of(own, relation))
    function.__doc__ = own.description
    hints = {name: getattr(own, name) for name in HINTS if getattr(own, name) is not None}
    found: Resource = resource(
        function,
        name=own.name,
        section=api.section,
        selected=own.selected,
        parallelized=own.parallelized,
        asset=own.asset,
        data_from=made[relation.parent] if relation.parent is not None else None,
        **hints,
    )
    for step in own.processing_steps or ():
        if step.filter is not None:
            found.add_filter(step.filter)
        elif step.map is not None:
            found.add_map(step.map)
        elif step.yield_map is not None:
            found.add_yield_map(step.yield_map)
    return found


def _asking(
    own: ResourceConfig,
    endpoint: EndpointConfig,
    relation: Relation,
    api: _Api,
) -> Asking:
    path = endpoint.path if endpoint.path is not None else own.name
    template = Template.of(path, all_braces=True)
    given = {
        name: value
        for name, value in (endpoint.params or {}).items()
        if not isinstance(value, ResolveParam | IncrementalParam | Incremental)
    }
    in_path = {placeholder.name for placeholder in template.placeholders}
    template = template.with_values({name: value for name, value in given.items() if name in in_path})
    params = {name: compiled(value) for name, value in given.items() if name not in in_path}
    is_one_record = bool(template.parts) and not isinstance(template.parts[-1], str)
    paginator, selector = endpoint.paginator, endpoint.data_selector
    if "paginator" not in endpoint.model_fields_set:
        paginator = SinglePagePaginator() if is_one_record else api.config.paginator
    if selector is None and is_one_record and "paginator" not in endpoint.model_fields_set:
        selector = "$"
    return Asking(
        resource=own.name,
        client=api.client,
        path=template,
        method=endpoint.method or "GET",
        params=params,
        headers=compiled(endpoint.headers or {}),
        json=compiled(endpoint.body),
        data=endpoint.data,
        auth=endpoint.auth,
        paginator=paginator,
        data_selector=selector,
        actions=Actions.of(endpoint.response_actions),
        cursor=_cursor_params(endpoint),
        parent=relation.parent,
        bound=relation.bound,
        names=api.names,
    )


def _cursor_of(endpoint: EndpointConfig) -> Incremental[Any] | None:
    """The cursor that the endpoint or one of its parameters declares."""
    found = endpoint.incremental or next((value for _, value in _cursors_in_params(endpoint)), None)
    return found.declared() if isinstance(found, IncrementalConfig) else found


def _cursor_params(endpoint: EndpointConfig) -> CursorParams:
    if isinstance(endpoint.incremental, IncrementalConfig):
        declared = endpoint.incremental
        return CursorParams(declared.start_param, declared.end_param, declared.convert)
    for name, value in _cursors_in_params(endpoint):
        given = value if isinstance(value, IncrementalConfig) else None
        return CursorParams(name, given.end_param if given else None, given.convert if given else None)
    return CursorParams()


def _cursors_in_params(endpoint: EndpointConfig) -> Iterator[tuple[str, Any]]:
    for name, value in (endpoint.params or {}).items():
        if isinstance(value, IncrementalParam | Incremental):
            yield name, value


def _is_conditional(endpoint: EndpointConfig, asking: Asking) -> bool:
    """Whether what tells the first page apart is kept: by default where the first page is declared to be the only one."""
    if asking.method != "GET":
        return False
    if endpoint.conditional is not None:
        return endpoint.conditional
    return type(asking.paginator) is SinglePagePaginator


def _reading(asking: Asking, declared: Incremental[Any] | None, sharing: Sharing, made_for: str | None) -> Any:
    """The function of a resource that stands alone.

    Args:
        made_for: What tells its answers from those of a changed configuration; None to make no conditional requests.
    """

    def pages(cursor: Incremental[Any] | None) -> Iterator[Any]:
        first = asking.first(cursor=cursor)
        is_bounded = cursor is not None and cursor.end_value is not None
        memory = None if made_for is None or is_bounded else Memory(asking.resource, first, made_for)
        positions = kept_positions()
        goes_on = positions is not None and positions.go_on
        try:
            shared = None if goes_on else sharing.read(asking.resource, first)
            if memory is not None and (goes_on or shared is not None):
                memory.forget()  # what tells these pages apart was not kept with them
            if goes_on:  # from the middle of the list: others need all of it, and their pages begin with the first
                yield from asking.pages(first)
                return
            if shared is not None:
                yield from shared
                return
            if memory is None:
                yield from sharing.recorded(asking.resource, first, asking.pages(first))
                return
            auth = FirstRequestOnly(memory.known, asking.auth or asking.client.auth) if memory.known else None
            found = sharing.recorded(asking.resource, first, asking.pages(first, auth=auth))
            yield from only_changed(CountedPages(found), memory)
        except HttpStatusError as error:
            if not asking.actions.ignore(error):
                raise
            if memory is not None:
                memory.forget()  # the answer before is not what the table holds now

    if declared is None:

        def read() -> Iterator[Any]:
            return pages(None)

        return read

    def read_new(cursor: Any = declared) -> Iterator[Any]:
        return pages(cursor)

    return read_new


def _reading_children(asking: Asking, declared: Incremental[Any] | None, wanted: tuple[str, ...], api: _Api) -> Any:
    """The function of a resource that is asked for with the rows of another one."""
    parent = str(asking.parent)
    reader = SharedReader()

    def failed(row: Any, error: Exception) -> Exception:
        return ParentRowError(resource=asking.resource, parent=parent, row=asking.fields_of(row), cause=error)

    def completed(row: Any, page: Any) -> Any:
        fields = taken_over(row, parent, wanted)
        return [with_parent(as_record(record), fields) for record in page]

    def walk(row: Any, cursor: Incremental[Any] | None) -> Iterator[Any]:
        first = asking.first(row, cursor)
        shared = api.sharing.read(asking.resource, first)
        if shared is not None:
            return shared
        pages = asking.pages(first)
        if asking.data_selector is not None:  # else each walk finds out for itself where its records stand
            pages.typed = reader
        return api.sharing.recorded(asking.resource, first, pages)

    def pages(rows: Any, cursor: Incremental[Any] | None) -> Iterator[Any]:
        found = ChildPages(
            _rows_of(rows),
            walk=lambda row: walk(row, cursor),
            is_end=lambda error: isinstance(error, HttpStatusError) and asking.actions.ignore(error),
            failed=failed,
            gate=api.gate,
            completed=completed if wanted else None,
        )
        try:
            yield from found
        finally:
            found.close()

    if declared is None:

        def read(rows: Any) -> Iterator[Any]:
            return pages(rows, None)

        return whole_stream(read)

    def read_new(rows: Any, cursor: Any = declared) -> Iterator[Any]:
        return pages(rows, cursor)

    return whole_stream(read_new)


def _rows_of(items: Any) -> Iterator[Any]:
    """The rows in the yields of a parent."""
    for item in items:
        if is_frame(item):
            from dlt_orchestrate.extract.pipe import as_table

            yield from as_table(item).to_pylist()
        elif is_page(item):
            yield from map(as_record, item)
        else:
            yield as_record(item)


def _text_of(own: ResourceConfig, relation: Relation) -> str:
    """What a resource was made for, without secrets: two that differ in it may hold other records."""
    endpoint = own.endpoint or EndpointConfig()
    told = {name: value for name, value in _given(endpoint).items() if name not in ("auth", "headers")}
    steps = [_given(step) for step in own.processing_steps or ()]
    return json.dumps([relation.parent, told, steps, own.include_from_parent], default=_printed, sort_keys=True)


def _printed(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _given(value)
    code = getattr(value, "__code__", None)
    if code is not None:
        plain = [constant for constant in code.co_consts if not isinstance(constant, CodeType)]
        return [getattr(value, "__qualname__", ""), code.co_code.hex(), repr(code.co_names), repr(plain)]
    return getattr(value, "__qualname__", None) or _without_address(value)


def _without_address(value: Any) -> str:
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text
