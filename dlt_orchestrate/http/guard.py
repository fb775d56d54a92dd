"""What keeps paging from running in circles, or for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import field
from functools import partial
from typing import Any

import orjson
import requests

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import PaginationError
from dlt_orchestrate.flow.typed_records import fields_of, plain
from dlt_orchestrate.http.settings import page_limit
from dlt_orchestrate.protocols.clock import Clock, SystemClock


def _configured(name: str) -> Any:
    return field(default_factory=partial(page_limit, name))


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Where paging ends with an error. What is not given comes from section `[runtime]`, as `paging_max_pages` and so on.

    Attributes:
        max_pages: Pages of one call of `paginate`.
        max_empty_pages: Pages without records in a row.
        max_repeats: How often, in a row, the same page, or the same round of pages, may come again, and how often the same
            request may be made again.
        max_requests: Requests of one call of `paginate`, every attempt and redirect counted.
        max_seconds: How long one call of `paginate` may take, with what is done with the pages meanwhile.
    """

    max_pages: int = _configured("paging_max_pages")
    max_empty_pages: int = _configured("paging_max_empty_pages")
    max_repeats: int = _configured("paging_max_repeats")
    max_requests: int = _configured("paging_max_requests")
    max_seconds: float = _configured("paging_max_seconds")


class PageGuard:
    """Watches the requests and the pages of one paging.

    Looking at every record of every page would take as long as reading them. A page is taken for another one as long as its
    body, the number of its records, or its first or last record differs; only where none does are the records compared.
    """

    def __init__(self, limits: PageLimits, clock: Clock | None = None) -> None:
        self._limits = limits
        self._clock: Clock = clock or SystemClock()
        self._started = self._clock.monotonic()
        self._pages = 0
        self._empty = 0
        self._requests = 0
        self._asked: dict[bytes, int] = {}
        self._bodies = _Rounds()
        self._ends: set[bytes] = set()
        self._records = _Rounds()
        self._last_ends = b""
        self._last_rows: Callable[[], Sequence[Any]] = tuple

    def expect_new_request(self, request: requests.Request) -> None:
        """Raise if this request was made before, or if there were enough."""
        url = request.url
        self._expect_below(self._pages, self._limits.max_pages, "max_pages", url, "pages were read")
        self._expect_below(self._requests, self._limits.max_requests, "max_requests", url, "requests were made")
        seconds = self._clock.monotonic() - self._started
        self._expect_below(seconds, self._limits.max_seconds, "max_seconds", url, "seconds have passed")
        asked = fingerprint([request.method, request.url, request.params, request.json, request.data, request.headers])
        self._asked[asked] = self._asked.get(asked, 0) + 1
        if self._asked[asked] > 1 + self._limits.max_repeats:
            raise PaginationError(
                url=redact_url(url),
                problem="the link or cursor to the next page leads to a page that was read before",
                advice="The API goes in circles, or the paginator reads the wrong field; check its arguments.",
            )

    def count_requests(self, made: int) -> None:
        """Note how many requests a page took."""
        self._requests += made

    def expect_new_page(self, rows: Sequence[Any], body: bytes, again: Callable[[], Sequence[Any]], url: str) -> None:
        """Raise if pages come again, or if this is one empty page too many.

        Args:
            rows: What it lists. Of most pages only their number, the first and the last are looked at.
            body: What they came in.
            again: Reads them from the body once more; whoever got `rows` may have changed them by the time they are needed.
        """
        self._pages += 1
        self._empty = 0 if rows else self._empty + 1
        if self._empty > self._limits.max_empty_pages:
            raise PaginationError(
                url=redact_url(url),
                problem=f"{self._empty} pages in a row hold no records and the API names more",
                advice="Check the data_selector, tell the paginator where the pages end, or pass "
                "limits=PageLimits(max_empty_pages=...).",
            )
        if not rows:
            comes_again = self._empty == 1 and self._bodies.come_again(b"", self._limits.max_repeats)
            self._records, self._last_ends = _Rounds(), b""
        else:
            comes_again = self._bodies.come_again(hash(body), self._limits.max_repeats) or self._records_come_again(rows)
            self._last_rows = again
        if comes_again:
            is_same = self._bodies.is_same or self._records.is_same
            raise PaginationError(
                url=redact_url(url),
                problem="a page holds the same records as the one before it"
                if is_same
                else "pages that were read before come again and again",
                advice="The API seems to ignore the parameter for the next page; pass the paginator that fits it, such as "
                "paginator=PageNumberPaginator(page_param='...', base_page=1). If such pages are meant, pass "
                "limits=PageLimits(max_repeats=...).",
            )

    def _records_come_again(self, rows: Sequence[Any]) -> bool:
        """Whether the same records come again, though other things around them differ."""
        ends = fingerprint([len(rows), rows[0], rows[-1]])
        is_suspect, is_like_last = ends in self._ends, ends == self._last_ends
        self._ends.add(ends)
        self._last_ends = ends
        if not is_suspect:
            self._records = _Rounds()
            return False
        if self._records.is_empty and is_like_last:
            self._records.come_again(fingerprint(self._last_rows()), self._limits.max_repeats)
        return self._records.come_again(fingerprint(rows), self._limits.max_repeats)

    def _expect_below(self, count: float, limit: float, name: str, url: str, what: str) -> None:
        if count >= limit:
            raise PaginationError(
                url=redact_url(url),
                problem=f"{count:.0f} {what} and there are more; {name} is {limit}",
                advice=f"Pass limits=PageLimits({name}=...) or set paging_{name} in section [runtime] if that is meant.",
            )


class _Rounds:
    """Finds that marks come again: one like the last, a round like the last, or as many old ones in a row as there are."""

    def __init__(self) -> None:
        self._position = 0
        self._last_seen: dict[int | bytes, int] = {}
        self._old_in_a_row = 0
        self._period = 0
        self._in_step = 0

    @property
    def is_empty(self) -> bool:
        return self._position == 0

    @property
    def is_same(self) -> bool:
        """Whether the last mark was like the one before it."""
        return self._period == 1

    def come_again(self, mark: int | bytes, max_repeats: int) -> bool:
        """Take the next mark; whether a round came again more than `max_repeats` times."""
        period = self._position - self._last_seen.get(mark, self._position)
        self._last_seen[mark] = self._position
        self._position += 1
        self._old_in_a_row = self._old_in_a_row + 1 if period else 0
        self._in_step = self._in_step + 1 if period and period == self._period else min(period, 1)
        self._period = period
        rounds = max_repeats + 1
        return period > 0 and (self._in_step >= period * rounds or self._old_in_a_row >= len(self._last_seen) * rounds)


def fingerprint(value: Any) -> bytes:
    """A short mark that equal values share and others do not."""
    return hashlib.blake2b(_text_of(value), digest_size=16).digest()


def _text_of(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS, default=_written)
    except (TypeError, ValueError):  # integers beyond 64 bits, lone surrogates
        return json.dumps(value, default=_written).encode("utf-8", "surrogatepass")


def _written(value: Any) -> Any:
    return repr(value) if fields_of(type(value)) is None else plain(value)
