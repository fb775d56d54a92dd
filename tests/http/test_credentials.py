"""Credentials reach the origin they were given for, no other one, and no message."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from loopback import Api, Asked, FakeClock, Reply

from dlt_orchestrate.config.redaction import Secret
from dlt_orchestrate.errors import ForeignOriginError, RequestFailedError
from dlt_orchestrate.http.auth import APIKeyAuth, BearerTokenAuth, HttpBasicAuth, OAuth2ClientCredentials
from dlt_orchestrate.http.client import RESTClient, paginate
from dlt_orchestrate.http.origin import origin_of, resolve_link
from dlt_orchestrate.http.session import Session

TOKEN = "marked-secret-4711"


def read(api: Api, session: Session, **arguments: Any) -> list[Any]:
    return [row for page in paginate(f"{api.url}/items", session=session, **arguments) for row in page]


@pytest.mark.parametrize("token", [TOKEN, Secret(TOKEN)])
def test_a_bearer_token(api: Api, session: Session, token: str | Secret) -> None:
    api.answer = lambda _: []

    read(api, session, auth=BearerTokenAuth(token))

    assert api.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("auth", [None, BearerTokenAuth(None), APIKeyAuth(api_key=None), HttpBasicAuth("me", None)])
def test_a_missing_secret_sends_nothing(api: Api, session: Session, auth: Any) -> None:
    api.answer = lambda _: []

    assert read(api, session, auth=auth) == []
    assert "Authorization" not in api.asked[0].headers


def test_a_password(api: Api, session: Session) -> None:
    api.answer = lambda _: []

    read(api, session, auth=HttpBasicAuth("me", "pässword"))

    assert base64.b64decode(api.asked[0].headers["Authorization"].removeprefix("Basic ")).decode() == "me:pässword"


def test_an_api_key_in_a_header_a_parameter_or_a_cookie(api: Api, session: Session) -> None:
    api.answer = lambda _: []

    for location in ("header", "query", "param", "cookie"):
        read(api, session, params={"q": "x"}, auth=APIKeyAuth("X-Key", TOKEN, location))  # type: ignore[arg-type]

    in_header, in_query, in_param, in_cookie = api.asked
    assert in_header.headers["X-Key"] == TOKEN
    assert in_query.params == in_param.params == {"q": "x", "X-Key": TOKEN}
    assert in_cookie.headers["Cookie"] == f"X-Key={TOKEN}"


def test_an_api_key_that_the_next_link_repeats_is_sent_once(api: Api, session: Session) -> None:
    api.answer = lambda asked: {
        "items": [{"id": len(api.asked)}],
        "next": f"/items?page=2&key={TOKEN}" if "page" not in asked.params else None,
    }

    assert len(read(api, session, auth=APIKeyAuth("key", TOKEN, "query"))) == 2
    assert api.asked[1].params == {"page": "2", "key": TOKEN}


def test_client_credentials_get_a_token_and_a_new_one_before_it_expires(
    api: Api, session: Session, clock: FakeClock
) -> None:
    def answer(asked: Asked) -> Any:
        if asked.path == "/token":
            return {"access_token": f"{TOKEN}-{len(api.asked)}", "expires_in": 600}
        return []

    api.answer = answer
    auth = OAuth2ClientCredentials(
        f"{api.url}/token", "me", TOKEN, access_token_request_data={"scope": "read"}, session=session, clock=clock
    )

    read(api, session, auth=auth)
    read(api, session, auth=auth)
    clock.sleep(560)
    read(api, session, auth=auth)

    assert [asked.path for asked in api.asked] == ["/token", "/items", "/items", "/token", "/items"]
    assert parse_qs(api.asked[0].body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["me"],
        "client_secret": [TOKEN],
        "scope": ["read"],
    }
    assert api.asked[2].headers["Authorization"] == f"Bearer {TOKEN}-1"
    assert api.asked[4].headers["Authorization"] == f"Bearer {TOKEN}-4"


def test_client_credentials_that_are_refused_say_so(api: Api, session: Session) -> None:
    api.answer = lambda asked: Reply(b'{"error": "invalid_client"}', status=401)

    with pytest.raises(RequestFailedError, match=r"POST .*/token failed after 1 attempt: 401 .*invalid_client"):
        read(api, session, auth=OAuth2ClientCredentials(f"{api.url}/token", "me", TOKEN, session=session))


@pytest.mark.parametrize(
    "auth",
    [
        BearerTokenAuth(TOKEN),
        APIKeyAuth("key", TOKEN),
        HttpBasicAuth("me", TOKEN),
        OAuth2ClientCredentials("https://auth.example/token", "me", TOKEN),
    ],
)
def test_no_repr_shows_a_secret(auth: Any) -> None:
    assert TOKEN not in repr(auth)
    assert "***" in repr(auth)


@pytest.mark.parametrize(
    "credentials",
    [
        {"auth": BearerTokenAuth(TOKEN)},
        {"auth": APIKeyAuth("X-Own-Key", TOKEN)},
        {"auth": APIKeyAuth("key", TOKEN, "query")},
        {"auth": APIKeyAuth("key", TOKEN, "cookie")},
        {"headers": {"X-Any-Key": TOKEN}},
    ],
)
def test_a_redirect_to_another_origin_gets_no_credentials(
    api: Api, other_api: Api, session: Session, credentials: Any
) -> None:
    api.answer = lambda _: Reply(status=307, headers={"Location": f"{other_api.url}/hop"})
    other_api.answer = lambda asked: (
        Reply(status=302, headers={"Location": "/end"}) if asked.path == "/hop" else [{"id": 1}]
    )
    session.cookies.set("session", TOKEN)

    assert read(api, session, **credentials) == [{"id": 1}]
    assert TOKEN in str(api.asked)
    assert len(other_api.asked) == 2
    assert TOKEN not in str(other_api.asked)


def test_a_redirect_within_the_origin_keeps_the_credentials(api: Api, session: Session) -> None:
    api.answer = lambda asked: Reply(status=302, headers={"Location": "/new"}) if asked.path == "/items" else []

    read(api, session, auth=BearerTokenAuth(TOKEN))

    assert api.asked[1].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_redirect_never_takes_a_body_to_another_origin(api: Api, other_api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(status=307, headers={"Location": other_api.url})

    with pytest.raises(RequestFailedError, match="redirected to another origin"):
        session.post(api.url, data={"client_secret": TOKEN})

    assert other_api.asked == []


def test_a_refusal_after_a_redirect_says_why(api: Api, other_api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(status=302, headers={"Location": other_api.url})
    other_api.answer = lambda _: Reply(status=401)

    with pytest.raises(RequestFailedError, match=f"redirected from {api.url} to {other_api.url}; credentials do not go"):
        read(api, session, auth=BearerTokenAuth(TOKEN))


@pytest.mark.parametrize("place", ["header", "body"])
def test_a_next_link_to_another_origin_is_not_followed(api: Api, other_api: Api, session: Session, place: str) -> None:
    link = f"{other_api.url}/items?page=2"
    api.answer = lambda _: (
        Reply(b'[{"id": 1}]', headers={"Link": f'<{link}>; rel="next"'})
        if place == "header"
        else {"items": [{"id": 1}], "next": link}
    )

    with pytest.raises(ForeignOriginError, match=f"names another origin, {other_api.url}, than {api.url}"):
        read(api, session, auth=BearerTokenAuth(TOKEN))

    assert other_api.asked == []


def test_a_next_link_to_an_allowed_origin_is_followed_without_credentials(
    api: Api, other_api: Api, session: Session
) -> None:
    session.headers["X-Session-Key"] = TOKEN
    api.answer = lambda asked: (
        {"items": [{"id": 1}], "next": f"{other_api.url}/items"} if "back" not in asked.params else {"items": [{"id": 3}]}
    )
    other_api.answer = lambda _: {"items": [{"id": 2}], "next": f"{api.url}/items?back=1"}

    rows = read(
        api, session, auth=BearerTokenAuth(TOKEN), headers={"X-Key": TOKEN}, allowed_origins=[f"{other_api.url}/any/path"]
    )

    assert rows == [{"id": 1}, {"id": 2}, {"id": 3}]
    assert TOKEN not in str(other_api.asked)
    assert api.asked[1].headers["Authorization"] == f"Bearer {TOKEN}"


def test_a_full_address_elsewhere_gets_nothing_that_is_the_clients(api: Api, other_api: Api, session: Session) -> None:
    session.headers["X-Session-Key"] = TOKEN
    other_api.answer = lambda _: []
    client = RESTClient(api.url, headers={"X-Key": TOKEN}, auth=BearerTokenAuth(TOKEN), session=session)

    list(client.paginate(f"{other_api.url}/items"))
    client.get(f"{other_api.url}/items", headers={"X-Their-Key": "theirs"})

    assert TOKEN not in str(other_api.asked)
    assert other_api.asked[1].headers["X-Their-Key"] == "theirs"


@pytest.mark.parametrize(
    ("auth", "advice"),
    [(None, "No Authorization header was sent"), (BearerTokenAuth(TOKEN), "The credentials were sent and refused")],
)
def test_a_refusal_names_the_request_and_what_to_check(api: Api, session: Session, auth: Any, advice: str) -> None:
    api.answer = lambda asked: Reply(f'{{"message": "Bad token {TOKEN}"}}'.encode(), status=401)

    with pytest.raises(RequestFailedError) as caught:
        read(api, session, auth=auth, params={"api_key": TOKEN, "page": 2})

    message = str(caught.value)
    assert message.startswith(f"GET {api.url}/items?api_key=***&page=2 failed after 1 attempt: 401 Unauthorized")
    assert advice in message
    assert TOKEN not in message
    assert isinstance(caught.value, requests.HTTPError)
    assert caught.value.response is not None
    assert caught.value.response.status_code == 401


@pytest.mark.parametrize(("status", "advice"), [(403, "what the token may do"), (404, "Check the address")])
def test_other_refusals_say_what_to_check(api: Api, session: Session, status: int, advice: str) -> None:
    api.answer = lambda asked: Reply(json.dumps({"message": "no"}).encode(), status=status)

    with pytest.raises(RequestFailedError, match=advice):
        read(api, session)


def test_origins_are_compared_in_one_spelling() -> None:
    assert origin_of("HTTP://Host:80/a") == origin_of("http://host") != origin_of("https://host")
    assert origin_of("http://[::1]:8080/x") == "http://[::1]:8080"
    assert origin_of("http://user:pw@host:81") == "http://host:81"


def test_a_plain_link_of_a_secure_api_is_followed_securely() -> None:
    assert resolve_link("http://api.example/b?x=1", page_url="https://api.example/a") == "https://api.example/b?x=1"
    assert resolve_link("http://api.example:8080/b", page_url="https://api.example/a") == "http://api.example:8080/b"
    assert resolve_link("http://other.example/b", page_url="https://api.example/a") == "http://other.example/b"


BASIC = base64.b64encode(b"me:literal-basic").decode()


@pytest.mark.parametrize(
    ("secret", "arguments"),
    [
        ("literal-token", {"headers": {"Authorization": "token literal-token"}}),
        ("literal-alone", {"headers": {"Authorization": "literal-alone"}}),
        ("literal-bytes", {"headers": {"Authorization": b"Bearer literal-bytes"}}),
        ("literal-part", {"headers": {"Authorization": 'MediaBrowser Client="x", Token="literal-part"'}}),
        ("literal-basic", {"headers": {"Authorization": f"Basic {BASIC}"}}),
        ("literal-tuple", {"auth": ("me", "literal-tuple")}),
        ("literal-proxy", {"headers": {"Proxy-Authorization": "Bearer literal-proxy"}}),
        ("literal-header", {"headers": {"X-Api-Key": "literal-header"}}),
        ("literal-header-key", {"headers": {"X-Functions-Key": "literal-header-key"}}),
        ("literal-cookie", {"headers": {"Cookie": "lang=en; access_token=literal-cookie"}}),
        ("literal-param", {"params": {"api_key": "literal-param"}}),
        ("literal-google-key", {"params": {"key": "literal-google-key"}}),
        ("literal-form", {"method": "POST", "data": {"client_secret": "literal-form"}}),
        ("literal-json", {"method": "POST", "json": {"auth": [{"password": "literal-json"}]}}),
    ],
)
@pytest.mark.parametrize("is_plain", [False, True])
def test_a_credential_written_into_a_request_by_hand_is_in_no_message(
    api: Api, session: Session, secret: str, arguments: Any, is_plain: bool
) -> None:
    api.answer = lambda _: Reply(f"refused: {secret}".encode(), status=401)
    sender = requests.Session() if is_plain else session

    with pytest.raises(RequestFailedError) as caught:
        list(paginate(f"{api.url}/items", session=sender, **arguments))

    assert "refused: ***" in str(caught.value)
    assert secret not in str(caught.value)
    sender.close()


def test_a_password_in_an_address_is_in_no_message(api: Api, session: Session) -> None:
    api.answer = lambda asked: Reply(f"{asked.headers['Authorization']} or pw/in-address refused".encode(), status=401)

    with pytest.raises(RequestFailedError) as caught:
        session.get(api.url.replace("//", "//me:pw%2Fin-address@")).raise_for_status()

    assert "'Basic *** or *** refused'" in str(caught.value)


def test_cursors_and_names_of_things_stay_readable(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(b"no PROJECT at cursor-4711 for en or 3d0c7f1e-idempotent", status=404)

    with pytest.raises(RequestFailedError, match="no PROJECT at cursor-4711 for en or 3d0c7f1e-idempotent"):
        read(
            api,
            session,
            params={"key": "PROJECT", "nextPageToken": "cursor-4711"},
            headers={"Idempotency-Key": "3d0c7f1e-idempotent", "Accept-Language": "en"},
        )
