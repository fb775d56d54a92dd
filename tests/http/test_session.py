"""A request is tried again where that helps, waits as long as it is asked to, and ends within its limits."""

from __future__ import annotations

import gzip
import json
import pickle
import socket
from datetime import timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from loopback import Api, Asked, FakeClock, Reply

from dlt_orchestrate.errors import RequestFailedError, ResponseNotJsonError
from dlt_orchestrate.http.client import paginate
from dlt_orchestrate.http.exact_json import parse_json
from dlt_orchestrate.http.failures import BodyTooLargeError
from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import USER_AGENT, Session, default_session
from dlt_orchestrate.http.settings import configured
from dlt_orchestrate.http.throttle import Throttle


def first(bad: Reply, good: Any = ({"id": 1},), times: int = 1) -> Any:
    """Answer badly some times, then well."""
    left = [bad] * times

    def answer(_: Asked) -> Any:
        return left.pop() if left else list(good)

    return answer


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
def test_errors_that_pass_are_tried_again(api: Api, session: Session, status: int) -> None:
    api.answer = first(Reply(status=status), times=2)

    assert session.get(api.url).json() == [{"id": 1}]
    assert len(api.asked) == 3


@pytest.mark.parametrize("of_session", [{}, {"params": {"v": 2}}, {"auth": ("me", "pw")}, {"cookies": {"seen": "1"}}])
@pytest.mark.parametrize(
    "of_request",
    [
        {"params": {"page": 2, "q": None}, "headers": {"X-Team": "tea", "Accept": None}},
        {"params": [("tag", "a"), ("tag", "b")], "auth": ("you", "pw2"), "cookies": {"k": "v"}},
        {"method": "post", "json": {"after": "x"}},
        {"url": "https://api.example/netrc"},
    ],
)
def test_requests_are_prepared_as_by_requests(
    of_session: Any, of_request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine api.example login ada password tea")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    ours, theirs = Session(), requests.Session()
    for session in (ours, theirs):
        session.headers["User-Agent"] = USER_AGENT
        for name, value in of_session.items():
            (session.cookies.update if name == "cookies" else partial(setattr, session, name))(value)

    prepared = [
        session.prepare_request(requests.Request(**{"method": "get", "url": "http://127.0.0.1/a b?x=1", **of_request}))
        for session in (ours, theirs)
    ]

    first, second = ((one.method, one.url, dict(one.headers), one.body, dict(one._cookies)) for one in prepared)
    assert first == second


def test_waits_double_and_are_counted(api: Api, session: Session, clock: FakeClock) -> None:
    api.answer = first(Reply(status=503), times=4)

    session.get(api.url)

    assert clock.slept == [1, 2, 4, 8]
    assert (session.traffic.requests, session.traffic.retries, session.traffic.seconds_waited) == (5, 4, 15)


def test_after_five_attempts_the_answer_is_returned_as_requests_does(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(b"sorry", status=500)

    response = session.get(api.url)

    assert (response.status_code, response.text, len(api.asked)) == (500, "sorry", 5)
    with pytest.raises(requests.HTTPError, match=r"GET .* failed after 5 attempts: 500 Internal Server Error.*'sorry'"):
        response.raise_for_status()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_errors_that_stay_are_not_tried_again(api: Api, session: Session, status: int) -> None:
    api.answer = lambda _: Reply(status=status)

    assert session.get(api.url).status_code == status
    assert len(api.asked) == 1


def test_retry_after_in_seconds_and_as_a_date(api: Api, session: Session, clock: FakeClock) -> None:
    def answer(_: Asked) -> Any:
        match len(api.asked):
            case 1:
                return Reply(status=429, headers={"Retry-After": "7"})
            case 2:
                return Reply(
                    status=503, headers={"Retry-After": format_datetime(clock.now() + timedelta(seconds=30), usegmt=True)}
                )
            case _:
                return []

    api.answer = answer

    assert session.get(api.url).ok
    assert clock.slept == [7, 30]


def test_a_wait_beyond_the_limit_fails_at_once(api: Api, session: Session, clock: FakeClock) -> None:
    api.answer = lambda _: Reply(status=429, headers={"Retry-After": "999999"})

    with pytest.raises(RequestFailedError, match=r"asks to come back in 999999 s, more than max_wait_seconds=3600"):
        list(paginate(api.url, session=session))

    assert clock.slept == []


@pytest.mark.parametrize("status", [403, 429])
def test_githubs_rate_limit_waits_until_its_reset_and_uses_up_no_attempt(api: Api, clock: FakeClock, status: int) -> None:
    reset = int(clock.now().timestamp()) + 90
    limited = Reply(status=status, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset)})
    api.answer = first(limited, times=3)
    session = Session(retry=RetryPolicy(max_attempts=1), clock=clock)

    assert session.get(api.url).json() == [{"id": 1}]
    assert clock.slept == [91, 1, 1]


