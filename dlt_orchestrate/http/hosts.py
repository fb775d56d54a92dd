"""How many requests go to one host, and when it wants none: one account for all that a process does."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, fields
from functools import cache
from math import inf
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import requests

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import InvalidRateLimitError
from dlt_orchestrate.http.retry import quota_seconds, retry_after_seconds
from dlt_orchestrate.http.throttle import Throttle
from dlt_orchestrate.protocols.clock import Clock, SystemClock
from dlt_orchestrate.protocols.interruption import interruption

EVERY_HOST = "*"
_LOOK_AGAIN_SECONDS = 1.0
_IMPERCEPTIBLE_SECONDS = 0.001
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What a host may be asked for. Equal limits of one host are one limit, whoever holds them.

    Attributes:
        per_second: Requests a second, fractions included; None for any number.
        burst: Requests that may go at once after a rest.
        max_concurrent: Requests that wait for their answer at the same time; None for any number.

    Raises:
        InvalidRateLimitError: A number is out of range.
    """

    per_second: float | None = None
    burst: int = 1
    max_concurrent: int | None = None

    def __post_init__(self) -> None:
        for name, lowest in (("per_second", None), ("burst", 1), ("max_concurrent", 1)):
            value = getattr(self, name)
            is_number = isinstance(value, (int, float) if lowest is None else int) and not isinstance(value, bool)
            if value is None and name != "burst":
                continue
            if not is_number or not (0 < value < inf if lowest is None else value >= lowest):
                expected = "a number above 0" if lowest is None else f"a whole number of at least {lowest}"
                raise InvalidRateLimitError(setting=name, found=value, expected=expected)

    @classmethod
    def read(cls, written: Any, *, setting: str) -> RateLimit:
        """A limit as configuration writes it: a number of requests a second, or a table.

        >>> RateLimit.read({"per_second": 2.5, "max_concurrent": 4}, setting="request_rate_limits")
        RateLimit(per_second=2.5, burst=1, max_concurrent=4)

        Raises:
            InvalidRateLimitError: It is none.
        """
        if not isinstance(written, Mapping):
            return cls(per_second=written)
        names = [field.name for field in fields(cls)]
        for name in written:
            if name not in names:
                raise InvalidRateLimitError(setting=setting, found=name, expected=f"one of {', '.join(names)}")
        return cls(**written)


NO_LIMIT = RateLimit()


@dataclass(slots=True)
class _Allowance:
    """What is left of one limit of one host."""

    limit: RateLimit
    running: int = 0
    throttle: Throttle | None = field(init=False)

    def __post_init__(self) -> None:
        per_second = self.limit.per_second
        self.throttle = None if per_second is None else Throttle(per_second, burst=self.limit.burst)

    @property
    def has_room(self) -> bool:
        return self.limit.max_concurrent is None or self.running < self.limit.max_concurrent


