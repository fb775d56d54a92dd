"""The schedule of attempts and waits, in simulated time: thousands of histories of a network that does what it likes."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from math import inf, isfinite
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback import FakeClock
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from dlt_orchestrate.errors import RequestFailedError
from dlt_orchestrate.http.retry import RetryPolicy, retry_after_seconds
from dlt_orchestrate.http.session import Session

URL = "http://api.example/items"
ERRORS = (requests.ConnectionError, requests.ReadTimeout, requests.exceptions.ChunkedEncodingError)


@dataclass(frozen=True)
class Event:
    """What the network does with one request.

    Attributes:
        status: Of the answer; 0 for none.
        asks: Seconds that `Retry-After` asks for; None for no such header.
        as_date: It is written as a date.
        written: The header instead, where it is unreadable.
        resets_in: Seconds until a used-up rate limit resets; None for another answer.
        takes: Seconds until the answer.
    """

    status: int
    takes: float
    asks: int | None = None
    as_date: bool = False
    written: str | None = None
    resets_in: int | None = None


@dataclass
class Network(BaseAdapter):
    """Lets events happen, one a request, the last for ever; `happened` remembers when each began."""

    clock: FakeClock
    script: list[Event]
    happened: list[tuple[float, Event]] = field(default_factory=list)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        event = self.script[min(len(self.happened), len(self.script) - 1)]
        self.happened.append((self.clock.monotonic(), event))
        self.clock.moment += timedelta(seconds=event.takes)
        if event.status == 0:
            raise ERRORS[len(self.happened) % len(ERRORS)]("the network is down")
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = event.status, URL, request
        answer.raw = HTTPResponse(body=io.BytesIO(b"[]"), preload_content=False)
        if event.written is not None:
            answer.headers["Retry-After"] = event.written
        elif event.asks is not None:
            moment = self.clock.now() + timedelta(seconds=event.asks)
            answer.headers["Retry-After"] = format_datetime(moment, usegmt=True) if event.as_date else str(event.asks)
        if event.resets_in is not None:
            reset = int(self.clock.now().timestamp()) + event.resets_in
            answer.headers.update({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)})
        return answer

    def close(self) -> None:
        pass


UNREADABLE = ("", "soon", "-5", "1e3", "0x10", "12.5", "\t", "Fri, 31 Dec 99999 23:59:59 GMT", "²", "5, 6")
TAKES = st.sampled_from([0.0, 0.25, 3.0, 60.0])
EVENTS = st.one_of(
    st.builds(Event, st.sampled_from([200, 200, 404, 0]), TAKES),
    st.builds(Event, st.sampled_from([408, 425, 429, 500, 503]), TAKES),
    st.builds(
        Event, st.sampled_from([429, 503]), TAKES, asks=st.sampled_from([0, 1, 30, 3000, 10**9]), as_date=st.booleans()
    ),
    st.builds(Event, st.just(429), TAKES, written=st.sampled_from(UNREADABLE)),
    st.builds(Event, st.sampled_from([403, 429]), TAKES, resets_in=st.integers(-10, 5000)),
)
POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 8),
    backoff_seconds=st.sampled_from([0.0, 0.5, 1.0, 100.0]),
    max_backoff_seconds=st.sampled_from([0.0, 10.0, 300.0, 10_000.0]),
    max_wait_seconds=st.sampled_from([0.0, 60.0, 3600.0]),
    max_rate_limit_waits=st.integers(0, 4),
)


def play(script: list[Event], policy: RetryPolicy, deadline: float, seed: int) -> tuple[Network, list[float], Any]:
    """The network after a request, the waits between attempts, and how it ended: with an answer or an error."""
    clock = FakeClock()
    network = Network(clock, script)
    draw = random.Random(seed).random
    policy = RetryPolicy(**{name: getattr(policy, name) for name in policy.__slots__} | {"draw": draw})
    with Session(retry=policy, deadline_seconds=deadline, attempt_seconds=inf, clock=clock) as session:
        session.mount("http://", network)
        try:
            ending: Any = session.get(URL).status_code
        except RequestFailedError as error:
            ending = error
    return network, clock.slept, ending


def obeys_all_laws(script: list[Event], policy: RetryPolicy, deadline: float, seed: int) -> None:
    network, waits, ending = play(script, policy, deadline, seed)
    started = network.happened[0][0]
    events = [event for _, event in network.happened]

    # Waits lie between attempts, and neither they nor the beginning of an attempt lie behind the deadline.
    assert len(waits) == len(events) - 1
    assert sum(waits) < deadline or not waits
    assert all(moment - started < deadline for moment, _ in network.happened)

    failures = 0
    for event, wait in zip(events, waits, strict=False):
        is_rate_limit = event.resets_in is not None or (event.status == 403 and event.asks is not None)
        failures += not is_rate_limit
        asked = [seconds for seconds in (event.asks, event.resets_in) if seconds is not None]
        if event.status in (200, 404):
            pytest.fail("An answer that stays as it is was asked for again.")
        # Never before the moment that the server names; dates have no fractions of a second.
        assert all(wait >= seconds - event.as_date for seconds in asked)
        assert wait <= policy.max_wait_seconds
        if not asked:
            assert 0 <= wait <= min(policy.max_backoff_seconds, policy.backoff_seconds * 2 ** (failures - 1))
    assert failures < policy.max_attempts
    assert len(waits) - failures <= policy.max_rate_limit_waits

    # It ends with what happened last.
    moment, last = network.happened[-1]
    if last.status == 0 or moment + last.takes - started >= deadline:
        assert isinstance(ending, RequestFailedError)
        assert ending.attempts == len(events)
    else:
        assert ending == last.status
    assert play(script, policy, deadline, seed)[1] == waits


HISTORIES = (st.lists(EVENTS, min_size=1, max_size=12), POLICIES, st.sampled_from([0.5, 50.0, 7200.0]), st.integers(0, 9))


@given(*HISTORIES)
@settings(max_examples=400)
def test_waits_obey_the_server_the_policy_and_the_deadline(
    script: list[Event], policy: RetryPolicy, deadline: float, seed: int
) -> None:
    obeys_all_laws(script, policy, deadline, seed)


@pytest.mark.slow
@given(*HISTORIES)
@settings(max_examples=10_000)
def test_waits_obey_in_ten_thousand_histories(script: list[Event], policy: RetryPolicy, deadline: float, seed: int) -> None:
    obeys_all_laws(script, policy, deadline, seed)


@given(
    st.text() | st.text(alphabet="0123456789 ,:GMTJanFri+-") | st.integers().map(str) | st.datetimes().map(format_datetime)
)
def test_whatever_a_server_writes_into_retry_after_is_a_time_or_nothing(text: str) -> None:
    answer = requests.Response()
    answer.headers["Retry-After"] = text

    seconds = retry_after_seconds(answer, now=FakeClock().now())

    assert seconds is None or (seconds >= 0 and isfinite(seconds))


def test_clients_that_failed_together_come_back_spread() -> None:
    policy = RetryPolicy(backoff_seconds=100.0, max_attempts=2)
    waits = sorted(play([Event(503, 0.0)], policy, 7200.0, seed)[1][0] for seed in range(200))

    assert all(0 <= wait <= 100 for wait in waits)
    spread = [sum(low <= wait < low + 25 for wait in waits) for low in (0, 25, 50, 75)]
    assert min(spread) > 25
