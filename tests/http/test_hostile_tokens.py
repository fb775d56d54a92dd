"""A token endpoint that misbehaves: a clear error without a token in it, or a token that is used with care."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hostile import Behaviour, HostileServer, answer, drip, flood, head, then
from loopback import Api, FakeClock

from dlt_orchestrate.errors import RequestFailedError
from dlt_orchestrate.http.auth import OAuth2ClientCredentials
from dlt_orchestrate.http.client import paginate
from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import Session

CLIENT_SECRET, TOKEN = "marked-client-secret-1618", "marked-token-1618"


def auth(server: HostileServer, session: Session) -> OAuth2ClientCredentials:
    return OAuth2ClientCredentials(
        f"{server.url}/token", "me", CLIENT_SECRET, session=session, clock=session.clock, default_token_expiration=600
    )


def whole(token: Any, **others: Any) -> bytes:
    return answer({"access_token": token, **others})


BAD: dict[str, tuple[Behaviour, str]] = {
    "a web page": (lambda _: [answer(b"<html>", "Content-Type: text/html")], "it is of content type 'text/html', 6 bytes"),
    "nothing": (lambda _: [answer(b"")], "holds no 'access_token'"),
    "no content": (lambda _: [head(status="204 No Content")], "holds no 'access_token'"),
    "half a token": (lambda _: [answer(json.dumps({"access_token": TOKEN})[:-2].encode())], "holds no 'access_token'"),
    "a list": (lambda _: [answer([TOKEN])], "holds no 'access_token'"),
    "another name": (lambda _: [answer({"token": TOKEN})], "it is an object with 'token'"),
    "null": (lambda _: [whole(None)], "it is an object with 'access_token'"),
    "a number": (lambda _: [whole(5)], "holds no 'access_token' that a header can carry"),
    "an empty text": (lambda _: [whole("")], "holds no 'access_token' that a header can carry"),
    "a header in it": (lambda _: [whole(f"{TOKEN}\r\nX-Admin: yes")], "holds no 'access_token' that a header can carry"),
    "a space in it": (lambda _: [whole(f"{TOKEN} {TOKEN}")], "holds no 'access_token' that a header can carry"),
    "letters no header has": (lambda _: [whole(TOKEN + "ë")], "holds no 'access_token' that a header can carry"),
    "refused": (lambda _: [answer({"error": "invalid_client"}, status="401 No")], "invalid_client"),
    "refused, repeating the secret": (lambda _: [answer({"no": CLIENT_SECRET}, status="400 Bad")], "400 Bad"),
    "broken": (lambda _: [answer(b"", status="500 Oops")], "failed after 1 attempt: 500"),
    "never ready": (lambda _: [answer(b"", status="503 Busy")], "failed after 2 attempts: 503"),
    "slow": (drip(head()), "was not complete within request_attempt_seconds=0.15"),
    "a bomb": (lambda _: [answer(gzip.compress(bytes(9_000_000)), "Content-Encoding: gzip")], "max_body_bytes=1000000"),
    "a body without end": (flood(head(), b" " * 9999), "max_body_bytes=1000000"),
    "a circle": (lambda _: [answer(b"", "Location: /token", status="302 Found")], "request_max_redirects=30"),
}


@pytest.mark.parametrize(("behave", "words"), BAD.values(), ids=BAD.keys())
def test_a_token_that_cannot_be_had_is_a_clear_error_and_nothing_is_asked_without_it(
    api: Api, hostile: HostileServer, behave: Behaviour, words: str
) -> None:
    hostile.behave = behave
    retry = RetryPolicy(max_attempts=2, backoff_seconds=0)

    session = Session(attempt_seconds=0.15 if "seconds" in words else 60, max_body_bytes=1_000_000, retry=retry)
    with session, pytest.raises(RequestFailedError) as caught:
        list(paginate(api.url, session=session, auth=auth(hostile, session)))

    message = f"{caught.value} {caught.value!r}"
    assert f"{hostile.url}/token" in message
    assert words in message
    assert TOKEN not in message
    assert CLIENT_SECRET not in message
    assert api.asked == []


def test_the_client_secret_does_not_follow_a_redirect(api: Api, hostile: HostileServer, session: Session) -> None:
    hostile.behave = lambda _: [answer(b"", f"Location: {api.url}/token", status="307 Moved")]

    with pytest.raises(RequestFailedError, match="redirected to another origin"):
        list(paginate(api.url, session=session, auth=auth(hostile, session)))

    assert api.asked == []


def test_a_token_endpoint_that_is_busy_is_asked_again(api: Api, hostile: HostileServer, session: Session) -> None:
    hostile.behave = then(answer(b"", "Retry-After: 3", status="503 Busy"), whole(TOKEN))
    api.answer = lambda _: []

    list(paginate(api.url, session=session, auth=auth(hostile, session)))

    assert api.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("told", ["soon", None, -5, 0, "NaN", "Infinity", 1e400, [], {}, "1" * 5_000])
def test_a_lifetime_that_makes_no_sense_is_taken_for_the_default(
    api: Api, hostile: HostileServer, session: Session, clock: FakeClock, told: Any
) -> None:
    hostile.behave = lambda _: [whole(TOKEN, expires_in=told)]
    api.answer = lambda _: []
    credentials = auth(hostile, session)

    for _ in range(2):
        list(paginate(api.url, session=session, auth=credentials))
    assert len(hostile.asked) == 1

    clock.sleep(600)
    list(paginate(api.url, session=session, auth=credentials))
    assert len(hostile.asked) == 2
