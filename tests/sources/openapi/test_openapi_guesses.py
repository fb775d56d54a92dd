"""What is read off an OpenAPI document: pages, records, keys, parents, credentials, addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from openapi_parts import FLAG, TEXT, WHOLE, get, listed, number

from dlt_orchestrate.sources.openapi import Document, draft_from

Make = Callable[..., Document]
RECORD = {"type": "object", "properties": {"id": WHOLE}}
MANY = {"type": ["array", "null"], "items": RECORD}


def endpoint(document: Document, name: str = "items", **options: Any) -> dict[str, Any]:
    """The endpoint of a resource, with the paginator of the client where it names none."""
    config = draft_from(document, **options).config
    found = next(one for one in config["resources"] if one["name"] == name)["endpoint"]
    return {"paginator": config["client"].get("paginator"), **found}


LINKS = {"type": "object", "properties": {"next": TEXT, "prev": TEXT}}
PAGES: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "a header": (get(listed(), "page", headers={"Link": {"schema": TEXT}}), {"type": "header_link"}),
    "an address": (
        get(listed(nextLink=TEXT), "cursor"),
        {"type": "json_link", "next_url_path": "nextLink"},
    ),
    "an address by its format": (
        get(listed(next={"type": "string", "format": "uri", "nullable": True}), "page"),
        {"type": "json_link", "next_url_path": "next"},
    ),
    "next and previous": (
        get(listed(count=WHOLE, next=TEXT, previous=TEXT), "offset", "limit"),
        {"type": "json_link", "next_url_path": "next"},
    ),
    "links": (get(listed(_links=LINKS), "page"), {"type": "json_link", "next_url_path": "_links.next"}),
    "a dotted name": (
        get(listed(**{"@odata.nextLink": TEXT})),
        {"type": "json_link", "next_url_path": "['@odata.nextLink']"},
    ),
    "a cursor": (
        get(listed(meta={"type": "object", "properties": {"cursor": TEXT, "next_cursor": TEXT}}), "cursor"),
        {"type": "cursor", "cursor_path": "meta.next_cursor", "cursor_param": "cursor"},
    ),
    "a token": (
        get(listed(nextPageToken=TEXT, hasMore=FLAG), "pageToken", number("maxResults", maximum=500)),
        {"type": "cursor", "cursor_path": "nextPageToken", "cursor_param": "pageToken", "has_more_path": "hasMore"},
    ),
    "the last id": (
        get(listed(has_more=FLAG), "starting_after", number("limit", maximum=100)),
        {"type": "cursor", "cursor_path": "items[-1].id", "cursor_param": "starting_after", "has_more_path": "has_more"},
    ),
    "an offset": (
        get(listed(total=WHOLE), number("offset"), number("limit", maximum=200, default=20)),
        {"type": "offset", "limit": 200, "offset_param": "offset", "limit_param": "limit", "total_path": "total"},
    ),
    "an offset without a total": (
        get(listed(), number("$skip"), number("$top")),
        {"type": "offset", "limit": 100, "offset_param": "$skip", "limit_param": "$top", "total_path": None},
    ),
    "a page": (
        get(listed(meta={"type": "object", "properties": {"last_page": WHOLE}}), number("page", default=0)),
        {"type": "page_number", "base_page": 0, "page_param": "page", "total_path": "meta.last_page"},
    ),
    "a page in brackets": (
        get(listed(more=FLAG), number("page[number]"), number("page[size]")),
        {"type": "page_number", "base_page": 1, "page_param": "page[number]", "total_path": None, "has_more_path": "more"},
    ),
    "nothing": (get(listed(), "q"), None),
}


@pytest.mark.parametrize("how", PAGES)
def test_the_paginator_is_guessed_from_parameters_and_answer(document: Make, how: str) -> None:
    operation, paginator = PAGES[how]

    found = endpoint(document({"/items": operation}))

    assert (found["paginator"], found["data_selector"]) == (paginator, "items")


def test_the_largest_page_that_is_allowed_is_asked_for(document: Make) -> None:
    made = document({"/items": get(listed(), number("page"), number("per_page", maximum=250))})

    assert endpoint(made)["params"] == {"per_page": 250}


def test_a_search_pages_in_its_body(document: Make) -> None:
    body = {"type": "object", "properties": {"filter": TEXT, "page": {"type": "object", "properties": {"after": TEXT}}}}
    search = get(listed(next_cursor=TEXT))["get"]
    search["requestBody"] = {"content": {"application/json": {"schema": body}}}
    made = document({"/items/search": {"post": search}, "/others": get(listed())})

    assert [one["name"] for one in draft_from(made).config["resources"]] == ["others"]
    assert endpoint(made, "items_search", with_search=True) == {
        "path": "items/search",
        "method": "POST",
        "json": {},
        "data_selector": "items",
        "paginator": {"type": "cursor", "cursor_path": "next_cursor", "cursor_body_path": "page.after"},
    }


ANSWERS: dict[str, tuple[Any, str]] = {
    "a list": ({"type": "array", "items": RECORD}, "$"),
    "a list under a telling name": ({"properties": {"errors": MANY, "others": MANY, "items": MANY}}, "items"),
    "a list deep inside": ({"properties": {"_embedded": {"properties": {"teas": MANY}}}}, "_embedded.teas"),
    "one record with lists in it": ({"properties": {"id": WHOLE, "parts": MANY}}, "$"),
    "one record": ({"properties": {"up": FLAG}}, "$"),
    "a list or an envelope": ({"oneOf": [{"properties": {"data": MANY}}, MANY, RECORD]}, "$"),
    "alternatives": ({"oneOf": [{"type": "null"}, {"properties": {"results": MANY}}]}, "results"),
}


@pytest.mark.parametrize("how", ANSWERS)
def test_the_records_are_found_in_the_answer(document: Make, how: str) -> None:
    schema, selector = ANSWERS[how]

    assert endpoint(document({"/items": get(schema)}))["data_selector"] == selector


def test_schemas_that_hold_themselves_and_each_other_end(document: Make) -> None:
    components = {
        "schemas": {
            "A": {"allOf": [{"$ref": "#/components/schemas/B"}, {"$ref": "#/components/schemas/A"}]},
            "B": {"anyOf": [{"$ref": "#/components/schemas/A"}, RECORD], "description": "either"},
            "Loop": {"$ref": "#/components/schemas/Loop"},
            "Tree": {"properties": {"id": WHOLE, "tree": {"$ref": "#/components/schemas/Tree"}}},
        }
    }
    paths = {
        f"/{name.lower()}s": get({"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}})
        for name in components["schemas"]
    }
    paths["/trees-in-trees"] = get({"$ref": "#/components/schemas/Tree"})

    assert keys(document(paths, components=components)) == {
        "as": "id",
        "bs": "id",
        "loops": None,
        "trees": "id",
        "trees_in_trees": "id",
    }


def keys(document: Document, **options: Any) -> dict[str, Any]:
    """The primary key of each resource."""
    config = draft_from(document, **options).config
    usual = config.get("resource_defaults", {}).get("primary_key")
    return {one["name"]: one.get("primary_key", usual) for one in config["resources"]}


def test_keys_are_found_by_their_names(document: Make) -> None:
    fields = {"orders": ("orderId", "userId"), "people": ("uuid", "name"), "codes": ("code",), "logs": ("text",)}
    paths = {
        f"/{name}": get({"type": "array", "items": {"properties": dict.fromkeys(names, TEXT)}})
        for name, names in fields.items()
    }
    made = document(paths)

    assert keys(made) == {"orders": "orderId", "people": "uuid", "codes": "code", "logs": None}
    assert {one.name: one.checks for one in draft_from(made).resources if one.checks} == {
        "codes": ("that 'code' tells one record from another",)
    }


def by_path(*names: str, **schema: Any) -> Any:
    record = {"properties": dict.fromkeys(names, TEXT)}
    return get({"type": "array", "items": record, **schema})


def test_names_in_paths_become_fields_of_parents_over_several_levels(document: Make) -> None:
    made = document(
        {
            "/api/v2/orgs": by_path("login", "id"),
            "/api/v2/orgs/{org}/repos": by_path("id", "full_name"),
            "/api/v2/orgs/{org}/repos/{repo_id}/issues": by_path("id", "number"),
            "/api/v2/orgs/{org}/repos/{repo_id}/issues/{issue_number}/comments": by_path("id", "issue_id"),
            "/api/v2/orgs/{org}/repos/{repo_id}": get(RECORD),
            "/api/v2/users/{userId}/posts": by_path("id"),
            "/api/v2/users": by_path("userId", "id"),
            "/api/v2/teams/posts": by_path("id"),
        }
    )

    drafted = draft_from(made)

    found = {one["name"]: (one["endpoint"]["path"], one.get("include_from_parent")) for one in drafted.config["resources"]}
    assert found == {
        "orgs": ("api/v2/orgs", None),
        "repos": ("api/v2/orgs/{resources.orgs.id}/repos", ["id"]),
        "issues": ("api/v2/orgs/{resources.repos._orgs_id}/repos/{resources.repos.id}/issues", ["id", "_orgs_id"]),
        "comments": (
            "api/v2/orgs/{resources.issues._repos__orgs_id}/repos/{resources.issues._repos_id}"
            "/issues/{resources.issues.number}/comments",
            None,
        ),
        "users_posts": ("api/v2/users/{resources.users.userId}/posts", ["userId"]),
        "users": ("api/v2/users", None),
        "teams_posts": ("api/v2/teams/posts", None),
    }
    assert [one.checks for one in drafted.resources if one.name == "repos"] == [("that {org} is the field 'id' of orgs",)]
    assert drafted.left_out == (
        ("GET /api/v2/orgs/{org}/repos/{repo_id}", "it gives one record by its key; --details drafts these, too"),
    )


def test_names_that_nothing_stands_for_need_a_value(document: Make) -> None:
    paths = {
        "/shops/{shop}/stock": by_path("sku"),
        "/shops/{shop}/stock/{sku}/moves": by_path("id"),
        "/prices": get(listed(), {"name": "day", "in": "query", "required": True, "schema": TEXT}),
        "/teas": get(listed(), {"name": "unit", "in": "query", "required": True, "schema": {"enum": ["g", "oz"]}}),
    }
    without, given = draft_from(document(paths)), draft_from(document(paths), values={"shop": "berlin", "day": "today"})

    assert [one.name for one in without.resources] == ["teas"]
    assert [(one.name, one.missing) for one in without.incomplete] == [
        ("stock", ("shop",)),
        ("moves", ("shop", "sku")),
        ("prices", ("day",)),
    ]
    assert {one["name"]: one["endpoint"] for one in given.config["resources"]} == {
        "stock": {"path": "shops/berlin/stock", "data_selector": "$"},
        "moves": {"path": "shops/berlin/stock/{resources.stock.sku}/moves", "data_selector": "$"},
        "prices": {"path": "prices", "params": {"day": "today"}, "data_selector": "items"},
        "teas": {"path": "teas", "params": {"unit": "g"}, "data_selector": "items"},
    }


def test_patterns_choose_with_their_parents(document: Make) -> None:
    made = document(
        {
            "/teas": by_path("id"),
            "/teas/{id}/reviews": by_path("id"),
            "/orders": {"get": {**by_path("id")["get"], "tags": ["sales"]}},
            "/logs": by_path("id"),
        }
    )

    assert list(keys(made, only=["rev*"])) == ["teas", "reviews"]
    assert list(keys(made, only=["sales", "/l*"])) == ["orders", "logs"]


def flow(**flows: Any) -> dict[str, Any]:
    return {"type": "oauth2", "flows": flows}


TOKEN = {"type": "bearer", "token": {"secret": "SHOP_TOKEN"}}
SCHEMES: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "bearer": ({"type": "http", "scheme": "Bearer"}, TOKEN),
    "basic": (
        {"type": "http", "scheme": "basic"},
        {"type": "http_basic", "username": {"secret": "SHOP_USERNAME"}, "password": {"secret": "SHOP_PASSWORD"}},
    ),
    "a key": (
        {"type": "apiKey", "in": "query", "name": "key"},
        {"type": "api_key", "name": "key", "api_key": {"secret": "SHOP_API_KEY"}, "location": "query"},
    ),
    "client credentials": (
        flow(clientCredentials={"tokenUrl": "oauth/token", "scopes": {}}),
        {
            "type": "oauth2_client_credentials",
            "access_token_url": "https://shop.example/v1/oauth/token",
            "client_id": {"secret": "SHOP_CLIENT_ID"},
            "client_secret": {"secret": "SHOP_CLIENT_SECRET"},
            "access_token_request_data": {"scope": "read list"},
        },
    ),
    "a flow for people": (flow(authorizationCode={"authorizationUrl": "x", "tokenUrl": "y", "scopes": {}}), TOKEN),
    "OpenID": ({"type": "openIdConnect", "openIdConnectUrl": "x"}, TOKEN),
    "a certificate": ({"type": "mutualTLS"}, None),
    "digest": ({"type": "http", "scheme": "digest"}, None),
}


@pytest.mark.parametrize("kind", SCHEMES)
@pytest.mark.parametrize("asked_by", ["document", "request"])
def test_credentials_refer_to_secrets(document: Make, kind: str, asked_by: str) -> None:
    scheme, auth = SCHEMES[kind]
    security = [{"own": ["read", "list"]}]
    made = document(
        {"/items": get(listed(), **({"security": security} if asked_by == "request" else {}))},
        servers=[{"url": "https://shop.example/v1/"}],
        components={"securitySchemes": {"own": scheme}},
        **({"security": security} if asked_by == "document" else {}),
    )

    drafted = draft_from(made)

    assert drafted.config["client"].get("auth") == auth
    assert bool(drafted.client_checks) == (kind in ("a flow for people", "OpenID", "a certificate", "digest"))


def test_of_several_schemes_one_that_can_be_drafted_is_taken(document: Make) -> None:
    made = document(
        {"/items": get(listed()), "/open": get(listed(), security=[]), "/own": get(listed(), security=[{"tls": []}])},
        security=[{"tls": []}, {"key": [], "tenant": []}],
        components={
            "securitySchemes": {
                "tls": {"type": "mutualTLS"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
                "tenant": {"type": "apiKey", "in": "header", "name": "X-Tenant"},
            }
        },
    )

    drafted = draft_from(made)

    assert drafted.client["auth"]["name"] == "X-Key"
    assert "'key' is wanted together with 'tenant': add that by hand" in drafted.client_checks
    assert {one.name: one.checks for one in drafted.resources if one.checks} == {
        "own": ("the credentials: it wants 'tls'",)
    }


@pytest.mark.parametrize(
    ("servers", "base_url", "expected"),
    [
        ([{"url": "https://shop.example/v1/"}], None, "https://shop.example/v1"),
        ([{"url": "https://{env}.shop.example", "variables": {"env": {"default": "eu"}}}], None, "https://eu.shop.example"),
        ([{"url": "/v1"}], None, "https://api.example/v1"),
        ([], None, "https://api.example"),
        ([{"url": "/v1"}], "https://mine.example/", "https://mine.example"),
    ],
)
def test_the_address_is_that_of_the_first_server(document: Make, servers: Any, base_url: str | None, expected: str) -> None:
    made = document({"/items": get(listed())}, servers=servers)

    assert draft_from(made, base_url=base_url).config["client"]["base_url"] == expected


def test_a_request_with_a_server_of_its_own_has_a_full_address(document: Make) -> None:
    elsewhere = {**get(listed()), "servers": [{"url": "https://files.example/"}]}

    assert endpoint(document({"/items": elsewhere}))["path"] == "https://files.example/items"
