"""How an API pages, read off its first answer.

`DETECTORS` is the table: the first row that recognises the answer decides. A detection is a guess until the next page
proves it (see `paging.py`), so a row may give several candidates, tried in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.http.paginators import (
    BasePaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
    OffsetPaginator,
    PageNumberPaginator,
    SinglePagePaginator,
    find_header_link,
    link_of,
)
from dlt_orchestrate.http.selection import Listing, path_of
from dlt_orchestrate.schema.jsonpath import find

# Names as APIs spell them, in lower case without separators: total_pages, totalPages and total-pages are one.
_PAGE_COUNTS = frozenset("lastpage numpages pagecount pages pagestotal totalpages".split())
_PAGES = frozenset("currentpage number page pageindex pageno pagenumber pagenum".split())
_OFFSETS = frozenset("offset skip start startat".split())
_SIZES = frozenset("limit maxresults pagesize perpage size take".split())
_RECORD_COUNTS = frozenset(
    "recordstotal total totalcount totalelements totalhits totalitems totalrecords totalresults totalrows".split()
)
_BARE_COUNTS = frozenset("count total".split())
_HAS_MORE = frozenset("hasmore hasmoreitems hasnext hasnextpage moreavailable".split())
_CURSORS = frozenset("after cursor marker nexttoken pagetoken startingafter token".split())
_PAGING_CONTAINERS = frozenset("meta metadata page pageinfo pagination paging".split())
_NEXT = frozenset("next nextpage".split())
_OTHER_PAGES = _NEXT | frozenset("last prev previous previouspage prevpage".split())
_ENVELOPE_LISTS = frozenset("data entries items records results rows".split())
_TOTAL_HEADERS = ("X-Total-Count", "X-Total")
_MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Field:
    """A scalar of an answer, outside of its records."""

    keys: tuple[str, ...]
    value: Any

    @property
    def name(self) -> str:
        """The last key, in one spelling."""
        return plain_name(self.keys[-1])

    @property
    def path(self) -> str:
        """Where it stands."""
        return path_of(self.keys)

    @property
    def is_of_another_page(self) -> bool:
        """Whether it speaks of the page after or before this one, as in `{"next": {"page": 2}}`."""
        return any(plain_name(key) in _OTHER_PAGES for key in self.keys[:-1])


@dataclass(frozen=True, slots=True)
class Answer:
    """A first answer, as the detectors look at it.

    Attributes:
        rows: Its records.
        listing: What it lists.
        is_list: Whether the records stand in a list; else the whole body is taken for one record.
        params: The query parameters it was asked for with.
    """

    response: requests.Response
    body: Any
    rows: list[Any]
    listing: Listing
    is_list: bool
    params: Mapping[str, Any]

    def fields(self) -> Iterator[Field]:
        """The scalars outside of lists, and the dictionaries themselves, depth first."""
        yield from _walk((), self.body, _MAX_DEPTH)

    def number(self, names: frozenset[str], beside: Field | None = None) -> Field | None:
        """The first whole number of such a name, in the dictionary that holds `beside`."""
        return next(
            (
                field
                for field in self.fields()
                if field.name in names
                and not field.is_of_another_page
                and (beside is None or field.keys[:-1] == beside.keys[:-1])
                and _int(field.value) is not None
            ),
            None,
        )

    def param(self, names: frozenset[str]) -> str | None:
        """The first query parameter of such a name that the request had."""
        return next((name for name in self.params if plain_name(name) in names), None)


@dataclass(frozen=True, slots=True)
class Detection:
    """What a detector makes of an answer.

    Attributes:
        method: In words, for messages.
        candidates: Paginators to try, in order; each is to be shown the first answer before the request for the next page.
        echo_path: Where every answer repeats the position that it was asked for.
        ends_at_total: The pages end when as many records were read as the API counts.
        names_its_end: The API itself says which page is the last, whatever it counts.
    """

    method: str
    candidates: tuple[BasePaginator, ...]
    echo_path: str | None = None
    ends_at_total: bool = False
    names_its_end: bool = False


Detector = Callable[[Answer], Detection | None]


def detect(answer: Answer) -> Detection:
    """Recognise how an API pages."""
    found = (detector(answer) for detector in DETECTORS)
    return next(detection for detection in found if detection is not None)


def _header_link(answer: Answer) -> Detection | None:
    if find_header_link(answer.response.headers.get("Link", ""), "next") is None:
        return None
    return Detection("links in the header", (HeaderLinkPaginator(),), names_its_end=True)


def _json_link(answer: Answer) -> Detection | None:
    for field in answer.fields():
        link = link_of(field.value) if field.name.startswith("next") else None
        is_relative = (
            answer.is_list and field.name in _NEXT and (isinstance(field.value, dict) or str(link).startswith("?"))
        )
        if link is not None and (is_relative or link.startswith(("http://", "https://", "/"))):
            return Detection("links in the body", (JSONLinkPaginator(field.path),), names_its_end=True)
    return None


def _page_number(answer: Answer) -> Detection | None:
    """Pages are counted: from the number the API repeats or was asked for; else zero, and if that proves wrong, one."""
    if not answer.is_list:
        return None
    page_count = answer.number(_PAGE_COUNTS)
    record_count = answer.number(_RECORD_COUNTS)
    echo = answer.number(_PAGES, beside=page_count or record_count)
    param = answer.param(_PAGES)
    if page_count is None and (echo is None or answer.number(_SIZES, beside=echo) is None):
        return None
    asked = _int(answer.params[param]) if param else None
    start = asked if asked is not None else (_int(echo.value) if echo else None)

    def counting_from(position: int) -> PageNumberPaginator:
        return PageNumberPaginator(
            base_page=min(position, 1),
            page=position,
            page_param=param or "page",
            total_path=page_count.path if page_count else None,
            stop_after_empty_page=page_count is None,
        )

    first = 0 if start is None else start
    return Detection(
        "page numbers",
        (counting_from(0), counting_from(1)) if first == 0 and asked is None else (counting_from(first),),
        echo_path=echo.path if echo else None,
        ends_at_total=page_count is None and record_count is not None,
    )


def _offset(answer: Answer) -> Detection | None:
    """Records are counted: the API repeats offset and limit, or was asked for them, or says only how many there are."""
    if not answer.is_list:
        return None
    total = answer.number(_RECORD_COUNTS)
    echo = answer.number(_OFFSETS, beside=total)
    size = answer.number(_SIZES, beside=echo or total)
    offset_param, limit_param = answer.param(_OFFSETS), answer.param(_SIZES)
    limit = _int(size.value) if size else _int(answer.params[limit_param]) if limit_param else None
    is_counted = (
        echo is not None
        or offset_param is not None
        or (total is not None and _int(total.value) != len(answer.listing.entries))
    )
    if not limit or limit < 1 or not is_counted or (total is None and echo is None):
        return None
    start = _int(echo.value) if echo else _int(answer.params[offset_param]) if offset_param else 0
    return Detection(
        "offsets",
        (
            OffsetPaginator(
                limit,
                offset=start or 0,
                offset_param=offset_param or (echo.keys[-1] if echo else "offset"),
                limit_param=limit_param or (size.keys[-1] if size else "limit"),
                total_path=total.path if total else None,
                stop_after_empty_page=total is None,
            ),
        ),
        echo_path=echo.path if echo else None,
    )


def _cursor(answer: Answer) -> Detection | None:
    """The key of the cursor tells the parameter: `nextPageToken` goes back as `pageToken`; else it is `cursor`.

    Within a `next`, as in `{"next": {"after": "..."}}`, the key is the parameter.
    """
    if not answer.is_list:
        return None
    for field in answer.fields():
        is_inside = _is_cursor_inside_next(field)
        if not (field.name.startswith("next") or is_inside) or isinstance(field.value, (bool, dict)) or not field.value:
            continue
        key = field.keys[-1]
        own = answer.param(_CURSORS)
        names = dict.fromkeys([key] if is_inside else [own] if own else [_without_next(key), "cursor", key])
        candidates = tuple(JSONResponseCursorPaginator(field.path, cursor_param=name) for name in names if name)
        return Detection("cursors", candidates, names_its_end=True)
    return None


def _single(answer: Answer) -> Detection | None:  # noqa: ARG001  # the last row takes whatever is left
    return Detection("a single page", (SinglePagePaginator(),))


DETECTORS: tuple[Detector, ...] = (_header_link, _json_link, _page_number, _offset, _cursor, _single)


@dataclass(frozen=True, slots=True)
class RecordCount:
    """Where an API says how many records there are: in a header, or at a path of the body.

    Attributes:
        is_certain: It is no other number by its name, such as a sum.
    """

    header: str = ""
    path: str = ""
    is_certain: bool = True

    def read(self, response: requests.Response, body: Any) -> int | None:
        """The number, in any answer of the same paging."""
        return _int(response.headers.get(self.header)) if self.header else echoed_number(self.path, body)


def record_count(answer: Answer) -> RecordCount | None:
    """Where the API counts its records; None also where paging began in the middle.

    A bare `total` may be a sum of money, a bare `count` one of clicks: they are certain only beside other words of paging
    or beside a list whose name promises records.
    """
    if not answer.is_list or not _starts_at_the_beginning(answer.params):
        return None
    for header in _TOTAL_HEADERS:
        if _int(answer.response.headers.get(header)) is not None:
            return RecordCount(header=header)
    field = answer.number(_RECORD_COUNTS)
    if field is None or (field.name == "total" and not _is_about_paging(field, answer)):
        return _bare_count(answer)
    return RecordCount(path=field.path)


def says_more(answer: Answer) -> str | None:
    """The path of a flag that says there are more pages."""
    return next((field.path for field in answer.fields() if field.name in _HAS_MORE and field.value is True), None)


def is_full_page(answer: Answer) -> bool:
    """Whether exactly as many records came as were asked for, so that there may be more."""
    limit = answer.param(_SIZES)
    return limit is not None and _int(answer.params[limit]) == len(answer.listing.entries) > 1


def echoed_number(path: str, body: Any) -> int | None:
    """The position that an answer repeats."""
    return _int(next(iter(find(path, body)), None))


def plain_name(key: str) -> str:
    """A key in lower case, without separators and without OData's prefix.

    >>> plain_name("total_pages"), plain_name("totalPages"), plain_name("@odata.nextLink")
    ('totalpages', 'totalpages', 'nextlink')
    """
    return re.sub(r"[^a-z0-9]", "", key.rpartition("odata.")[2].lower())


def _walk(keys: tuple[str, ...], value: Any, depth: int) -> Iterator[Field]:
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if not isinstance(inner, list):
            yield Field((*keys, key), inner)
        if depth > 1:
            yield from _walk((*keys, key), inner, depth - 1)


def _is_cursor_inside_next(field: Field) -> bool:
    inside = plain_name(field.keys[-2]) if len(field.keys) > 1 else ""
    return inside in _NEXT and field.name in _CURSORS | _PAGES | _OFFSETS


def _bare_count(answer: Answer) -> RecordCount | None:
    """A `count` or `total` beside the list of the records and larger than it."""
    for field in answer.fields():
        number = _int(field.value)
        is_page_size = answer.param(frozenset([field.name])) is not None
        if field.name not in _BARE_COUNTS or is_page_size or number is None or number <= len(answer.rows):
            continue
        around = find(path_of(field.keys[:-1]), answer.body)[0]
        list_name = next((key for key, value in around.items() if value == answer.rows), None)
        if list_name is None or number == _sum_of(field.keys[-1], answer.rows):
            continue
        return RecordCount(path=field.path, is_certain=_is_envelope(around, list_name, answer))
    return None


def _is_envelope(around: Mapping[str, Any], list_name: str, answer: Answer) -> bool:
    """Whether a dictionary only wraps a list of records: it is no record itself, and its `count` is no page size."""
    if {"next", "previous"} & set(around):
        return True
    names = {plain_name(name) for name in (*around, *answer.params)}
    return plain_name(list_name) in _ENVELOPE_LISTS and "id" not in around and not names & (_OFFSETS | _SIZES)


def _sum_of(key: str, rows: list[Any]) -> int | None:
    """The sum of a field over all records, as an answer may give it beside them."""
    values = [_int(row.get(key)) if isinstance(row, dict) else None for row in rows]
    return None if None in values else sum(value for value in values if value is not None)


def _int(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _without_next(key: str) -> str:
    """The parameter that a key such as `next_cursor` or `nextPageToken` speaks of."""
    rest = key[len("next") :].lstrip("_-") if key.lower().startswith("next") else ""
    return rest[:1].lower() + rest[1:]


def _is_about_paging(field: Field, answer: Answer) -> bool:
    words = _PAGE_COUNTS | _PAGES | _OFFSETS | _SIZES | _HAS_MORE
    beside = {other.name for other in answer.fields() if other.keys[:-1] == field.keys[:-1]}
    inside = plain_name(field.keys[-2]) if len(field.keys) > 1 else ""
    asked = {plain_name(name) for name in answer.params}
    return bool(words & beside or words & asked or inside in _PAGING_CONTAINERS)


def _starts_at_the_beginning(params: Mapping[str, Any]) -> bool:
    for name, value in params.items():
        plain = plain_name(name)
        if (plain in _PAGES and _int(value) not in (0, 1)) or (plain in _OFFSETS and _int(value) != 0) or plain in _CURSORS:
            return False
    return True
