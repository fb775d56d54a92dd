"""The HTTP face of the sample API: paths, paging, credentials, conditional requests, limits, control."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.testing.sample_api.records import Record
from dlt_orchestrate.testing.sample_api.repository import SampleRepository, UnknownIssueError

REPOSITORIES = ("acme/teahouse", "acme/bakery")
TOKEN = "sample-token"  # noqa: S105 - opens nothing but invented records

_DEFAULT_PER_PAGE = 30
_RATE_WINDOW_SECONDS = 60.0


@dataclass(frozen=True)
class ServedRequest:
    """One request the API has answered; control requests are not among them."""

    method: str
    path: str
    query: Mapping[str, str]
    status: int
    authorized: bool


@dataclass(frozen=True)
class _Answer:
    status: HTTPStatus
    payload: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class _RefusedError(Exception):
    """A request is answered with an error status."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        self.answer = _Answer(status, {"message": message, "status": str(status.value)})
        super().__init__(message)


class SampleApi:
    """A GitHub-shaped API on loopback that holds its records in memory.

        GET  /orgs/{owner}/repos                     per_page, page
        GET  /repos/{owner}/{name}
        GET  /repos/{owner}/{name}/issues            state, since, sort, direction, per_page, page
        GET  /repos/{owner}/{name}/comments          since, per_page, page
        GET  /repos/{owner}/{name}/traffic/clones    needs "Authorization: Bearer <token>"
        POST /_control/touch|add|remove              {"number": 7, "title": "…"}, {"count": 2}, {"number": 7}
        GET  /_control/requests                      what was asked so far

    Lists are paged by `Link` headers; every answer has an `ETag`, and `If-None-Match` is answered with 304.

    >>> import urllib.request
    >>> with SampleApi() as api:
    ...     with urllib.request.urlopen(f"{api.url}/repos/acme/teahouse/issues?per_page=5") as response:
    ...         print(len(json.load(response)), 'rel="next"' in response.headers["Link"])
    5 True

    Args:
        port: 0 takes a free one; see `url`.
        token: What `traffic/clones` asks for. A wrong token is refused everywhere.
        issues: How many issues each repository starts with; a fifth of them is closed.
        max_per_page: The most records of a page, whatever `per_page` asks for.
        latency_ms: How long every answer waits.
        rate_limit: How many requests a minute are answered before 403; None for no limit.
        clock: Seconds since the epoch, for the rate limit.
    """

    def __init__(
        self,
        port: int = 0,
        token: str = TOKEN,
        *,
        repositories: tuple[str, ...] = REPOSITORIES,
        issues: int = 120,
        comments: int = 60,
        max_per_page: int = 100,
        latency_ms: float = 0,
        rate_limit: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.token = token
        self.max_per_page = max_per_page
        self.latency_ms = latency_ms
        self.repositories = {name: SampleRepository(name, issues=issues, comments=comments) for name in repositories}
        self._rate = None if rate_limit is None else _RateLimit(rate_limit, clock)
        self._requests: list[ServedRequest] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="sample-api", daemon=True)

    @property
    def url(self) -> str:
        """Where the API answers, without a slash at the end."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    @property
    def repository(self) -> SampleRepository:
        """The first repository, which the control methods work on."""
        return next(iter(self.repositories.values()))

    @property
    def requests(self) -> list[ServedRequest]:
        """The requests answered so far, oldest first; clear them with `forget_requests`."""
        with self._lock:
            return list(self._requests)

    def forget_requests(self) -> None:
        """Begin the list of requests anew."""
        with self._lock:
            self._requests.clear()

    def touch(self, number: int, **fields: object) -> Record:
        """Change fields of an issue and move its `updated_at` past every other; return a copy of it."""
        return self.repository.touch(number, **fields)

    def add(self, count: int = 1) -> list[Record]:
        """Open new issues, each newer than everything before it; return copies of them."""
        return self.repository.add(count)

    def remove(self, number: int) -> Record:
        """Delete an issue; return it."""
        return self.repository.remove(number)

    def start(self) -> None:
        """Answer requests from now on, in threads of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and the port; wait until no thread is left."""
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _note(self, request: ServedRequest) -> None:
        with self._lock:
            self._requests.append(request)


class _RateLimit:
    """Counts requests in windows of one minute."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._lock = threading.Lock()
        self._window_start = clock()
        self._used = 0

    def use(self) -> tuple[bool, dict[str, str]]:
        """Count one request; tell whether it is within the limit, and the headers that say so."""
        with self._lock:
            now = self._clock()
            if now - self._window_start >= _RATE_WINDOW_SECONDS:
                self._window_start, self._used = now, 0
            self._used += 1
            reset = self._window_start + _RATE_WINDOW_SECONDS
            headers = {
                "X-RateLimit-Limit": str(self.limit),
                "X-RateLimit-Remaining": str(max(self.limit - self._used, 0)),
                "X-RateLimit-Reset": str(int(reset)),
            }
            if self._used <= self.limit:
                return True, headers
            return False, {**headers, "Retry-After": str(max(int(reset - now), 1))}


