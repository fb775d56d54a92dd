"""Failed requests as exceptions that `except requests.HTTPError` and its kin catch too."""

from __future__ import annotations

import requests
from urllib3.exceptions import HTTPError as Urllib3Error

from dlt_orchestrate.config.redaction import redact, redact_url
from dlt_orchestrate.errors import RequestFailedError
from dlt_orchestrate.http.origin import origin_of

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

    def __init__(self, answer: requests.Response, *, max_body_bytes: int) -> None:
        self.max_body_bytes = max_body_bytes
        super().__init__(
            method=answer.request.method or "GET",
            url=redact_url(answer.url),
            problem=f"the body is larger than max_body_bytes={max_body_bytes}, counted after decompression",
            attempts=1,
            advice="Ask for smaller pages, or pass Session(max_body_bytes=...) if bodies of that size are meant.",
        )


def failure_of(error: Exception, request: requests.PreparedRequest, *, attempts: int, note: str) -> RequestFailedError:
    """The exception for a request that never got a whole answer.

    The original is not chained: its text holds the full URL, with the secrets in its query.
    """
    kind = RequestTimedOutError if isinstance(error, requests.Timeout) else ConnectionFailedError
    return kind(
        method=request.method or "GET",
        url=redact_url(request.url or ""),
        problem=_reason(error),
        attempts=attempts,
        advice=f"Check the address and the network. {note}".strip(),
    )


def _reason(error: BaseException) -> str:
    """The innermost cause, which is the one that says what happened."""
    inner: object = error
    while True:
        deeper = getattr(inner, "reason", None) or next(iter(getattr(inner, "args", ())), None)
        if not isinstance(deeper, (requests.RequestException, Urllib3Error, OSError)):
            break
        inner = deeper
    match error:
        case requests.ReadTimeout():
            return "no answer in time"
        case requests.ConnectTimeout():
            return "no connection in time"
        case requests.exceptions.ChunkedEncodingError() | requests.exceptions.ContentDecodingError():
            return f"the answer broke off or was damaged: {inner}"
        case _:
            return f"no connection: {inner}"


def _describe(answer: requests.Response) -> str:
    status = f"{answer.status_code} {answer.reason or ''}".strip()
    start = body_start(answer)
    return f"{status}, and the answer starts with {start!r}" if start else status


def body_start(answer: requests.Response) -> str:
    """The first characters of a body, in one line."""
    if not getattr(answer, "_content_consumed", True):
        return ""
    text = answer.content[: 4 * _SHOWN_BODY_CHARACTERS].decode("utf-8", "replace")
    return redact(" ".join(text.split()))[:_SHOWN_BODY_CHARACTERS]


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
