"""Failed requests as exceptions that `except requests.HTTPError` and its kin catch too."""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import requests
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from dlt_orchestrate.config.redaction import redact, redact_url
from dlt_orchestrate.errors import RequestFailedError
from dlt_orchestrate.http.origin import origin_of
from dlt_orchestrate.http.transport import AnswerOutOfBounds

_SHOWN_BODY_CHARACTERS = 200


class HttpStatusError(RequestFailedError, requests.HTTPError):
    """The server answered, with an error status; `response` is the answer and `status` its number."""

    def __init__(self, answer: requests.Response) -> None:
        super().__init__(
            method=answer.request.method or "GET",
            url=redact_url(answer.url),
            problem=_describe(answer),
            attempts=getattr(answer, "attempts", 1),
            advice=_advise(answer),
        )
        self.response: requests.Response = answer
        self.request = answer.request
        self.status = answer.status_code


class ConnectionFailedError(RequestFailedError, requests.ConnectionError):
    """There was no answer, or it broke off."""


class RequestTimedOutError(RequestFailedError, requests.Timeout):
    """The answer did not come in time."""


class BodyTooLargeError(RequestFailedError, requests.RequestException):
    """An answer, once decompressed, is larger than the limit."""

    def __init__(self, *, method: str, url: str, max_body_bytes: int) -> None:
        self.max_body_bytes = max_body_bytes
        super().__init__(
            method=method,
            url=redact_url(url),
            problem=f"the body is larger than max_body_bytes={max_body_bytes}, counted after decompression",
            attempts=1,
            advice="Ask for smaller pages, or pass Session(max_body_bytes=...) or set request_max_body_bytes in section "
            "[runtime] if bodies of that size are meant.",
        )


class HeaderTooLargeError(RequestFailedError, requests.RequestException):
    """The head of an answer is larger than the limit."""

    def __init__(self, *, method: str, url: str, max_header_bytes: int) -> None:
        self.max_header_bytes = max_header_bytes
        super().__init__(
            method=method,
            url=redact_url(url),
            problem=f"the head of the answer is larger than request_max_header_bytes={max_header_bytes}, or has a line of "
            "more than 65536 bytes or more than 100 lines",
            attempts=1,
            advice="Check the address; if such heads are meant, set request_max_header_bytes in section [runtime].",
        )


class TooManyValuesError(RequestFailedError, requests.RequestException):
    """A JSON body holds more values than the limit."""

    def __init__(self, answer: requests.Response, *, values: int, max_json_values: int) -> None:
        self.values = values
        self.max_json_values = max_json_values
        super().__init__(
            method=answer.request.method or "GET",
            url=redact_url(answer.url),
            problem=f"the body holds up to {values} values, more than request_max_json_values={max_json_values}; decoded "
            "they may take many times the memory of the text",
            attempts=1,
            advice="Ask for smaller pages, or set request_max_json_values in section [runtime] if so many are meant.",
        )


class TooManyRedirectsError(RequestFailedError, requests.TooManyRedirects):
    """The server redirects again and again."""

    def __init__(self, *, method: str, url: str, hops: Sequence[str], max_redirects: int) -> None:
        self.hops = tuple(map(redact_url, hops))
        self.max_redirects = max_redirects
        is_loop = len(set(self.hops)) < len(self.hops)
        super().__init__(
            method=method,
            url=redact_url(url),
            problem=f"it was redirected more than request_max_redirects={max_redirects} times"
            + (", in a circle" if is_loop else "")
            + f", last to {self.hops[-1]}",
            attempts=1,
            advice="Check the address and the credentials: a login page often stands behind this.",
        )


class BadRedirectError(RequestFailedError, requests.RequestException):
    """A redirect leads to what is no address to follow."""

    def __init__(self, *, method: str, url: str, target: str, problem: str) -> None:
        self.target = target
        super().__init__(
            method=method,
            url=redact_url(url),
            problem=f"it was redirected to {redact_url(target)[:_SHOWN_BODY_CHARACTERS]!r}, {problem}",
            attempts=1,
            advice="Ask at the final address if you know it.",
        )