class _Server(ThreadingTCPServer):
    """Handles each connection in a thread, and knows its open connections so that it can close them.

    Not `http.server.HTTPServer`: that one asks the name service for its own name when it starts.
    """

    allow_reuse_address = True
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], api: SampleApi) -> None:
        self.api = api
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End the reading side of kept-alive connections: their threads finish what they are answering, and leave."""
        with self._open_lock:
            for connection in self._open:
                connection.shutdown(socket.SHUT_RD)


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    server_version = "SampleApi"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024  # head and body leave in one packet

    def do_GET(self) -> None:
        api = self.server.api
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        if url.path == "/_control/requests":
            self._send(_Answer(HTTPStatus.OK, [vars(request) for request in api.requests]))
            return
        if api.latency_ms:
            time.sleep(api.latency_ms / 1000)
        answer = self._answer(api, url.path, query)
        # Noted before it is sent: whoever has read the answer finds the request in the list.
        authorized = self.headers.get("Authorization") == f"Bearer {api.token}"
        api._note(ServedRequest("GET", url.path, query, answer.status.value, authorized))
        self._send(answer)

    def do_POST(self) -> None:
        try:
            fields = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            self._send(_Answer(HTTPStatus.OK, _control(self.server.api, urlsplit(self.path).path, fields)))
        except _RefusedError as refused:
            self._send(refused.answer)
        except UnknownIssueError as unknown:
            self._send(_RefusedError(HTTPStatus.NOT_FOUND, str(unknown)).answer)
        except (ValueError, TypeError) as problem:
            self._send(_RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(problem)).answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        """Say nothing on the terminal: `SampleApi.requests` tells what was asked."""

    def _answer(self, api: SampleApi, path: str, query: Mapping[str, str]) -> _Answer:
        within, limits = (True, {}) if api._rate is None else api._rate.use()
        try:
            if not within:
                raise _RefusedError(HTTPStatus.FORBIDDEN, "API rate limit exceeded")
            self._check_credentials(api, path)
            payload, headers = _read(api, f"http://{self.headers.get('Host')}", path, query)
        except _RefusedError as refused:
            return _Answer(refused.answer.status, refused.answer.payload, limits)
        etag = f'"{hashlib.sha256(json.dumps(payload).encode()).hexdigest()}"'
        headers = {**limits, **headers, "ETag": etag}
        if self.headers.get("If-None-Match") == etag:
            return _Answer(HTTPStatus.NOT_MODIFIED, None, headers)
        return _Answer(HTTPStatus.OK, payload, headers)

    def _check_credentials(self, api: SampleApi, path: str) -> None:
        given = self.headers.get("Authorization")
        if given is None and path.endswith("/traffic/clones"):
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "Requires authentication")
        if given is not None and given != f"Bearer {api.token}":
            raise _RefusedError(HTTPStatus.UNAUTHORIZED, "Bad credentials")

    def _send(self, answer: _Answer) -> None:
        body = b"" if answer.status == HTTPStatus.NOT_MODIFIED else json.dumps(answer.payload).encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _read(api: SampleApi, origin: str, path: str, query: Mapping[str, str]) -> tuple[Any, dict[str, str]]:
    match path.strip("/").split("/"):
        case ["orgs", owner, "repos"] if any(name.startswith(f"{owner}/") for name in api.repositories):
            found = [known.describe() for name, known in api.repositories.items() if name.startswith(f"{owner}/")]
            return _page(found, f"{origin}{path}", query, api.max_per_page)
        case ["repos", owner, name, *rest] if f"{owner}/{name}" in api.repositories:
            repository = api.repositories[f"{owner}/{name}"]
        case _:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "Not Found")
    match rest:
        case []:
            return repository.describe(), {}
        case ["issues"]:
            return _page(_issues(repository, query), f"{origin}{path}", query, api.max_per_page)
        case ["comments"]:
            return _page(repository.comments(since=_since(query)), f"{origin}{path}", query, api.max_per_page)
        case ["traffic", "clones"]:
            return repository.clones(), {}
        case _:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "Not Found")


def _issues(repository: SampleRepository, query: Mapping[str, str]) -> list[Record]:
    return repository.issues(
        state=_one_of(query, "state", "open", "closed", "all"),
        since=_since(query),
        sort=_one_of(query, "sort", "created", "updated", "comments"),
        descending=_one_of(query, "direction", "desc", "asc") == "desc",
    )


def _page(
    found: list[Record], address: str, query: Mapping[str, str], max_per_page: int
) -> tuple[list[Record], dict[str, str]]:
    size = min(_number(query, "per_page", _DEFAULT_PER_PAGE), max_per_page)
    page = _number(query, "page", 1)
    last = max(1, -(-len(found) // size))
    targets = {"prev": page - 1, "first": 1} if page > 1 else {}
    if page < last:
        targets |= {"next": page + 1, "last": last}
    links = [f'<{address}?{urlencode({**query, "page": at})}>; rel="{rel}"' for rel, at in targets.items()]
    return found[(page - 1) * size : page * size], {"Link": ", ".join(links)} if links else {}


def _one_of(query: Mapping[str, str], name: str, *allowed: str) -> str:
    """The value of a parameter; the first allowed one where it is not given."""
    value = query.get(name, allowed[0])
    if value not in allowed:
        raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} must be one of {', '.join(allowed)}")
    return value


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not value.isdecimal() or int(value) < 1:
        raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} must be a whole number from 1")
    return int(value)


def _since(query: Mapping[str, str]) -> datetime | None:
    if "since" not in query:
        return None
    try:
        moment = datetime.fromisoformat(query["since"])
    except ValueError:
        raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "since must be an ISO 8601 timestamp") from None
    if moment.tzinfo is None:
        raise _RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "since must have a time zone, such as Z")
    return moment


def _control(api: SampleApi, path: str, fields: dict[str, Any]) -> object:
    match path:
        case "/_control/touch":
            return api.touch(**fields)
        case "/_control/add":
            return api.add(**fields)
        case "/_control/remove":
            return api.remove(**fields)
        case _:
            raise _RefusedError(HTTPStatus.NOT_FOUND, "Not Found")
