"""Tokens that are fetched: once for all threads, anew where they are refused, and with whatever a server wants to see."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from loopback import Api, Asked, FakeClock, Reply

from dlt_orchestrate.errors import InvalidPrivateKeyError, RequestFailedError
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.sources.helpers.rest_client import RESTClient
from dlt_orchestrate.sources.helpers.rest_client.auth import (
    AuthConfigBase,
    OAuth2AuthBase,
    OAuth2ClientCredentials,
    OAuthJWTAuth,
)

SECRET = "marked-client-secret-2718"


class Guarded:
    """An API whose tokens can be revoked; each token endpoint call gives the next one."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.valid = ""
        self.given = 0
        api.answer = self.answer

    def answer(self, asked: Asked) -> Any:
        if asked.path == "/token":
            self.given += 1
            self.valid = f"token-number-{self.given}"
            return {"access_token": self.valid, "expires_in": 600}
        if asked.headers.get("Authorization") != f"Bearer {self.valid}":
            return Reply(b'{"error": "expired"}', status=401)
        return [{"id": 1}]

    def paths(self) -> list[str]:
        return [asked.path for asked in self.api.asked]


@pytest.fixture
def guarded(api: Api) -> Guarded:
    return Guarded(api)


def credentials(api: Api, session: Session, **more: Any) -> OAuth2ClientCredentials:
    return OAuth2ClientCredentials(f"{api.url}/token", "me", SECRET, session=session, clock=session.clock, **more)


def test_a_refused_token_is_renewed_once_and_the_request_sent_again(guarded: Guarded, session: Session) -> None:
    client = RESTClient(guarded.api.url, auth=credentials(guarded.api, session), session=session)
    assert list(client.paginate("a")) == [[{"id": 1}]]
    guarded.valid = "revoked"

    assert list(client.paginate("b")) == [[{"id": 1}]]
    assert guarded.paths() == ["/token", "/a", "/b", "/token", "/b"]


def test_a_token_that_is_refused_again_is_an_error_after_one_renewal(guarded: Guarded, session: Session) -> None:
    answer = guarded.answer
    guarded.api.answer = lambda asked: answer(asked) if asked.path == "/token" else Reply(b"{}", status=401)
    client = RESTClient(guarded.api.url, auth=credentials(guarded.api, session), session=session)

    with pytest.raises(RequestFailedError, match="401"):
        list(client.paginate("a"))
    assert guarded.paths() == ["/token", "/a", "/token", "/a"]


def test_many_threads_renew_a_token_once(guarded: Guarded, session: Session) -> None:
    auth = credentials(guarded.api, session)
    client = RESTClient(guarded.api.url, auth=auth)
    client.get("warm-up")
    guarded.valid = "revoked"
    together = threading.Barrier(8)

    def read(number: int) -> list[Any]:
        together.wait()
        return [row for page in client.paginate(f"items/{number}") for row in page]

    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(read, range(8)))

    assert rows == [[{"id": 1}]] * 8
    assert guarded.given == 2


def test_a_plain_session_renews_a_refused_token_too(guarded: Guarded, session: Session) -> None:
    with requests.Session() as plain:
        client = RESTClient(guarded.api.url, auth=credentials(guarded.api, session), session=plain)
        list(client.paginate("a"))
        guarded.valid = "revoked"

        assert list(client.paginate("b")) == [[{"id": 1}]]
    assert guarded.paths() == ["/token", "/a", "/b", "/token", "/b"]


def test_the_leeway_says_how_long_before_its_end_a_token_is_given_up(
    guarded: Guarded, session: Session, clock: FakeClock
) -> None:
    client = RESTClient(guarded.api.url, auth=credentials(guarded.api, session, expiration_leeway=300), session=session)
    client.get("a")
    clock.sleep(299)
    client.get("b")
    clock.sleep(2)
    client.get("c")

    assert guarded.paths() == ["/token", "/a", "/b", "/token", "/c"]


def test_a_given_access_token_is_used_until_it_is_refused(guarded: Guarded, session: Session) -> None:
    guarded.valid = "given-access-token"
    client = RESTClient(
        guarded.api.url, auth=credentials(guarded.api, session, access_token="given-access-token"), session=session
    )

    assert client.get("a").json() == [{"id": 1}]
    assert guarded.paths() == ["/a"]


