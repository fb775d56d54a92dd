"""What is wrong in a configuration is told at once, with its place and what was probably meant, before any request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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
        "  resources[2].write_disposition: there is no write disposition 'mrege'. Choose one of append, replace, merge."
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
        (7, "resources[0]", "should be a mapping"),
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

    assert "client.auth.password: should be a text, not a value of type list" in str(caught.value)
    assert "client.rate_limit.per_second: should be a number" in str(caught.value)


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

    with pytest.raises(RestApiConfigError, match=r"the key 'resources' is there twice .* line 3"):
        rest_api_source(blog, name="blog")
