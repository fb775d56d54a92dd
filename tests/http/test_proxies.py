"""Pages come through the proxies of the environment and of the session, which are looked up once for each origin."""

from __future__ import annotations

from typing import Any

import pytest
from loopback import Api, Asked

from dlt_orchestrate.http.client import paginate
from dlt_orchestrate.http.paginators import JSONLinkPaginator, PageNumberPaginator
from dlt_orchestrate.http.session import Session


def test_pages_come_through_the_proxy_of_the_environment_and_go_around_it_where_it_says_so(
    api: Api, other_api: Api, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def page(asked: Asked) -> Any:
        number = int(asked.params["page"])
        return {"items": [{"id": number}], "has_more": number < 3}

    def read(url: str) -> list[Any]:
        paginator = PageNumberPaginator(base_page=1, total_path=None, has_more_path="has_more")
        return [row["id"] for rows in paginate(url, session=session, paginator=paginator) for row in rows]

    proxy, api.answer, other_api.answer = api, page, page
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    assert read("http://api.example/items") == [1, 2, 3]
    assert read(f"{other_api.url}/items") == [1, 2, 3]

    assert [asked.headers["Host"] for asked in proxy.asked] == ["api.example"] * 3
    assert len(other_api.asked) == 3


def test_a_proxy_that_a_session_gets_between_two_pages_is_taken(api: Api, other_api: Api, session: Session) -> None:
    answer = {"items": [{"id": 1}], "next": "http://api.example/items?page=2"}
    api.answer = lambda asked: {**answer, "items": [{"id": 2}], "next": None} if "page" in asked.params else answer
    other_api.answer = api.answer
    session.proxies = {"http": api.url}
    pages = paginate("http://api.example/items", session=session, paginator=JSONLinkPaginator("next"))

    found = list(next(pages))
    session.proxies = {"http": other_api.url}
    found += [row for rows in pages for row in rows]

    assert found == [{"id": 1}, {"id": 2}]
    assert [len(proxy.asked) for proxy in (api, other_api)] == [1, 1]
