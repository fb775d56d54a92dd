"""The HTTP sensor: assets are ingested when an address says that it changed."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dagster import (
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
)

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.dagster.selection import Assets
from dlt_orchestrate.dagster.ticks import Cursor, Decision, build_sensor
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import ExtractError

if TYPE_CHECKING:
    import requests

_TICK_SECONDS = 45.0  # Dagster gives a tick 60


@dataclass(frozen=True)
class HttpCursor(Cursor):
    """What a sensor remembers of the last answer.

    Attributes:
        etag, last_modified: Sent back with the next request, so that the server can answer "not modified".
        observed: What tells this answer from the one before: the ETag, the modification time, or a hash of the body.
    """

    etag: str | None = None
    last_modified: str | None = None
    observed: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(isinstance(part, str | None) for part in (self.etag, self.last_modified, self.observed)):
            raise ValueError("not what was observed of an answer")

    def conditions(self) -> dict[str, str]:
        """The headers that make a request conditional."""
        return {
            **({"If-None-Match": self.etag} if self.etag else {}),
            **({"If-Modified-Since": self.last_modified} if self.last_modified else {}),
        }

    def after(self, answer: "requests.Response") -> "HttpCursor":
        """The cursor once `answer` has been seen; the same one if nothing changed."""
        etag, last_modified = answer.headers.get("ETag"), answer.headers.get("Last-Modified")
        observed = etag or last_modified or hashlib.sha256(answer.content).hexdigest()
        if observed == self.observed:
            return self
        return replace(self, etag=etag, last_modified=last_modified, observed=observed, counter=self.counter + 1)


def build_http_sensor(
    url: str | Callable[[], str],
    assets: Assets,
    *,
    name: str,
    headers: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
    auth: Any = None,
    minimum_interval_seconds: int = 60,
    timeout_seconds: float = 20,
    default_status: DefaultSensorStatus = DefaultSensorStatus.STOPPED,
    description: str | None = None,
) -> SensorDefinition:
    """A sensor that asks `url` whether it changed, and materializes `assets` when it did.

    It sends one conditional GET a tick (ETag, Last-Modified; failing these the body is compared). An address that cannot
    be reached skips the tick with the reason and keeps the cursor: the next tick is the retry. A redirect to another
    origin is followed without credentials. While a run for the same assets is under way, nothing is asked.

    Args:
        url: The address, or a function that gives it; called at each tick, so that it may read configuration.
        headers: Sent with each request; a function is called at each tick, so that it may read secrets.
        auth: Anything that `requests` takes for authentication.
        timeout_seconds: For the connection, and for each wait for bytes; a tick of Dagster's has 60 seconds in all.

    Raises:
        ConfigError: At the tick, not before: `url` or `headers` need a value that is not configured.
    """

    def decide(_: SensorEvaluationContext, cursor: HttpCursor) -> Decision:
        address = url() if callable(url) else url
        sent = dict(headers() if callable(headers) else headers or {})
        return _tick(address, cursor, headers=sent, auth=auth, timeout=timeout_seconds)

    return build_sensor(
        name,
        assets,
        decide,
        cursor=HttpCursor,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description or "Launches a run when the address answers something new.",
    )


def _tick(address: str, cursor: HttpCursor, *, headers: Mapping[str, str], auth: Any, timeout: float) -> Decision:
    from dlt_orchestrate.http.session import Session

    with Session(request_timeout=timeout, request_max_attempts=1, deadline_seconds=_TICK_SECONDS) as session:
        try:
            answer = session.get(address, headers={**headers, **cursor.conditions()}, auth=auth)
        except ExtractError as error:
            return SkipReason(f"{error} The next tick tries again.")
    return _decide(cursor, answer)


def _decide(cursor: HttpCursor, answer: "requests.Response") -> Decision:
    address = redact_url(answer.url)
    if answer.status_code == 304:
        return SkipReason(f"{address} has not changed.")
    if not 200 <= answer.status_code < 300:
        return SkipReason(f"{address} answered {answer.status_code} {answer.reason}. The next tick tries again.")
    moved = cursor.after(answer)
    if moved is cursor:
        return SkipReason(f"{address} has not changed.")
    return SensorResult(
        run_requests=[RunRequest(run_key=moved.run_key(moved.observed or ""))],
        cursor=moved.to_json(),
    )