def failure_of(
    error: Exception,
    request: requests.PreparedRequest,
    *,
    attempts: int,
    note: str,
    limits: Mapping[str, float] = MappingProxyType({}),
) -> RequestFailedError:
    """The exception for a request that never got a whole answer.

    The original is not chained: its text holds the full URL, with the secrets in its query.

    Args:
        limits: The limits that the request had, by the names of their settings.
    """
    method, url = request.method or "GET", request.url or ""
    if isinstance(error, AnswerOutOfBounds):
        match error.limit:
            case "request_max_body_bytes":
                return BodyTooLargeError(method=method, url=url, max_body_bytes=int(limits[error.limit]))
            case "request_max_header_bytes":
                return HeaderTooLargeError(method=method, url=url, max_header_bytes=int(limits[error.limit]))
        return RequestTimedOutError(
            method=method,
            url=redact_url(url),
            problem=f"the answer was not complete within {error.limit}={limits[error.limit]:g}",
            attempts=attempts,
            advice=f"The server answers too slowly: ask for smaller pages, or set {error.limit} in section [runtime]. "
            f"{note}".strip(),
        )
    if is_header_too_large(error):
        return HeaderTooLargeError(method=method, url=url, max_header_bytes=int(limits["request_max_header_bytes"]))
    kind = RequestTimedOutError if is_timeout(error) else ConnectionFailedError
    return kind(
        method=method,
        url=redact_url(url),
        problem=_reason(error),
        attempts=attempts,
        advice=f"Check the address and the network. {note}".strip(),
    )


def is_too_large(error: BaseException) -> bool:
    """Whether an answer was larger than it may be, which it will be again."""
    if isinstance(error, AnswerOutOfBounds):
        return error.limit.endswith("_bytes")
    return is_header_too_large(error)


def is_header_too_large(error: BaseException) -> bool:
    """Whether the standard library found a line, or the number of lines, of a head too large."""
    inner = _innermost(error)
    return type(inner) in (http.client.LineTooLong, http.client.HTTPException)  # the latter of more than 100 lines


def is_timeout(error: BaseException) -> bool:
    """Whether a wait ended without what was waited for, be it while connecting or within the body."""
    return isinstance(error, requests.Timeout) or isinstance(next(iter(error.args), None), ReadTimeoutError)


def _innermost(error: BaseException) -> object:
    """The innermost cause, which is the one that says what happened."""
    inner: object = error
    while True:
        arguments = [argument for argument in getattr(inner, "args", ()) if isinstance(argument, BaseException)]
        deeper = getattr(inner, "reason", None) or next(iter(arguments), None)
        if not isinstance(deeper, BaseException):
            return inner
        inner = deeper


def _reason(error: BaseException) -> str:
    inner = shown(str(_innermost(error)))
    if is_timeout(error):
        return "no connection in time" if isinstance(error, requests.ConnectTimeout) else "no answer in time"
    match error:
        case requests.exceptions.ChunkedEncodingError() | requests.exceptions.ContentDecodingError():
            return f"the answer broke off or was damaged: {inner}"
        case requests.exceptions.InvalidHeader():
            return f"the answer has a head that contradicts itself: {inner}"
        case requests.ConnectionError() if _was_connected(error):
            return f"the connection broke before there was an answer, or the answer was no HTTP: {inner}"
        case _:
            return f"no connection: {inner}"


def _was_connected(error: BaseException) -> bool:
    return isinstance(next(iter(error.args), None), ProtocolError)


def _describe(answer: requests.Response) -> str:
    status = f"{answer.status_code} {shown(answer.reason or '')}".strip()
    start = body_start(answer)
    return f"{status}, and the answer starts with {start!r}" if start else status


def body_start(answer: requests.Response) -> str:
    """The first characters of a body, in one line."""
    if not getattr(answer, "_content_consumed", True):
        return ""
    text = answer.content[: 4 * _SHOWN_BODY_CHARACTERS].decode("utf-8", "replace")
    return shown(text)


def shown(text: str) -> str:
    """What a server wrote, fit for a message: one short line without secrets and control characters."""
    line = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in " ".join(text.split()))
    return redact(line)[:_SHOWN_BODY_CHARACTERS]


def _advise(answer: requests.Response) -> str:
    sent = "Authorization" in answer.request.headers
    advice = {
        401: "The credentials were sent and refused: check the token, and when it expires."
        if sent
        else "No Authorization header was sent: check the token, and pass it with auth=...",
        403: "The server knows the request but does not allow it: check what the token may do, and its rate limit.",
        404: "Check the address; many APIs answer 404 also where the token may not look.",
        429: "The rate limit is used up: send fewer requests, or run later.",
    }.get(answer.status_code, "")
    first = answer.history[0].url if answer.history else answer.url
    if origin_of(first) != origin_of(answer.url):
        advice += (
            f" The request was redirected from {origin_of(first)} to {origin_of(answer.url)}; credentials do not go there. "
            "Ask at the final address."
        )
    note = getattr(answer, "note", "")
    return f"{advice} {note}".strip()
