"""Reading pages from an API that is known to send JSON arrays and `Link` headers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import requests


def pages(url: str) -> Iterator[list[dict[str, Any]]]:
    """The pages, one request after the other over one connection."""
    with requests.Session() as session:
        following: str | None = url
        while following:
            response = session.get(following)
            yield orjson.loads(response.content)
            following = response.links.get("next", {}).get("url")
