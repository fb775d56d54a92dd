"""Credentials on requests. Each class is a `requests` auth; its repr shows no secret.

A missing secret (None) sends nothing: the answer of the server then says what is missing.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.auth import _basic_auth_str

from dlt_orchestrate.config.redaction import Secret
from dlt_orchestrate.http.oauth import OAuth2AuthBase as OAuth2AuthBase
from dlt_orchestrate.http.oauth import OAuth2ClientCredentials as OAuth2ClientCredentials
from dlt_orchestrate.http.oauth import OAuthJWTAuth as OAuthJWTAuth
from dlt_orchestrate.http.signing import AuthConfigBase as AuthConfigBase
from dlt_orchestrate.http.signing import revealed


class BearerTokenAuth(AuthConfigBase):
    """Sends `Authorization: Bearer <token>`.

    Source: RFC 6750, section 2.1.
    """

    def __init__(self, token: str | Secret | None) -> None:
        self.token = revealed(token)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token:
            r.headers["Authorization"] = f"Bearer {self.token}"
        return r


class APIKeyAuth(AuthConfigBase):
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
        self.api_key = revealed(api_key)
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


class HttpBasicAuth(AuthConfigBase):
    """Sends user name and password.

    Source: RFC 7617.
    """

    def __init__(self, username: str, password: str | Secret | None) -> None:
        self.username = username
        self.password = revealed(password)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.password is not None:
            r.headers["Authorization"] = _basic_auth_str(self.username.encode(), self.password.encode())
        return r
