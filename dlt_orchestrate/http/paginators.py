"""Ways to page through an API. A paginator reads each answer and changes the request into the next one.

Write your own as a subclass of `BasePaginator`: set `self._has_next_page = False` in `update_state` after the last page.
"""

# ruff: noqa: ARG002 — every paginator gets the answer and its records, and reads what it needs

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import requests
from requests.utils import parse_header_links

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.errors import PaginationError
from dlt_orchestrate.http.origin import resolve_link
from dlt_orchestrate.schema.jsonpath import assign, find, parse_path


class BasePaginator(ABC):
    """Turns the request for one page into the request for the next.

    Attributes:
        is_resumable: Whether its attributes are plain values that, with the first request, lead to the next page: then a
            long extraction that was cut short goes on from there. A subclass must say so itself.
    """

    is_resumable: ClassVar[bool] = False

    def __init__(self) -> None:
        self._has_next_page = True

    @property
    def has_next_page(self) -> bool:
        """Whether there is a page after the one read last."""
        return self._has_next_page

    def init_request(self, request: requests.Request) -> None:  # noqa: B027  # many need nothing here
        """Prepare the request for the first page."""

    @abstractmethod
    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        """Learn from an answer and its records where the next page is."""

    @abstractmethod
    def update_request(self, request: requests.Request) -> None:
        """Change the request into that for the next page."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({shown})"


class SinglePagePaginator(BasePaginator):
    """There is one page only."""

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        self._has_next_page = False

    def update_request(self, request: requests.Request) -> None:
        """Nothing: there is no next page."""


class _LinkPaginator(BasePaginator):
    """The address of the next page stands in the answer; it is used as it is, without the parameters of the first."""

    is_resumable = True

    def __init__(self) -> None:
        super().__init__()
        self._next_url = ""

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        link = self._find_link(response)
        self._has_next_page = bool(link)
        try:
            self._next_url = resolve_link(link, page_url=response.url) if link else ""
        except ValueError:
            raise PaginationError(
                url=redact_url(response.url),
                problem=f"the link to the next page is no address: {redact_url(link or '')[:200]!r}",
                advice="Check what the paginator reads, or pass another one.",
            ) from None

    def update_request(self, request: requests.Request) -> None:
        request.url = self._next_url
        request.params = {}

    @abstractmethod
    def _find_link(self, response: requests.Response) -> str | None:
        """The link as the API gives it; None on the last page."""


class HeaderLinkPaginator(_LinkPaginator):
    """The header `Link` holds the address of the next page, as in GitHub's API.

    Args:
        links_next_key: The relation that names the next page.
    """

    def __init__(self, links_next_key: str = "next") -> None:
        super().__init__()
        self.links_next_key = links_next_key

    def _find_link(self, response: requests.Response) -> str | None:
        return find_header_link(response.headers.get("Link", ""), self.links_next_key)


class JSONLinkPaginator(_LinkPaginator):
    """The body holds the address of the next page.

    Args:
        next_url_path: Where; the value may also be a dictionary with `href` or `url`.
    """

    def __init__(self, next_url_path: str = "next") -> None:
        super().__init__()
        self.next_url_path = next_url_path

    def _find_link(self, response: requests.Response) -> str | None:
        return link_of(next(iter(find(self.next_url_path, response.json())), None))


class _CursorPaginator(BasePaginator):
    """The answer holds a value that the request for the next page repeats."""

    is_resumable = True

    def __init__(self, *, param: str | None, body_path: str | None) -> None:
        super().__init__()
        self.cursor_param = param
        self.cursor_body_path = body_path
        self._cursor: Any = None

    def _move_to(self, cursor: Any) -> None:
        self._cursor = cursor
        self._has_next_page = bool(cursor) or (cursor == 0 and cursor is not False)

    def update_request(self, request: requests.Request) -> None:
        _put(request, self._cursor, param=self.cursor_param, body_path=self.cursor_body_path)


class HeaderCursorPaginator(_CursorPaginator):
    """A header holds the cursor of the next page.

    Args:
        cursor_key: The header.
        cursor_param: The query parameter it is sent back in.
    """

    def __init__(self, cursor_key: str = "next", cursor_param: str = "cursor") -> None:
        super().__init__(param=cursor_param, body_path=None)
        self.cursor_key = cursor_key

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        self._move_to(response.headers.get(self.cursor_key))


class JSONResponseCursorPaginator(_CursorPaginator):
    """The body holds the cursor of the next page; null, empty or absent on the last.

    Args:
        cursor_path: Where the cursor stands in the answer.
        cursor_param: The query parameter it is sent back in; `cursor` if no `cursor_body_path` is given either.
        cursor_body_path: Where it is put into the JSON body of the request instead.
        stop_after_empty_page: A page without records is the last one.
        has_more_path: Where the answer says whether there is a next page.
    """

    def __init__(
        self,
        cursor_path: str = "cursors.next",
        cursor_param: str | None = None,
        cursor_body_path: str | None = None,
        stop_after_empty_page: bool = False,
        has_more_path: str | None = None,
    ) -> None:
        param = "cursor" if cursor_param is None and cursor_body_path is None else cursor_param
        super().__init__(param=param, body_path=cursor_body_path)
        self.cursor_path = cursor_path
        self.stop_after_empty_page = stop_after_empty_page
        self.has_more_path = has_more_path

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        body = response.json()
        self._move_to(next(iter(find(self.cursor_path, body)), None))
        if self.stop_after_empty_page and not data:
            self._has_next_page = False
        if self.has_more_path and not _read_has_more(self.has_more_path, body, response):
            self._has_next_page = False


class _RangePaginator(BasePaginator):
    """The request counts: pages, or records."""

    is_resumable = True

    def __init__(
        self,
        *,
        position: int,
        param: str | None,
        body_path: str | None,
        total_path: str | None,
        maximum: int | None,
        stop_after_empty_page: bool,
        has_more_path: str | None,
    ) -> None:
        super().__init__()
        if total_path is None and maximum is None and has_more_path is None and not stop_after_empty_page:
            raise ValueError(
                f"{type(self).__name__} would never end: give it total_path, has_more_path, a maximum, or "
                "stop_after_empty_page=True."
            )
        self.position = position
        self.total_path = total_path
        self.stop_after_empty_page = stop_after_empty_page
        self.has_more_path = has_more_path
        self._param = param
        self._body_path = body_path
        self._maximum = maximum

    def init_request(self, request: requests.Request) -> None:
        self.update_request(request)

    def update_request(self, request: requests.Request) -> None:
        _put(request, self.position, param=self._param, body_path=self._body_path)

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        body = response.json()
        total = _read_total(self.total_path, body, response) if self.total_path else None
        has_more = _read_has_more(self.has_more_path, body, response) if self.has_more_path else None
        if total is None and has_more is None and self._maximum is None and not self.stop_after_empty_page:
            raise PaginationError(
                url=redact_url(response.url),
                problem=f"the answer has no total at {self.total_path!r}, which was to say where the pages end",
                advice="Give total_path, has_more_path, a maximum or stop_after_empty_page=True.",
            )
        self._advance(data or [], response)
        self._has_next_page = not (
            (self.stop_after_empty_page and not data)
            or has_more is False
            or (total is not None and self._is_past(total))
            or (self._maximum is not None and self.position >= self._maximum)
        )

    @abstractmethod
    def _advance(self, rows: Sequence[Any], response: requests.Response) -> None:
        """Move the position past the page just read."""

    @abstractmethod
    def _is_past(self, total: int) -> bool:
        """Whether the position lies past the last page."""


class PageNumberPaginator(_RangePaginator):
    """The request names the number of the page.

    Args:
        base_page: The number of the first page, 0 or 1.
        page: The number to start from; by default the first.
        page_param: The query parameter; `page` if no `page_body_path` is given either.
        total_path: Where the answer says how many pages there are.
        maximum_page: The first number that is not asked for any more.
        stop_after_empty_page: A page without records is the last one.
        has_more_path: Where the answer says whether there is a next page.
        page_body_path: Where the number is put into the JSON body of the request.
    """

    def __init__(
        self,
        base_page: int = 0,
        page: int | None = None,
        page_param: str | None = None,
        total_path: str | None = "total",
        maximum_page: int | None = None,
        stop_after_empty_page: bool = True,
        has_more_path: str | None = None,
        page_body_path: str | None = None,
    ) -> None:
        super().__init__(
            position=base_page if page is None else page,
            param="page" if page_param is None and page_body_path is None else page_param,
            body_path=page_body_path,
            total_path=total_path,
            maximum=maximum_page,
            stop_after_empty_page=stop_after_empty_page,
            has_more_path=has_more_path,
        )
        self.base_page = base_page

    def _advance(self, rows: Sequence[Any], response: requests.Response) -> None:
        self.position += 1

    def _is_past(self, total: int) -> bool:
        return self.position >= total + self.base_page


class OffsetPaginator(_RangePaginator):
    """The request names how many records to pass over and how many to return.

    A page shorter than `limit` with a page of records after it means that the server returns fewer than it is asked for,
    and that records between the two were never read: this is an error.

    Args:
        limit: Records per page.
        offset: Records passed over before the first page.
        offset_param, limit_param: The query parameters; `offset` and `limit` if no body paths are given either.
        offset_body_path, limit_body_path: Where the numbers are put into the JSON body of the request.
        total_path: Where the answer says how many records there are.
        maximum_offset: The first offset that is not asked for any more.
        stop_after_empty_page: A page without records is the last one.
        has_more_path: Where the answer says whether there is a next page.
        allow_short_pages: Pages may hold fewer records than `limit` without being the last, as where the server filters
            them, or a `data_selector` does.
    """

    def __init__(
        self,
        limit: int,
        offset: int = 0,
        offset_param: str | None = None,
        offset_body_path: str | None = None,
        limit_param: str | None = None,
        limit_body_path: str | None = None,
        total_path: str | None = "total",
        maximum_offset: int | None = None,
        stop_after_empty_page: bool = True,
        has_more_path: str | None = None,
        allow_short_pages: bool = False,
    ) -> None:
        super().__init__(
            position=offset,
            param="offset" if offset_param is None and offset_body_path is None else offset_param,
            body_path=offset_body_path,
            total_path=total_path,
            maximum=maximum_offset,
            stop_after_empty_page=stop_after_empty_page,
            has_more_path=has_more_path,
        )
        self.limit = limit
        self.allow_short_pages = allow_short_pages
        self._limit_param = "limit" if limit_param is None and limit_body_path is None else limit_param
        self._limit_body_path = limit_body_path
        self._short_page_rows: int | None = None

    def update_request(self, request: requests.Request) -> None:
        super().update_request(request)
        _put(request, self.limit, param=self._limit_param, body_path=self._limit_body_path)

    def _advance(self, rows: Sequence[Any], response: requests.Response) -> None:
        if rows and self._short_page_rows is not None and not self.allow_short_pages:
            raise PaginationError(
                url=redact_url(response.url),
                problem=f"{self._short_page_rows} records came where limit={self.limit} were asked for, and yet more "
                "followed, so records between two pages were not read",
                advice=f"Set limit={self._short_page_rows} if the server allows no more, or pass allow_short_pages=True if "
                "it leaves records out.",
            )
        if 0 < len(rows) < self.limit:
            self._short_page_rows = len(rows)
        self.position += self.limit

    def _is_past(self, total: int) -> bool:
        return self.position >= total


def looks_only_around(paginator: BasePaginator | None, key: str | None) -> bool:
    """Whether a paginator is one of ours, and reads nothing of the records of an answer.

    Args:
        key: Where the records stand in the answer; None if they are all of it.
    """
    paths: tuple[str | None, ...]
    match paginator:
        case HeaderLinkPaginator() | HeaderCursorPaginator():
            paths = ()
        case JSONLinkPaginator():
            paths = (paginator.next_url_path,)
        case JSONResponseCursorPaginator():
            paths = (paginator.cursor_path, paginator.has_more_path)
        case PageNumberPaginator() | OffsetPaginator():
            paths = (paginator.total_path, paginator.has_more_path)
        case _:
            return False
    firsts = [parse_path(path)[:1] for path in paths if path is not None]
    return type(paginator) in _OURS and all(first and isinstance(first[0], str) and first[0] != key for first in firsts)


_OURS = frozenset(
    (
        HeaderLinkPaginator,
        HeaderCursorPaginator,
        JSONLinkPaginator,
        JSONResponseCursorPaginator,
        PageNumberPaginator,
        OffsetPaginator,
    )
)


def find_header_link(header: str, relation: str) -> str | None:
    """Find the address of a relation in a `Link` header.

    Source: RFC 8288, section 3.

    >>> find_header_link('<https://api.example/items?page=2>; rel="next", <https://api.example/items>; rel="first"', "next")
    'https://api.example/items?page=2'
    """
    links = parse_header_links(header) if header else []
    return next((link["url"] for link in links if relation.lower() in link.get("rel", "").lower().split()), None)


def link_of(value: Any) -> str | None:
    """The address that a value of a body holds: itself, or its `href` or `url`."""
    if isinstance(value, dict):
        value = value.get("href") or value.get("url")
    return value if isinstance(value, str) and value else None


def param_pairs(params: Any) -> list[tuple[str, Any]]:
    """Query parameters as pairs, in whichever form `requests` takes they were given."""
    if isinstance(params, (str, bytes)):
        return parse_qsl(params if isinstance(params, str) else params.decode(), keep_blank_values=True)
    return list(params.items() if isinstance(params, Mapping) else params or ())


def _put(request: requests.Request, value: Any, *, param: str | None, body_path: str | None) -> None:
    if param is not None:
        request.params = {**dict(param_pairs(request.params)), param: value}
    if body_path is not None:
        if request.json is None:
            request.json = {}
        assign(body_path, request.json, value)


def _read_total(path: str, body: Any, response: requests.Response) -> int | None:
    found = next(iter(find(path, body)), None)
    if found is None:
        return None
    try:
        return int(found)
    except (TypeError, ValueError):
        raise PaginationError(
            url=redact_url(response.url),
            problem=f"the total at {path!r} is no number but of type {type(found).__name__}",
            advice="Give total_path the place of a number, or total_path=None.",
        ) from None


def _read_has_more(path: str, body: Any, response: requests.Response) -> bool:
    found = next(iter(find(path, body)), None)
    if found is None and body is not None:
        raise PaginationError(
            url=redact_url(response.url),
            problem=f"the answer has nothing at {path!r}, which was to say whether there is a next page",
            advice="Give has_more_path the place of a boolean.",
        )
    return found.strip().lower() in ("true", "1", "yes", "y") if isinstance(found, str) else bool(found)
