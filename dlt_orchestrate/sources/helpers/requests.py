"""`requests` with retries, timeouts and limits: use it under the same name.

Error statuses raise `HTTPError` at once, after the retries; `Client(raise_for_status=False)` returns them instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from requests import (
    ConnectionError,  # noqa: A004
    ConnectTimeout,
    HTTPError,
    PreparedRequest,
    ReadTimeout,
    Request,
    RequestException,
    Response,
    Timeout,
)
from requests import exceptions as exceptions
from requests.exceptions import ChunkedEncodingError

from dlt_orchestrate.http.hosts import RateLimit
from dlt_orchestrate.http.response import Response as _Answer
from dlt_orchestrate.http.retry import RETRIED_STATUS_CODES, RetryCondition
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.http.settings import RequestSettings

__all__ = [
    "ChunkedEncodingError",
    "Client",
    "ConnectTimeout",
    "ConnectionError",
    "HTTPError",
    "PreparedRequest",
    "RateLimit",
    "ReadTimeout",
    "Request",
    "RequestException",
    "Response",
    "Session",
    "Timeout",
    "delete",
    "exceptions",
    "get",
    "head",
    "options",
    "patch",
    "post",
    "put",
    "request",
]


class Client:
    """Requests with settings of your own; each thread gets a session of its own.

    Args:
        request_timeout, request_max_attempts, request_backoff_factor, request_max_retry_delay: As in section `[runtime]`.
        max_connections: Connections kept open to one host.
        raise_for_status: Raise `HTTPError` for error statuses.
        status_codes: Which statuses are worth another attempt.
        retry_condition: Tells further answers, or errors, that are worth another attempt.
        rate_limit: How many requests a host gets, as of `RESTClient`.
        session_attrs: Attributes set on each session, such as `{"verify": "/etc/ssl/own.pem"}`.
    """

    def __init__(
        self,
        request_timeout: float | tuple[float, float] | None = None,
        max_connections: int = 50,
        raise_for_status: bool = True,
        status_codes: Collection[int] = RETRIED_STATUS_CODES,
        request_max_attempts: int | None = None,
        retry_condition: RetryCondition | None = None,
        request_backoff_factor: float | None = None,
        request_max_retry_delay: float | None = None,
        session_attrs: dict[str, Any] | None = None,
        *,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self._settings = RequestSettings(
            request_timeout, request_max_attempts, request_backoff_factor, request_max_retry_delay
        )
        self._max_connections = max_connections
        self._raise_for_status = raise_for_status
        self._status_codes = frozenset(status_codes)
        self._retry_condition = retry_condition
        self._rate_limit = rate_limit
        self._session_attrs = dict(session_attrs or {})
        self._of_thread = threading.local()

    @property
    def session(self) -> Session:
        """The session of this thread."""
        session: Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = self._of_thread.session = self._new_session()
        return session

    def request(self, method: str, url: str, **kwargs: Any) -> _Answer:
        """As `requests.request`."""
        answer = self.session.request(method, url, **kwargs)
        assert isinstance(answer, _Answer)
        return answer

    def get(self, url: str, params: Any = None, **kwargs: Any) -> _Answer:
        """As `requests.get`."""
        return self.request("GET", url, params=params, **kwargs)

    def post(self, url: str, data: Any = None, json: Any = None, **kwargs: Any) -> _Answer:
        """As `requests.post`."""
        return self.request("POST", url, data=data, json=json, **kwargs)

    def put(self, url: str, data: Any = None, **kwargs: Any) -> _Answer:
        """As `requests.put`."""
        return self.request("PUT", url, data=data, **kwargs)

    def patch(self, url: str, data: Any = None, **kwargs: Any) -> _Answer:
        """As `requests.patch`."""
        return self.request("PATCH", url, data=data, **kwargs)

    def delete(self, url: str, **kwargs: Any) -> _Answer:
        """As `requests.delete`."""
        return self.request("DELETE", url, **kwargs)

    def head(self, url: str, **kwargs: Any) -> _Answer:
        """As `requests.head`."""
        return self.request("HEAD", url, **{"allow_redirects": False, **kwargs})

    def options(self, url: str, **kwargs: Any) -> _Answer:
        """As `requests.options`."""
        return self.request("OPTIONS", url, **kwargs)

    def _new_session(self) -> Session:
        session = Session(
            request_timeout=self._settings.request_timeout,
            retry=replace(self._settings.retry_policy(), status_codes=self._status_codes, condition=self._retry_condition),
            raise_for_status=self._raise_for_status,
            max_connections=self._max_connections,
            rate_limit=self._rate_limit,
        )
        for name, value in self._session_attrs.items():
            setattr(session, name, value)
        return session


_client = Client()

request: Callable[..., _Answer] = _client.request
get: Callable[..., _Answer] = _client.get
post: Callable[..., _Answer] = _client.post
put: Callable[..., _Answer] = _client.put
patch: Callable[..., _Answer] = _client.patch
delete: Callable[..., _Answer] = _client.delete
head: Callable[..., _Answer] = _client.head
options: Callable[..., _Answer] = _client.options
