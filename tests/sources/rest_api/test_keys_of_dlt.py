"""Configurations written for dlt are taken, each key with the meaning that dlt's documentation gives it."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from loopback import Api, Reply

import dlt_orchestrate as dlt
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt_orchestrate.sources.helpers.rest_client.paginators import HeaderLinkPaginator
from dlt_orchestrate.sources.rest_api import rest_api_source
from dlt_orchestrate.sources.rest_api.config_setup import register_auth, register_paginator


def passed_on(value: Any, *_: Any, **__: Any) -> Any:
    return value


AUTHS: list[Any] = [
    None,
    {"token": "t"},
    {"type": "bearer", "token": "t"},
    {"type": "api_key", "name": "X-Key", "api_key": "k", "location": "query"},
    {"type": "api_key", "api_key": "k"},
    {"type": "http_basic", "username": "u", "password": "p"},
    {
        "type": "oauth2_client_credentials",
        "access_token": None,
        "access_token_url": "https://login.example/token",
        "client_id": "c",
        "client_secret": "s",
        "access_token_request_data": {"scope": "read"},
        "default_token_expiration": 60,
        "session": requests.Session(),
    },
    BearerTokenAuth("t"),
]
PAGINATORS: list[Any] = [
    None,
    "auto",
    "single_page",
    "header_link",
    "json_link",
    "json_response",
    "cursor",
    "page_number",
    {"type": "auto"},
    {"type": "single_page"},
    {"type": "header_link", "links_next_key": "next"},
    {"type": "header_cursor", "cursor_key": "X-Next", "cursor_param": "after"},
    {"type": "json_link", "next_url_path": "paging.next"},
    {"type": "cursor", "cursor_path": "cursors.next", "cursor_param": "after"},
    {"type": "cursor", "cursor_path": "cursors.next", "cursor_body_path": "page.after"},
    {
        "type": "offset",
        "limit": 10,
        "offset": 0,
        "offset_param": "skip",
        "limit_param": "take",
        "total_path": None,
        "maximum_offset": 100,
        "stop_after_empty_page": False,
    },
    {"type": "offset", "limit": 10, "offset_body_path": "o", "limit_body_path": "l", "has_more_path": "more"},
    {
        "type": "page_number",
        "base_page": 1,
        "page": 3,
        "page_param": "p",
        "total_path": "pages",
        "maximum_page": 9,
        "stop_after_empty_page": True,
        "has_more_path": "more",
    },
    {"type": "page_number", "page_body_path": "query.page"},
    HeaderLinkPaginator(),
]
INCREMENTAL = {
    "cursor_path": "updated_at",
    "initial_value": "2024-01-25",
    "end_value": "2024-02-25",
    "last_value_func": max,
    "primary_key": "id",
    "allow_external_schedulers": False,
    "on_cursor_value_missing": "include",
    "lag": None,
    "range_start": "open",
    "range_end": "closed",
    "convert": passed_on,
}
ENDPOINTS: list[Any] = [
    "posts",
    {"path": "https://other.example/posts", "method": "get"},
    {"path": "search", "method": "POST", "json": {"filters": {"id": "{resources.seeds.id}"}, "limit": 5}},
    {"params": {"id": "{resources.seeds.id}", "tags": ["a", "b"], "deep": True}},
    {"path": "x/{seed}", "params": {"seed": {"type": "resolve", "resource": "seeds", "field": "items[0].id"}}},
    {"params": {"since": {"type": "incremental", **INCREMENTAL}}},
    {"incremental": {**INCREMENTAL, "start_param": "since", "end_param": "until"}},
    {
        "params": {"since": "{incremental.start_value}", "last": "{incremental.last_value}", "text": "{{as it is}}"},
        "headers": {"X-Since": "{incremental.initial_value}", "X-Id": "{resources.seeds.id}", "X-Number": 7},
        "incremental": INCREMENTAL,
        "data_selector": "data[*].post",
    },
    {"data": {"q": "a form"}, "method": "POST"},
    {
        "response_actions": [
            passed_on,
            {"status_code": 404, "action": "ignore"},
            {"content": "Not found", "action": "ignore"},
            {"status_code": 200, "content": "some text", "action": passed_on},
            {"status_code": 200, "action": [passed_on, passed_on]},
        ]
    },
    *({"auth": auth} for auth in AUTHS),
    *({"paginator": paginator} for paginator in PAGINATORS),
]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_endpoint_is_taken(endpoint: Any) -> None:
    config: dict[str, Any] = {
        "client": {"base_url": "https://api.example.com/"},
        "resources": [
            {"name": "posts", "endpoint": endpoint},
            dlt.resource([{"id": 1}], name="seeds"),
        ],
    }

    assert list(rest_api_source(config, spec=object).resources) == ["posts", "seeds"]


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize("paginator", ["auto", None, {"type": "json_link", "next_url_path": "next"}])
def test_a_client_is_taken(auth: Any, paginator: Any) -> None:
    client = {"base_url": "https://api.example.com", "headers": {"A": "b"}, "session": requests.Session()}

    source = rest_api_source({"client": {**client, "auth": auth, "paginator": paginator}, "resources": ["posts"]})

    assert list(source.resources) == ["posts"]


def test_the_hints_of_a_resource_are_taken() -> None:
    hints = {
        "table_name": "articles",
        "max_table_nesting": 2,
        "write_disposition": {"disposition": "merge", "strategy": "upsert"},
        "columns": [{"name": "id", "data_type": "bigint"}],
        "primary_key": ["id"],
        "merge_key": None,
        "schema_contract": {"columns": "freeze"},
        "table_format": None,
        "selected": True,
        "parallelized": True,
        "processing_steps": [{"filter": bool}, {"map": passed_on}, {"yield_map": iter}],
        "spec": object,
    }

    source = rest_api_source(
        {
            "client": {"base_url": "https://api.example.com"},
            "resource_defaults": hints,
            "resources": [{"name": "posts"}, {"name": "authors", **hints}],
        }
    )

    assert [one.table_name for one in source.evaluate(Resolver([]))] == ["articles", "articles"]


def test_null_as_the_paginator_of_an_endpoint_leaves_that_of_the_client(api: Api, project: Any) -> None:
    api.answer = lambda asked: [{"id": int(asked.params["p"])}] if int(asked.params["p"]) < 3 else []
    client = {"base_url": api.url, "paginator": {"type": "page_number", "page_param": "p", "total_path": None}}
    pipeline = dlt.pipeline("posts", destination=dlt.destinations.memory())

    pipeline.run(rest_api_source({"client": client, "resources": [{"name": "posts", "endpoint": {"paginator": None}}]}))

    assert [asked.params["p"] for asked in api.asked] == ["0", "1", "2", "3"]


def test_every_function_that_fits_sees_the_answer_and_then_ignore_decides(api: Api, project: Any) -> None:
    seen: list[str] = []

    def note(name: str) -> Any:
        def look(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
            seen.append(name)
            return response

        return look

    def as_archived(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
        response._content = b"archived"
        return response

    api.answer = lambda asked: Reply(b'[{"id": 1}]', headers={"Content-Type": "application/json"})
    actions = [
        note("all"),
        {"status_code": 200, "action": [note("first"), note("second")]},
        {"content": "id", "action": note("third")},
        {"status_code": 500, "action": note("never")},
        {"status_code": 200, "action": as_archived},
        {"content": "archived", "action": "ignore"},
        {"status_code": 200, "action": "raise"},
    ]
    pipeline = dlt.pipeline("posts", destination=dlt.destinations.memory())

    info = pipeline.run(
        rest_api_source(
            {"client": {"base_url": api.url}, "resources": [{"name": "p", "endpoint": {"response_actions": actions}}]}
        )
    )

    assert seen == ["all", "first", "second", "third"]
    assert info.resources["p"].rows_loaded == 0


def test_a_function_does_not_take_an_error_for_an_answer(api: Api, project: Any) -> None:
    api.answer = lambda asked: Reply(b"{}", status=404)
    actions = [{"status_code": 404, "action": passed_on}]
    pipeline = dlt.pipeline("posts", destination=dlt.destinations.memory())

    with pytest.raises(PipelineStepFailed, match="404"):
        pipeline.run(
            rest_api_source(
                {"client": {"base_url": api.url}, "resources": [{"name": "p", "endpoint": {"response_actions": actions}}]}
            )
        )


def test_classes_of_ones_own_are_named_by_their_type(api: Api, project: Any) -> None:
    class Stamp(BearerTokenAuth):
        def __call__(self, r: Any) -> Any:
            r.headers["X-Stamp"] = str(self.token)
            return r

    class OnlyLinks(HeaderLinkPaginator):
        pass

    register_auth("stamp", Stamp)
    register_paginator("only_links", OnlyLinks)
    api.answer = lambda asked: [{"id": 1}]
    client = {
        "base_url": api.url,
        "auth": {"type": "stamp", "token": "blue"},
        "paginator": {"type": "only_links", "links_next_key": "next"},
        "session": Session(),
    }

    dlt.pipeline("posts", destination=dlt.destinations.memory()).run(
        rest_api_source({"client": client, "resources": ["posts"]})
    )

    assert [asked.headers["X-Stamp"] for asked in api.asked] == ["blue"]
