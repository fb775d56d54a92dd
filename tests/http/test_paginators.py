"""Each paginator, given by hand, reads all pages of an API that pages its way."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from loopback import Api, Asked, Reply

from dlt_orchestrate.errors import PaginationError
from dlt_orchestrate.http.client import RESTClient, paginate
from dlt_orchestrate.http.guard import PageLimits
from dlt_orchestrate.http.paginators import (
    BasePaginator,
    HeaderCursorPaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    SinglePagePaginator,
)
from dlt_orchestrate.http.session import Session

ROWS = [{"id": number} for number in range(7)]


def rows_of(asked: Asked, *, page_param: str = "page", base: int = 0, size: int = 3) -> list[dict[str, int]]:
    page = int(asked.params.get(page_param, base)) - base
    return ROWS[page * size : page * size + size]


def ids(pages: Any) -> list[list[int]]:
    return [[row["id"] for row in page] for page in pages]


def test_header_link(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Reply:
        page = int(asked.params.get("page", 0))
        link = f'<{api.url}/items?page={page + 1}>; rel="after next", <{api.url}/items>; rel="first"'
        return Reply(json.dumps(rows_of(asked)).encode(), headers={"Link": link} if page < 2 else {})

    api.answer = answer

    pages = paginate(f"{api.url}/items", params={"per_page": 3}, paginator=HeaderLinkPaginator(), session=session)

    assert ids(pages) == [[0, 1, 2], [3, 4, 5], [6]]
    assert [asked.params for asked in api.asked] == [{"per_page": "3"}, {"page": "1"}, {"page": "2"}]


def test_header_cursor(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Reply:
        page = int(asked.params.get("after", 0))
        return Reply(
            json.dumps(rows_of(asked, page_param="after")).encode(), headers={"x-next": str(page + 1)} if page < 2 else {}
        )

    api.answer = answer

    pages = paginate(api.url, paginator=HeaderCursorPaginator(cursor_key="x-next", cursor_param="after"), session=session)

    assert ids(pages) == [[0, 1, 2], [3, 4, 5], [6]]


def test_json_link_relative_and_in_an_object(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Any:
        page = int(asked.params.get("page", 0))
        following = {"href": f"/items?page={page + 1}"} if page < 2 else None
        return {"items": rows_of(asked), "_links": {"next": following}}

    api.answer = answer

    pages = paginate(f"{api.url}/items", paginator=JSONLinkPaginator("_links.next"), session=session)

    assert ids(pages) == [[0, 1, 2], [3, 4, 5], [6]]


def test_json_cursor_in_the_query_keeps_the_other_parameters(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Any:
        page = int(asked.params.get("cursor", 0))
        return {"items": rows_of(asked, page_param="cursor"), "cursors": {"next": page + 1 if page < 2 else None}}

    api.answer = answer

    assert ids(paginate(api.url, params={"q": "x"}, paginator=JSONResponseCursorPaginator(), session=session))[-1] == [6]
    assert [asked.params for asked in api.asked] == [{"q": "x"}, {"q": "x", "cursor": "1"}, {"q": "x", "cursor": "2"}]


def test_json_cursor_in_the_body_of_a_post(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Any:
        page = json.loads(asked.body)["variables"].get("after", 0)
        return {"items": ROWS[page * 3 : page * 3 + 3], "next": page + 1, "more": page < 2}

    api.answer = answer
    query = {"query": "{items}", "variables": {}}
    paginator = JSONResponseCursorPaginator("next", cursor_body_path="variables.after", has_more_path="more")

    assert ids(paginate(api.url, "POST", json=query, paginator=paginator, session=session)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert query == {"query": "{items}", "variables": {}}


def test_offset_with_a_total_asks_only_for_what_is_there(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": ROWS[int(asked.params["offset"]) :][: int(asked.params["limit"])], "total": 7}

    assert ids(paginate(api.url, paginator=OffsetPaginator(limit=3), session=session)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert [asked.params["offset"] for asked in api.asked] == ["0", "3", "6"]


def test_offset_without_a_total_ends_after_an_empty_page(api: Api, session: Session) -> None:
    api.answer = lambda asked: ROWS[int(asked.params["offset"]) :][: int(asked.params["limit"])]

    pages = paginate(api.url, paginator=OffsetPaginator(limit=3, total_path=None), session=session)

    assert ids(pages) == [[0, 1, 2], [3, 4, 5], [6], []]


def test_offset_of_a_server_that_caps_the_limit_fails_loudly(api: Api, session: Session) -> None:
    api.answer = lambda asked: {
        "items": ROWS[int(asked.params["offset"]) :][: min(2, int(asked.params["limit"]))],
        "total": 7,
    }

    with pytest.raises(PaginationError, match=r"2 records came where limit=3 .* Set limit=2"):
        list(paginate(api.url, paginator=OffsetPaginator(limit=3), session=session))


@pytest.mark.parametrize("base", [0, 1])
def test_page_number_with_a_total_of_pages(api: Api, session: Session, base: int) -> None:
    api.answer = lambda asked: {"items": rows_of(asked, page_param="p", base=base), "total": 3}

    pages = paginate(api.url, paginator=PageNumberPaginator(base_page=base, page_param="p"), session=session)

    assert ids(pages) == [[0, 1, 2], [3, 4, 5], [6]]


def test_page_number_stops_before_its_maximum(api: Api, session: Session) -> None:
    api.answer = lambda asked: rows_of(asked, base=1)

    paginator = PageNumberPaginator(base_page=1, total_path=None, maximum_page=2)

    assert ids(paginate(api.url, paginator=paginator, session=session)) == [[0, 1, 2]]


def test_page_number_follows_has_more(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": rows_of(asked), "more": "true" if asked.params["page"] != "2" else "false"}

    paginator = PageNumberPaginator(total_path=None, stop_after_empty_page=False, has_more_path="more")

    assert ids(paginate(api.url, paginator=paginator, session=session)) == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_paginator_that_would_never_end_is_refused() -> None:
    with pytest.raises(ValueError, match="would never end"):
        PageNumberPaginator(total_path=None, stop_after_empty_page=False)


def test_a_total_that_is_missing_where_it_is_needed_is_an_error(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": rows_of(asked)}

    with pytest.raises(PaginationError, match="has no total of pages at 'total'"):
        list(paginate(api.url, paginator=PageNumberPaginator(stop_after_empty_page=False), session=session))


def test_single_page_reads_one_page_whatever_the_links_say(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": rows_of(asked), "next": f"{api.url}/?page=1", "total_count": 7}

    assert ids(paginate(api.url, paginator=SinglePagePaginator(), session=session)) == [[0, 1, 2]]


def test_a_paginator_of_ones_own(api: Api, session: Session) -> None:
    class ByLetter(BasePaginator):
        def __init__(self) -> None:
            super().__init__()
            self.letter = "a"

        def init_request(self, request: requests.Request) -> None:
            self.update_request(request)

        def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
            self.letter = chr(ord(self.letter) + 1)
            self._has_next_page = response.json()["letter"] != "c"

        def update_request(self, request: requests.Request) -> None:
            if request.params is None:
                request.params = {}
            request.params["letter"] = self.letter

    api.answer = lambda asked: {"letter": asked.params["letter"], "items": [{"id": ord(asked.params["letter"])}]}
    client = RESTClient(api.url, paginator=ByLetter(), session=session)

    assert ids(client.paginate("x")) == ids(client.paginate("x")) == [[97], [98], [99]]


def test_the_same_request_twice_ends_with_an_error(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": [{"n": len(api.asked)}], "next": "/again"}

    with pytest.raises(PaginationError, match="leads to a page that was read before"):
        list(paginate(f"{api.url}/again", paginator=JSONLinkPaginator(), session=session))

    assert len(api.asked) == 1


def test_a_repeated_cursor_ends_with_an_error(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": [{"n": len(api.asked)}], "next": ["a", "b"][len(api.asked) % 2]}

    with pytest.raises(PaginationError, match="leads to a page that was read before"):
        list(paginate(api.url, paginator=JSONResponseCursorPaginator("next"), session=session))


def test_a_repeated_page_ends_with_an_error(api: Api, session: Session) -> None:
    api.answer = lambda asked: ROWS[:3]

    with pytest.raises(PaginationError, match="the same records as the one before it"):
        list(paginate(api.url, paginator=PageNumberPaginator(total_path=None), session=session))

    assert len(api.asked) == 2


def test_repeated_pages_may_be_allowed(api: Api, session: Session) -> None:
    api.answer = lambda asked: [{"state": "idle"}] if int(asked.params["page"]) < 3 else []

    paginator = PageNumberPaginator(total_path=None)
    pages = list(paginate(api.url, paginator=paginator, session=session, limits=PageLimits(max_repeats=5)))

    assert [len(page) for page in pages] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("limits", "rows", "problem"),
    [
        (PageLimits(max_empty_pages=3), [], "4 pages in a row hold no records"),
        (PageLimits(max_pages=3), [{"id": 1}], "3 pages were read and there are more"),
    ],
)
def test_endless_pages_end(api: Api, session: Session, limits: PageLimits, rows: list[Any], problem: str) -> None:
    api.answer = lambda asked: {"items": [{**row, "n": len(api.asked)} for row in rows], "next": f"c{len(api.asked)}"}

    with pytest.raises(PaginationError, match=problem):
        list(paginate(api.url, paginator=JSONResponseCursorPaginator("next"), session=session, limits=limits))


@pytest.mark.parametrize(("by", "paginator"), [("offset", OffsetPaginator(2)), ("offset", None), ("page", None)])
def test_a_total_that_falls_between_pages_is_told(
    api: Api, session: Session, paginator: Any, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"id": number} for number in range(6)]
    first = {"offset": 0, "limit": 2} if by == "offset" else {"page": 1, "per_page": 2}

    def answer(asked: Asked) -> Any:
        if len(api.asked) == 2:
            del rows[0]
        offset = int(asked.params.get("offset", 2 * int(asked.params.get("page", 1)) - 2))
        where = {"offset": offset, "limit": 2} if by == "offset" else {"page": offset // 2 + 1, "per_page": 2}
        return {"items": rows[offset : offset + 2], "total": len(rows), **where}

    api.answer = answer

    pages = list(paginate(api.url, params=first, paginator=paginator, session=session))

    assert [row["id"] for page in pages for row in page] == [0, 1, 3, 4, 5]
    (warning,) = caplog.messages
    assert "the API counted 6 and counts 5 now" in warning
