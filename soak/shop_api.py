"""The orders of a shop as an API shows them, two to a page, with the address of the next page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter

from soak.world import World

PER_PAGE = 2
ADDRESS = "http://shop.example/orders"
"""It stays the same, whichever port the process that serves it has found free."""


@contextmanager
def shop_api(world: World, version: int) -> Iterator[requests.Session]:
    """Serve the orders of a version while the block runs; gives a session that reaches them at `ADDRESS`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            first = int(asked.get("first", 0))
            orders = [order for order in world.orders(version) if order["at"] >= asked["after"]]
            more = first + PER_PAGE < len(orders)
            following = f"?{urlencode({**asked, 'first': first + PER_PAGE})}" if more else None
            self._answer({"items": orders[first : first + PER_PAGE], "next": following})

        def _answer(self, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        with requests.Session() as session:
            session.mount(ADDRESS, _ToPort(server.server_port))
            yield session
    finally:
        server.shutdown()
        server.server_close()


class _ToPort(HTTPAdapter):
    """Sends what is meant for the shop to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        named = request.url or ""
        request.url = f"http://127.0.0.1:{self._port}{urlsplit(named).path}?{urlsplit(named).query}"
        response = super().send(request, **kwargs)
        response.url = request.url = named
        return response
