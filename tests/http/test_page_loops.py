"""Paging ends, whatever the API does: pages, cursors and links that come again, and pages without end, are errors."""

from __future__ import annotations

import itertools
import json
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from hostile import HostileServer, answer
from hypothesis import given
from hypothesis import strategies as st
from loopback import Api, FakeClock, Reply

from dlt_orchestrate.errors import PaginationError
from dlt_orchestrate.http.client import paginate
from dlt_orchestrate.http.guard import PageGuard, PageLimits
from dlt_orchestrate.http.paginators import (
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
)
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.http.settings import configured

A, B, C = ([{"id": letter + str(n), "n": 2**70 if n == 1 else n} for n in range(3)] for letter in "abc")
NUMBERED = PageNumberPaginator(total_path=None, stop_after_empty_page=True)


@pytest.fixture
def configuration(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    configured.cache_clear()
    yield monkeypatch
    configured.cache_clear()


def read_until_error(api: Api, session: Session, **arguments: Any) -> tuple[int, str]:
    """How many requests were made until the error, and what it says."""
    before = len(api.asked)
    pages = paginate(f"{api.url}/items", session=session, **arguments)
    with pytest.raises(PaginationError) as caught:
        deque((page.clear() for page in pages), maxlen=0)  # as whoever takes a page may do
    return len(api.asked) - before, str(caught.value)


SAME, AGAIN = "a page holds the same records as the one before it", "pages that were read before come again and again"


@pytest.mark.parametrize(
    ("pages", "noise", "requests_made", "words"),
    [
        ([A], False, 2, SAME),
        ([A], True, 2, SAME),
        ([A, B], False, 4, AGAIN),
        ([A, B], True, 6, AGAIN),
        ([A, B, C], False, 6, AGAIN),
        ([A, B, C], True, 9, AGAIN),
        ([A, B, C, B], False, 6, AGAIN),
        ([A, []], False, 4, AGAIN),
        ([A, [], []], False, 5, AGAIN),
    ],
)
@pytest.mark.parametrize("prefix", [0, 10])
def test_pages_in_a_circle_end_though_every_request_is_new(
    api: Api, session: Session, pages: list[Any], noise: bool, requests_made: int, words: str, prefix: int
) -> None:
    def behave(_: Any) -> Any:
        number = len(api.asked) - 1
        page = [{"id": -number}] if number < prefix else pages[(number - prefix) % len(pages)]
        return {"items": page, "served": number if noise else 0}

    api.answer = behave
    # An empty page is no end here.
    paginator = PageNumberPaginator(total_path=None, stop_after_empty_page=False, maximum_page=1000)
    made, message = read_until_error(api, session, paginator=paginator)

    assert words in message
    is_uneven = pages == [A, B, C, B] and prefix > 0  # a page that comes at different distances takes a round more
    assert made == prefix + requests_made + (4 if is_uneven else 0)


def test_a_page_with_new_cursors_for_ever_is_found(api: Api, session: Session) -> None:
    api.answer = lambda _: {"items": A, "next": f"c{len(api.asked)}"}

    assert read_until_error(api, session, paginator=JSONResponseCursorPaginator("next"))[0] == 2


@pytest.mark.parametrize(
    "paginator",
    [
        HeaderLinkPaginator(),
        JSONLinkPaginator("next"),
        JSONResponseCursorPaginator("cursor"),
        JSONResponseCursorPaginator("cursor", cursor_body_path="after"),
        None,
    ],
)
@pytest.mark.parametrize("ways", [1, 2, 3])
def test_links_and_cursors_in_a_circle_end_before_a_page_is_read_twice(
    api: Api, session: Session, paginator: Any, ways: int
) -> None:
    def behave(_: Any) -> Reply:
        number = len(api.asked) % ways
        link = f"{api.url}/items?at={number}"
        body = {"items": [{"n": len(api.asked)}], "next": link, "cursor": f"c{number}"}
        return Reply(json.dumps(body).encode(), headers={"Link": f'<{link}>; rel="next"'})

    api.answer = behave
    made, message = read_until_error(api, session, paginator=paginator)

    assert "the link or cursor to the next page leads to a page that was read before" in message
    assert made == ways + 1


def test_a_next_link_to_the_page_itself_is_not_followed(api: Api, session: Session) -> None:
    api.answer = lambda _: {"items": A, "next": f"{api.url}/items"}

    assert read_until_error(api, session)[0] == 1


def test_an_offset_that_the_api_ignores_is_found(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": A, "total": 1_000}

    made, message = read_until_error(api, session, paginator=OffsetPaginator(3))

    assert (made, SAME in message) == (2, True)


def test_an_offset_that_stays_at_the_last_page_is_found(api: Api, session: Session) -> None:
    rows = [{"id": n} for n in range(9)]
    api.answer = lambda asked: {"items": rows[min(int(asked.params["offset"]), 6) :][:3], "total": 10**9}

    made, message = read_until_error(api, session, paginator=OffsetPaginator(3))

    assert (made, SAME in message) == (4, True)


def test_a_total_that_grows_for_ever_ends_at_the_limit_of_pages(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": [{"id": len(api.asked)}], "total": len(api.asked) + 10}

    made, message = read_until_error(api, session, paginator=OffsetPaginator(1), limits=PageLimits(max_pages=20))

    assert made == 20
    assert "20 pages were read and there are more; max_pages is 20" in message
    assert "set paging_max_pages in section [runtime]" in message


def test_a_total_that_is_not_reached_is_an_error(api: Api, session: Session) -> None:
    rows = [{"id": n} for n in range(4)]
    api.answer = lambda asked: {
        "items": rows[int(asked.params.get("offset", 0)) :][:2],
        "total": 10,
        "limit": 2,
        "offset": int(asked.params.get("offset", 0)),
    }

    assert "the API counts 10 records, and 4 were read" in read_until_error(api, session)[1]


@pytest.mark.parametrize("paginator", [NUMBERED, JSONResponseCursorPaginator("next")])
def test_an_error_that_comes_with_status_200_is_not_taken_for_the_last_page(
    api: Api, session: Session, paginator: Any
) -> None:
    api.answer = lambda asked: (
        {"error": {"message": "overloaded"}}
        if len(api.asked) == 3
        else {"items": [{"id": len(api.asked)}], "next": f"c{len(api.asked)}"}
    )

    made, message = read_until_error(api, session, paginator=paginator, data_selector="items")

    assert made == 3
    assert "status 200, nothing at 'items', and an error at 'error'" in message


def test_empty_pages_without_end_end(api: Api, session: Session) -> None:
    api.answer = lambda _: {"items": [], "next": f"c{len(api.asked)}"}

    made, message = read_until_error(api, session, paginator=JSONResponseCursorPaginator("next"))

    assert made == 101
    assert "101 pages in a row hold no records and the API names more" in message


def test_what_fails_now_and_then_counts_as_requests(api: Api, session: Session) -> None:
    api.answer = lambda _: (
        {"items": [{"id": len(api.asked)}], "next": f"c{len(api.asked)}"} if len(api.asked) % 3 == 0 else Reply(status=503)
    )

    made, message = read_until_error(
        api, session, paginator=JSONResponseCursorPaginator("next"), limits=PageLimits(max_requests=30)
    )

    assert made == 30
    assert "30 requests were made and there are more; max_requests is 30" in message
    assert "paging_max_requests" in message


def test_paging_has_a_deadline(api: Api, session: Session, clock: FakeClock) -> None:
    def behave(_: Any) -> Any:
        clock.sleep(10)
        return {"items": [{"id": len(api.asked)}], "next": f"c{len(api.asked)}"}

    api.answer = behave
    made, message = read_until_error(
        api, session, paginator=JSONResponseCursorPaginator("next"), limits=PageLimits(max_seconds=95)
    )

    assert made == 10
    assert "100 seconds have passed and there are more; max_seconds is 95" in message


@pytest.mark.parametrize(
    ("setting", "value", "requests_made"),
    [
        ("PAGING_MAX_PAGES", "4", 4),
        ("PAGING_MAX_REQUESTS", "3", 3),
        ("PAGING_MAX_SECONDS", "2", 2),
        ("PAGING_MAX_EMPTY_PAGES", "1", 7),
        ("PAGING_MAX_REPEATS", "0", 7),
    ],
)
def test_each_limit_of_paging_is_a_setting(
    api: Api, session: Session, clock: FakeClock, configuration: Any, setting: str, value: str, requests_made: int
) -> None:
    configuration.setenv(f"RUNTIME__{setting}", value)

    def behave(_: Any) -> Any:
        clock.sleep(1)
        number = len(api.asked)
        return {"items": [] if number > 5 else [{"id": number}], "next": f"c{number}" if number < 7 else "c1"}

    api.answer = behave

    assert read_until_error(api, session, paginator=JSONResponseCursorPaginator("next"))[0] == requests_made


def test_pages_that_are_alike_at_both_ends_are_no_repeats(api: Api, session: Session) -> None:
    def behave(_: Any) -> Any:
        number = len(api.asked)
        return {"items": [{"id": 0}, {"id": number}, {"id": 9}] if number < 20 else [], "page": 0}

    api.answer = behave

    assert len(list(paginate(api.url, paginator=NUMBERED, session=session))) == 20


def test_repeats_that_are_allowed_are_counted_by_rounds(api: Api, session: Session) -> None:
    api.answer = lambda _: [A, B][len(api.asked) % 2]

    made, _ = read_until_error(api, session, paginator=NUMBERED, limits=PageLimits(max_repeats=2))

    assert made == 8


def test_a_hostile_server_may_mix_everything(hostile: HostileServer, session: Session) -> None:
    """New cursors, shuffled old pages, noise around them, errors in between: it ends all the same."""
    shuffled = itertools.cycle([A, C, B, C, A, B, B[::-1], A])

    def behave(_: Any) -> list[bytes]:
        number = len(hostile.asked)
        if number % 4 == 0:
            return [answer(b"", status="503 Busy")]
        return [answer({"items": next(shuffled), "next": f"c{number}", "at": f"{number} s"})]

    hostile.behave = behave
    with pytest.raises(PaginationError):
        list(paginate(hostile.url, session=session, paginator=JSONResponseCursorPaginator("next")))

    assert len(hostile.asked) < 40


def pages_accepted(numbers: list[int]) -> int:
    """How many of these pages a guard takes."""
    guard = PageGuard(PageLimits())
    for count, number in enumerate(numbers):
        body = json.dumps([number]).encode()
        try:
            guard.expect_new_page([number], body, lambda body=body: json.loads(body), "http://api.example")
        except PaginationError:
            return count
    return len(numbers)


@given(st.lists(st.integers(0, 5), max_size=8), st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_whatever_becomes_a_circle_is_found_within_two_more_rounds(prefix: list[int], circle: list[int]) -> None:
    distinct = len({*prefix, *circle})

    assert pages_accepted(prefix + circle * 20) < len(prefix) + 2 * len(circle) + distinct


@given(st.lists(st.integers(), unique=True), st.integers(2, 5))
def test_new_pages_are_never_taken_for_old_ones(numbers: list[int], spacing: int) -> None:
    assert pages_accepted(numbers) == len(numbers)
    # One page that comes now and then among new ones is no circle.
    mixed = [page for n, number in enumerate(numbers) for page in ([number, "old"] if n % spacing == 0 else [number])]
    assert pages_accepted(mixed) == len(mixed)
