"""Credentials that were written into a request by hand, as a header or parameter, are masked in messages as well."""

from __future__ import annotations

import base64
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import requests

from dlt_orchestrate.config.redaction import learn, looks_secret

_AUTHORIZATION = frozenset(["authorization", "proxy-authorization"])
# A cursor is no secret, and masking every text equal to one would spoil messages.
_CURSOR = re.compile(r"(?:page|next|pagination|continuation|cursor|delta|start|sync)[_-]?token$", re.IGNORECASE)
# A `key` may be one to an API or the name of a thing: only what is long enough is taken for the former.
_KEY = re.compile(r"(?<![a-z])(?:key|auth)$", re.IGNORECASE)
_NO_CREDENTIAL = re.compile(r"(?:idempotency|partition|primary|sort|start)[_-]?key$", re.IGNORECASE)
_SHORTEST_KEY = 16
_QUOTED_PART = re.compile(r'([\w-]+)\s*=\s*"?([^",\s]+)')
_MOST_VALUES_OF_ONE_NAME = 100
_MOST_BODY_BYTES = 64 * 1024


class CredentialWatch:
    """Tells the redactor about the credentials in requests.

    A name whose value changes again and again holds a cursor or a signature rather than a key; after a hundred values it is
    watched no longer, so that the redactor stays fast.
    """

    def __init__(self) -> None:
        self._learnt: dict[str, set[str]] = defaultdict(set)

    def look_at(self, request: requests.PreparedRequest) -> None:
        """Have the credentials in a request masked from now on."""
        for name, value in _credentials_in(request):
            values = self._learnt[name]
            if value not in values and len(values) < _MOST_VALUES_OF_ONE_NAME:
                values.add(value)
                learn(value)


def without_credentials(params: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Query parameters without those that are named like credentials."""
    return [(name, value) for name, value in params if not _is_credential(name, str(value))]


def _credentials_in(request: requests.PreparedRequest) -> Iterator[tuple[str, str]]:
    headers: Mapping[str, Any] = request.headers
    for name, value in headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if name.lower() in _AUTHORIZATION:
            yield from ((name, secret) for secret in _secrets_of_authorization(text))
        elif name.lower() == "cookie":
            yield from _named_like_secrets(_cookies_in(text))
        else:
            yield from _named_like_secrets([(name, text)])
    yield from _credentials_in_url(request.url or "")
    yield from _named_like_secrets(_fields_of(request.body))


def _cookies_in(header: str) -> Iterator[tuple[str, str]]:
    for cookie in header.split(";"):
        name, _, value = cookie.strip().partition("=")
        yield name, value


def _secrets_of_authorization(value: str) -> Iterator[str]:
    """The token after the scheme; of several parts, those named like secrets; of a Basic one, the password too."""
    scheme, _, rest = value.strip().partition(" ")
    token = rest.strip() or scheme
    if "," in token or " " in token:
        yield from (secret for _, secret in _named_like_secrets(_QUOTED_PART.findall(token)))
        return
    yield token
    yield from (secret for name, secret in _QUOTED_PART.findall(token) if looks_secret(name))
    if scheme.lower() == "basic":
        try:
            yield base64.b64decode(token, validate=True).decode().partition(":")[2]
        except ValueError:
            return


def _credentials_in_url(url: str) -> Iterator[tuple[str, str]]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    if parts.password:
        yield from (("password", password) for password in (parts.password, unquote(parts.password)))
    yield from _named_like_secrets(parse_qsl(parts.query))


def _fields_of(body: Any) -> Iterator[tuple[str, Any]]:
    """The named values of a JSON body or a form."""
    if not isinstance(body, (str, bytes)) or not body or len(body) > _MOST_BODY_BYTES:
        return
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    if not text.lstrip().startswith(("{", "[")):
        yield from parse_qsl(text)
        return
    try:
        pending = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while pending:
        match pending.pop():
            case dict() as fields:
                yield from fields.items()
                pending.extend(fields.values())
            case list() as values:
                pending.extend(values)


def _named_like_secrets(fields: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in fields:
        if isinstance(value, str) and value and _is_credential(name, value):
            yield name, value


def _is_credential(name: str, value: str) -> bool:
    if looks_secret(name):
        return not _CURSOR.search(name)
    return len(value) >= _SHORTEST_KEY and _KEY.search(name) is not None and not _NO_CREDENTIAL.search(name)
