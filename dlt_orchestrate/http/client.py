"""A client for one REST API, and `paginate` for a single address of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import partial
from typing import Any, Literal, cast

import requests
from requests.auth import AuthBase

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import ForeignOriginError
from dlt_orchestrate.http.addresses import host_of
from dlt_orchestrate.http.credentials import CredentialWatch, without_credentials
from dlt_orchestrate.http.detection import Answer, detect
from dlt_orchestrate.http.failures import HttpStatusError
from dlt_orchestrate.http.guard import PageLimits
from dlt_orchestrate.http.hosts import RateLimit, hosts_of, limit_of
from dlt_orchestrate.http.oauth import renewal_of
from dlt_orchestrate.http.origin import origin_of, strip_credentials
from dlt_orchestrate.http.paginators import BasePaginator, SinglePagePaginator, param_pairs
from dlt_orchestrate.http.paging import PageData, Pages, PaginatorFactory, Paging, Read
from dlt_orchestrate.http.response import JsonBody, Response
from dlt_orchestrate.http.selection import WHOLE, Listing, find_selector, select_rows
from dlt_orchestrate.http.session import UNAUTHORIZED, USER_AGENT, Session, default_session
from dlt_orchestrate.http.settings import RequestSettings
from dlt_orchestrate.http.traffic import Traffic
from dlt_orchestrate.protocols.clock import SystemClock

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
Auth = AuthBase | tuple[str, str] | Callable[[requests.PreparedRequest], requests.PreparedRequest]
Hooks = Mapping[str, Callable[..., Any] | Iterable[Callable[..., Any]]]


class RESTClient:
    """Talks to one API: a base address with headers, credentials and a way to page.

    Headers and credentials of the client go to the origin of `base_url` only.

    Args:
        paginator: How the API pages; detected for each address if not given.
        data_selector: Where the records stand in an answer; found on the first page if not given.
        session: Sends the requests; by default the session of the thread.
        paginator_factory: Detects the paginator instead of the detection table.
        allowed_origins: Further origins that links to next pages may lead to; they get no credentials.
        limits: Where paging ends with an error.
        rate_limit: How many requests a host gets, counted together with those of all in the process that have an equal
            limit; instead of what is configured for the host.

    Attributes:
        environment: A dictionary keeps what the environment says of connections, such as proxies, for all calls of
            `paginate`; without one each call asks anew.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        paginator: BasePaginator | None = None,
        data_selector: str | None = None,
        session: requests.Session | None = None,
        paginator_factory: PaginatorFactory | None = None,
        *,
        allowed_origins: Sequence[str] = (),
        limits: PageLimits | None = None,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self.base_url = base_url
        self.headers = dict(headers or {})
        self.auth = auth
        self.paginator = paginator
        self.data_selector = data_selector
        self.paginator_factory = paginator_factory
        self.allowed_origins = tuple(origin_of(origin) for origin in allowed_origins)
        self.limits = limits
        self.environment: dict[Any, Mapping[str, Any]] | None = None
        self.rate_limit = rate_limit
        self._session = session
        self._credentials = CredentialWatch()  # these two for sessions that are none of ours
        self._traffic = Traffic()

    @property
    def session(self) -> requests.Session:
        """What sends the requests."""
        return self._session if self._session is not None else default_session()

    def get(self, path: str = "", params: Any = None, **kwargs: Any) -> requests.Response:
        """Send a GET request; arguments as in `requests.get`."""
        return self.request(path, method="GET", params=params, **kwargs)

    def post(self, path: str = "", json: Any = None, **kwargs: Any) -> requests.Response:
        """Send a POST request; arguments as in `requests.post`."""
        return self.request(path, method="POST", json=json, **kwargs)

    def request(self, path: str = "", method: Method = "GET", **kwargs: Any) -> requests.Response:
        """Send a request; arguments as in `requests.request`. An error status is returned, not raised."""
        sending = {name: kwargs.pop(name) for name in tuple(kwargs) if name in _SENDING}
        request = self._request(path, method, **kwargs)
        return self._send(self._prepare(request), **sending)

    def paginate(
        self,
        path: str = "",
        method: Method = "GET",
        params: Any = None,
        json: Any = None,
        auth: Auth | None = None,
        paginator: BasePaginator | None = None,
        data_selector: str | None = None,
        hooks: Hooks | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        data: Any = None,
        allowed_origins: Sequence[str] = (),
        limits: PageLimits | None = None,
        **kwargs: Any,
    ) -> Iterator[PageData]:
        """Read page after page; nothing is asked for before its page is wanted.

        Args:
            path: Below `base_url`, or a full address.
            paginator, data_selector, limits: Instead of those of the client.
            hooks: `{"response": [...]}`, called with each answer before it is looked at; one may raise
                `IgnoreResponseException` to end paging without an error. `{"request": [...]}`, called with each prepared
                request before it is sent; one may return another in its place.
            headers: In addition to those of the client.
            allowed_origins: In addition to those of the client.
            kwargs: Settings of the connection, as in `requests.request`: `timeout`, `verify`, `cert`, `proxies`,
                `allow_redirects`.

        Raises:
            RequestFailedError: A page cannot be had.
            ResponseNotJsonError: A page is not JSON.
            PaginationError: The pages do not add up.
            ForeignOriginError: A link to the next page leads to an origin that is not allowed.
        """
        if unknown := [name for name in kwargs if name not in _SENDING]:
            raise TypeError(f"paginate() got an unexpected keyword argument {unknown[0]!r}")
        return Pages(
            lambda pages: self._walk(
                pages,
                path,
                method,
                paginator=paginator,
                data_selector=data_selector,
                allowed_origins=allowed_origins,
                limits=limits,
                sending=kwargs,
                params=params,
                json=json,
                data=data,
                auth=auth,
                headers=headers,
                hooks=hooks,
            )
        )

    def _walk(
        self,
        pages: Pages,
        path: str,
        method: Method,
        *,
        paginator: BasePaginator | None,
        data_selector: str | None,
        allowed_origins: Sequence[str],
        limits: PageLimits | None,
        sending: Mapping[str, Any],
        **kwargs: Any,
    ) -> Iterator[PageData]:
        request = self._request(path, method, **kwargs)
        origins = (origin_of(request.url), *self.allowed_origins, *map(origin_of, allowed_origins))
        walk = _Walk(origins, {} if self.environment is None else self.environment, sending=sending)
        yield from Paging(
            fetch=lambda asked, read: self._fetch_page(asked, walk, read),
            request=request,
            paginator=copy.deepcopy(paginator if paginator is not None else self.paginator),
            selector=data_selector or self.data_selector,
            factory=self.paginator_factory,
            limits=limits or self.limits or PageLimits(),
            clock=self.session.clock if isinstance(self.session, Session) else None,
            taken_by=pages,
        ).pages()

    def detect_paginator(self, response: requests.Response, data: Any = None) -> BasePaginator:
        """The paginator that an answer calls for. `paginate` does this by itself, and verifies the next page too."""
        if self.paginator_factory is not None:
            return self.paginator_factory.create_paginator(response) or SinglePagePaginator()
        body = response.json()
        rows = list(data if data is not None else self.extract_response(response))
        is_list = isinstance(body, list) or find_selector(body) != WHOLE
        answer = Answer(response=response, body=body, rows=rows, listing=Listing.of(rows), is_list=is_list, params={})
        return detect(answer).candidates[0]

    def extract_response(self, response: requests.Response, data_selector: str | None = None) -> list[Any]:
        """The records of an answer."""
        body = response.json()
        return select_rows(body, data_selector or self.data_selector or find_selector(body))

    def _request(self, path: str, method: Method, **kwargs: Any) -> requests.Request:
        """A request below the base address, with the client's headers and credentials if it goes to its origin."""
        is_full = path.startswith(("http://", "https://"))
        url = path if is_full or not self.base_url else _join(self.base_url, path)
        headers, auth = kwargs.pop("headers", None), kwargs.pop("auth", None)
        if not self.base_url or origin_of(url) == origin_of(self.base_url):
            headers = {**self.headers, **(headers or {})}
            auth = auth if auth is not None else self.auth
        hooks = dict(kwargs.pop("hooks", None) or {})
        before = hooks.pop("request", ())
        request = requests.Request(method, url, headers=headers, auth=auth, hooks=hooks, **kwargs)
        request.before_sending = (before,) if callable(before) else tuple(before)  # type: ignore[attr-defined]
        return request

    def _fetch_page(self, request: requests.Request, walk: _Walk, read: Read | None) -> Response:
        origin = origin_of(request.url)
        if origin not in walk.origins:
            raise ForeignOriginError(url=request.url, origin=origin, allowed=walk.origins)
        prepared = self._prepare(request)
        if origin != walk.origins[0]:
            prepared = _without_credentials(request)
        has_hooks = bool(request.hooks.get("response"))
        settings = walk.connection_settings(self.session, prepared, origin)
        decode = partial(_decode, read=read if _is_read_by_nobody_else(self.session, prepared) else None)
        response = self._transmit(prepared, None if has_hooks else decode, settings, walk.origins[1:])
        if not response.ok:
            raise HttpStatusError(response)
        return decode(response)

    def _prepare(self, request: requests.Request) -> requests.PreparedRequest:
        prepared = self._prepared(request)
        for hook in getattr(request, "before_sending", ()):
            prepared = hook(prepared) or prepared
        return prepared

    def _prepared(self, request: requests.Request) -> requests.PreparedRequest:
        if self.base_url and origin_of(request.url) != origin_of(self.base_url):
            prepared = request.prepare()  # what the session sends by itself is meant for the base address
            prepared.headers.setdefault("User-Agent", USER_AGENT)
            return prepared
        return self.session.prepare_request(request)

    def _send(self, prepared: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        return self._transmit(prepared, None, {**_connection_settings(self.session, prepared, kwargs), **kwargs})

    def _transmit(
        self,
        prepared: requests.PreparedRequest,
        check: Callable[[requests.Response], object] | None,
        settings: Mapping[str, Any],
        allowed_origins: Sequence[str] = (),
    ) -> requests.Response:
        session = self.session
        if isinstance(session, Session):
            named = (self.base_url, *self.allowed_origins, *allowed_origins)  # any other address may come from data
            trusted_hosts = tuple(map(host_of, named)) if self.base_url else None
            return session.send(prepared, check=check, trusted_hosts=trusted_hosts, rate_limit=self.rate_limit, **settings)
        response = self._send_by_other(session, prepared, settings)
        renew = renewal_of(prepared)
        if renew is not None and response.status_code == UNAUTHORIZED:
            renew(prepared)
            self._traffic.count(retries=1)
            response = self._send_by_other(session, prepared, settings)
        return response

    def _send_by_other(
        self, session: requests.Session, prepared: requests.PreparedRequest, settings: Mapping[str, Any]
    ) -> requests.Response:
        """Send by a session that is none of ours, when it is the turn of the request at its host."""
        self._credentials.look_at(prepared)
        origin, clock = origin_of(prepared.url or ""), SystemClock()
        hosts = hosts_of(clock)
        with hosts.turn(prepared, origin, self.rate_limit or limit_of(origin), clock) as waited:
            started = clock.monotonic()
            response = session.send(prepared, **settings)
            self._traffic.count(
                requests=1 + len(response.history),
                seconds_waited=waited,
                seconds_answering=clock.monotonic() - started,
                bytes_received=len(response.content) if response._content_consumed else 0,  # type: ignore[attr-defined]
            )
            for answer in (*response.history, response):
                self._traffic.count(status=answer.status_code)
        hosts.note(response, origin, clock, max_seconds=RequestSettings().value("request_max_wait_seconds"))
        return response


@dataclass(frozen=True, slots=True)
class _Walk:
    """One walk through pages.

    Attributes:
        origins: Where it may go: that of the first page, and those that links may lead to.
        sending: Settings of the connection that were given.
    """

    origins: tuple[str, ...]
    _settings: dict[Any, Mapping[str, Any]] = field(default_factory=dict)
    sending: Mapping[str, Any] = field(default_factory=dict)

    def connection_settings(
        self, session: requests.Session, prepared: requests.PreparedRequest, origin: str
    ) -> Mapping[str, Any]:
        """What holds for a connection; the environment is asked once for each origin, unless the session changes."""
        if self.sending:
            given = dict(self.sending)
            return {**_connection_settings(session, prepared, given), **given}
        key = (origin, session.trust_env, session.verify, session.cert, tuple(session.proxies.items()))
        if key not in self._settings:
            self._settings[key] = _connection_settings(session, prepared, {})
        return self._settings[key]


def paginate(
    url: str,
    method: Method = "GET",
    headers: Mapping[str, str] | None = None,
    params: Any = None,
    json: Any = None,
    auth: Auth | None = None,
    paginator: BasePaginator | None = None,
    data_selector: str | None = None,
    hooks: Hooks | None = None,
    *,
    data: Any = None,
    allowed_origins: Sequence[str] = (),
    session: requests.Session | None = None,
    limits: PageLimits | None = None,
    rate_limit: RateLimit | None = None,
    **kwargs: Any,
) -> Iterator[PageData]:
    """Read page after page of an address, as `RESTClient.paginate` does."""
    client = RESTClient(
        url,
        headers=headers,
        auth=auth,
        session=session,
        allowed_origins=allowed_origins,
        limits=limits,
        rate_limit=rate_limit,
    )
    return client.paginate(
        method=method,
        params=params,
        json=json,
        paginator=paginator,
        data_selector=data_selector,
        hooks=hooks,
        data=data,
        **kwargs,
    )


_SENDING = frozenset("allow_redirects cert proxies stream timeout verify".split())


def _connection_settings(
    session: requests.Session, prepared: requests.PreparedRequest, given: dict[str, Any]
) -> Mapping[str, Any]:
    """What holds for a connection by the arguments of a request, which are taken out, the session and the environment."""
    return session.merge_environment_settings(
        prepared.url or "",
        given.pop("proxies", {}),
        given.pop("stream", None),
        given.pop("verify", None),
        given.pop("cert", None),
    )


def _join(base_url: str, path: str) -> str:
    return f"{base_url.rstrip('/')}/{path.lstrip('/')}" if path else base_url


def _without_credentials(request: requests.Request) -> requests.PreparedRequest:
    bare = copy.copy(request)
    bare.auth = None
    bare.cookies = None
    bare.params = without_credentials(param_pairs(request.params))
    prepared = bare.prepare()
    strip_credentials(prepared)
    prepared.headers["User-Agent"] = USER_AGENT
    return prepared


def _is_read_by_nobody_else(session: requests.Session, prepared: requests.PreparedRequest) -> bool:
    """Whether no code of a user's looks at an answer before its page is handed out."""
    return type(session) is Session and session.retry.condition is None and not any(prepared.hooks.values())


def _decode(response: requests.Response, read: Read | None = None) -> Response:
    """Decode the body, and keep it decoded for all who read it before the page is handed out.

    Args:
        read: As of `JsonBody`.

    Raises:
        ResponseNotJsonError: It is not JSON.
    """
    if type(response) is requests.Response:  # from a session that a user brought
        response.__class__ = Response
    answer = cast("Response", response)
    answer.decoded = answer.decoded or JsonBody(read)
    answer.json()
    return answer
