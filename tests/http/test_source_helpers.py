"""`sources.helpers` reads like `requests`, and its client like the one of dlt."""

from __future__ import annotations

from typing import Any

import pytest
import requests as plain_requests
from loopback import Api, Asked, Reply

from dlt_orchestrate.sources.helpers import requests
from dlt_orchestrate.sources.helpers.rest_client import RESTClient, paginate
from dlt_orchestrate.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt_orchestrate.sources.helpers.rest_client.exceptions import IgnoreResponseException
from dlt_orchestrate.sources.helpers.rest_client.paginators import PageNumberPaginator


def test_verbs_send_what_they_are_given(api: Api) -> None:
    api.answer = lambda asked: {"method": asked.method, "params": asked.params, "body": asked.body.decode()}

    assert requests.get(api.url, params={"a": 1}).json() == {"method": "GET", "params": {"a": "1"}, "body": ""}
    assert requests.post(api.url, json={"b": 2}).json()["body"] == '{"b": 2}'
    assert requests.put(api.url, data="c").json() == {"method": "PUT", "params": {}, "body": "c"}
    assert requests.request("GET", api.url).ok


def test_an_error_status_raises_as_requests_does(api: Api) -> None:
    api.answer = lambda _: Reply(b"gone", status=410)

    with pytest.raises(requests.HTTPError) as caught:
        requests.get(api.url)

    assert isinstance(caught.value, plain_requests.exceptions.HTTPError)
    assert caught.value.response.status_code == 410


def test_a_client_may_return_error_statuses(api: Api) -> None:
    api.answer = lambda _: Reply(status=500)
    client = requests.Client(raise_for_status=False, request_max_attempts=1)

    response = client.get(api.url)

    assert response.status_code == 500
    with pytest.raises(plain_requests.HTTPError):
        response.raise_for_status()


def test_a_client_lends_its_session_to_a_rest_client(api: Api) -> None:
    api.answer = lambda asked: [{"token": asked.headers.get("Authorization")}]
    client = requests.Client(session_attrs={"verify": False})

    pages = RESTClient(api.url, auth=BearerTokenAuth("t0ken"), session=client.session).paginate("things")

    assert [list(page) for page in pages] == [[{"token": "Bearer t0ken"}]]
    assert client.session.verify is False


def test_a_plain_session_serves_as_well(api: Api) -> None:
    api.answer = lambda asked: {"items": [{"id": 2**70}], "total_pages": 1}

    with plain_requests.Session() as session:
        assert [list(page) for page in paginate(api.url, session=session)] == [[{"id": 2**70}]]


def test_a_page_knows_its_request_and_its_answer(api: Api) -> None:
    api.answer = lambda asked: {"items": [{"id": 1}], "total": 1}
    auth = BearerTokenAuth("t0ken")

    (page,) = paginate(f"{api.url}/items", auth=auth, paginator=PageNumberPaginator())

    assert page == [{"id": 1}]
    assert page.request.url == f"{api.url}/items"
    assert page.response.json() == {"items": [{"id": 1}], "total": 1}
    assert isinstance(page.paginator, PageNumberPaginator)
    assert page.auth is auth


def test_a_hook_may_end_paging(api: Api) -> None:
    api.answer = lambda asked: (
        {"items": [{"id": 1}], "next": "/items?page=2"} if not asked.params else Reply(b"none", status=404)
    )

    def ignore_missing(response: Any, *_: object, **__: object) -> None:
        if response.status_code == 404:
            raise IgnoreResponseException

    pages = paginate(f"{api.url}/items", hooks={"response": [ignore_missing]})

    assert [list(page) for page in pages] == [[{"id": 1}]]


def test_a_hook_may_mend_an_answer(api: Api) -> None:
    api.answer = lambda _: Reply(b")]}'\n" + b'[{"id": 1}]')

    def strip_guard(response: Any, *_: object, **__: object) -> None:
        response._content = response.content.partition(b"\n")[2]

    assert [list(page) for page in paginate(api.url, hooks={"response": strip_guard})] == [[{"id": 1}]]


def test_a_hook_that_only_looks_hides_no_error(api: Api) -> None:
    api.answer = lambda _: Reply(status=404)
    seen: list[int] = []

    with pytest.raises(requests.HTTPError):
        list(paginate(api.url, hooks={"response": lambda response, *_, **__: seen.append(response.status_code)}))

    assert seen == [404]


def test_client_addresses_are_joined(api: Api) -> None:
    api.answer = lambda asked: {"path": asked.path}
    client = RESTClient(f"{api.url}/v1/", headers={"X-Team": "a"})

    assert client.get("/items").json() == {"path": "/v1/items"}
    assert client.get("items", headers={"X-More": "b"}).json() == {"path": "/v1/items"}
    assert client.post("items", json={}, timeout=3).json() == {"path": "/v1/items"}
    assert client.get(f"{api.url}/other").json() == {"path": "/other"}
    assert {asked.headers["X-Team"] for asked in api.asked} == {"a"}
    assert client.extract_response(client.get()) == [{"path": "/v1/"}]


def test_a_client_of_ones_own_factory(api: Api) -> None:
    class Factory:
        def create_paginator(self, response: plain_requests.Response) -> PageNumberPaginator | None:
            return PageNumberPaginator(page_param="p", total_path="n") if "n" in response.json() else None

    def answer(asked: Asked) -> Any:
        return {"items": [{"p": asked.params.get("p", "0")}], "n": 2}

    api.answer = answer

    pages = RESTClient(api.url, paginator_factory=Factory()).paginate()

    assert [list(page) for page in pages] == [[{"p": "0"}], [{"p": "1"}]]
