"""A walk through pages that was cut short goes on from its last checkpoint: nothing is lost, nothing comes twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loopback import Api, Asked, Reply

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed, PositionLostError
from dlt_orchestrate.http.client import RESTClient, paginate
from dlt_orchestrate.http.paginators import (
    BasePaginator,
    HeaderCursorPaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
)
from dlt_orchestrate.http.session import Session

PAGES, ROWS = 9, 3


class Listing:
    """An API with a list of 27 items in 9 pages; it shows its pages in whichever way, and breaks off where it is told."""

    def __init__(self, api: Api, show: Callable[[Listing, int, list[Any]], Reply], of: Callable[[Asked], int]) -> None:
        self.api = api
        self.items = [{"id": n, "at": n} for n in range(PAGES * ROWS)]
        self.breaks_at: int | None = None
        self.status = 403
        self.read: list[int] = []
        self._show, self._of = show, of
        api.answer = self._answer

    def _answer(self, asked: Asked) -> Reply:
        page = self._of(asked)
        if page == self.breaks_at:
            return Reply(status=self.status)
        self.read.append(page)
        return self._show(self, page, self.items[page * ROWS : (page + 1) * ROWS])

    @property
    def url(self) -> str:
        return f"{self.api.url}/items"

    def next_url(self, page: int) -> str | None:
        return f"{self.url}?at={page + 1}" if page + 1 < PAGES else None


def reply(body: Any, **headers: str) -> Reply:
    return Reply(json.dumps(body).encode(), headers={"Content-Type": "application/json", **headers})


def by_link(listing: Listing, page: int, rows: list[Any]) -> Reply:
    link = listing.next_url(page)
    return reply(rows, **({"Link": f'<{link}>; rel="next"'} if link else {}))


def by_json_link(listing: Listing, page: int, rows: list[Any]) -> Reply:
    return reply({"items": rows, "next": listing.next_url(page)})


def by_cursor(listing: Listing, page: int, rows: list[Any]) -> Reply:
    return reply({"items": rows, "cursors": {"next": f"c{page + 1}" if page + 1 < PAGES else None}})


def by_header_cursor(listing: Listing, page: int, rows: list[Any]) -> Reply:
    return reply(rows, **({"next": f"c{page + 1}"} if page + 1 < PAGES else {}))


def by_number(listing: Listing, page: int, rows: list[Any]) -> Reply:
    return reply({"items": rows, "page": page + 1, "total_pages": PAGES})


def by_offset(listing: Listing, page: int, rows: list[Any]) -> Reply:
    return reply({"items": rows, "offset": page * ROWS, "limit": ROWS, "total": PAGES * ROWS})


def at_param(asked: Asked) -> int:
    return int(asked.params.get("at", 0))


def cursor_param(asked: Asked) -> int:
    return int(asked.params.get("cursor", "c0")[1:])


def number_param(asked: Asked) -> int:
    return int(asked.params.get("page", 1)) - 1


def offset_param(asked: Asked) -> int:
    return int(asked.params.get("offset", 0)) // ROWS


WAYS: dict[str, tuple[Any, Callable[[Asked], int], Callable[[], BasePaginator] | None]] = {
    "links": (by_link, at_param, HeaderLinkPaginator),
    "links in the body": (by_json_link, at_param, JSONLinkPaginator),
    "cursors": (by_cursor, cursor_param, JSONResponseCursorPaginator),
    "cursors in a header": (by_header_cursor, cursor_param, HeaderCursorPaginator),
    "numbers": (by_number, number_param, lambda: PageNumberPaginator(base_page=1, total_path="total_pages")),
    "offsets": (by_offset, offset_param, lambda: OffsetPaginator(limit=ROWS)),
    "links, detected": (by_link, at_param, None),
    "cursors, detected": (by_cursor, cursor_param, None),
    "numbers, detected": (by_number, number_param, None),
    "offsets, detected": (by_offset, offset_param, None),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def items(listing: Listing, session: Session, paginator: BasePaginator | None = None, **hints: Any) -> Any:
    @dlt.resource(name="items", **{"checkpoint": 2, **hints})
    def read() -> Iterator[Any]:
        yield from paginate(listing.url, paginator=paginator, session=session)

    return read


def pipeline() -> dlt.Pipeline:
    return dlt.pipeline("walks", destination="memory", dataset_name="d")


def ids(of: dlt.Pipeline) -> list[int]:
    return sorted(row[0] for row in of.dataset()["items"].select("id").fetchall())


def unfinished(of: dlt.Pipeline) -> Any:
    (source,) = of.state["sources"].values()
    return source.get("resources", {}).get("items", {}).get("_dlt_checkpoint")


ALL = list(range(PAGES * ROWS))


def test_a_walk_that_broke_off_goes_on_from_its_last_checkpoint(api: Api, session: Session, way: str) -> None:
    show, of, make = WAYS[way]
    listing = Listing(api, show, of)
    loads = pipeline()
    listing.breaks_at = 7

    with pytest.raises(PipelineStepFailed) as failure:
        loads.run(items(listing, session, make() if make else None))

    # A page is known to have been yielded for the last time when the one behind it comes.
    assert ids(loads) == ALL[: 6 * ROWS] == ids(loads)
    assert len(failure.value.load_info.loads_ids) == 3
    assert unfinished(loads) is not None

    listing.breaks_at = None
    listing.read.clear()
    info = loads.run(items(listing, session, make() if make else None))

    assert ids(loads) == ALL
    assert listing.read == [*([0] if make is None else []), 6, 7, 8]
    assert unfinished(loads) is None
    report = info.resources["items"]
    assert (report.rows_loaded, report.total_rows, report.checkpoints) == (27, 27, 4)
    assert set(failure.value.load_info.loads_ids) | set(info.loads_ids) == set(report.load_ids)


def test_an_unbroken_walk_with_checkpoints_is_one_report(api: Api, session: Session) -> None:
    listing = Listing(api, by_cursor, cursor_param)
    loads = pipeline()

    info = loads.run(items(listing, session))

    assert ids(loads) == ALL
    assert listing.read == list(range(PAGES))
    assert len(info.loads_ids) == 5
    report = info.resources["items"]
    assert (report.rows_loaded, report.checkpoints, report.load_ids) == (27, 4, info.loads_ids)
    assert loads.dataset()["_dlt_loads"].count() == 5


def test_a_merge_begins_anew_where_the_position_has_expired(api: Api, session: Session) -> None:
    listing = Listing(api, by_cursor, cursor_param)
    loads = pipeline()
    hints = {"write_disposition": "merge", "primary_key": "id"}
    listing.breaks_at = 5
    with pytest.raises(PipelineStepFailed):
        loads.run(items(listing, session, JSONResponseCursorPaginator(), **hints))
    listing.breaks_at, listing.status = 4, 410
    listing.read.clear()

    def mend(asked: Asked) -> int:
        if listing.read[-1:] == [3]:
            listing.breaks_at = None
        return cursor_param(asked)

    listing._of = mend
    loads.run(items(listing, session, JSONResponseCursorPaginator(), **hints))

    assert listing.read == list(range(PAGES))
    assert ids(loads) == ALL
    assert unfinished(loads) is None


def test_an_append_whose_position_has_expired_says_so_and_changes_nothing(api: Api, session: Session) -> None:
    listing = Listing(api, by_cursor, cursor_param)
    loads = pipeline()
    listing.breaks_at = 5
    with pytest.raises(PipelineStepFailed):
        loads.run(items(listing, session, JSONResponseCursorPaginator()))
    before = ids(loads)
    listing.breaks_at, listing.status = 4, 410

    with pytest.raises(PipelineStepFailed, match="the position seems to have expired") as failure:
        loads.run(items(listing, session, JSONResponseCursorPaginator()))

    assert isinstance(failure.value.__cause__, PositionLostError)
    assert ids(loads) == before == ALL[: 4 * ROWS]

    listing.breaks_at = None
    loads.run(items(listing, session, JSONResponseCursorPaginator()), refresh="drop_data")
    assert ids(loads) == ALL


def test_other_pages_than_before_are_not_appended(api: Api, session: Session) -> None:
    listing = Listing(api, by_cursor, cursor_param)
    loads = pipeline()

    @dlt.resource(name="items", checkpoint=2)
    def read(until: int) -> Iterator[Any]:
        yield from paginate(listing.url, params={"until": until}, session=session, paginator=JSONResponseCursorPaginator())

    listing.breaks_at = 5
    with pytest.raises(PipelineStepFailed):
        loads.run(read(1))
    listing.breaks_at = None

    with pytest.raises(PipelineStepFailed, match="it asks for other pages than the run before"):
        loads.run(read(2))
    assert ids(loads) == ALL[: 4 * ROWS]

    loads.run(read(1))
    assert ids(loads) == ALL


def test_lists_that_were_read_to_their_end_are_not_asked_for_again(api: Api, session: Session) -> None:
    read: list[tuple[str, int]] = []
    broken = {("/b", 2)}

    def answer(asked: Asked) -> Reply:
        place = (asked.path, at_param(asked))
        if place in broken:
            return Reply(status=403)
        read.append(place)
        link = f'<{api.url}{asked.path}?at={place[1] + 1}>; rel="next"'
        return reply([{"id": f"{asked.path}{place[1]}"}], **({"Link": link} if place[1] < 3 else {}))

    api.answer = answer

    @dlt.resource(name="items", checkpoint=1)
    def lists() -> Iterator[Any]:
        client = RESTClient(api.url, session=session, paginator=HeaderLinkPaginator())
        for name in "abc":
            yield from client.paginate(name)

    loads = pipeline()
    with pytest.raises(PipelineStepFailed):
        loads.run(lists)
    broken.clear()
    read.clear()
    loads.run(lists)

    assert read == [("/b", 1), ("/b", 2), ("/b", 3), *(("/c", page) for page in range(4))]
    found = sorted(row[0] for row in loads.dataset()["items"].select("id").fetchall())
    assert found == [f"/{name}{page}" for name in "abc" for page in range(4)]


def test_a_page_that_is_yielded_twice_is_cut_off_behind_both(api: Api, session: Session) -> None:
    listing = Listing(api, by_link, at_param)
    loads = pipeline()

    @dlt.resource(name="items", checkpoint=1)
    def twice() -> Iterator[Any]:
        for page in paginate(listing.url, session=session, paginator=HeaderLinkPaginator()):
            yield page
            yield dlt.mark.with_table_name(page, "copies")

    listing.breaks_at = 3
    with pytest.raises(PipelineStepFailed):
        loads.run(twice)
    listing.breaks_at = None
    loads.run(twice)

    assert ids(loads) == ALL
    assert sorted(row[0] for row in loads.dataset()["copies"].select("id").fetchall()) == ALL


def test_rows_that_the_code_makes_itself_are_committed_in_one_piece(
    api: Api, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    listing = Listing(api, by_link, at_param)
    loads = pipeline()

    @dlt.resource(name="items", checkpoint=1)
    def own_rows() -> Iterator[Any]:
        for page in paginate(listing.url, session=session, paginator=HeaderLinkPaginator()):
            yield [{**row, "seen": True} for row in page]

    assert len(loads.run(own_rows).loads_ids) == 1
    assert "something else than the pages of paginate(...) as they are" in caplog.text


def test_pages_that_come_in_another_order_than_they_were_read_in_are_committed_at_the_end_only(
    api: Api, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    listing = Listing(api, by_cursor, cursor_param)
    breaks = [True]

    @dlt.resource(name="items", checkpoint=1)
    def oldest_first() -> Iterator[Any]:
        for number, page in enumerate(reversed(list(paginate(listing.url, session=session)))):
            if breaks and number == 5:
                raise ConnectionError
            yield page

    loads = pipeline()
    with pytest.raises(PipelineStepFailed):
        loads.run(oldest_first)
    breaks.clear()
    loads.run(oldest_first)

    assert ids(loads) == ALL
    assert any("'items'" in text and "another order" in text for text in caplog.messages)


def test_steps_and_transformers_go_between_page_and_checkpoint(api: Api, session: Session) -> None:
    listing = Listing(api, by_offset, offset_param)
    loads = pipeline()

    @dlt.transformer(name="items", checkpoint=2)
    def doubled(page: Any) -> Iterator[Any]:
        for row in page:
            yield {**row, "twice": row["id"] * 2}

    def source() -> Any:
        pages = items(listing, session, OffsetPaginator(limit=ROWS)).with_name("pages")
        return pages.add_filter(lambda row: row["id"] % 2 == 0).add_map(lambda row: {**row, "even": True}) | doubled

    listing.breaks_at = 5
    with pytest.raises(PipelineStepFailed):
        loads.run(source())
    assert ids(loads) == [n for n in ALL[: 4 * ROWS] if n % 2 == 0]
    listing.breaks_at = None
    loads.run(source())

    assert ids(loads) == [n for n in ALL if n % 2 == 0]


def test_the_cursor_moves_at_the_end_only_and_over_all_parts(api: Api, session: Session) -> None:
    listing = Listing(api, by_cursor, cursor_param)
    listing.items.reverse()  # the newest come first
    asked: list[Any] = []
    loads = pipeline()

    @dlt.resource(name="items", checkpoint=2)
    def newest_first(at: Any = dlt.sources.incremental("at", initial_value=0)) -> Iterator[Any]:
        asked.append(at.last_value)
        params = {"since": at.last_value}
        yield from paginate(listing.url, params=params, session=session, paginator=JSONResponseCursorPaginator())

    def cursor() -> Any:
        (source,) = loads.state["sources"].values()
        return source["resources"]["items"].get("incremental", {}).get("at", {}).get("last_value")

    listing.breaks_at = 7
    with pytest.raises(PipelineStepFailed):
        loads.run(newest_first)
    assert cursor() is None
    listing.breaks_at = None
    info = loads.run(newest_first)

    assert asked == [0, 0]
    assert ids(loads) == ALL
    assert cursor() == ALL[-1]
    assert info.resources["items"].cursor_after == ALL[-1]
    listing.read.clear()
    assert loads.run(newest_first).resources["items"].rows_loaded == 0
    assert ids(loads) == ALL


def test_a_run_without_checkpoints_goes_on_all_the_same(api: Api, session: Session) -> None:
    listing = Listing(api, by_link, at_param)
    loads = pipeline()
    listing.breaks_at = 5
    with pytest.raises(PipelineStepFailed):
        loads.run(items(listing, session, HeaderLinkPaginator()))
    listing.breaks_at = None

    loads.run(items(listing, session, HeaderLinkPaginator(), checkpoint=None))

    assert ids(loads) == ALL
    assert unfinished(loads) is None


def test_a_secret_in_the_next_address_stays_out_of_the_state(
    api: Api, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    def with_token(listing: Listing, page: int, rows: list[Any]) -> Reply:
        link = listing.next_url(page)
        return reply(rows, **({"Link": f'<{link}&access_token=hush>; rel="next"'} if link else {}))

    loads = pipeline()

    assert len(loads.run(items(Listing(api, with_token, at_param), session, HeaderLinkPaginator())).loads_ids) == 1
    assert "holds a secret" in caplog.text
    assert "hush" not in json.dumps(dict(loads.state))


def test_a_paginator_of_ones_own_is_resumed_if_it_says_that_it_can_be(api: Api, session: Session) -> None:
    class Stepping(BasePaginator):
        is_resumable = True

        def __init__(self) -> None:
            super().__init__()
            self._at = 0

        def update_state(self, response: Any, data: Any = None) -> None:
            self._at += 1
            self._has_next_page = self._at < PAGES

        def update_request(self, request: Any) -> None:
            request.params = {"at": self._at}

    class Silent(Stepping):
        pass

    listing = Listing(api, lambda listing, page, rows: reply(rows), at_param)
    loads = pipeline()
    assert len(loads.run(items(listing, session, Silent())).loads_ids) == 1
    loads.run([], table_name="nothing")

    again = dlt.pipeline("own", destination="memory", dataset_name="d")
    listing.breaks_at = 5
    with pytest.raises(PipelineStepFailed):
        again.run(items(listing, session, Stepping()))
    listing.breaks_at = None
    listing.read.clear()
    again.run(items(listing, session, Stepping()))

    assert ids(again) == ALL
    assert listing.read == [4, 5, 6, 7, 8]
