"""Credentials on requests. Each class is a `requests` auth; its repr shows no secret.

A missing secret (None) sends nothing: the answer of the server then says what is missing.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from math import inf
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.auth import AuthBase, _basic_auth_str

from dlt_orchestrate.config.redaction import Secret, learn, redact_url
from dlt_orchestrate.errors import RequestFailedError, ResponseNotJsonError
from dlt_orchestrate.http.failures import shown
from dlt_orchestrate.protocols.clock import Clock, SystemClock

_REFRESH_BEFORE_SECONDS = 60.0
_HEADER_TEXT = re.compile(r"[\x21-\x7e]+")


class BearerTokenAuth(AuthBase):
    """Sends `Authorization: Bearer <token>`.

    Source: RFC 6750, section 2.1.
    """

    def __init__(self, token: str | Secret | None) -> None:
        self.token = _known_secret(token)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token:
            r.headers["Authorization"] = f"Bearer {self.token}"
        return r

    def __repr__(self) -> str:
        return f"BearerTokenAuth(token={_shown(self.token)})"


class APIKeyAuth(AuthBase):
    """Sends a key in a header, a query parameter or a cookie of the given name."""

    def __init__(
        self,
        name: str = "Authorization",
        api_key: str | Secret | None = None,
        location: Literal["header", "query", "param", "cookie"] = "header",
    ) -> None:
        if location not in ("header", "query", "param", "cookie"):
            raise ValueError(f"APIKeyAuth: location is {location!r}; it must be 'header', 'query', 'param' or 'cookie'.")
        self.name = name
        self.api_key = _known_secret(api_key)
        self.location = location

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if not self.api_key:
            return r
        match self.location:
            case "header":
                r.headers[self.name] = self.api_key
            case "cookie":
                others = r.headers.get("Cookie")
                r.headers["Cookie"] = f"{f'{others}; ' if others else ''}{self.name}={self.api_key}"
            case _:
                if not self._is_in_query(r.url or ""):
                    r.prepare_url(r.url, {self.name: self.api_key})
        return r

    def _is_in_query(self, url: str) -> bool:
        """Whether a link given by the API repeats the key."""
        return any(name == self.name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True))

    def __repr__(self) -> str:
        return f"APIKeyAuth(name={self.name!r}, api_key={_shown(self.api_key)}, location={self.location!r})"


class HttpBasicAuth(AuthBase):
    """Sends user name and password.

    Source: RFC 7617.
    """

    def __init__(self, username: str, password: str | Secret | None) -> None:
        self.username = username
        self.password = _known_secret(password)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.password is not None:
            r.headers["Authorization"] = _basic_auth_str(self.username.encode(), self.password.encode())
        return r

    def __repr__(self) -> str:
        return f"HttpBasicAuth(username={self.username!r}, password={_shown(self.password)})"


class OAuth2ClientCredentials(AuthBase):
    """Gets a token for a client id and secret, sends it as bearer token, and gets a new one before it expires.

    Source: RFC 6749, section 4.4.

    Args:
        access_token_request_data: Further fields of the token request, such as `scope` or `audience`.
        default_token_expiration: Seconds a token is used for where the server does not say how long it lasts.
        session: Sends the token request; by default the session of the thread.
    """

    def __init__(
        self,
        access_token_url: str,
        client_id: str,
        client_secret: str | Secret | None,
        access_token_request_data: Mapping[str, Any] | None = None,
        default_token_expiration: float = 3600,
        session: requests.Session | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.access_token_url = access_token_url
        self.client_id = client_id
        self.client_secret = _known_secret(client_secret)
        self.access_token_request_data = dict(access_token_request_data or {})
        self.default_token_expiration = default_token_expiration
        self.session = session
        self.clock: Clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._token: str | None = None
        self._usable_until = 0.0

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        r.headers["Authorization"] = f"Bearer {self._current_token()}"
        return r

    def _current_token(self) -> str:
        with self._lock:
            if self._token is None or self.clock.monotonic() >= self._usable_until:
                self._token, lifetime = self._request_token()
                self._usable_until = self.clock.monotonic() + max(0.0, lifetime - _REFRESH_BEFORE_SECONDS)
            return self._token

    def _request_token(self) -> tuple[str, float]:
        from dlt_orchestrate.http.session import default_session

        fields = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            **self.access_token_request_data,
        }
        response = (self.session or default_session()).post(self.access_token_url, data=fields)
        response.raise_for_status()
        try:
            answer = response.json()
        except (ResponseNotJsonError, ValueError):
            answer = None  # its text may be half a token: no message shows it
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not _HEADER_TEXT.fullmatch(token):
            raise RequestFailedError(
                method="POST",
                url=redact_url(self.access_token_url),
                problem=f"the answer holds no 'access_token' that a header can carry; it is {_kind_of(answer, response)}",
                attempts=1,
                advice="Check access_token_url, and the fields the server wants in access_token_request_data.",
            )
        learn(token)
        return token, self._lifetime(answer.get("expires_in"))

    def _lifetime(self, told: Any) -> float:
        """The seconds that a token lasts; what the server tells counts only if it is a number above zero."""
        try:
            seconds = float(told)
        except (TypeError, ValueError, OverflowError):
            return self.default_token_expiration
        return seconds if 0 < seconds < inf else self.default_token_expiration

    def __repr__(self) -> str:
        return (
            f"OAuth2ClientCredentials(access_token_url={redact_url(self.access_token_url)!r}, "
            f"client_id={self.client_id!r}, client_secret={_shown(self.client_secret)})"
        )


def _kind_of(answer: Any, response: requests.Response) -> str:
    """What an answer is, without a value of it."""
    if isinstance(answer, dict):
        return f"an object with {', '.join(repr(shown(key)) for key in sorted(answer)[:10]) or 'nothing'}"
    return f"of content type {shown(response.headers.get('Content-Type', 'not given'))!r}, {len(response.content)} bytes"


def _known_secret(secret: str | Secret | None) -> str | None:
    """The text of a secret, which no message will show from now on."""
    if secret is None:
        return None
    learn(secret)
    return secret.reveal() if isinstance(secret, Secret) else secret


def _shown(secret: str | None) -> str:
    return "None" if secret is None else "***"