def test_githubs_secondary_limit_waits_as_it_says(api: Api, session: Session, clock: FakeClock) -> None:
    api.answer = first(Reply(status=403, headers={"Retry-After": "60"}))

    assert session.get(api.url).ok
    assert clock.slept == [60]


def test_a_rate_limit_that_never_clears_ends_in_an_error(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(status=403, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "5"})

    with pytest.raises(RequestFailedError, match=r"did not clear in max_rate_limit_waits=10 waits"):
        list(paginate(api.url, session=session))


def test_the_deadline_covers_all_attempts(api: Api, clock: FakeClock) -> None:
    api.answer = lambda _: Reply(status=503, headers={"Retry-After": "40"})
    session = Session(deadline_seconds=100, clock=clock)

    with pytest.raises(RequestFailedError, match="would pass deadline_seconds=100"):
        list(paginate(api.url, session=session))

    assert clock.slept == [40, 40]


@pytest.mark.parametrize("cut", [Reply(b'[{"id"', announced_bytes=50), Reply(b'[{"id": 1'), Reply(b"")])
def test_cut_and_damaged_pages_are_asked_for_again(api: Api, session: Session, cut: Reply) -> None:
    api.answer = first(cut)

    assert [list(page) for page in paginate(api.url, session=session)] == [[{"id": 1}]]
    assert len(api.asked) == 2


