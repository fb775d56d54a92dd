"""The limits hold for HTTPS and through proxies as well."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hostile import HostileServer, answer, drip, flood, head
from loopback import FakeClock

from dlt_orchestrate.errors import PrivateAddressError, RequestFailedError
from dlt_orchestrate.http.client import paginate
from dlt_orchestrate.http.failures import HeaderTooLargeError, RequestTimedOutError
from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import Session

ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 and localhost with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "loopback")])
    names = x509.SubjectAlternativeName(
        [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost"), x509.DNSName("api.example")]
    )
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "loopback.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


@pytest.fixture
def secure(certificate: Path) -> Iterator[HostileServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = HostileServer(context)
    yield server
    server.close()


class Tunnel:
    """A proxy that connects whoever asks with one address, whatever address they name; `named` remembers."""

    def __init__(self, to: str) -> None:
        host, _, port = to.removeprefix("https://").partition(":")
        self.named: list[str] = []
        self.welcome = b"HTTP/1.1 200 Connected\r\n\r\n"
        self._to = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.create_connection(self._to) as server:
                self.named.append(client.recv(65536).split(b" ")[1].decode())
                client.sendall(self.welcome)
                upstream = threading.Thread(target=_pump, args=(client, server))
                upstream.start()
                _pump(server, client)
                upstream.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def trusting(clock: FakeClock, certificate: Path) -> Iterator[Session]:
    """A session that trusts the certificate, whatever the environment says."""
    with Session(clock=clock, request_timeout=5, retry=ONCE) as session:
        session.verify, session.trust_env = str(certificate), False
        yield session


def test_https_is_read_within_the_limits(secure: HostileServer, trusting: Session) -> None:
    secure.behave = lambda _: [answer([{"id": 1}])]

    assert list(paginate(secure.url, session=trusting)) == [[{"id": 1}]]


@pytest.mark.parametrize("start", [b"HTTP/1.1 2", head(), head("Transfer-Encoding: chunked") + b"1"])
def test_a_slow_https_answer_is_cut_at_the_deadline(secure: HostileServer, certificate: Path, start: bytes) -> None:
    secure.behave = drip(start, b"0")

    with Session(attempt_seconds=0.3, retry=ONCE) as session:
        session.verify, session.trust_env = str(certificate), False
        with pytest.raises(RequestTimedOutError, match=r"not complete within request_attempt_seconds=0\.3"):
            session.get(secure.url)


def test_a_handshake_that_does_not_come_is_cut_at_the_deadline() -> None:
    """A server that never says anything, where TLS is expected."""
    session = Session(attempt_seconds=0.3, retry=ONCE)
    with session, socket.create_server(("127.0.0.1", 0)) as deaf, pytest.raises(RequestFailedError, match="in time"):
        session.get(f"https://127.0.0.1:{deaf.getsockname()[1]}")


def test_a_head_without_end_is_an_error_for_https_too(secure: HostileServer, trusting: Session) -> None:
    secure.behave = flood(b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 50_000 + b"\r\n")

    with pytest.raises(HeaderTooLargeError):
        trusting.get(secure.url)


def test_a_certificate_that_does_not_hold_is_an_error_at_once(secure: HostileServer, session: Session) -> None:
    with pytest.raises(RequestFailedError, match=r"failed after 1 attempt: .*CERTIFICATE_VERIFY_FAILED"):
        session.get(secure.url)

    assert secure.asked == []


@pytest.fixture
def tunnel(secure: HostileServer) -> Iterator[Tunnel]:
    tunnel = Tunnel(secure.url)
    yield tunnel
    tunnel.close()


def test_https_through_a_proxy(secure: HostileServer, tunnel: Tunnel, trusting: Session) -> None:
    proxies = {"https": tunnel.url}
    secure.behave = lambda _: [answer([{"id": 1}])]

    assert trusting.get("https://api.example/x", proxies=proxies).json() == [{"id": 1}]

    secure.behave = lambda _: [answer(b"", "Location: https://169.254.169.254/x", status="302 Found")]
    with pytest.raises(PrivateAddressError):
        trusting.get("https://api.example/x", proxies=proxies)
    assert tunnel.named == ["api.example:443"] * 2


def test_a_proxy_that_answers_without_end_is_cut(tunnel: Tunnel, trusting: Session) -> None:
    tunnel.welcome = b"HTTP/1.1 200 Connected\r\n" + b"A: b\r\n" * 100_000

    with pytest.raises(HeaderTooLargeError):
        trusting.get("https://api.example/x", proxies={"https": tunnel.url})
