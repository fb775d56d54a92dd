"""What is wrong in a configuration is told at once, with its place and what was probably meant, before any request."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
from loopback import Api

import dlt_orchestrate as dlt
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.errors import ConfigFieldMissingError, RestApiConfigError
from dlt_orchestrate.http.paginators import HeaderLinkPaginator
from dlt_orchestrate.sources.openapi import draft_from, read_document
from dlt_orchestrate.sources.rest_api import RESTAPIConfig, rest_api_resources, rest_api_source

CLIENT = {"base_url": "http://127.0.0.1:9"}  # nobody answers there


def problems(*resources: Any, client: Any = CLIENT, **more: Any) -> dict[str, str]:
    with pytest.raises(RestApiConfigError) as caught:
        rest_api_source({"client": client, "resources": list(resources), **more})
    return {problem.path: problem.told for problem in caught.value.problems}


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(RestApiConfigError) as caught:
        rest_api_source(
            {
                "client": {"base_url": "http://127.0.0.1:9", "auth": {"type": "barer", "token": "hunter2"}, "headrs": {}},
                "resources": [
                    "posts",
                    {"name": "authors", "endpoint": {"path": "authors", "paginator": {"type": "ofset", "limit": 10}}},
                    {"name": "comments", "endpoint": "posts/{resources.post.id}/comments", "write_disposition": "mrege"},
                ],
            },
            name="blog",
        )

    assert str(caught.value) == (
        "Source 'blog': its configuration has 5 problems.\n"
        "  client.auth.type: there is no auth scheme 'barer'. Did you mean 'bearer'?\n"
        "  client.headrs: is no key here. Did you mean 'headers'?\n"
        "  resources[1].endpoint.paginator.type: there is no paginator 'ofset'. Did you mean 'offset'?\n"
        "  resources[2].endpoint: there is no resource 'post'. Did you mean 'posts'?\n"
        "  resources[2].write_disposition: there is no write disposition 'mrege'. Did you mean 'merge'?"
    )


def test_relations_are_judged_also_where_other_parts_are_wrong() -> None:
    told = problems(
        {"name": "a", "endpoint": "{resources.c.id}"},
        {"name": "b", "endpoint": {"path": "{resources.a.id}", "json": {"q": "{resources.d.x}"}}},
        {"name": "c", "endpoint": {"path": "{resources.b.id}", "methd": "GET"}},
        {"name": "d", "include_from_parent": ["id"]},
        {"name": "d", "endpoint": {"path": "x/{n}/{incremental.start}", "params": {"m": "{resource.a.id}"}}},
    )

    assert told == {
        "resources[0]": "resources are parents of each other in a circle: a -> c -> b -> a",
        "resources[1].endpoint.json.q": "is asked for with rows of 'd', and with rows of 'a' elsewhere. A resource has one "
        "parent; what that has of its own parent it can hand on by include_from_parent",
        "resources[2].endpoint.methd": "is no key here. Did you mean 'method'?",
        "resources[3].include_from_parent": "is given, and the resource has no parent. Name one as in "
        "{resources.parent.field}",
        "resources[4].endpoint.params.m": "{resource.a.id} begins with neither 'resources' nor 'incremental'. "
        "Did you mean 'resources'?",
        "resources[4].endpoint.path": "{incremental.start} is no value of a cursor. Did you mean 'start_value'?",
        "resources[4].name": "resources[3] is named 'd', too",
    }


@pytest.mark.parametrize(
    ("endpoint", "place", "told"),
    [
        ({"params": {"x": {"type": "resolv"}}}, "params.x", "no type of parameter 'resolv'. Did you mean 'resolve'?"),
        ({"path": "p/{n}"}, "path", "has {n}, which nothing stands for"),
        (
            {"path": "p/{post_id}", "params": {"pots_id": 1}},
            "path",
            "a parameter 'post_id', a value or of type resolve. Did you mean 'pots_id'?",
        ),
        ({"path": "p/{n}", "params": {"n": [1]}}, "params.n", "is [1], which is no part of a path"),
        ({"path": "p/{n}", "params": {"n": None}}, "params.n", "is None, which is no part of a path"),
        ({"path": "p/{n}", "params": {"n": "../admin"}}, "params.n", "is '../admin', which is no part of a path"),
        (
            {"path": "p/{n}", "params": {"n": {"type": "incremental", "cursor_path": "at", "initial_value": 1}}},
            "params.n",
            "is a cursor, and its name stands in the path. Write {incremental.start_value} there",
        ),
        (
            {"params": {"n": {"type": "resolve", "resource": "posts", "field": "id"}}},
            "params.n",
            "stands for a part of the path, and the path has no {n}",
        ),
        ({"params": {"since": "{incremental.start_value}"}}, "params.since", "resource 'it' has no 'incremental'"),
        (
            {"params": {"since": 1}, "incremental": {"cursor_path": "at", "start_param": "since"}},
            "incremental.start_param",
            "parameter 'since' is given in 'params', too",
        ),
        (
            {"params": {"s": {"type": "incremental", "cursor_path": "at"}}, "incremental": {"cursor_path": "at"}},
            "params.s",
            "is a second cursor",
        ),
        ({"incremental": {"cursor_path": "at", "end_value": 3}}, "incremental", "end_value needs an initial_value"),
        ({"incremental": {"cursor_path": "at", "row_order": "up"}}, "incremental.row_order", "should be 'asc' or 'desc'"),
        (
            {"path": "{resources.posts.id}", "incremental": {"cursor_path": "at", "row_order": "desc"}},
            "incremental.row_order",
            "records of all rows of 'posts' come in no common order",
        ),
        (
            {"path": "{resources.posts.id}", "params": {"s": dlt.sources.incremental("at", row_order="asc")}},
            "params.s",
            "no common order",
        ),
        ({"paginator": {"type": "offset"}}, "paginator.limit", "is missing"),
        ({"paginator": {"type": "offset", "limit": "many"}}, "paginator.limit", "should be a whole number"),
        (
            {"paginator": {"type": "page_number", "total_path": None, "stop_after_empty_page": False}},
            "paginator",
            "would never end",
        ),
        ({"data_selector": "a..b"}, "data_selector", "cannot be read"),
        ({"response_actions": [{"action": "ignore"}]}, "response_actions[0]", "needs 'status_code' or 'content'"),
        (
            {"response_actions": [{"status_code": 404, "action": "ignor"}]},
            "response_actions[0].action",
            "Did you mean 'ignore'?",
        ),
        ({"json": {}, "data": "x"}, "", "has both 'json' and 'data'"),
        ({"method": "FETCH"}, "method", "should be 'GET', 'POST', 'PUT', 'PATCH' or 'DELETE', not 'FETCH'"),
        ({"incremental": {"cursor_path": "at", "convert": "no.such:thing"}}, "incremental.convert", "there is no module"),
    ],
)
def test_a_wrong_endpoint_is_told_by_its_place(endpoint: dict[str, Any], place: str, told: str) -> None:
    found = problems("posts", {"name": "it", "endpoint": endpoint})

    assert list(found) == [f"resources[1].endpoint.{place}".rstrip(".")]
    assert told in next(iter(found.values()))


@pytest.mark.parametrize(
    ("resource", "place", "told"),
    [
        ({"endpoint": "x"}, "resources[0].name", "is missing"),
        (7, "resources[0]", "should be a name or a mapping, not a number"),
        ({"name": ""}, "resources[0].name", "should not be empty"),
        ({"name": "x", "processing_steps": [{"fliter": "m:f"}]}, "resources[0].processing_steps[0].fliter", "'filter'"),
        ({"name": "x", "columns": {"a": {"data_typ": "text"}}}, "resources[0].columns", "Did you mean 'data_type'?"),
        ({"name": "x", "primary_key": 3}, "resources[0].primary_key", "column name"),
        ({"name": "x", "asset": {"ownrs": []}}, "resources[0].asset", "owners"),
    ],
)
def test_a_wrong_resource_is_told_by_its_place(resource: Any, place: str, told: str) -> None:
    found = problems(resource)

    assert list(found) == [place]
    assert told in found[place]


def test_what_stands_in_the_defaults_is_told_there_once() -> None:
    told = problems("a", "b", resource_defaults={"endpoint": {"params": {"q": "{resources.c.id}"}}, "slected": True})

    assert list(told) == ["resource_defaults.endpoint.params.q", "resource_defaults.slected"]
    assert told["resource_defaults.slected"] == "is no key here. Did you mean 'selected'?"


def test_no_message_shows_a_secret() -> None:
    with pytest.raises(RestApiConfigError) as caught:
        rest_api_source(
            {
                "client": {
                    **CLIENT,
                    "auth": {"type": "http_basic", "username": "ada", "password": ["hunter2"]},
                    "rate_limit": "hunter2",
                },
                "resources": ["x"],
            }
        )

    assert "client.auth.password: should be a text, not a list" in str(caught.value)
    assert "client.rate_limit: should be a number, or a mapping with 'per_second', not a text" in str(caught.value)


def test_the_resources_of_a_checked_configuration_carry_their_hints() -> None:
    config = RESTAPIConfig.model_validate(
        {
            "client": {**CLIENT, "paginator": HeaderLinkPaginator()},
            "resource_defaults": {"primary_key": "id", "write_disposition": "merge", "selected": False},
            "resources": [
                {"name": "posts", "selected": True, "description": "What was written."},
                {"name": "traffic/views", "primary_key": ["day", "page"], "table_name": "views", "max_table_nesting": 0},
            ],
        }
    )

    source = rest_api_source(config, name="blog")

    posts, views = source.resources.values()
    assert (posts.primary_key, posts.write_disposition, posts.selected, posts.description) == (
        ("id",),
        "merge",
        True,
        "What was written.",
    )
    assert (views.primary_key, views.table_name, views.max_table_nesting, views.selected) == (
        ("day", "page"),
        "views",
        0,
        False,
    )
    assert [one.name for one in rest_api_resources(config)] == ["posts", "traffic/views"]


def test_a_missing_secret_is_told_when_the_source_runs_and_not_before(project) -> None:
    source = rest_api_source({"client": {**CLIENT, "auth": {"token": {"secret": "BLOG_TOKEN"}}}, "resources": ["posts"]})

    with pytest.raises(ConfigFieldMissingError, match="BLOG_TOKEN"):
        dlt.pipeline("x", destination=dlt.destinations.memory()).run(source)


def test_what_is_drafted_from_an_openapi_document_is_a_configuration(tmp_path: Path) -> None:
    draft = draft_from(read_document(str(Path(__file__).parents[1] / "openapi" / "teashop.yaml")))
    (tmp_path / "shop.yaml").write_text(draft.to_yaml())

    names = [one["name"] for one in draft.config["resources"]]

    of_dictionary = rest_api_source(draft.config).evaluate(Resolver([]), placeholders=True)
    assert [one.name for one in of_dictionary] == names
    of_file = rest_api_source(tmp_path / "shop.yaml").evaluate(Resolver([]), placeholders=True)
    assert [one.name for one in of_file] == names


def test_a_key_that_a_file_holds_twice_is_told_with_its_line(tmp_path: Path) -> None:
    blog = tmp_path / "blog.yaml"
    blog.write_text("client: {base_url: https://blog.example}\nresources: [posts]\nresources: [authors]\n")

    with pytest.raises(RestApiConfigError, match=r"the key 'resources' is there twice, in line 3"):
        rest_api_source(blog, name="blog")


GITHUB: dict[str, Any] = {
    "client": {
        "base_url": "https://api.github.com/repos/acme/teahouse",
        "auth": {"type": "bearer", "token": "hunter2"},
        "paginator": {"type": "header_link", "links_next_key": "next"},
        "headers": {"Accept": "application/json"},
        "rate_limit": {"per_second": 2, "burst": 3},
        "allowed_origins": ["https://files.example"],
    },
    "resource_defaults": {"write_disposition": "merge", "endpoint": {"params": {"per_page": 100}}},
    "resources": [
        {
            "name": "issues",
            "primary_key": "id",
            "schema_contract": {"columns": "freeze"},
            "columns": {"id": {"data_type": "bigint"}},
            "asset": {"group": "tea", "timezone": "Europe/Vienna", "schedule": "@daily"},
            "endpoint": {
                "path": "issues",
                "method": "GET",
                "incremental": {"cursor_path": "updated_at", "start_param": "since", "range_start": "closed"},
                "response_actions": [{"status_code": 404, "action": "ignore"}],
                "paginator": {"type": "offset", "limit": 100},
            },
        },
        {
            "name": "comments",
            "include_from_parent": ["id"],
            "endpoint": {"path": "issues/{resources.issues.number}/comments"},
        },
        {
            "name": "events",
            "endpoint": {
                "path": "issues/{number}/events",
                "params": {"number": {"type": "resolve", "resource": "issues", "field": "number"}},
            },
        },
    ],
}


def mutated(place: str, *, key: str | None = None, value: Any = ..., moved_to: str | None = None) -> dict[str, Any]:
    """GitHub's configuration with another key, another value, or a key that stands elsewhere."""
    config = copy.deepcopy(GITHUB)

    def holder(of: str) -> tuple[Any, str]:
        steps = [int(step) if step.isdigit() else step for step in of.split(".")]
        return functools.reduce(lambda part, step: part[step], steps[:-1], config), steps[-1]

    part, last = holder(place)
    if value is not ...:
        part[last] = value
        return config
    taken = part.pop(last)
    part, last = (part, key) if key is not None else holder(moved_to or place)
    if key is not None or moved_to is not None:
        part[last] = taken
    return config


