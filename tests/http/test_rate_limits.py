"""A host gets no more requests than it wants, however many threads, sessions and resources of a process ask it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from loopback import Api, Asked, FakeClock, Reply

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import InvalidRateLimitError, RequestFailedError
from dlt_orchestrate.http.hosts import configured_limits
from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.sources.helpers.rest_client import RateLimit, RESTClient
from dlt_orchestrate.sources.helpers.rest_client.auth import BearerTokenAuth


def session_of(clock: FakeClock, **settings: Any) -> Session:
    return Session(retry=RetryPolicy(draw=lambda: 1.0), clock=clock, **settings)


class Crowd:
    """Answers only when `wanted` requests are there at once, or when no more come; remembers how many were."""

    def __init__(self, wanted: int) -> None:
        self.most = 0
        self._there = 0
        self._lock = threading.Lock()
        self._full = threading.Event()
        self._wanted = wanted

    def answer(self, asked: Asked) -> Any:
        with self._lock:
            self._there += 1
            self.most = max(self.most, self._there)
            if self._there >= self._wanted:
                self._full.set()
        self._full.wait(5)
        with self._lock:
            self._there -= 1
        return []


@pytest.mark.parametrize("session_type", [Session, requests.Session])
def test_clients_with_equal_limits_share_the_places_of_a_host(api: Api, session_type: type[requests.Session]) -> None:
    crowd = Crowd(wanted=2)
    api.answer = crowd.answer

    def read(number: int) -> None:
        with session_type() as session:
            RESTClient(api.url, session=session, rate_limit=RateLimit(max_concurrent=2)).get(str(number))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(read, range(6)))

    assert (crowd.most, len(api.asked)) == (2, 6)


def test_sessions_with_equal_limits_share_the_pace_of_a_host(api: Api, other_api: Api, clock: FakeClock) -> None:
    api.answer = other_api.answer = lambda _: []
    sessions = [session_of(clock, rate_limit=RateLimit(per_second=2, burst=2)) for _ in range(4)]

    for session in sessions:
        session.get(api.url)
        session.get(other_api.url)

    assert clock.slept == [0.5, 0.5]  # two in a burst, then one every half second; the other host's came due meanwhile
    assert sum(session.traffic.seconds_waited for session in sessions) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (Reply(status=429, headers={"Retry-After": "20"}), 20),
        (Reply(status=503, headers={"Retry-After": "20"}), 20),
        (Reply(status=403, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "19"}), 20),
        (Reply(b"[]", headers={"RateLimit-Remaining": "0", "RateLimit-Reset": "19"}), 20),
        (Reply(b"[]", headers={"X-Rate-Limit-Remaining": "1", "X-Rate-Limit-Reset": "19"}), 0),
        (Reply(status=500, headers={"Retry-After": "20"}), 0),
    ],
)
def test_what_a_host_tells_one_session_holds_for_all(api: Api, clock: FakeClock, refusal: Reply, seconds: int) -> None:
    api.answer = lambda asked: refusal if asked.path == "/first" else []
    with Session(retry=RetryPolicy(max_attempts=1, max_rate_limit_waits=0), clock=clock) as hasty:
        hasty.get(f"{api.url}/first")
    asked_again = session_of(clock)

    asked_again.get(f"{api.url}/second")

    assert clock.slept == ([seconds] if seconds else [])
    assert (asked_again.traffic.retries, asked_again.traffic.seconds_waited) == (0, seconds)
    assert [asked.path for asked in api.asked] == ["/first", "/second"]


def test_a_used_up_quota_holds_for_the_credentials_it_belongs_to(api: Api, clock: FakeClock) -> None:
    used_up = Reply(b"[]", headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "600"})
    api.answer = lambda asked: used_up if asked.path == "/used" else []
    session = session_of(clock)
    RESTClient(api.url, auth=BearerTokenAuth("token-of-one"), session=session).get("used")

    RESTClient(api.url, auth=BearerTokenAuth("token-of-another"), session=session).get("other")
    assert clock.slept == []

    RESTClient(api.url, auth=BearerTokenAuth("token-of-one"), session=session).get("same")
    assert clock.slept == [601]


def test_a_host_may_not_close_itself_for_longer_than_requests_wait(api: Api, clock: FakeClock) -> None:
    api.answer = lambda _: Reply(b"[]", headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "90000"})
    session = session_of(clock)

    session.get(api.url)
    session.get(api.url)

    assert clock.slept == []


def test_a_turn_that_comes_after_the_deadline_is_not_waited_for(api: Api, clock: FakeClock) -> None:
    api.answer = lambda _: []
    session = session_of(clock, rate_limit=RateLimit(per_second=0.01), deadline_seconds=60)
    session.get(api.url)

    with pytest.raises(RequestFailedError, match=r"its turn at .* comes in 100 s, past deadline_seconds=60"):
        session.get(api.url)


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    configured_limits.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    configured_limits.cache_clear()


def test_limits_are_configured_by_host(api: Api, configured: pytest.MonkeyPatch, clock: FakeClock, tmp_path: Path) -> None:
    api.answer = lambda _: []
    host = api.url.removeprefix("http://")
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text(
        f'[runtime.request_rate_limits]\n"*" = 1000\n[runtime.request_rate_limits."{host}"]\nper_second = 0.5\nburst = 2\n'
    )
    configured.chdir(tmp_path)
    session = session_of(clock)

    for _ in range(4):
        session.get(api.url)
    assert clock.slept == [2, 2]

    RESTClient(api.url, session=session, rate_limit=RateLimit(per_second=4)).get()  # a given limit goes before
    RESTClient(api.url, session=session, rate_limit=RateLimit(per_second=4)).get()
    assert clock.slept == [2, 2, 0.25]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('{"api.example": {"per_minute": 5}}', "request_rate_limits of host 'api.example' is 'per_minute'"),
        ('{"*": {"per_second": 0}}', "per_second is 0, but must be a number above 0"),
        ('{"*": {"max_concurrent": 1.5}}', "max_concurrent is 1.5, but must be a whole number of at least 1"),
        ('{"*": "many"}', "per_second is 'many'"),
    ],
)
def test_a_limit_that_is_none_says_what_it_may_be(
    api: Api, configured: pytest.MonkeyPatch, written: str, message: str
) -> None:
    configured.setenv("RUNTIME__REQUEST_RATE_LIMITS", written)

    with pytest.raises(InvalidRateLimitError, match=re.escape(message)):
        Session().get(api.url)
    assert api.asked == []


def test_concurrent_resources_of_a_run_share_a_limit(api: Api) -> None:
    crowd = Crowd(wanted=2)

    def answer(asked: Asked) -> Any:
        crowd.answer(asked)
        return [{"id": asked.path}]

    api.answer = answer

    @dlt.source
    def shop():
        for name in ("a", "b", "c", "d"):

            @dlt.resource(name=name, parallelized=True)
            def items(name: str = name):
                yield from RESTClient(api.url, rate_limit=RateLimit(max_concurrent=2)).paginate(name)

            yield items

    pipeline = dlt.pipeline("shop", destination=dlt.destinations.memory())
    pipeline.run(shop())

    assert pipeline.last_trace.last_normalize_info.row_counts == {"a": 1, "b": 1, "c": 1, "d": 1}
    assert (crowd.most, len(api.asked)) == (2, 4)


def test_hooks_see_every_request_and_answer_and_settings_of_the_connection_pass(api: Api, session: Session) -> None:
    api.answer = lambda asked: {"items": [{"id": len(api.asked)}], "next": "/?page=2" if len(api.asked) < 2 else None}
    seen: list[str] = []

    def sign(request: requests.PreparedRequest) -> None:
        request.headers["Signature"] = f"signed {request.path_url}"

    def look(response: requests.Response, *_: Any, **__: Any) -> None:
        seen.append(response.url)

    client = RESTClient(api.url, session=session)
    pages = list(client.paginate(hooks={"request": sign, "response": [look]}, timeout=3, allow_redirects=False))

    assert pages == [[{"id": 1}], [{"id": 2}]]
    assert [asked.headers["Signature"] for asked in api.asked] == ["signed /", "signed /?page=2"]
    assert seen == [f"{api.url}/", f"{api.url}/?page=2"]
    with pytest.raises(TypeError, match="unexpected keyword argument 'tiemout'"):
        client.paginate(tiemout=3)
