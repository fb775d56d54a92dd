"""A server that breaks the rules: it writes bytes on a socket as a test says, so they need not be HTTP.

A behaviour is a function of the request that yields what to send: bytes, or a number of seconds to wait. Then the
connection is closed. It ends early when the client goes away.
"""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from loopback import Asked

Behaviour = Callable[[Asked], Iterable[bytes | float]]

TICK_SECONDS = 0.01
BOMB_BLOCK_BYTES = 1024 * 1024
_LAST = "Connection: close"


class HostileServer:
    """Listens on a free loopback port; `behave` decides, `asked` remembers. Every connection serves one request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.cut_off = 0
        self.behave: Behaviour = lambda _: [answer(b"", status="404 Not Found")]
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._tls = tls
        self._start(self._accept)

    def close(self) -> None:
        self._stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    @contextmanager
    def _among_open(self, connection: socket.socket) -> Iterator[None]:
        self._open.add(connection)
        try:
            yield
        finally:
            self._open.discard(connection)

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, connection)

    def _serve(self, plain: socket.socket) -> None:
        try:
            connection = self._tls.wrap_socket(plain, server_side=True) if self._tls else plain
        except OSError:
            plain.close()
        else:
            self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        with connection, self._among_open(connection):
            connection.settimeout(10)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                asked = _read_request(connection)
                if asked is None:
                    return
                self.asked.append(asked)
                for piece in self.behave(asked):
                    if isinstance(piece, bytes):
                        connection.sendall(piece)
                    elif self._stopped.wait(piece):
                        return
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
            except OSError:
                with self._lock:
                    self.cut_off += 1


def answer(body: bytes | Any, *headers: str, status: str = "200 OK", length: int | str | None = None) -> bytes:
    """A whole answer; what is no bytes is sent as JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", _LAST, *headers]
    if not any(header.lower().startswith("content-type") for header in headers):
        lines.append("Content-Type: application/json")
    return "\r\n".join([*lines, "", ""]).encode() + body


def head(*headers: str, status: str = "200 OK") -> bytes:
    """The head of an answer whose body ends with the connection, unless a header says otherwise."""
    return "\r\n".join([f"HTTP/1.1 {status}", _LAST, *headers, "", ""]).encode()


def drip(start: bytes, byte: bytes = b" ") -> Behaviour:
    """Send a start, and then a byte now and then, for ever."""
    return lambda _: itertools.chain([start], itertools.cycle([byte, TICK_SECONDS]))


def flood(start: bytes, piece: bytes) -> Behaviour:
    """Send a start, and then the same piece as fast as it goes, for ever."""
    return lambda _: itertools.chain([start], itertools.repeat(piece))


def gzip_bomb(blocks: int, level: int = 9) -> bytes:
    """Zeros, `blocks` times a megabyte, in one gzip stream."""
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    block = packer.compress(bytes(BOMB_BLOCK_BYTES)) + packer.flush(zlib.Z_FULL_FLUSH)
    start = gzip.compress(b"")[:10]
    return start + block * blocks + b"\x03\x00"


def deflate_bomb(blocks: int) -> bytes:
    """The same without gzip's head, as some servers send `deflate`."""
    return gzip_bomb(blocks)[10:]


def then(*behaviours: Behaviour | bytes) -> Behaviour:
    """Behave one way after the other, the last for ever."""
    left = list(behaviours)

    def behave(asked: Asked) -> Iterator[bytes | float]:
        now = left.pop(0) if len(left) > 1 else left[0]
        yield from [now] if isinstance(now, bytes) else now(asked)

    return behave


def _read_request(connection: socket.socket) -> Asked | None:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return None
        received += piece
    top, _, body = received.partition(b"\r\n\r\n")
    first, *lines = top.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = dict(line.split(": ", 1) for line in lines)
    while len(body) < int(headers.get("Content-Length") or 0):
        body += connection.recv(65536)
    parts = urlsplit(target)
    return Asked(method, parts.path, dict(parse_qsl(parts.query)), headers, body)