def test_the_configuration_that_is_mutated_is_a_right_one() -> None:
    assert list(rest_api_source(GITHUB).resources) == ["issues", "comments", "events"]


@pytest.mark.parametrize(
    ("change", "place", "told"),
    [
        # A key that is misspelt is one problem, with what is missing for it and what follows from that.
        ({"place": "client", "key": "clint"}, "clint", "Did you mean 'client'?"),
        ({"place": "client.base_url", "key": "baseurl"}, "client.baseurl", "Did you mean 'base_url'?"),
        ({"place": "client.auth.type", "key": "tpye"}, "client.auth.tpye", "Did you mean 'type'?"),
        ({"place": "client.auth.token", "key": "toekn"}, "client.auth.toekn", "Did you mean 'token'?"),
        ({"place": "client.paginator.type", "key": "typ"}, "client.paginator.typ", "Did you mean 'type'?"),
        ({"place": "resources", "key": "resorces"}, "resorces", "Did you mean 'resources'?"),
        ({"place": "resources.0.name", "key": "nam"}, "resources[0].nam", "Did you mean 'name'?"),
        ({"place": "resources.0.schema_contract", "key": "schema_contrct"}, "resources[0].schema_contrct", "_contract'?"),
        ({"place": "resources.1.endpoint", "key": "endpiont"}, "resources[1].endpiont", "Did you mean 'endpoint'?"),
        ({"place": "resources.1.endpoint.path", "key": "pth"}, "resources[1].endpoint.pth", "Did you mean 'path'?"),
        ({"place": "resources.2.endpoint.params", "key": "prams"}, "resources[2].endpoint.prams", "Did you mean 'params'?"),
        (
            {"place": "resources.2.endpoint.params.number", "key": "numbr"},
            "resources[2].endpoint.params.numbr",
            "the path has no {numbr}. Did you mean 'number'?",
        ),
        (
            {"place": "resources.2.endpoint.params.number.type", "key": "tpye"},
            "resources[2].endpoint.params.number",
            "'tpye' is no key of it. Did you mean 'type'?",
        ),
        (
            {"place": "resources.2.endpoint.params.number.field", "key": "feild"},
            "resources[2].endpoint.params.number.feild",
            "Did you mean 'field'?",
        ),
        ({"place": "resources.0.asset.group", "key": "gruop"}, "resources[0].asset", "Did you mean 'group'?"),
        # So is one that stands elsewhere.
        ({"place": "client.base_url", "moved_to": "base_url"}, "base_url", "it belongs in 'client'"),
        ({"place": "client.base_url", "moved_to": "client.auth.base_url"}, "client.auth.base_url", "belongs in 'client'"),
        ({"place": "client.auth", "moved_to": "auth"}, "auth", "it belongs in 'client' or 'endpoint'"),
        ({"place": "resources.0.endpoint.path", "moved_to": "resources.0.path"}, "resources[0].path", "in 'endpoint'"),
        ({"place": "resources.1.endpoint.path", "moved_to": "resources.1.path"}, "resources[1].path", "in 'endpoint'"),
        (
            {"place": "resources.0.primary_key", "moved_to": "resources.0.endpoint.primary_key"},
            "resources[0].endpoint.primary_key",
            "it belongs in a resource",
        ),
        (
            {"place": "resources.0.endpoint.paginator.limit", "moved_to": "resources.0.endpoint.limit"},
            "resources[0].endpoint.limit",
            "it belongs in 'paginator'",
        ),
        (
            {"place": "resources.0.asset.schedule", "moved_to": "resources.0.schedule"},
            "resources[0].schedule",
            "in 'asset'",
        ),
        # A value that is misspelt.
        ({"place": "client.auth.type", "value": "beaer"}, "client.auth.type", "Did you mean 'bearer'?"),
        ({"place": "client.auth", "value": "hunter2"}, "client.auth", "no auth scheme of that name. Known are bearer, "),
        ({"place": "client.auth.type", "value": "hunter2"}, "client.auth.type", "no auth scheme of that name. Known are "),
        ({"place": "client.auth", "value": {"name": "X", "api_key": "hunter2"}}, "client.auth.type", "mean 'api_key'?"),
        ({"place": "client.paginator", "value": "header_lnk"}, "client.paginator", "Did you mean 'header_link'?"),
        (
            {"place": "resource_defaults.write_disposition", "value": "Merg"},
            "resource_defaults.write_disposition",
            "'merge'?",
        ),
        ({"place": "resources.0.columns.id.data_type", "value": "bigin"}, "resources[0].columns", "Did you mean 'bigint'?"),
        ({"place": "resources.0.schema_contract.columns", "value": "freze"}, "resources[0].schema_contract", "'freeze'?"),
        ({"place": "resources.0.asset.timezone", "value": "Europe/Wien"}, "resources[0].asset", "mean 'Europe/Vienna'?"),
        ({"place": "resources.0.endpoint.method", "value": "GTE"}, "resources[0].endpoint.method", "Did you mean 'GET'?"),
        (
            {"place": "resources.0.endpoint.incremental.range_start", "value": "close"},
            "resources[0].endpoint.incremental.range_start",
            "should be 'open' or 'closed', not 'close'. Did you mean 'closed'?",
        ),
        (
            {"place": "resources.1.endpoint.path", "value": "issues/{resources.isues.id}"},
            "resources[1].endpoint.path",
            "there is no resource 'isues'. Did you mean 'issues'?",
        ),
        (
            {"place": "client.base_url", "value": "api.github.com/repos"},
            "client.base_url",
            "begins with https:// or http:// and a host, not 'api.github.com/repos'. Did you mean 'https://api.github.com/re",
        ),
        ({"place": "client.base_url", "value": "ada:hunter2@api.example"}, "client.base_url", "and a host."),
        ({"place": "client.allowed_origins.0", "value": "files"}, "client.allowed_origins[0]", "begins with https://"),
        # A value that is named by a misspelt key.
        ({"place": "client.auth.token", "value": {"secrt": "X"}}, "client.auth.token.secrt", "Did you mean 'secret'?"),
        ({"place": "client.auth", "value": {"secert": "X"}}, "client.auth.secert", "Did you mean 'secret'?"),
        ({"place": "client.headers.Accept", "value": {"evn": "X"}}, "client.headers.Accept.evn", "Did you mean 'env'?"),
        (
            {"place": "client.auth.token", "value": {"secret": 7}},
            "client.auth.token.secret",
            "name of a value, not a number",
        ),
        # A value of another kind.
        ({"place": "client.paginator", "value": 7}, "client.paginator", "or a mapping with 'type', not a number"),
        ({"place": "client.headers.Accept", "value": ["a"]}, "client.headers.Accept", "a text or a number, not a list"),
        ({"place": "client.rate_limit", "value": -1}, "client.rate_limit", "should be greater than 0, not -1"),
        ({"place": "resources.1.endpoint", "value": 7}, "resources[1].endpoint", "a path or a mapping, not a number"),
        ({"place": "resources.0.columns.id.data_type", "value": ["text"]}, "resources[0].columns", "no data type ['text']"),
        (
            {"place": "resources.0.endpoint.incremental.start_param", "value": {"a": 1}},
            "resources[0].endpoint.incremental.start_param",
            "should be a text, not a mapping",
        ),
        (
            {"place": "resources.2.endpoint.params.number.type", "value": ["resolve"]},
            "resources[2].endpoint.params.number",
            "there is no type of parameter ['resolve']",
        ),
    ],
)
def test_one_mistake_is_one_problem(change: dict[str, Any], place: str, told: str) -> None:
    with pytest.raises(RestApiConfigError) as caught:
        rest_api_source(mutated(**change))

    found = {problem.path: problem.told for problem in caught.value.problems}
    assert list(found) == [place]
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_null_as_a_paginator_says_nothing() -> None:
    config = mutated("client.paginator", value=None)
    config["resources"][0]["endpoint"]["paginator"] = None

    assert list(rest_api_source(config).resources) == ["issues", "comments", "events"]


