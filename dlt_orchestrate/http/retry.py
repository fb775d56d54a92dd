"""When a request is tried again, and after how long: decisions only, no waiting."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import requests
from urllib3.exceptions import (
    ConnectTimeoutError,
    LocationValueError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
)

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import ResponseNotJsonError
from dlt_orchestrate.http.failures import is_too_large, shown

RETRIED_STATUS_CODES = frozenset({408, 425, 429, *range(500, 600)})
"""Request timeout, too early, too many requests, and whatever the server blames on itself."""

_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_UNPROCESSED_STATUS_CODES = frozenset({429, 503})
_EPOCH_FROM = 1_000_000_000
_CLOCK_MARGIN_SECONDS = 1.0
_QUOTA_HEADERS = ("x-ratelimit", "x-rate-limit", "ratelimit", "rate-limit")

RetryCondition = Callable[[requests.Response | None, BaseException | None], bool]


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait before the next attempt.

    Attributes:
        seconds: How long.
        reason: What made it necessary, for the log.
        is_failure: Whether it uses up an attempt; waiting for a rate limit to reset does not.
    """

    seconds: float
    reason: str
    is_failure: bool = True


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """What is tried again, and how often.

    Attributes:
        max_attempts: Failures of one request after which it fails for good.
        backoff_seconds: The longest wait after the first failure; it doubles with every further one (full jitter: the wait
            is drawn between zero and that).
        max_backoff_seconds: Where the doubling ends.
        max_wait_seconds: The longest wait at all; a server that asks for more makes the request fail at once.
        max_rate_limit_waits: How often one request waits for a rate limit to reset.
        retry_post: Whether POST and PATCH are repeated also after failures that the server may have acted on.
        condition: Tells further answers and errors that are worth another attempt.
        draw: Random numbers from 0 to 1.
    """

    max_attempts: int = 5
    backoff_seconds: float = 1.0
    max_backoff_seconds: float = 300.0
    max_wait_seconds: float = 3600.0
    max_rate_limit_waits: int = 10
    status_codes: frozenset[int] = RETRIED_STATUS_CODES
    retry_post: bool = False
    condition: RetryCondition | None = None
    draw: Callable[[], float] = field(default=random.random)

    def pause_after_answer(self, answer: requests.Response, *, attempt: int, now: datetime) -> Pause | None:
        """How long to wait before asking again; None if the answer is to be taken as it is."""
        reason = f"{answer.status_code} {shown(answer.reason or '')}".strip()
        asked = retry_after_seconds(answer, now=now)
        if (reset := _rate_limit_seconds(answer, now=now)) is not None:
            return Pause(max(reset, asked or 0.0), f"{reason}, rate limit used up", is_failure=False)
        if not self._is_worth_repeating(answer):
            return None
        return Pause(self._backoff(attempt) if asked is None else asked, reason)

    def pause_after_error(self, error: Exception, *, method: str, attempt: int) -> Pause | None:
        """How long to wait before asking again; None if another attempt makes no sense."""
        is_certificate = isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)
        is_web_page = isinstance(error, ResponseNotJsonError) and "html" in error.content_type.lower()
        is_hopeless = is_certificate or is_web_page or is_too_large(error) or isinstance(error, LocationValueError)
        wanted = not is_hopeless and (self._may_repeat(method) or _never_arrived(error))
        if not wanted and not (self.condition is not None and self.condition(None, error)):
            return None
        return Pause(self._backoff(attempt), type(error).__name__)

    def _is_worth_repeating(self, answer: requests.Response) -> bool:
        status, method = answer.status_code, answer.request.method or "GET"
        if self.condition is not None and self.condition(answer, None):
            return True
        return status in self.status_codes and (self._may_repeat(method) or status in _UNPROCESSED_STATUS_CODES)

    def _may_repeat(self, method: str) -> bool:
        return self.retry_post or method.upper() in _REPEATABLE_METHODS

    def _backoff(self, attempt: int) -> float:
        """Full jitter: clients that failed together do not come back together."""
        longest = min(self.max_backoff_seconds, self.max_wait_seconds)
        ceiling = min(longest, self.backoff_seconds * 2.0 ** min(attempt - 1, 32))
        return self.draw() * ceiling


def retry_after_seconds(answer: requests.Response, *, now: datetime) -> float | None:
    """What `Retry-After` asks for, given as seconds or as a date; None if it asks for nothing readable.

    Source: RFC 9110, section 10.2.3.
    """
    text = answer.headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def quota_seconds(answer: requests.Response, *, now: datetime) -> float | None:
    """How long until a quota resets that the answer says is used up; None if there is something left of it.

    It is told by a number of requests that remain, 0, and the moment of the reset: seconds since 1970 as GitHub gives it,
    or seconds from now, as others do.

    Source: GitHub's documentation of its REST API; draft-ietf-httpapi-ratelimit-headers-03 for the names without `X-`.
    """
    for prefix in _QUOTA_HEADERS:
        if answer.headers.get(f"{prefix}-remaining", "").strip() != "0":
            continue
        reset = answer.headers.get(f"{prefix}-reset", "").strip().split(".")[0]
        if reset.isascii() and reset.isdigit():
            seconds = float(reset[:12]) - (now.timestamp() if int(reset[:12]) >= _EPOCH_FROM else 0.0)
            return max(0.0, seconds) + _CLOCK_MARGIN_SECONDS
    return None


def _rate_limit_seconds(answer: requests.Response, *, now: datetime) -> float | None:
    """How long until the rate limit resets, if this is what the answer is about.

    GitHub answers 403 or 429 with `x-ratelimit-remaining: 0` and the moment of the reset; where its secondary limit is hit,
    403 with `Retry-After`.
    """
    if answer.status_code not in (403, 429):
        return None
    if (seconds := quota_seconds(answer, now=now)) is not None:
        return seconds
    if answer.status_code == 403 and retry_after_seconds(answer, now=now) is not None:
        return _CLOCK_MARGIN_SECONDS
    return None


def _never_arrived(error: Exception) -> bool:
    """Whether the connection failed before the server could see the request."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    reason = next(iter(error.args), None)
    reason = reason.reason if isinstance(reason, MaxRetryError) else reason
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError, NameResolutionError))
