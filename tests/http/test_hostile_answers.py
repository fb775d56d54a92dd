"""Whatever a server sends, a request ends: in bounded time and memory, with an error that says what was wrong."""

from __future__ import annotations

import gzip
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hostile import Behaviour, HostileServer, answer, deflate_bomb, drip, flood, gzip_bomb, head, then
from loopback import FakeClock

from dlt_orchestrate.errors import IngestError, RequestFailedError, ResponseNotJsonError
from dlt_orchestrate.http.client import paginate
from dlt_orchestrate.http.failures import (
    BodyTooLargeError,
    HeaderTooLargeError,
    RequestTimedOutError,
    TooManyRedirectsError,
)
from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import Session

SECRET = "marked-secret-0815"
GOOD = answer([{"id": 1}])


@pytest.fixture
def impatient() -> Iterator[Session]:
    """Real time, and little of it."""
    retry = RetryPolicy(max_attempts=2, backoff_seconds=0)
    with Session(attempt_seconds=0.15, request_timeout=5, retry=retry, max_body_bytes=1_000_000) as session:
        yield session


def fail(server: HostileServer, session: Session, behave: Behaviour, **arguments: Any) -> IngestError:
    """The error that ends paging through this behaviour; it shows the address and no secret."""
    server.behave = behave
    with pytest.raises(IngestError) as caught:
        list(paginate(f"{server.url}/items", session=session, params={"api_key": SECRET}, **arguments))
    message = str(caught.value)
    assert server.url in message
    assert SECRET not in message
    assert len(message) < 1_200
    assert message.isprintable()
    return caught.value


# --- time --------------------------------------------------------------------------------------------------------

