"""What keeps paging from running in circles."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import requests

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.errors import PaginationError


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Where paging ends with an error.

    Attributes:
        max_pages: Pages of one request.
        max_empty_pages: Pages without records in a row.
        max_repeats: How often, in a row, the same page may come again, and how often the same request may be made again.
    """

    max_pages: int = 100_000
    max_empty_pages: int = 100
    max_repeats: int = 0


class PageGuard:
    """Watches the requests and the pages of one paging."""

    def __init__(self, limits: PageLimits) -> None:
        self._limits = limits
        self._pages = 0
        self._empty = 0
        self._repeats = 0
        self._asked: dict[bytes, int] = {}
        self._last: bytes | None = None

    def expect_new_request(self, request: requests.Request) -> None:
        """Raise if this request was made before, or if there were enough."""
        url = redact_url(request.url)
        if self._pages >= self._limits.max_pages:
            raise PaginationError(
                url=url,
                problem=f"{self._pages} pages were read and there are more",
                advice="Pass limits=PageLimits(max_pages=...) if so many are meant.",
            )
        asked = fingerprint([request.method, request.url, request.params, request.json, request.data, request.headers])
        self._asked[asked] = self._asked.get(asked, 0) + 1
        if self._asked[asked] > 1 + self._limits.max_repeats:
            raise PaginationError(
                url=url,
                problem="the link or cursor to the next page leads to a page that was read before",
                advice="The API goes in circles, or the paginator reads the wrong field; check its arguments.",
            )

    def expect_new_page(self, rows: Sequence[Any], url: str) -> None:
        """Raise if this page is the one before it again, or one empty page too many."""
        self._pages += 1
        self._empty = 0 if rows else self._empty + 1
        if self._empty > self._limits.max_empty_pages:
            raise PaginationError(
                url=redact_url(url),
                problem=f"{self._empty} pages in a row hold no records and the API names more",
                advice="Check the data_selector, or pass limits=PageLimits(max_empty_pages=...).",
            )
        mark = _text_of(rows) if rows else None  # not its hash: that takes longer than to compare one text
        self._repeats = self._repeats + 1 if mark is not None and mark == self._last else 0
        self._last = mark
        if self._repeats > self._limits.max_repeats:
            raise PaginationError(
                url=redact_url(url),
                problem="a page holds the same records as the one before it",
                advice="The API seems to ignore the parameter for the next page; pass the paginator that fits it, such as "
                "paginator=PageNumberPaginator(page_param='...', base_page=1).",
            )


def fingerprint(value: Any) -> bytes:
    """A short mark that equal values share and others do not."""
    return hashlib.blake2b(_text_of(value), digest_size=16).digest()


def _text_of(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=repr)
    except (TypeError, ValueError):  # integers beyond 64 bits, lone surrogates
        return json.dumps(value, default=repr).encode("utf-8", "surrogatepass")
