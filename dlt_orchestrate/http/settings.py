"""Settings of section `[runtime]` that requests and paging obey, and what holds where none is set."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from types import MappingProxyType
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.http.retry import RetryPolicy

DEFAULTS = MappingProxyType(
    {
        "request_timeout": 60.0,
        "request_max_attempts": 5,
        "request_backoff_factor": 1.0,
        "request_max_retry_delay": 300.0,
        "request_max_wait_seconds": 3600.0,
        "request_attempt_seconds": 300.0,
        "request_deadline_seconds": 7200.0,
        "request_max_redirects": 30,
        "request_max_header_bytes": 256 * 1024,
        "request_max_body_bytes": 256 * 1024 * 1024,
        "request_max_json_values": 10_000_000,
        "request_allowed_hosts": (),
        "paging_max_pages": 100_000,
        "paging_max_requests": 200_000,
        "paging_max_seconds": 24 * 3600.0,
        "paging_max_empty_pages": 100,
        "paging_max_repeats": 0,
    }
)


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """What was given or configured; None where nothing was.

    Attributes:
        request_timeout: Seconds to wait for a connection and for each piece of an answer.
        request_max_attempts, request_backoff_factor, request_max_retry_delay, request_max_wait_seconds: As `max_attempts`,
            `backoff_seconds`, `max_backoff_seconds` and `max_wait_seconds` of `RetryPolicy`.
        request_attempt_seconds: How long one answer may take, from the connection to its last byte.
        request_deadline_seconds: How long one request may take, with all its attempts, waits and redirects.
        request_max_redirects: How many redirects in a row are followed.
        request_max_header_bytes: The largest head of an answer.
        request_max_body_bytes: The largest body, counted after decompression.
        request_max_json_values: The most values in one JSON body; small texts make large objects.
        request_allowed_hosts: Hosts that redirects and addresses from data may lead to though their addresses are private.
        paging_max_pages, paging_max_requests, paging_max_seconds, paging_max_empty_pages, paging_max_repeats: As in
            `PageLimits`.
    """

    request_timeout: float | tuple[float, float] | None = None
    request_max_attempts: int | None = None
    request_backoff_factor: float | None = None
    request_max_retry_delay: float | None = None
    request_max_wait_seconds: float | None = None
    request_attempt_seconds: float | None = None
    request_deadline_seconds: float | None = None
    request_max_redirects: int | None = None
    request_max_header_bytes: int | None = None
    request_max_body_bytes: int | None = None
    request_max_json_values: int | None = None
    request_allowed_hosts: tuple[str, ...] | None = None
    paging_max_pages: int | None = None
    paging_max_requests: int | None = None
    paging_max_seconds: float | None = None
    paging_max_empty_pages: int | None = None
    paging_max_repeats: int | None = None

    def value(self, name: str) -> Any:
        """A setting: as given, else as configured, else its default."""
        given = getattr(self, name)
        if given is None:
            given = getattr(configured(), name)
        return DEFAULTS[name] if given is None else given

    def retry_policy(self) -> RetryPolicy:
        """The retry policy with these settings."""
        return RetryPolicy(
            max_attempts=self.value("request_max_attempts"),
            backoff_seconds=self.value("request_backoff_factor"),
            max_backoff_seconds=self.value("request_max_retry_delay"),
            max_wait_seconds=self.value("request_max_wait_seconds"),
        )


@cache
def configured() -> RequestSettings:
    """Read the settings of section `[runtime]`, once a process."""
    from dlt_orchestrate.config.resolver import Resolver

    resolver = Resolver.from_environment()

    def read(name: str) -> Any:
        default = DEFAULTS[name]
        found = resolver.lookup(name, ("runtime",), list[str] if default == () else type(default))
        if found is None:
            return None
        return tuple(found.value) if default == () else found.value

    return RequestSettings(**{field.name: read(field.name) for field in fields(RequestSettings)})


def page_limit(name: str) -> Any:
    """The configured limit of paging, else its default."""
    return RequestSettings().value(name)
