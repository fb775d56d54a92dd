"""A loopback API whose answers a test writes as a function, and a clock that only moves when someone waits."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest


@dataclass(frozen=True)
class Asked:
    """A request as the server saw it."""

    method: str
    path: str
    params: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer; `announced_bytes` more than the body means that it is cut short."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    announced_bytes: int | None = None


Answer = Callable[[Asked], Any]


class Api:
    """A server on a free loopback port; `answer` decides, `asked` remembers, `connections` counts."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self.answer: Answer = lambda _: Reply(status=404)
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1

            def setup(self) -> None:
                api.connections += 1
                super().setup()

            def _serve(self) -> None:
                api._serve(self)

            do_GET = do_POST = do_PUT = do_HEAD = _serve  # noqa: N815  # names that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://{host}:{self._server.server_port}"

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        asked = Asked(handler.command, parts.path, dict(parse_qsl(parts.query)), dict(handler.headers), body)
        self.asked.append(asked)
        reply = self.answer(asked)
        if not isinstance(reply, Reply):
            reply = Reply(json.dumps(reply).encode(), headers={"Content-Type": "application/json"})
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        length = len(reply.body) if reply.announced_bytes is None else reply.announced_bytes
        if reply.status != 204:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(reply.body)
        handler.close_connection = length != len(reply.body)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class FakeClock:
    """Stands still, except that sleeping moves it on at once."""

    def __init__(self) -> None:
        self.moment = datetime(2030, 1, 1, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    yield server
    server.close()


@pytest.fixture
def other_api() -> Iterator[Api]:
    """A second origin."""
    server = Api()
    yield server
    server.close()