class TurnTooLateError(Exception):
    """The turn of a request comes after its deadline.

    Attributes:
        seconds: How long it would have to wait from now; None if that is unknown.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        super().__init__(seconds)


class Hosts:
    """Whose turn it is. A host that wants no requests gets none for a while, from anybody with the same credentials."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._allowances: dict[tuple[str, RateLimit], _Allowance] = {}
        self._closed_until: dict[str, dict[bytes, float]] = defaultdict(dict)

    @contextmanager
    def turn(
        self, request: requests.PreparedRequest, origin: str, limit: RateLimit, clock: Clock, *, deadline: float = inf
    ) -> Iterator[float]:
        """Wait for the turn of a request, and hold its place while it runs; gives the seconds waited.

        Args:
            deadline: Until when it has to come, by the clock's `monotonic`.

        Raises:
            TurnTooLateError: It comes later.
        """
        if limit is NO_LIMIT and origin not in self._closed_until:
            yield 0.0
            return
        started = clock.monotonic()
        allowance = self._enter(origin, limit, clock, deadline)
        try:
            self._wait_until_open(request, origin, clock, deadline)
            if allowance.throttle is not None:
                _sleep(allowance.throttle.reserve(origin, clock.monotonic()), clock, deadline)
            self._wait_until_open(request, origin, clock, deadline)
            yield clock.monotonic() - started
        finally:
            with self._changed:
                allowance.running -= 1
                self._changed.notify()

    def note(self, answer: requests.Response, origin: str, clock: Clock, *, max_seconds: float) -> None:
        """Learn from an answer that the host wants no more requests for now.

        Args:
            max_seconds: A longer time is left to whoever asks next: the host may be wrong, and will say so again.
        """
        seconds = _closing_seconds(answer, clock)
        if seconds is None or not 0 < seconds <= max_seconds:
            return
        asker, now = _asker(answer.request), clock.monotonic()
        with self._changed:
            closed = self._closed_until[origin]
            for gone in [known for known, until in closed.items() if until <= now]:
                del closed[gone]
            closed[asker] = max(closed.get(asker, 0.0), now + seconds)

    def _enter(self, origin: str, limit: RateLimit, clock: Clock, deadline: float) -> _Allowance:
        with self._changed:
            allowance = self._allowances.setdefault((origin, limit), _Allowance(limit))
            while not allowance.has_room:
                if clock.monotonic() >= deadline:
                    raise TurnTooLateError(None)
                self._changed.wait(_LOOK_AGAIN_SECONDS)
                interruption().expect_none()
            allowance.running += 1
        return allowance

    def _wait_until_open(self, request: requests.PreparedRequest, origin: str, clock: Clock, deadline: float) -> None:
        if origin not in self._closed_until:
            return
        asker = _asker(request)
        while (seconds := self._closed_until[origin].get(asker, 0.0) - clock.monotonic()) > _IMPERCEPTIBLE_SECONDS:
            _log.info("%s wants no requests for now; waiting %.1f s", origin, seconds)
            _sleep(seconds, clock, deadline)


def hosts_of(clock: Clock) -> Hosts:
    """The account of all who go by this clock; those who go by the machine's share one."""
    if isinstance(clock, SystemClock):
        return _HOSTS
    try:
        with _lock:
            return _by_clock.setdefault(clock, Hosts())
    except TypeError:  # a clock that cannot be told from others
        return Hosts()


def limit_of(origin: str) -> RateLimit:
    """The limit that setting `request_rate_limits` of section `[runtime]` holds for a host.

    Raises:
        InvalidRateLimitError: It cannot be read.
    """
    limits = configured_limits()
    if not limits:
        return NO_LIMIT
    parts = urlsplit(origin)
    names = (parts.netloc, parts.hostname or "", EVERY_HOST)
    return next((limits[name] for name in names if name in limits), NO_LIMIT)


@cache
def configured_limits() -> Mapping[str, RateLimit]:
    """The configured limits, by host; read once a process."""
    from dlt_orchestrate.config.resolver import Resolver

    found = Resolver.from_environment().lookup("request_rate_limits", ("runtime",), dict[str, Any])
    written = {} if found is None else found.value
    return {
        host.lower(): RateLimit.read(limit, setting=f"request_rate_limits of host {host!r}")
        for host, limit in written.items()
    }


_HOSTS = Hosts()
_by_clock: WeakKeyDictionary[Clock, Hosts] = WeakKeyDictionary()
_lock = threading.Lock()


def _closing_seconds(answer: requests.Response, clock: Clock) -> float | None:
    """For how long the host wants no requests; None if it says nothing of the kind.

    Source: RFC 6585, section 4 (429); RFC 9110, section 15.6.4 (503).
    """
    now = clock.now()
    used_up = quota_seconds(answer, now=now)
    asked = retry_after_seconds(answer, now=now) if answer.status_code in (403, 429, 503) else None
    return max((seconds for seconds in (used_up, asked) if seconds is not None), default=None)


def _sleep(seconds: float, clock: Clock, deadline: float) -> None:
    if seconds <= 0:
        return
    if clock.monotonic() + seconds >= deadline:
        raise TurnTooLateError(seconds)
    clock.sleep(seconds)


def _asker(request: requests.PreparedRequest) -> bytes:
    """Whose quota a request counts against: that of its credentials."""
    credentials: Any = request.headers.get("Authorization", "")
    text = credentials if isinstance(credentials, bytes) else str(credentials).encode()
    return hashlib.blake2b(text, digest_size=16).digest()
