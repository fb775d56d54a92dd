"""Paginators that users write on the base classes they know page through real answers, by query, form and body."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from loopback import Api, Asked

from dlt_orchestrate.errors import PaginationError
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.sources.helpers.rest_client import RESTClient, paginate
from dlt_orchestrate.sources.helpers.rest_client.paginators import (
    BaseNextUrlPaginator,
    BaseReferencePaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    RangePaginator,
)

ROWS = [{"id": number} for number in range(7)]


def ids(pages: Any) -> list[list[int]]:
    return [[row["id"] for row in page] for page in pages]


class InTheBody(BaseReferencePaginator):
    """The number of the next page goes back in the body."""

    def update_state(self, response, data=None):
        self._next_reference = response.json().get("next_page")

    def update_request(self, request):
        request.json = {**(request.json or {}), "page": self._next_reference}


def test_a_reference_that_goes_back_in_the_body(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Any:
        page = json.loads(asked.body).get("page", 1)
        return {"rows": ROWS[page * 3 - 3 : page * 3], "next_page": page + 1 if page < 3 else None}

    api.answer = answer
    client = RESTClient(api.url, session=session, paginator=InTheBody())

    assert ids(client.paginate("search", "POST", json={"q": "x"})) == [[0, 1, 2], [3, 4, 5], [6]]
    assert ids(client.paginate("search", "POST", json={"q": "x"})) == [[0, 1, 2], [3, 4, 5], [6]]  # as new
    assert [json.loads(asked.body) for asked in api.asked[:3]] == [{"q": "x"}, {"q": "x", "page": 2}, {"q": "x", "page": 3}]


class FromTheMeta(BaseNextUrlPaginator):
    def update_state(self, response, data=None):
        self._next_reference = response.json()["meta"]["following"]


@pytest.mark.parametrize("end", [None, "", False])
def test_an_address_that_may_be_relative_and_an_end_however_it_is_written(api: Api, session: Session, end: Any) -> None:
    def answer(asked: Asked) -> Any:
        page = int(asked.params.get("page", 0))
        return {"rows": ROWS[page * 3 : page * 3 + 3], "meta": {"following": f"?page={page + 1}" if page < 2 else end}}

    api.answer = answer

    pages = paginate(f"{api.url}/items", params={"size": 3}, paginator=FromTheMeta(), session=session)

    assert ids(pages) == [[0, 1, 2], [3, 4, 5], [6]]
    assert [(asked.path, asked.params) for asked in api.asked[:2]] == [("/items", {"size": "3"}), ("/items", {"page": "1"})]


class Weeks(RangePaginator):
    """Counts weeks by two, in an address of its own."""

    def __init__(self) -> None:
        super().__init__(
            param_name="week",
            initial_value=1,
            value_step=2,
            base_index=1,
            total_path="weeks",
            error_message_items="weeks",
        )

    def update_request(self, request: requests.Request) -> None:
        super().update_request(request)
        request.headers = {**(request.headers or {}), "X-Week": str(self.current_value)}


def test_a_range_of_ones_own_counts_by_its_step_and_ends_at_the_total(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"rows": [{"id": int(asked.params["week"])}], "weeks": 6}

    assert ids(paginate(api.url, paginator=Weeks(), session=session)) == [[1], [3], [5]]
    assert [asked.headers["X-Week"] for asked in api.asked] == ["1", "3", "5"]


def test_a_range_of_ones_own_names_what_it_counts(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"rows": [{"id": 1}], "weeks": "many"}

    with pytest.raises(PaginationError, match="the total of weeks at 'weeks' is no number but of type str"):
        list(paginate(api.url, paginator=Weeks(), session=session))


@pytest.mark.parametrize("form", [False, True])
def test_counters_go_into_a_json_body_or_a_form(api: Api, session: Session, form: bool) -> None:
    def answer(asked: Asked) -> Any:
        if form:
            fields = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
            return ROWS[int(fields["skip"]) :][: int(fields["take"])]
        paging = json.loads(asked.body)["paging"]
        return ROWS[paging["skip"] :][: paging["take"]]

    api.answer = answer
    where = "" if form else "paging."
    paginator = OffsetPaginator(3, offset_body_path=f"{where}skip", limit_body_path=f"{where}take", total_path=None)
    body: dict[str, Any] = {"data": {"q": "x"}} if form else {"json": {"q": "x"}}

    pages = paginate(api.url, "POST", paginator=paginator, session=session, **body)

    assert ids(pages) == [[0, 1, 2], [3, 4, 5], [6], []]
    assert body in ({"data": {"q": "x"}}, {"json": {"q": "x"}})
    assert all(asked.params == {} for asked in api.asked)


def test_a_page_number_in_the_body_follows_has_more(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Any:
        page = json.loads(asked.body)["page"]
        return {"rows": ROWS[page * 3 - 3 : page * 3], "more": page < 3}

    api.answer = answer
    paginator = PageNumberPaginator(base_page=1, page_body_path="page", total_path=None, has_more_path="more")

    assert ids(paginate(api.url, "POST", json={}, paginator=paginator, session=session)) == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_cursor_stops_after_an_empty_page_though_the_api_names_another(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Any:
        page = int(asked.params.get("after", 0))
        return {"rows": ROWS[page * 3 : page * 3 + 3], "cursor": str(page + 1)}

    api.answer = answer
    paginator = JSONResponseCursorPaginator("cursor", cursor_param="after", stop_after_empty_page=True)

    assert ids(paginate(api.url, paginator=paginator, session=session)) == [[0, 1, 2], [3, 4, 5], [6], []]


def test_no_range_is_made_that_nothing_would_end() -> None:
    with pytest.raises(ValueError, match="RangePaginator would never end"):
        RangePaginator("page", 0, 1, stop_after_empty_page=False)
