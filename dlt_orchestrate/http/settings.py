"""Settings of section `[runtime]` that requests obey."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cache
from typing import Any

from dlt_orchestrate.http.retry import RetryPolicy

DEFAULT_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """What was given or configured; None where nothing was."""

    request_timeout: float | tuple[float, float] | None = None
    request_max_attempts: int | None = None
    request_backoff_factor: float | None = None
    request_max_retry_delay: float | None = None

    def or_configured(self) -> RequestSettings:
        """These settings, the missing ones filled from the configuration, which is read only if some are missing."""
        if None not in astuple(self):
            return self
        filled = (
            mine if mine is not None else theirs for mine, theirs in zip(astuple(self), astuple(configured()), strict=True)
        )
        return RequestSettings(*filled)

    @property
    def timeout(self) -> float | tuple[float, float]:
        """Seconds to wait for a connection and for each piece of an answer."""
        return DEFAULT_TIMEOUT_SECONDS if self.request_timeout is None else self.request_timeout

    def retry_policy(self) -> RetryPolicy:
        """The retry policy with these settings."""
        given = {
            "max_attempts": self.request_max_attempts,
            "backoff_seconds": self.request_backoff_factor,
            "max_backoff_seconds": self.request_max_retry_delay,
        }
        return RetryPolicy(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


@cache
def configured() -> RequestSettings:
    """Read the settings of section `[runtime]`, once a process."""
    from dlt_orchestrate.config.resolver import Resolver

    resolver = Resolver.from_environment()

    def read(name: str, annotation: Any) -> Any:
        found = resolver.lookup(name, ("runtime",), annotation)
        return None if found is None else found.value

    return RequestSettings(
        request_timeout=read("request_timeout", float),
        request_max_attempts=read("request_max_attempts", int),
        request_backoff_factor=read("request_backoff_factor", float),
        request_max_retry_delay=read("request_max_retry_delay", float),
    )
