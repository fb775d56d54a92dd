"""A network between a client and a PostgreSQL server that breaks at COMMIT, before the server has got it or after."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Moment = Literal["before", "after"]


@dataclass
class CutProxy:
    """Passes everything on until a client sends COMMIT while a cut is wanted; then both sides lose the connection.

    Attributes:
        url: Where clients connect to.
        cut: Whether the server gets the COMMIT that the connection breaks at; None for no break. It breaks once.
        refuses: Whether connections after that are refused.
        cuts: How often it broke.
    """

    url: str
    cut: Moment | None = None
    refuses: bool = False
    cuts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _breaks(self) -> Moment | None:
        with self._lock:
            moment, self.cut = self.cut, None
            self.cuts += moment is not None
            return moment

    def serve(self, client: socket.socket, server: socket.socket) -> None:
        threading.Thread(target=self._answers, args=(server, client), daemon=True).start()
        with suppress(OSError):
            while sent := client.recv(65_536):
                moment = self._breaks() if b"COMMIT\0" in sent else None
                if moment == "before":
                    break
                if moment == "after":
                    client.shutdown(socket.SHUT_RDWR)  # the answer finds nobody
                server.sendall(sent)
                if moment == "after":
                    server.shutdown(socket.SHUT_WR)  # the server reads all that was sent, then the end
                    return
        _close(client, server)

    def _answers(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while answer := server.recv(65_536):
                with suppress(OSError):
                    client.sendall(answer)
        _close(client, server)


@contextmanager
def cut_proxy(url: str) -> Iterator[CutProxy]:
    """A proxy before the server of a URL."""
    target = urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"{target.username}@127.0.0.1:{listener.getsockname()[1]}"
    proxy = CutProxy(urlunsplit(target._replace(netloc=address)))

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                if proxy.refuses and proxy.cuts:
                    client.close()
                    continue
                server = socket.create_connection((target.hostname, target.port))
                threading.Thread(target=proxy.serve, args=(client, server), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
