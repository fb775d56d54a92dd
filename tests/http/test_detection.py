"""Without a paginator, an API is either read completely or fails loudly: never a part of it in silence."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from loopback import Api, Asked, Reply

from dlt_orchestrate.errors import PaginationError
from dlt_orchestrate.http.client import RESTClient, paginate
from dlt_orchestrate.http.paginators import PageNumberPaginator, SinglePagePaginator
from dlt_orchestrate.http.session import Session

ROWS = [{"id": number} for number in range(7)]


def load(api: Api, session: Session, **arguments: Any) -> list[int]:
    return [row["id"] for page in paginate(f"{api.url}/items", session=session, **arguments) for row in page]


def by_page(asked: Asked, base: int, size: int = 3) -> list[dict[str, int]]:
    page = max(0, int(asked.params.get("page", base)) - base)
    return ROWS[page * size : page * size + size]


def test_links_in_the_header_are_followed_to_the_end(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Reply:
        page = int(asked.params.get("page", 1))
        link = {"Link": f'<{api.url}/items?page={page + 1}>; rel="next"'} if page < 3 else {}
        return Reply(json.dumps(by_page(asked, 1)).encode(), headers=link)

    api.answer = answer

    assert load(api, session) == list(range(7))


@pytest.mark.parametrize(
    "shape",
    [
        lambda url: {"next": url},
        lambda url: {"meta": {"nextPageUrl": url}},
        lambda url: {"_links": {"next": {"href": url}}},
        lambda url: {"links": {"next": url.partition("/items")[1] + url.partition("/items")[2]} if url else {}},
        lambda url: {"@odata.nextLink": url} if url else {},
    ],
)
def test_links_in_the_body_are_followed_to_the_end(api: Api, session: Session, shape: Any) -> None:
    def answer(asked: Asked) -> Any:
        page = int(asked.params.get("page", 1))
        url = f"{api.url}/items?page={page + 1}" if page < 3 else ""
        return {"results": by_page(asked, 1), **shape(url or None)} if url else {"results": by_page(asked, 1)}

    api.answer = answer

    assert load(api, session) == list(range(7))


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("key", ["total_pages", "totalPages", "pages"])
def test_numbered_pages_load_exactly_once_though_the_api_hides_its_base(
    api: Api, session: Session, base: int, key: str
) -> None:
    api.answer = lambda asked: {"items": by_page(asked, base), key: 3}

    assert load(api, session) == list(range(7))


@pytest.mark.parametrize("base", [0, 1])
def test_numbered_pages_go_on_from_the_number_that_the_api_repeats(api: Api, session: Session, base: int) -> None:
    api.answer = lambda asked: {
        "content": by_page(asked, base),
        "page": {"number": int(asked.params.get("page", base)), "totalPages": 3, "totalElements": 7},
    }

    assert load(api, session) == list(range(7))
    assert len(api.asked) == 3


def test_numbered_pages_without_a_count_of_pages_end_with_the_records(api: Api, session: Session) -> None:
    api.answer = lambda asked: {
        "page": int(asked.params.get("page", 1)),
        "per_page": 3,
        "total": 7,
        "data": by_page(asked, 1),
    }

    assert load(api, session) == list(range(7))
    assert len(api.asked) == 3


def test_numbered_pages_start_where_the_request_says(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": by_page(asked, 1), "total_pages": 3}

    assert load(api, session, params={"page": 2}) == [3, 4, 5, 6]


def test_a_record_that_appears_meanwhile_does_not_hide_the_base(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Any:
        rows = ROWS if len(api.asked) == 1 else [{"id": 99}, *ROWS]
        page = int(asked.params.get("page", 1)) - 1
        return {"items": rows[page * 3 : page * 3 + 3], "total_pages": 3}

    api.answer = answer

    assert set(load(api, session)) >= set(range(7))


@pytest.mark.parametrize(("offset", "limit"), [("offset", "limit"), ("skip", "limit"), ("startAt", "maxResults")])
def test_offset_limit_and_total_load_completely(api: Api, session: Session, offset: str, limit: str) -> None:
    def answer(asked: Asked) -> Any:
        start, size = int(asked.params.get(offset, 0)), int(asked.params.get(limit, 3))
        return {"items": ROWS[start : start + size], offset: start, limit: size, "total": 7}

    api.answer = answer

    assert load(api, session) == list(range(7))
    assert len(api.asked) == 3


def test_offset_and_limit_of_the_request_with_a_bare_total(api: Api, session: Session) -> None:
    def answer(asked: Asked) -> Any:
        start, size = int(asked.params.get("offset", 0)), int(asked.params.get("limit", 3))
        return {"items": ROWS[start : start + size], "total": 7}

    api.answer = answer

    assert load(api, session, params={"limit": 2}) == list(range(7))
    assert load(api, session, params={"limit": 3, "offset": 3}) == [3, 4, 5, 6]


@pytest.mark.parametrize(
    ("key", "param"),
    [
        ("next_cursor", "cursor"),
        ("nextPageToken", "pageToken"),
        ("next_page", "page"),
        ("next", "cursor"),
        ("nextToken", "nextToken"),
    ],
)
def test_a_cursor_goes_back_in_the_parameter_that_works(api: Api, session: Session, key: str, param: str) -> None:
    def answer(asked: Asked) -> Any:
        page = int(asked.params.get(param, "c0").lstrip("c"))
        return {"items": ROWS[page * 3 : page * 3 + 3], key: f"c{page + 1}" if page < 2 else None}

    api.answer = answer

    assert load(api, session) == list(range(7))


@pytest.mark.parametrize(
    "extra",
    [
        {"total_pages": 3},
        {"page": 1, "total_pages": 3},
        {"offset": 0, "limit": 3, "total": 7},
        {"next_cursor": "abc"},
        {"next": "/items?page=2"},
    ],
)
def test_a_page_that_comes_again_fails_loudly(api: Api, session: Session, extra: dict[str, Any]) -> None:
    api.answer = lambda asked: {"items": ROWS[:3], **extra}

    with pytest.raises(PaginationError, match="the next page was the first one again"):
        load(api, session)


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"total_count": 7}, "counts 7 records, and 3 were read"),
        ({"pagination": {"total": 7}}, "counts 7 records, and 3 were read"),
        ({"has_more": True}, "says at 'has_more' that there are more pages"),
    ],
)
def test_a_single_page_that_is_not_all_fails_loudly(api: Api, session: Session, extra: Any, problem: str) -> None:
    api.answer = lambda asked: {"items": ROWS[:3], **extra}

    with pytest.raises(PaginationError, match=problem):
        load(api, session)


def test_a_total_in_a_header_that_was_not_reached_fails_loudly(api: Api, session: Session) -> None:
    api.answer = lambda asked: Reply(json.dumps(ROWS[:3]).encode(), headers={"X-Total-Count": "7"})

    with pytest.raises(PaginationError, match="counts 7 records"):
        load(api, session)


def test_an_answer_that_repeats_the_wrong_page_number_fails_loudly(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": [{"id": len(api.asked)}], "page": 1, "total_pages": 3}

    with pytest.raises(PaginationError, match="position 2 was asked for, and the answer says 1 at 'page'"):
        load(api, session)


def test_a_sum_of_money_is_no_count_of_records(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"id": 1, "total": 9900, "lines": [{"id": 5}]}

    assert load(api, session) == [5]


def test_a_single_object_is_one_record(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"id": 1, "pages": 300, "next_review": "2030-01-01"}

    assert load(api, session) == [1]
    assert len(api.asked) == 1


def test_a_full_page_of_a_silent_api_is_warned_about(api: Api, session: Session, caplog: pytest.LogCaptureFixture) -> None:
    api.answer = lambda asked: ROWS[:3]

    with caplog.at_level(logging.WARNING, "dlt_orchestrate.http"):
        assert load(api, session, params={"per_page": 3}) == [0, 1, 2]

    assert "nothing says whether there are more" in caplog.text


def test_no_answer_is_asked_for_before_its_page_is_wanted(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": by_page(asked, 1), "total_pages": 3, "page": int(asked.params.get("page", 1))}

    pages = paginate(f"{api.url}/items", session=session)
    counts = [len(api.asked)]
    for _ in range(2):
        next(pages)
        counts.append(len(api.asked))

    assert counts == [0, 1, 2]


def test_records_that_the_reader_changes_are_still_recognised(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": ROWS[:3], "next_cursor": "abc"}

    def read() -> None:
        for page in paginate(f"{api.url}/items", session=session):
            for row in page:
                row.clear()

    with pytest.raises(PaginationError, match="the first one again"):
        read()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([{"id": 1}], [{"id": 1}]),
        ({"errors": [], "data": [{"id": 1}]}, [{"id": 1}]),
        ({"response": {"body": {"things": [{"id": 1}]}}}, [{"id": 1}]),
        ({"list": [{"id": 1}], "deep": {"items": [{"id": 2}]}}, [{"id": 2}]),
        ({"id": 1, "name": "one"}, [{"id": 1, "name": "one"}]),
        ({"items": []}, []),
    ],
)
def test_records_are_found(api: Api, session: Session, body: Any, expected: list[Any]) -> None:
    api.answer = lambda asked: body

    assert [list(page) for page in paginate(api.url, session=session)] == [expected]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("a.b", [1, 2]),
        ("$.a.b", [1, 2]),
        ("a.rows[*].id", [7, 8]),
        ("a['x.y']", [{"z": 1}]),
        ("nowhere", []),
        ("empty", []),
    ],
)
def test_a_data_selector_says_where_the_records_stand(
    api: Api, session: Session, selector: str, expected: list[Any]
) -> None:
    api.answer = lambda asked: {"a": {"b": [1, 2], "rows": [{"id": 7}, {"id": 8}], "x.y": {"z": 1}}, "empty": None}

    assert [list(page) for page in paginate(api.url, data_selector=selector, session=session)] == [expected]


def test_detect_paginator_names_the_one_that_fits(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": ROWS[:3], "page": 1, "total_pages": 3}
    client = RESTClient(api.url, session=session)

    paginator = client.detect_paginator(client.get("items"))

    assert isinstance(paginator, PageNumberPaginator)
    assert (paginator.param_name, paginator.current_value, paginator.total_path) == ("page", 1, "total_pages")
    assert repr(paginator).startswith("PageNumberPaginator(param_name='page', initial_value=1")


@pytest.mark.parametrize(
    "extra",
    [
        {"count": 7},
        {"total": 7},
        {"count": 7, "next": None, "previous": None},
        {"paging": {"count": 7, "next": {"after": "x"}}},
        {"next": {"href": "?page=2"}},
    ],
)
def test_an_envelope_that_holds_a_part_of_its_records_fails_loudly(api: Api, session: Session, extra: Any) -> None:
    api.answer = lambda asked: {**extra, "results": ROWS[:3]}

    with pytest.raises(PaginationError, match=r"counts 7 records, and 3 were read|the next page was the first one again"):
        load(api, session)


def test_a_count_beside_a_nested_list_fails_loudly_too(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"response": {"total": 7, "items": ROWS[:3]}}

    with pytest.raises(PaginationError, match="counts 7 records, and 3 were read"):
        load(api, session)


def test_a_single_page_paginator_says_that_a_part_is_enough(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"count": 7, "results": ROWS[:3]}

    assert load(api, session, paginator=SinglePagePaginator()) == [0, 1, 2]


@pytest.mark.parametrize("arguments", [{}, {"data_selector": "clones"}])
def test_a_count_that_may_be_of_something_else_is_warned_about(
    api: Api, session: Session, caplog: pytest.LogCaptureFixture, arguments: Any
) -> None:
    api.answer = lambda asked: {"count": 173, "uniques": 128, "clones": ROWS[:3]}

    with caplog.at_level(logging.WARNING, "dlt_orchestrate.http"):
        assert load(api, session, **arguments) == [0, 1, 2]

    assert f"{api.url}/items: the answer says 173 at 'count', and 3 records were read" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        {"count": 9, "clones": [{"id": 0, "count": 4}, {"id": 1, "count": 5}]},
        {"count": 2, "items": [{"id": 0}, {"id": 1}]},
        {"paging": {"start": 0, "count": 100}, "elements": [{"id": 0}, {"id": 1}]},
    ],
)
def test_a_sum_of_the_records_or_the_size_of_a_page_is_no_count_of_records(
    api: Api, session: Session, caplog: pytest.LogCaptureFixture, body: Any
) -> None:
    api.answer = lambda asked: body

    with caplog.at_level(logging.WARNING, "dlt_orchestrate.http"):
        assert load(api, session) == [0, 1]

    assert not caplog.records


@pytest.mark.parametrize(
    ("shape", "param"),
    [
        (lambda page: {"paging": {"next": {"after": f"c{page}", "link": f"?after=c{page}"}}}, "after"),
        (lambda page: {"next": {"cursor": f"c{page}"}}, "cursor"),
        (lambda page: {"next": {"page": page, "limit": 3}, "total": 7}, "page"),
        (lambda page: {"links": {"next": {"href": f"?page={page}"}}}, "page"),
    ],
)
def test_a_cursor_within_next_is_followed_to_the_end(api: Api, session: Session, shape: Any, param: str) -> None:
    def answer(asked: Asked) -> Any:
        page = int(asked.params.get(param, "c0").lstrip("c"))
        return {"data": ROWS[page * 3 : page * 3 + 3], **(shape(page + 1) if page < 2 else {})}

    api.answer = answer

    assert load(api, session) == list(range(7))
    assert len(api.asked) == 3


@pytest.mark.parametrize(
    ("body", "warned"),
    [
        ({"a": [{"id": 1}], "b": [{"id": 2}, {"id": 3}]}, "'a' is read, and 'b' is left out"),
        ({"a": [], "b": [{"id": 2}], "c": {"d": [{"id": 3}]}}, "'a' is read, and 'b' and 'c.d' are left out"),
        ({"items": [{"id": 1}], "rows": [{"id": 2}]}, "'items' is read, and 'rows' is left out"),
        ({"data": [{"id": 1}], "included": [{"id": 2}]}, None),
        ({"a": [{"id": 1}], "tags": ["new"], "errors": []}, None),
    ],
)
def test_lists_that_are_left_out_are_named(
    api: Api, session: Session, caplog: pytest.LogCaptureFixture, body: Any, warned: str | None
) -> None:
    api.answer = lambda asked: body

    with caplog.at_level(logging.WARNING, "dlt_orchestrate.http"):
        load(api, session)

    if warned is None:
        assert not caplog.records
    else:
        assert f"{warned}. Pass data_selector=..." in caplog.text


@pytest.mark.parametrize(("body", "there"), [({"data": [1]}, "['data']"), ([{"id": 1}], "a list of 1")])
def test_a_data_selector_that_finds_nothing_is_told_with_what_is_there(
    api: Api, session: Session, caplog: pytest.LogCaptureFixture, body: Any, there: str
) -> None:
    api.answer = lambda asked: body

    with caplog.at_level(logging.WARNING, "dlt_orchestrate.http"):
        assert load(api, session, data_selector="dta") == []

    assert f"nothing at 'dta'; the answer has {there}" in caplog.text


def test_a_data_selector_ends_the_warning_about_other_lists(
    api: Api, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    api.answer = lambda asked: {"a": [{"id": 1}], "b": [{"id": 2}]}

    with caplog.at_level(logging.WARNING, "dlt_orchestrate.http"):
        assert load(api, session, data_selector="b") == [2]

    assert not caplog.records