def test_a_page_that_stays_damaged_is_an_error_that_shows_it(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(b'[{"id": 1', headers={"Content-Type": "application/json"})

    with pytest.raises(
        ResponseNotJsonError, match=r"not valid JSON \(content type application/json\); it starts with '\[\{\"id\": 1'"
    ):
        list(paginate(api.url, session=session))

    assert len(api.asked) == 5


def test_a_web_page_instead_of_json_is_an_error_at_once(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(b"<html>Please log in</html>", headers={"Content-Type": "text/html"})

    with pytest.raises(ResponseNotJsonError, match=r"<html>Please log in</html>.*a login or an error page"):
        list(paginate(api.url, session=session))

    assert len(api.asked) == 1


def test_a_cut_body_that_stays_cut_is_an_error(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(b"x", announced_bytes=10)

    with pytest.raises(requests.ConnectionError, match=r"failed after 5 attempts: the answer broke off"):
        session.get(api.url)


def test_no_content_is_an_empty_page(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(status=204)

    assert [list(page) for page in paginate(api.url, session=session)] == [[]]


def test_no_server_is_an_error_that_shows_no_secret(session: Session) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    with pytest.raises(RequestFailedError, match="Connection refused") as caught:
        session.get(f"http://127.0.0.1:{port}/x", params={"api_key": "s3cret"})

    assert caught.value.attempts == 5
    assert isinstance(caught.value, requests.ConnectionError)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_silent_server_times_out(session: Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(requests.Timeout, match="no answer in time"):
        session.get(f"http://127.0.0.1:{deaf.getsockname()[1]}", timeout=0.05)


@pytest.mark.parametrize(("status", "requests_made"), [(500, 1), (502, 1), (429, 2), (503, 2)])
def test_post_is_repeated_only_where_nothing_was_done(api: Api, session: Session, status: int, requests_made: int) -> None:
    api.answer = first(Reply(status=status))

    session.post(api.url, json={})

    assert len(api.asked) == requests_made


def test_post_is_repeated_where_that_is_allowed(api: Api, clock: FakeClock) -> None:
    api.answer = first(Reply(status=500))

    assert Session(retry=RetryPolicy(retry_post=True), clock=clock).post(api.url).ok


def test_a_condition_of_ones_own(api: Api, clock: FakeClock) -> None:
    api.answer = first(Reply(b'{"state": "busy"}'))
    busy = RetryPolicy(condition=lambda response, _: response is not None and b"busy" in response.content)

    assert Session(retry=busy, clock=clock).get(api.url).json() == [{"id": 1}]


def test_a_body_that_grows_past_the_limit_ends_with_an_error(api: Api, clock: FakeClock) -> None:
    bomb = gzip.compress(bytes(20_000_000))
    api.answer = lambda _: Reply(bomb, headers={"Content-Encoding": "gzip"})
    session = Session(max_body_bytes=1_000_000, clock=clock)

    with pytest.raises(BodyTooLargeError, match="larger than max_body_bytes=1000000, counted after decompression"):
        session.get(api.url)

    assert len(bomb) < 100_000
    assert len(api.asked) == 1


def test_a_large_body_within_the_limit_is_read(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(gzip.compress(b"x" * 300_000), headers={"Content-Encoding": "gzip"})

    assert session.get(api.url).content == b"x" * 300_000
    assert session.traffic.bytes_received == 300_000


def test_a_stream_is_left_to_its_reader(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(b"one\ntwo\n")

    with session.get(api.url, stream=True) as response:
        assert list(response.iter_lines()) == [b"one", b"two"]


def test_hooks_see_the_last_attempt_only(api: Api, session: Session) -> None:
    api.answer = first(Reply(status=500))
    seen: list[int] = []

    session.get(api.url, hooks={"response": lambda response, **_: seen.append(response.status_code)})

    assert seen == [200]


def test_redirects_are_followed_and_remembered(api: Api, session: Session) -> None:
    api.answer = lambda asked: (
        Reply(status=302, headers={"Location": "/new"}) if asked.path == "/old" else {"at": asked.path}
    )

    response = session.get(f"{api.url}/old")

    assert response.json() == {"at": "/new"}
    assert [earlier.status_code for earlier in response.history] == [302]


def test_endless_redirects_end(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(status=302, headers={"Location": "/again"})

    with pytest.raises(requests.TooManyRedirects):
        session.get(api.url)


def test_cookies_are_kept(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(headers={"Set-Cookie": "visit=1"})

    session.get(api.url)
    session.get(api.url)

    assert [asked.headers.get("Cookie") for asked in api.asked] == [None, "visit=1"]


def test_the_user_agent_names_the_package(api: Api, session: Session) -> None:
    session.get(api.url)

    assert api.asked[0].headers["User-Agent"] == USER_AGENT


def test_only_http_is_spoken(session: Session) -> None:
    with pytest.raises(requests.exceptions.InvalidSchema):
        session.get("file:///etc/hostname")


def test_a_throttle_spreads_requests_for_each_host(api: Api, other_api: Api, clock: FakeClock) -> None:
    api.answer = other_api.answer = lambda _: []
    session = Session(throttle=Throttle(2, burst=2, clock=clock), clock=clock)

    for _ in range(4):
        session.get(api.url)
    session.get(other_api.url)

    assert clock.slept == [0.5, 0.5]
    assert session.traffic.seconds_waited == 1.0


def test_settings_of_the_runtime_section_are_obeyed(api: Api, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "2")
    monkeypatch.setenv("RUNTIME__REQUEST_TIMEOUT", "7")
    configured.cache_clear()
    api.answer = lambda _: Reply(status=500)
    try:
        session = Session(clock=clock)
        session.get(api.url)

        assert len(api.asked) == 2
        assert session.timeout == 7
    finally:
        configured.cache_clear()


def test_a_thread_keeps_its_default_session() -> None:
    assert default_session() is default_session()


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, 2**64, 10**30, 1.5, "\ud800", "2" * 25, {"urn:li:1234567890123456789": [0.1234567890123456789]}],
)
def test_json_is_read_exactly(value: Any) -> None:
    assert parse_json(json.dumps([value, {"k": value}]).encode()) == [value, {"k": value}]
    assert type(parse_json(json.dumps(value).encode())) is type(value)


LONG_TEXTS = st.sampled_from(["9" * 25, ",1234567890123456789", "[" + "1" * 40, ": -1111111111111111111", "0" * 18, ""])
LONG = (
    st.integers(-(10**40), 10**40)
    | st.integers(-(10**21), -(10**18))
    | st.integers(10**18, 10**21)
    | st.floats(allow_nan=False)
    | LONG_TEXTS
)


@given(
    st.lists(LONG | st.dictionaries(LONG_TEXTS, LONG | st.lists(LONG, max_size=2), max_size=2), max_size=4), st.booleans()
)
def test_digits_wherever_they_stand_are_read_exactly(value: Any, is_spaced: bool) -> None:
    text = json.dumps(value, indent=1 if is_spaced else None, separators=None if is_spaced else (",", ":"))

    assert repr(parse_json(text.encode())) == repr(value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_json_is_read_in_the_encoding_it_came_in(api: Api, session: Session, encoding: str) -> None:
    api.answer = lambda _: Reply(
        '[{"name": "Zoë"}]'.encode(encoding), headers={"Content-Type": f"text/plain; charset={encoding}"}
    )

    assert session.get(api.url).json() == [{"name": "Zoë"}]


def test_an_answer_survives_pickling(api: Api, session: Session) -> None:
    api.answer = lambda _: {"id": 1}

    assert pickle.loads(pickle.dumps(session.get(api.url))).json() == {"id": 1}
