"""A `requests.Session` that tries again, waits politely, and keeps credentials at home."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import requests
from requests.adapters import DEFAULT_POOLSIZE, HTTPAdapter
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar, get_cookie_header
from requests.hooks import default_hooks, dispatch_hook

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.errors import RequestFailedError, ResponseNotJsonError
from dlt_orchestrate.http.credentials import CredentialWatch
from dlt_orchestrate.http.failures import failure_of
from dlt_orchestrate.http.origin import origin_of, strip_credentials
from dlt_orchestrate.http.response import Response, read_body
from dlt_orchestrate.http.retry import Pause, RetryPolicy
from dlt_orchestrate.http.settings import RequestSettings
from dlt_orchestrate.http.throttle import Throttle
from dlt_orchestrate.http.traffic import Traffic
from dlt_orchestrate.protocols.clock import Clock, SystemClock
from dlt_orchestrate.version import __version__

USER_AGENT = f"dlt_orchestrate/{__version__}"
DEFAULT_MAX_BODY_BYTES = 256 * 1024 * 1024
DEFAULT_DEADLINE_SECONDS = 2 * 60 * 60.0

Check = Callable[[requests.Response], object]
"""Looks at a whole answer; raises `ResponseNotJsonError` if it is damaged, so that it is asked for again."""

_WORTH_ANOTHER_LOOK = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    ResponseNotJsonError,
)
_log = logging.getLogger(__name__)


class Session(requests.Session):
    """Requests with retries, deadlines and limits; otherwise used as `requests.Session` is.

    Redirects to another origin are followed without credentials.

    Args:
        request_timeout: Seconds to wait for a connection and for each piece of an answer, where a request names none.
        request_max_attempts, request_backoff_factor, request_max_retry_delay: As in `RetryPolicy`; these four default to
            the settings of the same names in section `[runtime]`.
        retry: Everything about retries, instead of the three above.
        raise_for_status: Raise `requests.HTTPError` for every error status.
        deadline_seconds: How long one request may take altogether, with all its attempts and waits.
        max_body_bytes: The largest body accepted, counted after decompression.
        throttle: A rate limit for each host.
        traffic: Where requests and waits are counted.
    """

    def __init__(
        self,
        *,
        request_timeout: float | tuple[float, float] | None = None,
        request_max_attempts: int | None = None,
        request_backoff_factor: float | None = None,
        request_max_retry_delay: float | None = None,
        retry: RetryPolicy | None = None,
        raise_for_status: bool = False,
        deadline_seconds: float = DEFAULT_DEADLINE_SECONDS,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        max_connections: int = DEFAULT_POOLSIZE,
        throttle: Throttle | None = None,
        traffic: Traffic | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self._given = RequestSettings(
            request_timeout, request_max_attempts, request_backoff_factor, request_max_retry_delay
        )
        self._given_retry = retry
        self.raises_for_status = raise_for_status
        self.deadline_seconds = deadline_seconds
        self.max_body_bytes = max_body_bytes
        self.throttle = throttle
        self.traffic = traffic if traffic is not None else Traffic()
        self.clock: Clock = clock or SystemClock()
        self._credentials = CredentialWatch()
        self.headers["User-Agent"] = USER_AGENT
        for scheme in ("https://", "http://"):
            self.mount(scheme, HTTPAdapter(pool_connections=max_connections, pool_maxsize=max_connections))

    @property
    def timeout(self) -> float | tuple[float, float]:
        """Seconds to wait for a connection and for each piece of an answer."""
        return self._given.or_configured().timeout

    @property
    def retry(self) -> RetryPolicy:
        """What is tried again, and how often."""
        return self._given_retry or self._given.or_configured().retry_policy()

    def send(self, request: requests.PreparedRequest, *, check: Check | None = None, **kwargs: Any) -> Response:
        """Send a prepared request, again and again where that may help.

        An error status of the last attempt is returned, not raised, unless the session was made with `raise_for_status`.

        Args:
            check: Looks at each answer that is no error; what it finds damaged is asked for again.

        Raises:
            RequestFailedError: There was no answer, or none that is whole and of bearable size.
            ResponseNotJsonError: `check` raised it for the last attempt.
        """
        self._credentials.look_at(request)
        follow = kwargs.pop("allow_redirects", True)
        response = self._send_once(request, check, kwargs)
        if follow:
            response = self._follow_redirects(response, request, check, kwargs)
        if self.raises_for_status:
            response.raise_for_status()
        return response

    def _send_once(self, request: requests.PreparedRequest, check: Check | None, given: Mapping[str, Any]) -> Response:
        """Send without following redirects. Hooks see the last attempt only."""
        transport = self._transport(request, given)
        hooks, request.hooks = request.hooks, default_hooks()
        try:
            response = self._attempt_until_answered(request, check, transport)
        finally:
            request.hooks = hooks
        answer: Response = dispatch_hook("response", hooks, response, **transport)  # type: ignore[no-untyped-call]
        return answer

    def _follow_redirects(
        self, response: Response, request: requests.PreparedRequest, check: Check | None, given: Mapping[str, Any]
    ) -> Response:
        home = origin_of(request.url or "")
        history: list[requests.Response] = []
        while self.get_redirect_target(response):
            if len(history) >= self.max_redirects:
                raise requests.TooManyRedirects(f"Exceeded {self.max_redirects} redirects.", response=response)
            request = next(self.resolve_redirects(response, request, yield_requests=True))
            if origin_of(request.url or "") != home:
                self._leave_credentials(request, response)
            history.append(response)
            response = self._send_once(request, check, given)
        response.history = [*history, *response.history]
        return response

    def _leave_credentials(self, request: requests.PreparedRequest, response: Response) -> None:
        """Take everything from a redirected request that may be a credential for the origin it came from."""
        if request.body is not None:
            raise RequestFailedError(
                method=request.method or "POST",
                url=redact_url(response.url),
                problem=f"it was redirected to another origin, {origin_of(request.url or '')}, that would get its body too",
                attempts=1,
                advice="Send it to the final address if that is meant.",
            )
        strip_credentials(request)
        of_hosts = RequestsCookieJar()
        for cookie in self.cookies:
            if cookie.domain:
                of_hosts.set_cookie(cookie)
        cookies = get_cookie_header(of_hosts, request)  # type: ignore[no-untyped-call]
        if cookies:
            request.headers["Cookie"] = cookies

    def _transport(self, request: requests.PreparedRequest, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the connection, as `requests.Session.send` completes them."""
        settings = {"stream": self.stream, "verify": self.verify, "cert": self.cert, **given}
        if "proxies" not in settings:
            settings["proxies"] = requests.utils.resolve_proxies(request, dict(self.proxies), self.trust_env)
        if settings.get("timeout") is None:
            settings["timeout"] = self.timeout
        return settings

    def _attempt_until_answered(
        self, request: requests.PreparedRequest, check: Check | None, transport: Mapping[str, Any]
    ) -> Response:
        retry, method, note = self.retry, request.method or "GET", ""
        attempt, rate_limit_waits = 1, 0
        deadline = self.clock.monotonic() + self.deadline_seconds
        while True:
            outcome = self._attempt(request, check, transport, deadline)
            if isinstance(outcome, Exception):
                pause = retry.pause_after_error(outcome, method=method, attempt=attempt)
            else:
                pause = retry.pause_after_answer(outcome, attempt=attempt, now=self.clock.now())
            if pause is not None:
                note = self._reason_to_stop(pause, retry, attempt, rate_limit_waits, deadline)
            if pause is None or note:
                return _conclude(outcome, request, attempts=attempt + rate_limit_waits, note=note)
            attempt += pause.is_failure
            rate_limit_waits += not pause.is_failure
            self._wait(pause, request)

    def _attempt(
        self, request: requests.PreparedRequest, check: Check | None, transport: Mapping[str, Any], deadline: float
    ) -> Response | Exception:
        url = request.url or ""
        if self.throttle is not None:
            self.traffic.count(seconds_waited=self.throttle.wait(origin_of(url)))
        try:
            response = self._exchange(request, transport, deadline)
            if check is not None and response.ok and not response.is_redirect:
                check(response)
        except _WORTH_ANOTHER_LOOK as error:
            return error
        return response

    def _exchange(self, request: requests.PreparedRequest, transport: Mapping[str, Any], deadline: float) -> Response:
        """Send once and read the body, unless the caller wants to read it piece by piece."""
        self.traffic.count(requests=1)
        started = self.clock.monotonic()
        response = self.get_adapter(url=request.url or "").send(request, **{**transport, "stream": True})
        response.__class__ = Response  # adapters that users mount make plain ones
        assert isinstance(response, Response)
        response.elapsed = timedelta(seconds=self.clock.monotonic() - started)
        extract_cookies_to_jar(self.cookies, request, response.raw)  # type: ignore[no-untyped-call]
        if not transport["stream"] or response.is_redirect or not response.ok:

            def expect_time() -> None:
                if self.clock.monotonic() > deadline:
                    raise requests.ReadTimeout

            read_body(response, max_body_bytes=self.max_body_bytes, expect_time=expect_time)
            self.traffic.count(bytes_received=len(response.content))
        return response

    def _reason_to_stop(
        self, pause: Pause, retry: RetryPolicy, attempt: int, rate_limit_waits: int, deadline: float
    ) -> str:
        if pause.is_failure and attempt >= retry.max_attempts:
            return f"It was tried request_max_attempts={retry.max_attempts} times."
        if not pause.is_failure and rate_limit_waits >= retry.max_rate_limit_waits:
            return f"The rate limit did not clear in max_rate_limit_waits={retry.max_rate_limit_waits} waits."
        if pause.seconds > retry.max_wait_seconds:
            return (
                f"The server asks to come back in {pause.seconds:.0f} s, more than max_wait_seconds="
                f"{retry.max_wait_seconds:.0f} allows: run again then."
            )
        if self.clock.monotonic() + pause.seconds > deadline:
            return f"Another attempt would pass deadline_seconds={self.deadline_seconds:.0f}."
        return ""

    def _wait(self, pause: Pause, request: requests.PreparedRequest) -> None:
        _log.info("%s %s: %s; waiting %.1f s", request.method, redact_url(request.url or ""), pause.reason, pause.seconds)
        self.clock.sleep(pause.seconds)
        self.traffic.count(retries=1, seconds_waited=pause.seconds)


def _conclude(outcome: Response | Exception, request: requests.PreparedRequest, *, attempts: int, note: str) -> Response:
    match outcome:
        case ResponseNotJsonError():
            raise outcome
        case Exception():
            raise failure_of(outcome, request, attempts=attempts, note=note) from None
    outcome.attempts, outcome.note = attempts, note
    return outcome


_default = threading.local()


def default_session() -> Session:
    """The session of this thread, for requests that name none."""
    session: Session | None = getattr(_default, "session", None)
    if session is None:
        session = _default.session = Session()
    return session
