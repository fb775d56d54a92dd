"""Ways to page through an API. A paginator reads each answer and changes the request into the next one.

Write your own as a subclass of `BasePaginator`: set `self._has_next_page = False` in `update_state` after the last page.
"""

# ruff: noqa: ARG002 — every paginator gets the answer and its records, and reads what it needs

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import requests
from requests.utils import parse_header_links

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.errors import PaginationError
from dlt_orchestrate.http.origin import resolve_link
from dlt_orchestrate.http.selection import Listing
from dlt_orchestrate.schema.jsonpath import assign, find, parse_path

_log = logging.getLogger(__name__)


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
        shown = ", ".join(f"{name}={value!r}" for name, value in self._shown().items())
        return f"{type(self).__name__}({shown})"

    def _shown(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_") and value is not None}


class SinglePagePaginator(BasePaginator):
    """There is one page only."""

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        self._has_next_page = False

    def update_request(self, request: requests.Request) -> None:
        """Nothing: there is no next page."""


class BaseReferencePaginator(BasePaginator):
    """The answer refers to the next page: by a cursor, a token, an address.

    Set `self._next_reference` in `update_state`, and put it into the request in `update_request`. None, an empty text and
    False mean that there is no next page.
    """

    is_resumable = True

    def __init__(self) -> None:
        super().__init__()
        self.__next_reference: Any = None

    @property
    def _next_reference(self) -> Any:
        """What leads to the next page; None after the last."""
        return self.__next_reference

    @_next_reference.setter
    def _next_reference(self, reference: Any) -> None:
        is_there = reference is not None and reference is not False and reference != ""
        self.__next_reference = reference if is_there else None
        self._has_next_page = is_there


class BaseNextUrlPaginator(BaseReferencePaginator):
    """The answer holds the address of the next page; it is used as it is, without the parameters of the first.

    Set `self._next_reference` in `update_state`; it may be relative.
    """

    def update_request(self, request: requests.Request) -> None:
        request.url = _resolved(self._next_reference, page_url=request.url)
        request.params = {}


class HeaderLinkPaginator(BaseNextUrlPaginator):
    """The header `Link` holds the address of the next page, as in GitHub's API.

    Args:
        links_next_key: The relation that names the next page.
    """

    def __init__(self, links_next_key: str = "next") -> None:
        super().__init__()
        self.links_next_key = links_next_key

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        link = find_header_link(response.headers.get("Link", ""), self.links_next_key)
        self._next_reference = link and _resolved(link, page_url=response.url)


class JSONLinkPaginator(BaseNextUrlPaginator):
    """The body holds the address of the next page.

    Args:
        next_url_path: Where; the value may also be a dictionary with `href` or `url`.
    """

    def __init__(self, next_url_path: str = "next") -> None:
        super().__init__()
        self.next_url_path = next_url_path

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        link = link_of(next(iter(find(self.next_url_path, response.json())), None))
        self._next_reference = link and _resolved(link, page_url=response.url)


class _CursorPaginator(BaseReferencePaginator):
    """The answer holds a value that the request for the next page repeats."""

    is_resumable = True

    def __init__(self, *, param: str | None, body_path: str | None) -> None:
        super().__init__()
        self.cursor_param = param
        self.cursor_body_path = body_path

    def update_request(self, request: requests.Request) -> None:
        _put(request, self._next_reference, param=self.cursor_param, body_path=self.cursor_body_path)


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
        self._next_reference = response.headers.get(self.cursor_key)


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
        cursor = next(iter(find(self.cursor_path, body)), None)
        self._next_reference = cursor
        if self.stop_after_empty_page and not _listed(data).entries:
            self._has_next_page = False
        if self.has_more_path and not _read_has_more(self.has_more_path, body, response):
            self._has_next_page = False


class RangePaginator(BasePaginator):
    """The request counts: pages, or records. `current_value` is the number that the next request names.

    Args:
        param_name: The query parameter that holds the number.
        initial_value: The number of the first request.
        value_step: What is added for every further page.
        base_index: The number that counting begins at.
        maximum_value: The first number that is not asked for any more.
        total_path: Where the answer says how many there are.
        error_message_items: What is counted, for messages.
        stop_after_empty_page: A page without records is the last one.
        has_more_path: Where the answer says whether there is a next page.
        param_body_path: Where the number is put into the body of the request.

    Raises:
        ValueError: Nothing would ever end the pages.
    """

    is_resumable = True

    def __init__(
        self,
        param_name: str | None,
        initial_value: int,
        value_step: int,
        base_index: int = 0,
        maximum_value: int | None = None,
        total_path: str | None = None,
        error_message_items: str = "items",
        stop_after_empty_page: bool | None = True,
        has_more_path: str | None = None,
        param_body_path: str | None = None,
    ) -> None:
        super().__init__()
        if total_path is None and maximum_value is None and has_more_path is None and not stop_after_empty_page:
            raise ValueError(
                f"{type(self).__name__} would never end: give it total_path, has_more_path, a maximum, or "
                "stop_after_empty_page=True."
            )
        self.param_name = param_name
        self.param_body_path = param_body_path
        self.initial_value = initial_value
        self.current_value = initial_value
        self.value_step = value_step
        self.base_index = base_index
        self.maximum_value = maximum_value
        self.total_path = total_path
        self.error_message_items = error_message_items
        self.stop_after_empty_page = bool(stop_after_empty_page)
        self.has_more_path = has_more_path
        self._total: int | None = None

    def init_request(self, request: requests.Request) -> None:
        self._has_next_page = True
        self._total = None
        self.current_value = self.initial_value
        self.update_request(request)

    def update_request(self, request: requests.Request) -> None:
        _put(request, self.current_value, param=self.param_name, body_path=self.param_body_path)

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        body = response.json()
        total = _read_total(self.total_path, body, response, self.error_message_items) if self.total_path else None
        has_more = _read_has_more(self.has_more_path, body, response) if self.has_more_path else None
        if total is None and has_more is None and self.maximum_value is None and not self.stop_after_empty_page:
            raise PaginationError(
                url=redact_url(response.url),
                problem=f"the answer has no total of {self.error_message_items} at {self.total_path!r}, which was to say "
                "where the pages end",
                advice="Give total_path, has_more_path, a maximum or stop_after_empty_page=True.",
            )
        warn_of_fallen_total(response.url, self._total, total)
        self._total = total
        listed = _listed(data)
        self.current_value += self._step(listed.most, total)
        self._has_next_page = not (
            (self.stop_after_empty_page and not listed.entries)
            or has_more is False
            or (total is not None and self.current_value >= total + self.base_index)
            or (self.maximum_value is not None and self.current_value >= self.maximum_value)
        )

    def _step(self, rows: int, total: int | None) -> int:
        """How far the next page is from one that lists so many records."""
        return self.value_step


class PageNumberPaginator(RangePaginator):
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
            param_name="page" if page_param is None and page_body_path is None else page_param,
            initial_value=base_page if page is None else page,
            value_step=1,
            base_index=base_page,
            maximum_value=maximum_page,
            total_path=total_path,
            error_message_items="pages",
            stop_after_empty_page=stop_after_empty_page,
            has_more_path=has_more_path,
            param_body_path=page_body_path,
        )


