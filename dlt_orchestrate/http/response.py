"""An answer: `requests.Response` with exact JSON, a bounded body and status errors that name no secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import requests
from urllib3.util.request import ACCEPT_ENCODING

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.errors import ResponseNotJsonError
from dlt_orchestrate.http.exact_json import parse_json
from dlt_orchestrate.http.failures import HttpStatusError, TooManyValuesError, body_start, shown
from dlt_orchestrate.http.settings import RequestSettings
from dlt_orchestrate.http.transport import AnswerOutOfBounds

_CHUNK_BYTES = 64 * 1024
_SMALL_BODY_BYTES = 8 * 1024 * 1024
_WITHOUT_BODY = (204, 205, 304)
_READABLE_ENCODINGS = ("", "identity", *ACCEPT_ENCODING.split(","), "x-gzip")


class Response(requests.Response):
    """What `Session` returns.

    Attributes:
        attempts: How many requests it took.
        note: Why no further attempt was made, where that needs saying.
        decoded: Holds the decoded body as long as several readers need it.
    """

    attempts: int = 1
    note: str = ""
    decoded: JsonBody | None = None

    def json(self, **options: Any) -> Any:
        """Decode the body as JSON; integers are exact whatever their size."""
        if options:
            return super().json(**options)
        return decode_json(self) if self.decoded is None else self.decoded.of(self)

    def raise_for_status(self) -> None:
        """Raise `requests.HTTPError` for an error status; the message hides secrets and says what to do."""
        if self.status_code >= 400:
            raise HttpStatusError(self)


class JsonBody:
    """The decoded body of an answer, decoded once for all who ask, until it is dropped."""

    def __init__(self, read: Callable[[bytes], Any] | None = None) -> None:
        """
        Args:
            read: Decodes a body in a way of its own, or gives None where it cannot.
        """
        self._read = read
        self._content: bytes | None = None
        self._value: Any = None

    def of(self, response: requests.Response) -> Any:
        """The decoded body; None for an answer that has none by its status."""
        if self._content is None or self._content is not response.content:
            self._value = None if response.status_code in _WITHOUT_BODY else self._decode(response)
            self._content = response.content
        return self._value

    def _decode(self, response: requests.Response) -> Any:
        read = None if self._read is None else self._read(response.content)
        return decode_json(response) if read is None else read


def decode_json(response: requests.Response) -> Any:
    """Decode a body.

    Raises:
        ResponseNotJsonError: It is not JSON.
        TooManyValuesError: It is too much.
    """
    content = response.content
    if len(content) > _SMALL_BODY_BYTES:
        _expect_few_values(response, content)
    try:
        return parse_json(content)
    except UnicodeDecodeError:
        pass
    except (ValueError, RecursionError):
        raise _not_json(response) from None
    try:
        return json.loads(content.decode(response.encoding or "utf-8"))
    except (UnicodeDecodeError, LookupError):
        raise _not_json(response, f"is no text in its encoding, {response.encoding or 'utf-8'}") from None
    except (ValueError, RecursionError):
        raise _not_json(response) from None


def _expect_few_values(response: requests.Response, content: bytes) -> None:
    """Raise if a body holds more values than it may; what looks like one within texts is counted too."""
    max_json_values = RequestSettings().value("request_max_json_values")
    values = sum(content.count(mark) for mark in (b",", b"[", b"{"))
    if values > max_json_values:
        raise TooManyValuesError(response, values=values, max_json_values=max_json_values)


def read_body(response: requests.Response, *, max_body_bytes: int, expect_time: Callable[[], object]) -> None:
    """Read and decompress the whole body, piece by piece, so that a small answer cannot grow without bound.

    Raises:
        AnswerOutOfBounds: It is larger than `max_body_bytes`, or `expect_time` raised it.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in response.iter_content(_CHUNK_BYTES):
            size += len(piece)
            if size > max_body_bytes:
                raise AnswerOutOfBounds("request_max_body_bytes")
            expect_time()
            pieces.append(piece)
    except (ValueError, OverflowError) as error:  # what the standard library says to lengths that make no sense
        response.close()
        raise requests.exceptions.ChunkedEncodingError(error) from None
    except BaseException:
        response.close()
        raise
    response._content = b"".join(pieces)  # where requests keeps a body that was read


def _not_json(response: requests.Response, problem: str = "is not valid JSON") -> ResponseNotJsonError:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if not response.content:
        problem = "is empty, where JSON was expected"
    elif any(part.strip() not in _READABLE_ENCODINGS for part in encoding.split(",")):
        problem = f"is compressed by {shown(encoding)!r}, which nothing here can read"
    return ResponseNotJsonError(
        url=redact_url(response.url),
        content_type=shown(response.headers.get("Content-Type", "")),
        start=body_start(response),
        problem=problem,
    )
