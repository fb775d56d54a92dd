"""Origins: credentials go only to the scheme, host and port they were given for."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

if TYPE_CHECKING:
    import requests

_DEFAULT_PORTS = {"http": 80, "https": 443}

_HARMLESS_HEADERS = frozenset(
    """accept accept-encoding accept-language connection content-length content-type proxy-authorization
    transfer-encoding user-agent""".split()
)
"""What a request to another origin keeps. Any other header may be a key, whatever its name is."""


def origin_of(url: str) -> str:
    """The scheme, host and port of a URL, in one spelling.

    >>> origin_of("HTTPS://API.example:443/items?page=2")
    'https://api.example'
    >>> origin_of("http://localhost:8080/")
    'http://localhost:8080'
    """
    parts = urlsplit(url)
    return _origin(parts.scheme, parts.netloc)


@lru_cache(maxsize=256)  # every request asks for its origin several times, and most go to the same one
def _origin(scheme: str, location: str) -> str:
    parts = SplitResult(scheme, location, "", "", "")
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(scheme)) else f":{parts.port}"
    return f"{scheme}://{host}{port}"


def resolve_link(link: str, *, page_url: str) -> str:
    """The full address of a link found on a page.

    APIs behind a TLS proxy often write `http` into their links; such a link to the page's own host is followed by `https`.

    >>> resolve_link("/items?page=2", page_url="https://api.example/v1/items")
    'https://api.example/items?page=2'
    >>> resolve_link("http://api.example/items?page=2", page_url="https://api.example/items")
    'https://api.example/items?page=2'

    Raises:
        ValueError: It is no address.
    """
    url = urljoin(page_url, link)
    origin, home = origin_of(url), origin_of(page_url)
    if home.startswith("https://") and home == origin.replace("http:", "https:", 1):
        return urlunsplit(urlsplit(url)._replace(scheme="https", netloc=urlsplit(page_url).netloc))
    return url


def strip_credentials(request: requests.PreparedRequest) -> None:
    """Take everything from a request that may be a credential: all headers but the harmless ones."""
    for name in [name for name in request.headers if name.lower() not in _HARMLESS_HEADERS]:
        del request.headers[name]