class InTheHeader(OAuth2ClientCredentials):
    """Client id and secret go as user name and password, and the token stands elsewhere."""

    def build_access_token_request(self):
        pair = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        return {"headers": {"Authorization": f"Basic {pair}"}, "data": self.access_token_request_data}

    def parse_access_token(self, response_json):
        return response_json["result"]["token"]

    def parse_expiration_in_seconds(self, response_json):
        return response_json["result"]["minutes"] * 60


def test_a_token_request_and_its_answer_may_look_otherwise(api: Api, session: Session, clock: FakeClock) -> None:
    api.answer = lambda asked: {"result": {"token": "t-elsewhere", "minutes": 10}} if asked.path == "/token" else []
    data = {"grant_type": "account_credentials", "account_id": "7"}
    auth = InTheHeader(f"{api.url}/token", "me", SECRET, data, session=session, clock=clock)
    client = RESTClient(api.url, auth=auth, session=session)

    client.get("a")
    clock.sleep(541)
    client.get("b")

    assert [asked.path for asked in api.asked] == ["/token", "/a", "/token", "/b"]
    assert base64.b64decode(api.asked[0].headers["Authorization"].removeprefix("Basic ")).decode() == f"me:{SECRET}"
    assert parse_qs(api.asked[0].body.decode()) == {"grant_type": ["account_credentials"], "account_id": ["7"]}
    assert api.asked[1].headers["Authorization"] == "Bearer t-elsewhere"


def test_an_access_token_alone(api: Api, session: Session) -> None:
    api.answer = lambda _: []

    RESTClient(api.url, auth=OAuth2AuthBase("long-lived-token"), session=session).get("a")

    assert api.asked[0].headers["Authorization"] == "Bearer long-lived-token"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: Any, passphrase: str | None = None) -> str:
    encryption: Any = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def part(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("passphrase", [None, "marked-passphrase"])
def test_a_signed_statement_buys_a_token(
    guarded: Guarded, session: Session, clock: FakeClock, key: rsa.RSAPrivateKey, passphrase: str | None
) -> None:
    auth = OAuthJWTAuth(
        "me@service",
        pem(key, passphrase).replace("\n", "\\n"),
        f"{guarded.api.url}/token",
        scopes=["read", "list"],
        headers={"X-Tenant": "t1"},
        private_key_passphrase=passphrase,
        session=session,
        clock=clock,
    )

    assert RESTClient(guarded.api.url, auth=auth, session=session).get("a").json() == [{"id": 1}]

    asked = guarded.api.asked[0]
    form = parse_qs(asked.body.decode())
    head, claims, signature = form["assertion"][0].split(".")
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert asked.headers["X-Tenant"] == "t1"
    assert json.loads(part(head)) == {"alg": "RS256", "typ": "JWT"}
    now = int(clock.now().timestamp())
    assert json.loads(part(claims)) == {
        "iss": "me@service",
        "sub": "me@service",
        "aud": f"{guarded.api.url}/token",
        "iat": now,
        "exp": now + 3600,
        "scope": "read list",
    }
    key.public_key().verify(part(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())


@pytest.mark.parametrize(
    ("private_key", "problem"),
    [
        ("marked-no-key-at-all", "it cannot be read"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "it is a Ed25519PrivateKey"),
    ],
)
def test_a_private_key_that_is_none_says_so_and_is_not_shown(api: Api, private_key: str, problem: str) -> None:
    auth = OAuthJWTAuth("me", private_key, f"{api.url}/token")

    with pytest.raises(InvalidPrivateKeyError, match=problem) as caught:
        RESTClient(api.url, auth=auth).get("a")
    assert "marked" not in str(caught.value)


class TwoHeaders(AuthConfigBase):
    """Two headers, as some APIs want them."""

    def __init__(self, api_key: str, account: str) -> None:
        self.api_key = api_key
        self.account = account

    def __call__(self, request):
        request.headers["Knock"] = self.api_key
        request.headers["Account"] = self.account
        return request


def test_credentials_of_ones_own_are_sent_and_shown_to_nobody(api: Api, session: Session) -> None:
    api.answer = lambda _: Reply(b"you sent marked-own-key-31415", status=400)
    auth = TwoHeaders("marked-own-key-31415", "acme")

    with pytest.raises(RequestFailedError) as caught:
        list(RESTClient(api.url, auth=auth, session=session).paginate("a"))

    assert (api.asked[0].headers["Knock"], api.asked[0].headers["Account"]) == ("marked-own-key-31415", "acme")
    assert repr(auth) == "TwoHeaders(api_key=***, account='acme')"
    assert "marked" not in str(caught.value)