class OffsetPaginator(RangePaginator):
    """The request names how many records to pass over and how many to return.

    A page shorter than `limit` with a page of records after it means that the server returns fewer than it is asked for,
    and that records between the two were never read: this is an error. So is a last page that is shorter than the total
    says, if records stand behind it.

    Args:
        limit: Records per page.
        offset: Records passed over before the first page.
        offset_param, limit_param: The query parameters; `offset` and `limit` if no body paths are given either.
        offset_body_path, limit_body_path: Where the numbers are put into the JSON body of the request.
        total_path: Where the answer says how many records there are.
        maximum_offset: The first offset that is not asked for any more.
        stop_after_empty_page: A page without records is the last one.
        has_more_path: Where the answer says whether there is a next page.
        allow_short_pages: Pages may list fewer records than `limit` without being the last, as where the server filters
            them. What a `data_selector` takes out of each does not count: `items[*].detail` is as long as `items`.
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
            param_name="offset" if offset_param is None and offset_body_path is None else offset_param,
            initial_value=offset,
            value_step=limit,
            maximum_value=maximum_offset,
            total_path=total_path,
            stop_after_empty_page=stop_after_empty_page,
            has_more_path=has_more_path,
            param_body_path=offset_body_path,
        )
        self.limit = limit
        self.limit_param = "limit" if limit_param is None and limit_body_path is None else limit_param
        self.limit_body_path = limit_body_path
        self.allow_short_pages = allow_short_pages
        self._short_page_rows: int | None = None

    def update_request(self, request: requests.Request) -> None:
        super().update_request(request)
        _put(request, self.limit, param=self.limit_param, body_path=self.limit_body_path)

    def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
        rows = _listed(data).most
        if data and self._short_page_rows is not None and not self.allow_short_pages:
            raise PaginationError(
                url=redact_url(response.url),
                problem=f"{self._short_page_rows} records came where limit={self.limit} were asked for, and yet more "
                "followed, so records between two pages were not read",
                advice=f"Set limit={self._short_page_rows} if the server allows no more, or pass allow_short_pages=True if "
                "it leaves records out.",
            )
        if 0 < rows < self.limit:
            self._short_page_rows = rows
        super().update_state(response, data)

    def _step(self, rows: int, total: int | None) -> int:
        """As many records as were asked for; behind a last page with fewer than the total says, only as many as came.

        If more records stand there, the server returns fewer than it is asked for; else the total is wrong.
        """
        left = total - self.current_value if total is not None else 0
        return rows if 0 < rows < left <= self.limit and not self.allow_short_pages else self.limit


def _listed(data: list[Any] | None) -> Listing:
    """What a page lists; the records themselves where they come without their page."""
    found: Listing | None = getattr(data, "listing", None)
    return Listing.of(data or ()) if found is None else found


def looks_only_around(paginator: BasePaginator | None, key: str | None) -> bool:
    """Whether a paginator is one of ours, and reads nothing of the records of an answer.

    Args:
        key: Where the records stand in the answer; None if they are all of it.
    """
    paths: tuple[str | None, ...]
    match paginator:
        case HeaderLinkPaginator() | HeaderCursorPaginator() | SinglePagePaginator():
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
        SinglePagePaginator,
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
    if body_path is None:
        return
    if request.json is None and isinstance(request.data, dict) and request.data:
        assign(body_path, request.data, value)  # a form
        return
    if request.json is None:
        request.json = {}
    assign(body_path, request.json, value)


def _resolved(link: str, *, page_url: str) -> str:
    try:
        return resolve_link(link, page_url=page_url)
    except ValueError:
        raise PaginationError(
            url=redact_url(page_url),
            problem=f"the link to the next page is no address: {redact_url(link)[:200]!r}",
            advice="Check what the paginator reads, or pass another one.",
        ) from None


def _read_total(path: str, body: Any, response: requests.Response, items: str) -> int | None:
    found = next(iter(find(path, body)), None)
    if found is None:
        return None
    try:
        return int(found)
    except (TypeError, ValueError):
        raise PaginationError(
            url=redact_url(response.url),
            problem=f"the total of {items} at {path!r} is no number but of type {type(found).__name__}",
            advice="Give total_path the place of a number, or total_path=None.",
        ) from None


def warn_of_fallen_total(url: str, before: int | None, now: int | None) -> None:
    """Tell of a total that has fallen since the page before: what stood behind deleted records has moved up."""
    if before is not None and now is not None and now < before:
        _log.warning(
            "Paging through %s: the API counted %d and counts %d now, so something was deleted while its pages were read. "
            "What stands behind it has moved up, and records between two pages may be missing. Page by a cursor if the API "
            "has one, or let later runs read everything.",
            redact_url(url),
            before,
            now,
        )


def _read_has_more(path: str, body: Any, response: requests.Response) -> bool:
    found = next(iter(find(path, body)), None)
    if found is None and body is not None:
        raise PaginationError(
            url=redact_url(response.url),
            problem=f"the answer has nothing at {path!r}, which was to say whether there is a next page",
            advice="Give has_more_path the place of a boolean.",
        )
    return found.strip().lower() in ("true", "1", "yes", "y") if isinstance(found, str) else bool(found)
