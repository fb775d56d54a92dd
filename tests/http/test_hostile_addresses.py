"""Where data leads: never into a private network that nobody named, and never with credentials of another origin."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from loopback import Api, Asked, FakeClock, Reply
from requests.adapters import BaseAdapter

from dlt_orchestrate.errors import ForeignOriginError, PaginationError, PrivateAddressError
from dlt_orchestrate.http.addresses import is_public
from dlt_orchestrate.http.auth import APIKeyAuth, BearerTokenAuth
from dlt_orchestrate.http.client import RESTClient, paginate
from dlt_orchestrate.http.failures import RequestTimedOutError
from dlt_orchestrate.http.paginators import BasePaginator, HeaderLinkPaginator, JSONLinkPaginator
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.http.settings import configured

TOKEN = "marked-secret-2718"


def redirect(url: str, *, status: int = 302, **headers: str) -> Callable[[Asked], Reply]:
    return lambda _: Reply(status=status, headers={"Location": url, **headers})


def at(api: Api, host: str) -> str:
    """The address of an API under another name of its host."""
    return api.url.replace("127.0.0.1", host)


# --- private addresses -------------------------------------------------------------------------------------------

NAMES_OF_THIS_MACHINE = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.2",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
]


@pytest.mark.parametrize("host", NAMES_OF_THIS_MACHINE)
def test_a_redirect_to_a_private_address_is_refused(api: Api, other_api: Api, session: Session, host: str) -> None:
    api.answer = redirect(at(other_api, host))

    with pytest.raises(PrivateAddressError, match="not public, so a server may be after something in your network"):
        list(paginate(api.url, session=session))

    assert other_api.asked == []
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "224.0.0.1"]
)
def test_no_connection_is_made_to_a_private_address(
    api: Api, session: Session, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[Any] = []
    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda self, to: (connected.append(to[0]), connect(self, to))[1])
    api.answer = redirect(f"http://{address}/latest/meta-data/iam/security-credentials/")

    with pytest.raises(PrivateAddressError) as caught:
        session.get(api.url)

    assert caught.value.address == address.strip("[]")
    assert "pass Session(allowed_hosts=" in str(caught.value)
    assert set(connected) == {"127.0.0.1"}


def resolving(monkeypatch: pytest.MonkeyPatch, name: str, *answers: str) -> None:
    """Have a name resolve to one address after the other, the last for ever."""
    left, resolve = list(answers), socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host != name:
            return resolve(host, port, *args, **kwargs)
        return resolve(left.pop(0) if len(left) > 1 else left[0], port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_a_name_that_resolves_to_a_private_address_is_refused(
    api: Api, other_api: Api, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, "files.example", "127.0.0.1")
    api.answer = redirect(at(other_api, "files.example"))

    with pytest.raises(PrivateAddressError, match=r"leads to files\.example, whose address is 127\.0\.0\.1"):
        session.get(api.url)

    assert other_api.asked == []


def test_a_name_that_changes_its_meaning_after_the_check_gets_nothing(
    api: Api, other_api: Api, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, connected = socket.socket.connect, list[str]()

    def connect_nearby(self: socket.socket, address: Any) -> None:
        connected.append(address[0])
        if address[0] != "127.0.0.1":
            raise ConnectionRefusedError
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_nearby)
    resolving(monkeypatch, "files.example", "93.184.216.34", "127.0.0.1")
    api.answer = redirect(at(other_api, "files.example"))

    with pytest.raises(PrivateAddressError, match=r"leads to files\.example, whose address is 127\.0\.0\.1"):
        session.get(api.url)  # the first attempt goes to the public address, the second finds the private one

    assert connected == ["127.0.0.1", "93.184.216.34"]
    assert other_api.asked == []


def test_a_host_of_a_thousand_deaf_addresses_is_given_up_at_the_deadline(
    session: Session, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def connect(_: socket.socket, address: Any) -> None:
        tried.append(address[0])
        clock.sleep(60)
        raise TimeoutError

    deaf = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"93.184.{n // 250}.{n % 250}", 80)) for n in range(1000)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: deaf)
    monkeypatch.setattr(socket.socket, "connect", connect)
    session.attempt_seconds, session.deadline_seconds = 300, 400

    with pytest.raises(RequestTimedOutError, match="not complete within request_deadline_seconds=400"):
        session.get("http://api.example")

    assert len(tried) <= 8


def test_the_next_address_is_tried_where_one_refuses(api: Api, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    port = int(api.url.rpartition(":")[2])
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.77", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
    api.answer = lambda _: []

    assert session.get(f"http://api.example:{port}").json() == []
    assert len(api.asked) == 1


def test_a_connection_that_was_made_to_a_named_host_is_not_lent_to_a_redirect(
    api: Api, other_api: Api, session: Session
) -> None:
    other_api.answer = lambda _: []
    session.get(at(other_api, "localhost"))
    api.answer = redirect(at(other_api, "localhost"))

    with pytest.raises(PrivateAddressError):
        session.get(api.url)

    assert len(other_api.asked) == 1


def test_a_host_that_is_named_may_be_private(api: Api, other_api: Api, session: Session) -> None:
    other_api.answer = lambda _: [{"id": 1}]

    assert list(paginate(at(other_api, "localhost"), session=session)) == [[{"id": 1}]]


def test_a_redirect_within_a_named_host_may_change_the_port(api: Api, other_api: Api, session: Session) -> None:
    api.answer = redirect(other_api.url)
    other_api.answer = lambda _: [{"id": 1}]

    assert list(paginate(api.url, session=session)) == [[{"id": 1}]]


@pytest.mark.parametrize("is_configured", [False, True])
def test_private_hosts_can_be_allowed(
    api: Api, other_api: Api, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, is_configured: bool
) -> None:
    api.answer = redirect(at(other_api, "localhost"))
    other_api.answer = lambda _: [{"id": 1}]
    if is_configured:
        monkeypatch.setenv("RUNTIME__REQUEST_ALLOWED_HOSTS", '["Localhost"]')
    configured.cache_clear()
    try:
        with Session(clock=clock, allowed_hosts=None if is_configured else ["localhost"]) as session:
            assert list(paginate(api.url, session=session, auth=BearerTokenAuth(TOKEN))) == [[{"id": 1}]]
    finally:
        configured.cache_clear()

    assert TOKEN not in str(other_api.asked)


def test_an_address_that_a_client_is_given_from_data_may_not_be_private(api: Api, other_api: Api, session: Session) -> None:
    other_api.answer = lambda _: [{"id": 1}]
    elsewhere = at(other_api, "localhost")
    client = RESTClient(api.url, session=session)

    for ask in (client.get, lambda url: list(client.paginate(url))):
        with pytest.raises(PrivateAddressError):
            ask(elsewhere)
    assert other_api.asked == []

    named = RESTClient(api.url, session=session, allowed_origins=[elsewhere])
    assert named.get(elsewhere).json() == [{"id": 1}]
    assert list(client.paginate(elsewhere, allowed_origins=[elsewhere])) == [[{"id": 1}]]


def test_through_a_proxy_names_pass_and_private_addresses_do_not(api: Api, other_api: Api, session: Session) -> None:
    proxied = {"http": api.url}
    targets = ["http://files.example/x", "http://2852039166/", "http://169.254.169.254/", "http://localhost/"]
    api.answer = lambda asked: (
        Reply(status=302, headers={"Location": targets[int(asked.params["to"])]}) if "to" in asked.params else [{"id": 1}]
    )

    assert session.get("http://api.example/", params={"to": 0}, proxies=proxied).json() == [{"id": 1}]
    for to in (1, 2, 3):
        with pytest.raises(PrivateAddressError):
            session.get("http://api.example/", params={"to": to}, proxies=proxied)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_no_more_public_for_being_written_as_ipv6(address: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(int(ipaddress.IPv6Address("::ffff:0:0")) + int(address))
    nat64 = ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))

    assert is_public(str(mapped)) == is_public(str(nat64)) == is_public(str(address))


# --- links to next pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1:70/_x",
        "http://169.254.169.254/latest/",
        "http://2852039166/",
        "//127.0.0.2/items",
        "http://127.0.0.1@evil.example/",
        "http://127.0.0.1:1/items",
        "https://127.0.0.1/items",
        "http://127.0.0.1\\@evil.example/",
    ],
)
@pytest.mark.parametrize("paginator", [None, JSONLinkPaginator("next")])
def test_a_next_link_leads_nowhere_else(api: Api, session: Session, link: str, paginator: BasePaginator | None) -> None:
    api.answer = lambda _: {"items": [{"id": 1}], "next": link}
    pages = paginate(f"{api.url}/items", session=session, auth=BearerTokenAuth(TOKEN), paginator=paginator)

    assert list(next(pages)) == [{"id": 1}]
    is_cursor = paginator is None and not link.startswith(("http", "/"))  # and is sent back as one
    with pytest.raises(PaginationError if is_cursor else ForeignOriginError):
        list(pages)

    assert {asked.path for asked in api.asked} == {"/items"}


@pytest.mark.parametrize("link", ["http://[::1", "http://127.0.0.1:99999/x", "http://127.0.0.1:port/"])
def test_a_next_link_that_is_no_address_is_a_clear_error(api: Api, session: Session, link: str) -> None:
    api.answer = lambda _: Reply(b"[]", headers={"Link": f'<{link}>; rel="next"'})

    with pytest.raises(PaginationError, match="the link to the next page is no address: 'http"):
        list(paginate(api.url, session=session, paginator=HeaderLinkPaginator()))


def test_parameters_named_like_credentials_stay_with_their_origin(api: Api, other_api: Api, session: Session) -> None:
    class Elsewhere(BasePaginator):
        def update_state(self, response: requests.Response, data: list[Any] | None = None) -> None:
            self._has_next_page = response.url.startswith(api.url)

        def update_request(self, request: requests.Request) -> None:
            request.url = f"{other_api.url}/items"

    api.answer = lambda _: [{"id": 1}]
    other_api.answer = lambda _: [{"id": 2}]
    params = {"api_key": TOKEN, "access_token": TOKEN, "page": "2", "page_token": "cursor"}

    list(paginate(api.url, session=session, params=params, paginator=Elsewhere(), allowed_origins=[other_api.url]))

    assert api.asked[0].params == params
    assert other_api.asked[0].params == {"page": "2", "page_token": "cursor"}


# --- credentials -------------------------------------------------------------------------------------------------


def test_cookies_stay_with_the_origin_that_set_them_even_on_one_host(api: Api, other_api: Api, session: Session) -> None:
    api.answer = redirect(f"{other_api.url}/first", **{"Set-Cookie": f"session={TOKEN}; Domain=127.0.0.1"})
    other_api.answer = lambda asked: (
        Reply(status=302, headers={"Location": "/second", "Set-Cookie": "visit=theirs"})
        if asked.path == "/first"
        else [{"id": 1}]
    )

    assert session.get(api.url).json() == [{"id": 1}]
    assert [asked.headers.get("Cookie") for asked in other_api.asked] == [None, "visit=theirs"]

    api.answer = lambda _: []
    session.get(api.url)
    assert api.asked[-1].headers["Cookie"] == f"session={TOKEN}"


def test_an_origin_on_the_way_cannot_plant_a_cookie(api: Api, other_api: Api, session: Session) -> None:
    session.cookies.set("session", TOKEN)
    api.answer = lambda asked: Reply(status=302, headers={"Location": other_api.url}) if asked.path == "/" else [{"id": 1}]
    other_api.answer = redirect(f"{api.url}/back", **{"Set-Cookie": "session=planted"})

    assert session.get(api.url).json() == [{"id": 1}]
    assert [asked.headers.get("Cookie") for asked in api.asked] == [f"session={TOKEN}"] * 2
    assert "Cookie" not in other_api.asked[0].headers


def test_credentials_do_not_come_back_with_a_redirect_from_elsewhere(api: Api, other_api: Api, session: Session) -> None:
    api.answer = lambda asked: Reply(status=302, headers={"Location": other_api.url}) if asked.path == "/" else [{"id": 1}]
    other_api.answer = redirect(f"{api.url}/delete-everything")

    session.get(api.url, headers={"Authorization": f"Bearer {TOKEN}"})

    assert [TOKEN in str(asked.headers) for asked in api.asked] == [True, False]


def test_a_downgrade_to_http_gets_no_credentials(api: Api, session: Session) -> None:
    class SecureApi(BaseAdapter):
        """Answers for https://127.0.0.1, and sends its clients to plain HTTP."""

        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
            assert {"Authorization", "X-API-Key"} & set(request.headers)
            answer = requests.Response()
            answer.status_code, answer.url, answer.request = 302, str(request.url), request
            answer.headers["Location"] = f"{api.url}/items"
            answer._content = b""
            answer._content_consumed = True  # type: ignore[attr-defined]
            return answer

        def close(self) -> None:
            pass

    session.mount("https://", SecureApi())
    api.answer = lambda _: [{"id": 1}]
    secure = api.url.replace("http:", "https:")

    for auth in (BearerTokenAuth(TOKEN), APIKeyAuth("X-API-Key", TOKEN), ("me", TOKEN)):
        assert list(paginate(secure, session=session, auth=auth)) == [[{"id": 1}]]

    assert len(api.asked) == 3
    assert all(not {"Authorization", "X-API-Key"} & set(asked.headers) for asked in api.asked)


def test_user_and_password_of_an_address_do_not_follow_a_redirect(api: Api, other_api: Api, session: Session) -> None:
    api.answer = redirect(other_api.url.replace("//", "//them:theirs@"))
    other_api.answer = lambda _: []

    session.get(api.url.replace("//", f"//me:{TOKEN}@"))

    assert "Authorization" in api.asked[0].headers
    assert "Authorization" not in other_api.asked[0].headers


def test_credentials_of_a_netrc_file_do_not_follow_a_redirect(
    api: Api, other_api: Api, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login me password {TOKEN}\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    api.answer = redirect(other_api.url)
    other_api.answer = lambda _: []

    session.get(api.url)

    assert "Authorization" in api.asked[0].headers
    assert "Authorization" not in other_api.asked[0].headers
