"""Connections that hold a server to bounds while it answers: a deadline for the last byte, and sizes on the wire.

A timeout of a socket starts anew with every byte, so a server that sends one now and then would be waited for without end.
"""

from __future__ import annotations

import http.client
import io
import logging
import socket
import sys
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, ProxyManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, LocationParseError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from dlt_orchestrate.config.redaction import RedactingFilter
from dlt_orchestrate.http.addresses import expect_public_address
from dlt_orchestrate.protocols.clock import Clock

# At DEBUG they tell the address of every request, with all its parameters.
for _name in ("connectionpool", "poolmanager", "connection", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(RedactingFilter())

_FRAMING_BYTES = 1024 * 1024
_FOREVER_SECONDS = 10.0**6


class AnswerOutOfBounds(Exception):  # no error of urllib3's kind: it is to reach the session as it is
    """An answer takes longer, or is larger, than it may.

    Attributes:
        limit: The name of the setting.
    """

    def __init__(self, limit: str) -> None:
        self.limit = limit
        super().__init__(limit)


class Bounds:
    """What one answer may take.

    Attributes:
        deadline: Until when its last byte must be there, by the clock's `monotonic`.
        max_header_bytes: Bytes before the body.
        max_wire_bytes: Bytes of the whole answer as it is sent, with what frames its chunks.
    """

    def __init__(
        self, clock: Clock, *, deadline: float, deadline_limit: str, max_header_bytes: int, max_body_bytes: int
    ) -> None:
        self._clock = clock
        self._deadline_limit = deadline_limit
        self._is_lifted = False
        self.deadline = deadline
        self.max_header_bytes = max_header_bytes
        self.max_wire_bytes = max_header_bytes + 2 * max_body_bytes + _FRAMING_BYTES

    def lift(self) -> None:
        """From now on the body is its reader's affair."""
        self._is_lifted = True

    def seconds_left(self) -> float | None:
        """Until the deadline; None if there is none any more.

        Raises:
            AnswerOutOfBounds: It has passed.
        """
        if self._is_lifted:
            return None
        left = self.deadline - self._clock.monotonic()
        if left <= 0:
            raise self.too_slow()
        return left

    def too_slow(self) -> AnswerOutOfBounds:
        """The exception for a deadline that has passed."""
        return AnswerOutOfBounds(self._deadline_limit)

    def expect_size(self, received: int, *, is_in_body: bool) -> None:
        """Raise if more was received than there may be.

        Raises:
            AnswerOutOfBounds: It was.
        """
        if not is_in_body and received > self.max_header_bytes:
            raise AnswerOutOfBounds("request_max_header_bytes")
        if received > self.max_wire_bytes and not self._is_lifted:
            raise AnswerOutOfBounds("request_max_body_bytes")


class BoundedTimeout(Timeout):
    """The timeouts of a request, which carry its bounds to the connection that it will use."""

    def __init__(self, bounds: Bounds, *, connect: float | None, read: float | None) -> None:
        super().__init__(connect=connect, read=read)
        self.bounds = bounds
        self._given = (connect, read)

    def clone(self) -> BoundedTimeout:
        connect, read = self._given
        return BoundedTimeout(self.bounds, connect=connect, read=read)

    @property
    def connect_timeout(self) -> _Seconds:
        return _Seconds(self.bounds, self._given[0])

    @property
    def read_timeout(self) -> _Seconds:
        return _Seconds(self.bounds, self._given[1])


class BoundedAdapter(HTTPAdapter):
    """Sends requests on connections that obey a `BoundedTimeout`.

    Args:
        public_only: Refuse hosts whose addresses are not public. A name is resolved once, so that it cannot change its
            meaning between the look at its addresses and the connection.
    """

    __attrs__ = [*HTTPAdapter.__attrs__, "public_only"]  # noqa: RUF012  # what requests pickles, named as it wants it

    def __init__(self, *, public_only: bool = False, **options: Any) -> None:
        self.public_only = public_only
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if type(manager) is ProxyManager:  # one for SOCKS has connections of its own
            manager.pool_classes_by_scheme = self._pools
        return manager

    @property
    def _pools(self) -> dict[str, Any]:
        if self.public_only:
            return {"http": _PublicHttpPool, "https": _PublicHttpsPool}
        return {"http": _HttpPool, "https": _HttpsPool}


class _Seconds(float):
    """The seconds that a step may wait, with the bounds that they were cut by."""

    bounds: Bounds
    idle: float | None

    def __new__(cls, bounds: Bounds, idle: float | None) -> _Seconds:
        left = bounds.seconds_left()
        waits = [seconds for seconds in (idle, left) if seconds is not None]
        self = super().__new__(cls, min(waits, default=_FOREVER_SECONDS))
        self.bounds, self.idle = bounds, idle
        return self


class _BoundedReader(io.RawIOBase):
    """Reads a socket within the bounds."""

    def __init__(self, source: io.RawIOBase, sock: socket.socket, wait: _Seconds) -> None:
        self._source = source
        self._socket = sock
        self._idle = wait.idle
        self._bounds = wait.bounds
        self._received = 0
        self._waits_for: float | None = -1.0
        self.is_in_body = False

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._source.fileno()

    def readinto(self, buffer: Any) -> int | None:
        left = self._bounds.seconds_left()
        is_last_wait = left is not None and (self._idle is None or left <= self._idle)
        self._set_timeout(left if is_last_wait else self._idle)
        try:
            count = self._source.readinto(buffer)
        except TimeoutError:
            if is_last_wait:
                raise self._bounds.too_slow() from None
            raise
        self._received += count or 0
        self._bounds.expect_size(self._received, is_in_body=self.is_in_body)
        return count

    def _set_timeout(self, seconds: float | None) -> None:
        """Tell the socket, which asks the system, only what is new."""
        if seconds != self._waits_for:
            self._socket.settimeout(seconds)
            self._waits_for = seconds

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


class _BoundedAnswer(http.client.HTTPResponse):
    """An answer that is read within the bounds, head and body."""

    def __init__(self, sock: socket.socket, *args: Any, wait: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._reader: _BoundedReader | None = None
        if isinstance(wait, _Seconds):
            self._reader = _BoundedReader(self.fp.detach(), sock, wait)
            self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        if self._reader is not None:
            self._reader.is_in_body = True


class _BoundedConnection:
    """What connections of either scheme add to those of urllib3."""

    host: str
    port: int
    timeout: Any
    proxy: Any
    source_address: Any
    socket_options: Any
    _dns_host: str
    _answer: http.client.HTTPResponse | None = None

    def _new_conn(self) -> socket.socket:
        """Connect to the first of the host's addresses that lets itself be connected to, within the bounds."""
        if not isinstance(self.timeout, _Seconds):
            connected: socket.socket = super()._new_conn()  # type: ignore[misc]
            return connected
        failure: OSError | None = None
        for family, kind, protocol, _, address in self._addresses():
            try:
                connected = self._connect(socket.socket(family, kind, protocol), address, self.timeout)
            except OSError as error:
                failure = error
                continue
            sys.audit("http.client.connect", self, self.host, self.port)
            return connected
        connection: Any = self
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(connection, f"Connection to {self.host} timed out.") from failure
        raise NewConnectionError(connection, f"Failed to establish a new connection: {failure}") from failure

    def _addresses(self) -> list[Any]:
        host: str = self._dns_host.strip("[]")
        connection: Any = self
        try:
            return socket.getaddrinfo(host, self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except UnicodeError:
            raise LocationParseError(f"{host!r}, label empty or too long") from None
        except socket.gaierror as error:
            raise NameResolutionError(self.host, connection, error) from error

    def _connect(self, new: socket.socket, address: Any, wait: _Seconds) -> socket.socket:
        try:
            for option in self.socket_options or ():
                new.setsockopt(*option)
            new.settimeout(_Seconds(wait.bounds, wait.idle))
            if self.source_address:
                new.bind(self.source_address)
            new.connect(address)
        except BaseException:
            new.close()
            raise
        return new

    def getresponse(self) -> Any:
        try:
            return super().getresponse()  # type: ignore[misc]
        except BaseException:
            if self._answer is not None:  # read, and found to contradict itself
                self._answer.close()
            raise
        finally:
            self._answer = None

    def _new_answer(self, *args: Any, **options: Any) -> http.client.HTTPResponse:
        self._answer = _BoundedAnswer(*args, wait=self.timeout, **options)
        return self._answer

    # What http.client reads answers with, also that of a proxy to CONNECT.
    response_class: Any = property(lambda self: self._new_answer)


class _PublicConnection(_BoundedConnection):
    """Connects to public addresses only, unless a proxy does."""

    def _addresses(self) -> list[Any]:
        found = super()._addresses()
        if self.proxy is None:
            for *_, address in found:
                expect_public_address(self.host, str(address[0]))
        return found


class _HttpConnection(_BoundedConnection, HTTPConnection):
    pass


class _HttpsConnection(_BoundedConnection, HTTPSConnection):
    pass


class _PublicHttpConnection(_PublicConnection, HTTPConnection):
    pass


class _PublicHttpsConnection(_PublicConnection, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


class _PublicHttpPool(HTTPConnectionPool):
    ConnectionCls = _PublicHttpConnection


class _PublicHttpsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHttpsConnection
