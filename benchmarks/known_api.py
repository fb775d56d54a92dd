"""Reading pages from an API that is known to send JSON arrays and `Link` headers: two ways to do without a paginator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Page = list[dict[str, Any]]


def pages(url: str) -> Iterator[Page]:
    """One request after the other, in the way that costs least."""
    import orjson
    import urllib3

    pool = urllib3.PoolManager()
    following: str | None = url
    while following:
        response = pool.request("GET", following)
        yield orjson.loads(response.data)
        following = _next(response.headers.get("Link"))


def pages_by_requests(url: str) -> Iterator[Page]:
    """One request after the other, as most people would write it."""
    import requests

    with requests.Session() as session:
        following: str | None = url
        while following:
            response = session.get(following)
            yield response.json()
            following = response.links.get("next", {}).get("url")


def _next(link: str | None) -> str | None:
    """The only address of a header that names just the next page."""
    return link.partition("<")[2].partition(">")[0] if link else None