DRIPS = {
    "the status line": drip(b"HTTP/1.1 2", b"0"),
    "a header": drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
    "headers": drip(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
    "answers that say continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body of known length": drip(head("Content-Length: 100000")),
    "a body that ends with the connection": drip(head()),
    "chunks": drip(head("Transfer-Encoding: chunked"), b"1\r\n \r\n"),
    "the length of a chunk": drip(head("Transfer-Encoding: chunked"), b"0"),
    "the trailers": drip(head("Transfer-Encoding: chunked") + b"0\r\n", b"A: b\r\n"),
    "a compressed body": drip(head("Content-Encoding: gzip") + gzip_bomb(1)[:12], b"\x00"),
    "the body of an error": drip(head("Content-Length: 100000", status="404 Not Found")),
    "the body of a redirect": drip(head("Content-Length: 100000", "Location: /x", status="302 Found")),
    "nothing": lambda _: [60.0],
}


@pytest.mark.parametrize("behave", DRIPS.values(), ids=DRIPS.keys())
def test_a_server_that_sends_a_byte_now_and_then_is_cut_at_the_deadline(
    hostile: HostileServer, impatient: Session, behave: Behaviour
) -> None:
    error = fail(hostile, impatient, behave)

    assert isinstance(error, RequestTimedOutError)
    assert isinstance(error, requests.Timeout)
    assert "failed after 2 attempts: the answer was not complete within request_attempt_seconds=0.15" in str(error)
    assert "set request_attempt_seconds in section [runtime]" in str(error)


def test_the_deadline_of_the_request_cuts_an_answer_too(hostile: HostileServer) -> None:
    with Session(deadline_seconds=0.15, request_timeout=5) as session:
        error = fail(hostile, session, drip(head()))

    assert "the answer was not complete within request_deadline_seconds=0.15" in str(error)
    assert "failed after 1 attempt" in str(error)
    assert "would pass deadline_seconds" in str(error)


def test_the_timeout_for_each_piece_still_counts(hostile: HostileServer) -> None:
    with Session(request_timeout=0.05, retry=RetryPolicy(max_attempts=1)) as session:
        error = fail(hostile, session, lambda _: [head("Content-Length: 10"), b"[", 60.0])

    assert isinstance(error, requests.Timeout)
    assert "no answer in time" in str(error)


def test_an_answer_that_was_too_slow_once_is_asked_for_again(hostile: HostileServer, clock: FakeClock) -> None:
    def slow(_: Any) -> Iterator[bytes]:
        yield head()
        clock.sleep(301)
        yield b"[]"

    hostile.behave = then(slow, GOOD)

    with Session(clock=clock) as session:
        assert [list(page) for page in paginate(hostile.url, session=session)] == [[{"id": 1}]]


def test_redirects_share_one_deadline(hostile: HostileServer, clock: FakeClock) -> None:
    def behave(asked: Any) -> list[bytes]:
        clock.sleep(40)
        return [answer(b"", f"Location: /{len(hostile.asked)}", status="302 Found")]

    with Session(deadline_seconds=100, attempt_seconds=1000, clock=clock) as session:
        error = fail(hostile, session, behave)

    assert isinstance(error, RequestTimedOutError)
    assert "request_deadline_seconds=100" in str(error)
    assert len(hostile.asked) == 3


def test_a_stream_is_not_cut_at_the_deadline(hostile: HostileServer, clock: FakeClock) -> None:
    has_head = threading.Event()

    def behave(_: Any) -> Iterator[bytes]:
        yield head()
        has_head.wait()
        clock.sleep(301)
        yield b"one\ntwo\n"

    hostile.behave = behave

    with Session(clock=clock, max_body_bytes=1) as session, session.get(hostile.url, stream=True) as response:
        has_head.set()
        assert list(response.iter_lines()) == [b"one", b"two"]


# --- size --------------------------------------------------------------------------------------------------------

BOMBS = {
    "gzip": answer(gzip_bomb(64), "Content-Encoding: gzip"),
    "deflate": answer(deflate_bomb(64), "Content-Encoding: deflate"),
    "gzip in gzip": answer(gzip.compress(gzip_bomb(64)), "Content-Encoding: gzip, gzip"),
    "many small members": answer(gzip.compress(bytes(100_000)) * 500, "Content-Encoding: gzip"),
    "an error": answer(gzip_bomb(64), "Content-Encoding: gzip", status="404 Not Found"),
    "a redirect": answer(gzip_bomb(64), "Content-Encoding: gzip", "Location: /x", status="302 Found"),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_ends_with_an_error_in_bounded_memory(hostile: HostileServer, clock: FakeClock, bomb: bytes) -> None:
    limit = 2_000_000
    tracemalloc.start()
    try:
        with Session(max_body_bytes=limit, clock=clock) as session:
            error = fail(hostile, session, lambda _: [bomb])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert isinstance(error, BodyTooLargeError)
    assert isinstance(error, requests.RequestException)
    assert "larger than max_body_bytes=2000000, counted after decompression" in str(error)
    assert "request_max_body_bytes in section [runtime]" in str(error)
    assert peak < 3 * limit
    assert len(hostile.asked) == 1


@pytest.mark.slow
def test_a_gigabyte_of_zeros_in_four_megabytes_ends_in_bounded_memory(hostile: HostileServer) -> None:
    bomb = answer(gzip_bomb(1024, level=1), "Content-Encoding: gzip")
    assert len(bomb) < 5_000_000

    tracemalloc.start()
    try:
        with Session() as session:
            error = fail(hostile, session, lambda _: [bomb])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert isinstance(error, BodyTooLargeError)
    assert peak < 300 * 1024 * 1024


FLOODS = {
    "the status line": flood(b"HTTP/1.1 200 ", b"O" * 60_000),
    "a header": flood(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 60_000),
    "headers": flood(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1_000),
    "long headers": flood(b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 50_000 + b"\r\n"),
    "answers that say continue": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
}


@pytest.mark.parametrize("behave", FLOODS.values(), ids=FLOODS.keys())
def test_a_head_without_end_is_an_error_at_once(hostile: HostileServer, clock: FakeClock, behave: Behaviour) -> None:
    with Session(max_header_bytes=100_000, clock=clock) as session:
        error = fail(hostile, session, behave)

    assert isinstance(error, HeaderTooLargeError)
    assert "request_max_header_bytes=100000" in str(error)
    assert len(hostile.asked) == 1


ENDLESS_BODIES = {
    "of no length": flood(head(), b" " * 60_000),
    "in chunks": flood(head("Transfer-Encoding: chunked"), b"ffff\r\n" + b" " * 0xFFFF + b"\r\n"),
    "in chunks that are mostly their own length": flood(head("Transfer-Encoding: chunked"), b"0" * 200 + b"1\r\n \r\n"),
    "with trailers": flood(head("Transfer-Encoding: chunked") + b"0\r\n", b"A: b\r\n" * 1_000),
    "of a compression that yields nothing": flood(head("Content-Encoding: deflate"), b"\x00\x00\x00\xff\xff" * 10_000),
}


@pytest.mark.parametrize("behave", ENDLESS_BODIES.values(), ids=ENDLESS_BODIES.keys())
def test_a_body_without_end_is_an_error_at_once(hostile: HostileServer, clock: FakeClock, behave: Behaviour) -> None:
    with Session(max_body_bytes=100_000, clock=clock) as session:
        error = fail(hostile, session, behave)

    assert isinstance(error, BodyTooLargeError)
    assert len(hostile.asked) == 1


# --- what is no answer -------------------------------------------------------------------------------------------

DAMAGED = {
    "nothing at all": (lambda _: [], "the connection broke before there was an answer"),
    "no HTTP": (lambda _: [b"SSH-2.0-OpenSSH_9.2\r\n"], "the answer was no HTTP"),
    "a long line that is no HTTP": (lambda _: [b"\x1b[31m" + b"x" * 60_000 + b"\r\n"], "the answer was no HTTP"),
    "a long content type": (lambda _: [answer(b"{", "Content-Type: x/\x1b[31m" + "y" * 60_000)], "is not valid JSON"),
    "a long reason": (lambda _: [answer(b"", status="500 " + "\x1b[31m" + "no" * 30_000)], "failed after 3 attempts: 500"),
    "half a head": (lambda _: [b"HTTP/1.1 200 OK\r\nContent-Le"], ""),
    "a status of letters": (lambda _: [b"HTTP/1.1 abc OK\r\n\r\n"], "the answer was no HTTP"),
    "half a body": (lambda _: [answer(b'[{"id": 1}, {"id"', length=4_000)], "the answer broke off or was damaged"),
    "half a chunk": (lambda _: [head("Transfer-Encoding: chunked"), b"ff\r\n[{"], "the answer broke off or was damaged"),
    "no last chunk": (
        lambda _: [head("Transfer-Encoding: chunked"), b"2\r\n[]\r\n"],
        "the answer broke off or was damaged",
    ),
    "a chunk of no length": (lambda _: [head("Transfer-Encoding: chunked"), b"zz\r\n[]\r\n"], "the answer broke off"),
    "a chunk of a huge length": (lambda _: [head("Transfer-Encoding: chunked"), b"f" * 40 + b"\r\n[]"], ""),
    "a chunk of a negative length": (lambda _: [head("Transfer-Encoding: chunked"), b"-5\r\n[]"], ""),
    "a negative length": (lambda _: [answer(b"[", length=-5)], ""),
    "two lengths": (lambda _: [answer(b"[]", "Content-Length: 5")], "contradicts itself"),
    "a length of letters": (lambda _: [answer(b"[", length="many")], ""),
    "a length beyond all bounds": (lambda _: [answer(b"[]", length="9" * 400)], ""),
    "a length that is too short": (lambda _: [answer(b'[{"id": 1}]', length=5)], "is not valid JSON"),
    "gzip that is none": (lambda _: [answer(b"[]", "Content-Encoding: gzip")], "the answer broke off or was damaged"),
    "gzip cut short": (lambda _: [answer(gzip_bomb(1)[:40], "Content-Encoding: gzip")], ""),
    "too many compressions": (
        lambda _: [answer(b"[]", "Content-Encoding: " + ", ".join(["gzip"] * 50))],
        "the answer broke off or was damaged",
    ),
    "brotli": (lambda _: [answer(b"\x8b\x00\x80[]\x03", "Content-Encoding: br")], "is compressed by 'br', which nothing"),
    "an empty body": (lambda _: [answer(b"")], "is empty, where JSON was expected"),
    "a blank body": (lambda _: [answer(b" \r\n")], "is not valid JSON"),
    "half of JSON": (lambda _: [answer(b'[{"id": 1}, {"id": 2')], "is not valid JSON"),
    "JSON twice": (lambda _: [answer(b"[][]")], "is not valid JSON"),
    "JSON of no end": (lambda _: [answer(b"[" * 500_000)], "is not valid JSON"),
    "JSON of dictionaries without end": (lambda _: [answer(b'{"a":' * 200_000)], "is not valid JSON"),
    "a number of a million digits": (lambda _: [answer(b"[" + b"9" * 1_000_000 + b"]")], "is not valid JSON"),
    "bytes of no text": (lambda _: [answer(b'[{"id": "\xe9\xff"}]')], "is no text in its encoding, utf-8"),
    "another encoding than it says": (
        lambda _: [answer('["Zoë"]'.encode("latin-1"), "Content-Type: application/json; charset=ascii")],
        "is no text in its encoding, ascii",
    ),
    "an encoding that does not exist": (
        lambda _: [answer('["Zoë"]'.encode("latin-1"), "Content-Type: application/json; charset=martian")],
        "is no text in its encoding, martian",
    ),
}


@pytest.mark.parametrize(("behave", "words"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_answer_is_asked_for_again_and_is_a_clear_error_if_it_stays(
    hostile: HostileServer, clock: FakeClock, behave: Behaviour, words: str
) -> None:
    with Session(request_max_attempts=3, request_timeout=5, clock=clock) as session:
        error = fail(hostile, session, behave)
        assert words in str(error)
        assert len(hostile.asked) == 3

        hostile.behave = then(behave, GOOD)
        assert [list(page) for page in paginate(hostile.url, session=session)] == [[{"id": 1}]]


@pytest.mark.parametrize("content_type", ["text/html", "application/xhtml+xml"])
def test_a_login_page_is_an_error_at_once(hostile: HostileServer, session: Session, content_type: str) -> None:
    error = fail(hostile, session, lambda _: [answer(b"<html>Sign in</html>", f"Content-Type: {content_type}")])

    assert isinstance(error, ResponseNotJsonError)
    assert f"is not valid JSON (content type {content_type}); it starts with '<html>Sign in</html>'" in str(error)
    assert "a login or an error page often stands behind this" in str(error)
    assert len(hostile.asked) == 1


@pytest.mark.parametrize(
    "whole",
    [
        answer('[{"name": "Zoë"}]'.encode("utf-8-sig")),
        answer('[{"name": "Zoë"}]'.encode("utf-16")),
        answer('[{"name": "Zoë"}]'.encode("utf-32-le")),
        answer('[{"name": "Zoë"}]'.encode("latin-1"), "Content-Type: application/json; charset=iso-8859-1"),
        answer('[{"name": "Zoë"}]'.encode(), "Content-Type: application/json; charset=iso-8859-1"),
        answer('[{"name": "Zoë"}]'.encode(), "Content-Type: text/html"),
        answer('[{"name": "Zoë"}]'.encode(), "Content-Type: image/png"),
        head("Transfer-Encoding: chunked") + b'6\r\n[{"nam\r\nc;x=y\r\ne": "Zo\xc3\xab"}]\r\n0\r\nA: b\r\n\r\n',
        head() + '[{"name": "Zoë"}]'.encode(),
        answer('[{"name": "Zoë"}]'.encode()) + b"HTTP/1.1 200 OK\r\n\r\n[666]",
    ],
    ids=lambda whole: whole[:1].decode(),
)
def test_json_is_read_whatever_it_is_wrapped_in(hostile: HostileServer, session: Session, whole: bytes) -> None:
    hostile.behave = lambda _: [whole]

    assert [list(page) for page in paginate(hostile.url, session=session)] == [[{"name": "Zoë"}]]


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content", "304 Not Modified"])
def test_an_answer_without_a_body_is_an_empty_page(hostile: HostileServer, session: Session, status: str) -> None:
    hostile.behave = lambda _: [head("Content-Length: 0", status=status)]

    assert [list(page) for page in paginate(hostile.url, session=session)] == [[]]


# --- redirects ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [["/items"], ["/a", "/b"], ["/a", "/b", "/c"]])
def test_redirects_in_a_circle_end(hostile: HostileServer, session: Session, places: list[str]) -> None:
    def behave(_: Any) -> list[bytes]:
        return [answer(b"", f"Location: {places[len(hostile.asked) % len(places)]}", status="302 Found")]

    error = fail(hostile, session, behave)

    assert isinstance(error, TooManyRedirectsError)
    assert isinstance(error, requests.TooManyRedirects)
    assert "redirected more than request_max_redirects=30 times, in a circle, last to" in str(error)
    assert len(hostile.asked) == 31


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "javascript:alert(1)",
        "data:application/json,[]",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
    ],
)
def test_a_redirect_to_what_is_no_address_is_a_clear_error(hostile: HostileServer, session: Session, target: str) -> None:
    error = fail(hostile, session, lambda _: [head("Content-Length: 0", f"Location: {target}", status="302 Found")])

    assert isinstance(error, RequestFailedError)
    assert "it was redirected to" in str(error)


@pytest.mark.parametrize("host", ["a" * 300, "...", "nowhere.invalid"])
def test_a_redirect_to_a_host_that_cannot_be_is_an_error(hostile: HostileServer, session: Session, host: str) -> None:
    hostile.behave = lambda _: [answer(b"", f"Location: http://{host}/x", status="302 Found")]

    with pytest.raises(RequestFailedError, match="no connection") as caught:
        list(paginate(hostile.url, session=session))

    assert host in str(caught.value)


def test_a_redirect_without_a_target_is_an_answer_like_any_other(hostile: HostileServer, session: Session) -> None:
    hostile.behave = lambda _: [answer([{"id": 1}], status="302 Found")]

    assert [list(page) for page in paginate(hostile.url, session=session)] == [[{"id": 1}]]
