"""A `requests.Session` that tries again, waits politely, and keeps credentials at home."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import field
from datetime import timedelta
from typing import Any
from urllib.parse import urljoin

import requests
from requests.adapters import DEFAULT_POOLSIZE
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar, get_cookie_header
from requests.hooks import default_hooks, dispatch_hook
from requests.models import DEFAULT_REDIRECT_LIMIT
from requests.sessions import merge_setting
from requests.structures import CaseInsensitiveDict
from requests.utils import get_netrc_auth
from urllib3.exceptions import HTTPError as Urllib3Error

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import RequestFailedError, ResponseNotJsonError
from dlt_orchestrate.http.addresses import expect_public, expect_public_literal, host_of, plain_host
from dlt_orchestrate.http.credentials import CredentialWatch
from dlt_orchestrate.http.failures import BadRedirectError, RequestTimedOutError, TooManyRedirectsError, failure_of
from dlt_orchestrate.http.hosts import RateLimit, TurnTooLateError, hosts_of, limit_of
from dlt_orchestrate.http.oauth import renewal_of
from dlt_orchestrate.http.origin import origin_of, strip_credentials
from dlt_orchestrate.http.response import Response, read_body
from dlt_orchestrate.http.retry import Pause, RetryPolicy
from dlt_orchestrate.http.settings import RequestSettings
from dlt_orchestrate.http.throttle import Throttle
from dlt_orchestrate.http.traffic import Traffic
from dlt_orchestrate.http.transport import AnswerOutOfBounds, BoundedAdapter, BoundedTimeout, Bounds
from dlt_orchestrate.protocols.clock import Clock, SystemClock
from dlt_orchestrate.version import __version__

USER_AGENT = f"dlt_orchestrate/{__version__}"

Check = Callable[[requests.Response], object]
"""Looks at a whole answer; raises `ResponseNotJsonError` if it is damaged, so that it is asked for again."""

_WORTH_ANOTHER_LOOK = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.InvalidHeader,
    Urllib3Error,
    AnswerOutOfBounds,
    ResponseNotJsonError,
)
_LIMITS = {
    "request_attempt_seconds": "attempt_seconds",
    "request_deadline_seconds": "deadline_seconds",
    "request_max_body_bytes": "max_body_bytes",
    "request_max_header_bytes": "max_header_bytes",
    "request_allowed_hosts": "allowed_hosts",
}
"""The attributes of a session that go before settings."""

_MOST_COOKIES = 300
UNAUTHORIZED = 401
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Errand:
    """One request with all its attempts and redirects.

    Attributes:
        deadline: Until when it has to be done, by the clock's `monotonic`.
        limits: What holds for it, by the names of the settings.
        check: Looks at each answer that is no error.
        transport: Settings of the connection that were given.
        home: The origin that its credentials are for.
        trusted_hosts: Hosts that may have private addresses.
        rate_limit: That of its client; None for what is configured for the host.
        foreign_cookies: What other origins set on the way, by origin.
    """

    deadline: float
    limits: Mapping[str, Any]
    check: Check | None
    transport: Mapping[str, Any]
    home: str
    trusted_hosts: Collection[str]
    rate_limit: RateLimit | None
    foreign_cookies: dict[str, RequestsCookieJar] = field(default_factory=dict)


class Session(requests.Session):
    """Requests with retries, deadlines and limits; otherwise used as `requests.Session` is.

    Redirects to another origin are followed without credentials and cookies, and only to public addresses.

    What is not given comes from the settings of the same names, with `request_` before them, in section `[runtime]`. Limits
    can be set as attributes, too.

    Args:
        request_timeout: Seconds to wait for a connection and for each piece of an answer, where a request names none.
        request_max_attempts, request_backoff_factor, request_max_retry_delay: As in `RetryPolicy`.
        retry: Everything about retries, instead of the three above.
        raise_for_status: Raise `requests.HTTPError` for every error status.
        attempt_seconds: How long one answer may take, from the connection to its last byte.
        deadline_seconds: How long one request may take altogether, with all its attempts, waits and redirects.
        max_body_bytes: The largest body accepted, counted after decompression.
        max_header_bytes: The largest head accepted.
        allowed_hosts: Hosts that redirects and addresses from data may lead to although their addresses are private.
        rate_limit: Of each host, shared with all in the process that have an equal one; instead of what is configured for
            the host in `request_rate_limits`.
        throttle: A rate limit for each host that holds for the sessions that were given it.
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
        attempt_seconds: float | None = None,
        deadline_seconds: float | None = None,
        max_body_bytes: int | None = None,
        max_header_bytes: int | None = None,
        allowed_hosts: Collection[str] | None = None,
        max_connections: int = DEFAULT_POOLSIZE,
        rate_limit: RateLimit | None = None,
        throttle: Throttle | None = None,
        traffic: Traffic | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self._given = RequestSettings(
            request_timeout=request_timeout,
            request_max_attempts=request_max_attempts,
            request_backoff_factor=request_backoff_factor,
            request_max_retry_delay=request_max_retry_delay,
        )
        self.attempt_seconds = attempt_seconds
        self.deadline_seconds = deadline_seconds
        self.max_body_bytes = max_body_bytes
        self.max_header_bytes = max_header_bytes
        self.allowed_hosts = (allowed_hosts,) if isinstance(allowed_hosts, str) else allowed_hosts
        self._given_retry = retry
        self.raises_for_status = raise_for_status
        self.rate_limit = rate_limit
        self.throttle = throttle
        self.traffic = traffic if traffic is not None else Traffic()
        self.clock: Clock = clock or SystemClock()
        self._hosts = hosts_of(self.clock)
        self._credentials = CredentialWatch()
        self.headers["User-Agent"] = USER_AGENT
        for scheme in ("https://", "http://"):
            self.mount(scheme, BoundedAdapter(pool_connections=max_connections, pool_maxsize=max_connections))
        self._public_adapter = BoundedAdapter(public_only=True, pool_connections=max_connections)

    def close(self) -> None:
        """Close all connections."""
        super().close()
        self._public_adapter.close()

    @property
    def timeout(self) -> float | tuple[float, float]:
        """Seconds to wait for a connection and for each piece of an answer."""
        timeout: float | tuple[float, float] = self._given.value("request_timeout")
        return timeout

    @property
    def retry(self) -> RetryPolicy:
        """What is tried again, and how often."""
        return self._given_retry or self._given.retry_policy()

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As `requests` does, which merges what session and request have; most have little to merge, and many pages."""
        if self.cookies or self.params or self.auth or any(self.hooks.values()) or request.cookies or not request.url:
            return super().prepare_request(request)
        is_signed = request.auth or not self.trust_env
        prepared = requests.PreparedRequest()
        prepared.prepare(
            method=(request.method or "").upper(),
            url=request.url,
            files=request.files,
            data=request.data,
            json=request.json,
            headers=merge_setting(request.headers, self.headers, CaseInsensitiveDict),  # type: ignore[no-untyped-call]
            params=request.params,
            auth=request.auth if is_signed else get_netrc_auth(request.url),
            cookies=RequestsCookieJar(),
            hooks=request.hooks,
        )
        return prepared

    def send(
        self,
        request: requests.PreparedRequest,
        *,
        check: Check | None = None,
        trusted_hosts: Collection[str] | None = None,
        rate_limit: RateLimit | None = None,
        **kwargs: Any,
    ) -> Response:
        """Send a prepared request, again and again where that may help.

        An error status of the last attempt is returned, not raised, unless the session was made with `raise_for_status`.

        Args:
            check: Looks at each answer that is no error; what it finds damaged is asked for again.
            trusted_hosts: Hosts whose addresses may be private, be it of this request or of redirects; by default the host
                of this request. Name others where its address comes from data.
            rate_limit: Instead of that of the session.

        Raises:
            RequestFailedError: There was no answer, or none that is whole and of bearable size.
            ResponseNotJsonError: `check` raised it for the last attempt.
            PrivateAddressError: A redirect leads into a private network.
        """
        self._credentials.look_at(request)
        follow = kwargs.pop("allow_redirects", True)
        url = request.url or ""
        limits = self._limits()
        hosts = (host_of(url),) if trusted_hosts is None else tuple(trusted_hosts)
        errand = _Errand(
            deadline=self.clock.monotonic() + limits["request_deadline_seconds"],
            limits=limits,
            check=check,
            transport=kwargs,
            home=origin_of(url),
            trusted_hosts=(*hosts, *map(plain_host, limits["request_allowed_hosts"])),
            rate_limit=rate_limit or self.rate_limit,
        )
        response = self._send_once(request, errand)
        if follow:
            response = self._follow_redirects(response, request, errand)
        if self.raises_for_status:
            response.raise_for_status()
        return response

    def _limits(self) -> Mapping[str, Any]:
        """What holds for a request, by the names of the settings."""
        own = {name: getattr(self, attribute) for name, attribute in _LIMITS.items()}
        limits = {name: self._given.value(name) if value is None else value for name, value in own.items()}
        is_set = self.max_redirects != DEFAULT_REDIRECT_LIMIT  # on the session, as users of requests do
        limits["request_max_redirects"] = self.max_redirects if is_set else self._given.value("request_max_redirects")
        return limits

    def _send_once(self, request: requests.PreparedRequest, errand: _Errand) -> Response:
        """Send without following redirects. Hooks see the last attempt only."""
        transport = self._transport(request, errand.transport)
        hooks, request.hooks = request.hooks, default_hooks()
        try:
            response = self._attempt_until_answered(request, errand, transport)
        finally:
            request.hooks = hooks
        answer: Response = dispatch_hook("response", hooks, response, **transport)  # type: ignore[no-untyped-call]
        return answer

    def _follow_redirects(self, response: Response, request: requests.PreparedRequest, errand: _Errand) -> Response:
        first, history = request, list[requests.Response]()
        max_redirects = errand.limits["request_max_redirects"]
        while response.is_redirect:
            request = self._redirected(response, request)
            if len(history) >= max_redirects:
                raise TooManyRedirectsError(
                    method=first.method or "GET",
                    url=first.url or "",
                    hops=[*(earlier.url for earlier in history[1:]), response.url, request.url or ""],
                    max_redirects=max_redirects,
                )
            if origin_of(request.url or "") != errand.home:
                self._leave_credentials(request, response, errand)
            elif origin_of(response.url) != errand.home:
                _set_cookies(request, self.cookies)  # and none that the way here was paved with
            history.append(response)
            response = self._send_once(request, errand)
        response.history = [*history, *response.history]
        return response

    def _redirected(self, response: Response, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request that a redirect asks for."""
        target, problem = str(response.headers.get("Location", "")), "which is no address"
        try:
            target = urljoin(response.url, self.get_redirect_target(response) or "")
            if target.lower().startswith(("http://", "https://")):
                redirected: requests.PreparedRequest = next(self.resolve_redirects(response, request, yield_requests=True))
                origin_of(redirected.url or "")
                return redirected
            problem = "which is not an address of HTTP"
        except (requests.RequestException, Urllib3Error, ValueError):
            pass
        raise BadRedirectError(method=request.method or "GET", url=response.url, target=target, problem=problem)

    def _leave_credentials(self, request: requests.PreparedRequest, response: Response, errand: _Errand) -> None:
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
        _set_cookies(request, errand.foreign_cookies.get(origin_of(request.url or ""), RequestsCookieJar()))

    def _transport(self, request: requests.PreparedRequest, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the connection, as `requests.Session.send` completes them."""
        settings = {"stream": self.stream, "verify": self.verify, "cert": self.cert, **given}
        if "proxies" not in settings:
            settings["proxies"] = requests.utils.resolve_proxies(request, dict(self.proxies), self.trust_env)
        if settings.get("timeout") is None:
            settings["timeout"] = self.timeout
        return settings

    def _attempt_until_answered(
        self, request: requests.PreparedRequest, errand: _Errand, transport: Mapping[str, Any]
    ) -> Response:
        retry, method, note = self.retry, request.method or "GET", ""
        renew = renewal_of(request)
        attempt, rate_limit_waits = 1, 0
        while True:
            outcome = self._attempt(request, errand, transport)
            if renew is not None and isinstance(outcome, Response) and outcome.status_code == UNAUTHORIZED:
                renew(request)
                renew = None
                self._credentials.look_at(request)
                self.traffic.count(retries=1)
                continue
            if isinstance(outcome, Exception):
                pause = retry.pause_after_error(outcome, method=method, attempt=attempt)
            else:
                pause = retry.pause_after_answer(outcome, attempt=attempt, now=self.clock.now())
            if pause is not None:
                note = self._reason_to_stop(pause, retry, attempt, rate_limit_waits, errand)
            if pause is None or note:
                return _conclude(outcome, request, attempts=attempt + rate_limit_waits, note=note, limits=errand.limits)
            attempt += pause.is_failure
            rate_limit_waits += not pause.is_failure
            self._wait(pause, request)

    def _attempt(
        self, request: requests.PreparedRequest, errand: _Errand, transport: Mapping[str, Any]
    ) -> Response | Exception:
        origin = origin_of(request.url or "")
        if self.throttle is not None:
            self.traffic.count(seconds_waited=self.throttle.wait(origin))
        limit = errand.rate_limit or limit_of(origin)
        try:
            with self._hosts.turn(request, origin, limit, self.clock, deadline=errand.deadline) as waited:
                if waited:
                    self.traffic.count(seconds_waited=waited)
                response = self._exchange(request, errand, transport)
            self._hosts.note(response, origin, self.clock, max_seconds=self.retry.max_wait_seconds)
            if errand.check is not None and response.ok and not response.is_redirect:
                errand.check(response)
        except TurnTooLateError as late:
            raise _too_late(late, request, origin, errand) from None
        except _WORTH_ANOTHER_LOOK as error:
            return error
        return response

    def _exchange(self, request: requests.PreparedRequest, errand: _Errand, transport: Mapping[str, Any]) -> Response:
        """Send once and read the body, unless the caller wants to read it piece by piece."""
        self.traffic.count(requests=1)
        started = self.clock.monotonic()
        url, bounds = request.url or "", self._bounds(errand, started)
        adapter = self._adapter(url, errand)
        timeout = _bounded(transport["timeout"], bounds) if isinstance(adapter, BoundedAdapter) else transport["timeout"]
        response = adapter.send(request, **{**transport, "stream": True, "timeout": timeout})
        response.__class__ = Response  # adapters that users mount make plain ones
        assert isinstance(response, Response)
        response.elapsed = timedelta(seconds=self.clock.monotonic() - started)
        self.traffic.count(status=response.status_code)
        if "Set-Cookie" in response.headers:
            self._keep_cookies(response, request, errand)
        if transport["stream"] and response.ok and not response.is_redirect:
            bounds.lift()
        else:
            max_body_bytes = errand.limits["request_max_body_bytes"]
            read_body(response, max_body_bytes=max_body_bytes, expect_time=bounds.seconds_left)
            self.traffic.count(bytes_received=len(response.content), seconds_answering=self.clock.monotonic() - started)
        return response

    def _keep_cookies(self, response: Response, request: requests.PreparedRequest, errand: _Errand) -> None:
        """Remember cookies where only the origin that set them gets them back; of a server that floods, the first ones."""
        origin = origin_of(request.url or "")
        is_home = origin == errand.home
        cookies = self.cookies if is_home else errand.foreign_cookies.setdefault(origin, RequestsCookieJar())
        if len(cookies) < _MOST_COOKIES:
            extract_cookies_to_jar(cookies, request, response.raw)  # type: ignore[no-untyped-call]

    def _bounds(self, errand: _Errand, started: float) -> Bounds:
        by_attempt = started + errand.limits["request_attempt_seconds"]
        return Bounds(
            self.clock,
            deadline=min(by_attempt, errand.deadline),
            deadline_limit="request_attempt_seconds" if by_attempt <= errand.deadline else "request_deadline_seconds",
            max_header_bytes=errand.limits["request_max_header_bytes"],
            max_body_bytes=errand.limits["request_max_body_bytes"],
        )

    def _adapter(self, url: str, errand: _Errand) -> requests.adapters.BaseAdapter:
        """What sends a request; to a host that nobody named, only if its address is public."""
        adapter = self.get_adapter(url=url)
        host = host_of(url)
        if host in errand.trusted_hosts:
            return adapter
        expect_public_literal(host)  # also where a proxy resolves names
        if isinstance(adapter, BoundedAdapter):
            return self._public_adapter
        expect_public(host, None)  # one that a user mounted cannot look at its connections
        return adapter

    def _reason_to_stop(
        self, pause: Pause, retry: RetryPolicy, attempt: int, rate_limit_waits: int, errand: _Errand
    ) -> str:
        if pause.is_failure and attempt >= retry.max_attempts:
            return f"It was tried request_max_attempts={retry.max_attempts} times."
        if not pause.is_failure and rate_limit_waits >= retry.max_rate_limit_waits:
            return f"The rate limit did not clear in max_rate_limit_waits={retry.max_rate_limit_waits} waits."
        if pause.seconds > retry.max_wait_seconds:
            return (
                f"The server asks to come back in {pause.seconds:.0f} s, more than max_wait_seconds="
                f"{retry.max_wait_seconds:.0f} allows (setting request_max_wait_seconds): run again then."
            )
        if self.clock.monotonic() + pause.seconds >= errand.deadline:
            seconds = errand.limits["request_deadline_seconds"]
            return f"Another attempt would pass deadline_seconds={seconds:.0f} (setting request_deadline_seconds)."
        return ""

    def _wait(self, pause: Pause, request: requests.PreparedRequest) -> None:
        _log.info("%s %s: %s; waiting %.1f s", request.method, redact_url(request.url or ""), pause.reason, pause.seconds)
        self.clock.sleep(pause.seconds)
        self.traffic.count(retries=1, seconds_waited=pause.seconds)


def _conclude(
    outcome: Response | Exception,
    request: requests.PreparedRequest,
    *,
    attempts: int,
    note: str,
    limits: Mapping[str, Any],
) -> Response:
    match outcome:
        case ResponseNotJsonError():
            raise outcome
        case Exception():
            raise failure_of(outcome, request, attempts=attempts, note=note, limits=limits) from None
    outcome.attempts, outcome.note = attempts, note
    return outcome


def _too_late(
    late: TurnTooLateError, request: requests.PreparedRequest, origin: str, errand: _Errand
) -> RequestTimedOutError:
    seconds = errand.limits["request_deadline_seconds"]
    when = "is not known" if late.seconds is None else f"comes in {late.seconds:.0f} s"
    return RequestTimedOutError(
        method=request.method or "GET",
        url=redact_url(request.url or ""),
        problem=f"its turn at {origin} {when}, past deadline_seconds={seconds:.0f} (setting request_deadline_seconds)",
        attempts=0,
        advice="Run again later, allow the host more requests by its rate limit, or raise the deadline.",
    )


def _set_cookies(request: requests.PreparedRequest, cookies: RequestsCookieJar) -> None:
    """Have a request carry these cookies, as far as they are meant for its address, and no others."""
    request.headers.pop("Cookie", None)
    if header := get_cookie_header(cookies, request):  # type: ignore[no-untyped-call]
        request.headers["Cookie"] = header


def _bounded(timeout: float | tuple[float | None, float | None] | None, bounds: Bounds) -> BoundedTimeout:
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return BoundedTimeout(bounds, connect=connect, read=read)


_default = threading.local()


def default_session() -> Session:
    """The session of this thread, for requests that name none."""
    session: Session | None = getattr(_default, "session", None)
    if session is None:
        session = _default.session = Session()
    return session
