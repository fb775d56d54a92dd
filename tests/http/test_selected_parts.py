"""A selector that takes parts out of what a page lists, or leaves some out, changes nothing about where the pages end."""

from __future__ import annotations

from typing import Any

import pytest
from loopback import Api, Asked

from dlt_orchestrate.errors import PaginationError
from dlt_orchestrate.http.client import paginate
from dlt_orchestrate.http.paginators import (
    BasePaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
)
from dlt_orchestrate.http.session import Session

SIZE = 4
SUBS: dict[str, dict[int, Any]] = {
    "every entry has one": {number: {"id": number} for number in range(10)},
    "some have none": {number: {"id": number} for number in (0, 5, 6, 9)},
    "the last page has none": {number: {"id": number} for number in (0, 1, 2, 3, 4)},
    "a page in the middle has none": {number: {"id": number} for number in (0, 1, 2, 3, 8, 9)},
    "all are alike": {number: {"id": 1} for number in range(10)},
}
"""The parts of ten entries, by the number of the entry."""
PAGINATORS: dict[str, BasePaginator | None] = {
    "offset with a total": OffsetPaginator(SIZE),
    "offset until a page is empty": OffsetPaginator(SIZE, total_path=None),
    "page number with a total": PageNumberPaginator(total_path="pages"),
    "page number until a page is empty": PageNumberPaginator(total_path=None),
    "cursor": JSONResponseCursorPaginator("next", cursor_param="offset"),
    "cursor until a page is empty": JSONResponseCursorPaginator("next", "offset", stop_after_empty_page=True),
}


def entries_from(asked: Asked, entries: list[Any]) -> dict[str, Any]:
    start = int(asked.params.get("offset", int(asked.params.get("page", 0)) * SIZE))
    following = start + SIZE if start + SIZE < len(entries) else None
    return {"items": entries[start : start + SIZE], "total": len(entries), "pages": 3, "next": following}


@pytest.mark.parametrize("paginator", PAGINATORS.values(), ids=list(PAGINATORS))
@pytest.mark.parametrize("subs", SUBS.values(), ids=list(SUBS))
def test_one_part_of_each_entry(api: Api, session: Session, paginator: BasePaginator, subs: dict[int, Any]) -> None:
    entries = [{"number": number, **({"sub": subs[number]} if number in subs else {})} for number in range(10)]
    api.answer = lambda asked: entries_from(asked, entries)

    pages = list(paginate(api.url, data_selector="items[*].sub", paginator=paginator, session=session))

    assert [row for page in pages for row in page] == list(subs.values())
    assert len(api.asked) <= 4


@pytest.mark.parametrize("paginator", PAGINATORS.values(), ids=list(PAGINATORS))
def test_many_parts_of_each_entry(api: Api, session: Session, paginator: BasePaginator) -> None:
    """Entry n holds n parts; a page of them holds none."""
    entries = [{"number": n, "parts": [{"id": f"{n}.{part}"} for part in range(n % 7)]} for n in range(10)]
    api.answer = lambda asked: entries_from(asked, entries)

    pages = paginate(api.url, data_selector="items[*].parts[*]", paginator=paginator, session=session)

    assert [row["id"] for page in pages for row in page] == [part["id"] for entry in entries for part in entry["parts"]]


@pytest.mark.parametrize("sizes", [(3, 3), (1, 1), (5, 1), (6,), (2, 2, 2)])
def test_an_api_that_counts_the_parts(api: Api, session: Session, sizes: tuple[int, ...]) -> None:
    """Offset and total are about the parts; the list around them only groups those of a page."""
    rows = [{"id": number} for number in range(14)]

    def answer(asked: Asked) -> Any:
        left = rows[int(asked.params["offset"]) :][:6]
        groups: list[Any] = []
        for size in sizes:
            groups, left = [*groups, {"parts": left[:size]}], left[size:]
        return {"groups": [*groups, {"parts": left}], "total": len(rows)}

    api.answer = answer

    pages = paginate(api.url, data_selector="groups[*].parts[*]", paginator=OffsetPaginator(6), session=session)

    assert [row["id"] for page in pages for row in page] == list(range(14))
    assert [asked.params["offset"] for asked in api.asked] == ["0", "6", "12"]


def test_one_entry_of_each_page(api: Api, session: Session) -> None:
    api.answer = lambda asked: entries_from(asked, [{"id": number} for number in range(10)])

    pages = paginate(api.url, data_selector="items[0]", paginator=OffsetPaginator(SIZE), session=session)

    assert [row["id"] for page in pages for row in page] == [0, 4, 8]


def test_records_within_a_list_of_two_parts_end_with_an_empty_page(api: Api, session: Session) -> None:
    rows = [{"id": number} for number in range(5)]
    api.answer = lambda asked: [{"page": 1}, rows[int(asked.params["page"]) * 2 :][:2]]

    pages = paginate(api.url, data_selector="[1]", paginator=PageNumberPaginator(total_path=None), session=session)

    assert [len(page) for page in pages] == [2, 2, 1, 0]


@pytest.mark.parametrize("total_path", ["total", None])
def test_a_server_that_lists_fewer_than_it_is_asked_for_is_still_found(
    api: Api, session: Session, total_path: str | None
) -> None:
    entries = [{"sub": {"id": number}} for number in range(9)]
    api.answer = lambda asked: {"items": entries[int(asked.params["offset"]) :][:2], "total": 9}

    with pytest.raises(PaginationError, match=r"2 records came where limit=4 .* Set limit=2"):
        list(
            paginate(
                api.url,
                data_selector="items[*].sub",
                paginator=OffsetPaginator(4, total_path=total_path),
                session=session,
            )
        )


@pytest.mark.parametrize("subs", SUBS.values(), ids=list(SUBS))
def test_detected_page_numbers(api: Api, session: Session, subs: dict[int, Any]) -> None:
    entries = [{"number": number, **({"sub": subs[number]} if number in subs else {})} for number in range(10)]

    def answer(asked: Asked) -> Any:
        page = int(asked.params.get("page", 1))
        return {"page": page, "per_page": 4, "total": 10, "items": entries[(page - 1) * 4 : page * 4]}

    api.answer = answer

    pages = list(paginate(api.url, data_selector="items[*].sub", session=session))

    assert [row for page in pages for row in page] == list(subs.values())


@pytest.mark.parametrize("parts", [0, 1, 2, 3])
def test_detected_offsets(api: Api, session: Session, parts: int) -> None:
    """With two parts the first page of four entries holds as many records as there are entries in all."""
    entries = [{"number": n, "parts": [{"id": f"{n}.{part}"} for part in range(parts)]} for n in range(8)]

    def answer(asked: Asked) -> Any:
        start = int(asked.params.get("offset", 0))
        return {"limit": 4, "total": 8, "items": entries[start : start + 4]}

    api.answer = answer

    pages = paginate(api.url, data_selector="items[*].parts[*]", session=session)

    assert [row["id"] for page in pages for row in page] == [part["id"] for entry in entries for part in entry["parts"]]
    assert len(api.asked) == 2