def test_numbers_and_booleans_may_be_named_as_well(api: Api, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "client": {
            "base_url": {"env": "BLOG_URL"},
            "concurrency": {"env": "BLOG_CONCURRENCY"},
            "rate_limit": {"env": "BLOG_RATE"},
            "allowed_origins": [{"env": "BLOG_FILES"}],
        },
        "resources": [
            {
                "name": "posts",
                "selected": {"env": "BLOG_IS_LOADED"},
                "endpoint": {"paginator": {"type": "offset", "limit": {"env": "BLOG_LIMIT"}}},
            }
        ],
    }
    api.answer = lambda asked: {"items": [{"id": 1}], "total": 1}

    source = rest_api_source(config)

    assert next(iter(source.evaluate(Resolver([]), placeholders=True))).name == "posts"
    for name, value in {
        "BLOG_URL": api.url,
        "BLOG_CONCURRENCY": "2",
        "BLOG_RATE": "50.5",
        "BLOG_FILES": "https://files.example",
        "BLOG_IS_LOADED": "true",
        "BLOG_LIMIT": "7",
    }.items():
        monkeypatch.setenv(name, value)
    dlt.pipeline("blog", destination=dlt.destinations.memory()).run(source)
    assert [asked.params["limit"] for asked in api.asked] == ["7"]
    monkeypatch.setenv("BLOG_LIMIT", "many")
    with pytest.raises(RestApiConfigError, match=r"resources\[0\]\.endpoint\.paginator\.limit: should be a whole number"):
        source.evaluate(Resolver.from_environment())


def test_a_name_cannot_be_named() -> None:
    told = problems({"name": {"env": "X"}})

    assert told == {"resources[0].name": "should be written here itself: it cannot be named by 'secret' or 'env'"}
