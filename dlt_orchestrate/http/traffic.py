"""What was asked for over HTTP, in numbers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field
from types import MappingProxyType

from dlt_orchestrate.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class TrafficCounts:
    """What was asked for, at one moment.

    Attributes:
        requests: Requests sent, each attempt and each redirect counted.
        retries: Attempts after a failure, a rate limit or a refused token.
        wait_seconds: Time spent waiting between attempts and for the rate limit of a host, in all threads together.
        answer_seconds: Time from requests to the last byte of their answers, in all threads together.
        bytes_received: Size of the bodies read, after decompression.
        statuses: Answers by status.
    """

    requests: int = 0
    retries: int = 0
    wait_seconds: float = 0.0
    answer_seconds: float = 0.0
    bytes_received: int = 0
    statuses: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        parts = [f"{self.requests} request(s)"]
        parts += [f"{self.retries} of them again"] if self.retries else []
        parts += [f"{self.wait_seconds:.1f} s of waiting"] if self.wait_seconds >= _SHOWN_FROM_SECONDS else []
        return ", ".join(parts)


class Traffic:
    """Counts of requests and waits; sessions and threads may share one.

    Whatever is counted while `counted` watches is counted there, too.

    Attributes:
        requests, retries, bytes_received, statuses: As in `TrafficCounts`.
        seconds_waited, seconds_answering: `wait_seconds` and `answer_seconds` there.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.retries = 0
        self.seconds_waited = 0.0
        self.seconds_answering = 0.0
        self.bytes_received = 0
        self.statuses: dict[int, int] = {}
        self._lock = threading.Lock()

    def count(
        self,
        *,
        requests: int = 0,
        retries: int = 0,
        seconds_waited: float = 0.0,
        seconds_answering: float = 0.0,
        bytes_received: int = 0,
        status: int | None = None,
    ) -> None:
        """Add to the counts."""
        watching = _watching.get()
        for traffic in (self,) if watching is None or watching is self else (self, watching):
            with traffic._lock:
                traffic.requests += requests
                traffic.retries += retries
                traffic.seconds_waited += seconds_waited
                traffic.seconds_answering += seconds_answering
                traffic.bytes_received += bytes_received
                if status is not None:
                    traffic.statuses[status] = traffic.statuses.get(status, 0) + 1

    def counts(self) -> TrafficCounts | None:
        """The counts by now; None if nothing was asked for."""
        with self._lock:
            if not self.requests:
                return None
            return TrafficCounts(
                self.requests,
                self.retries,
                self.seconds_waited,
                self.seconds_answering,
                self.bytes_received,
                dict(sorted(self.statuses.items())),
            )

    def __repr__(self) -> str:
        return (
            f"Traffic(requests={self.requests}, retries={self.retries}, seconds_waited={self.seconds_waited:.1f}, "
            f"bytes_received={self.bytes_received})"
        )


@contextmanager
def counted() -> Iterator[Traffic]:
    """Count what is asked for meanwhile, by this code and by the threads and coroutines that it starts."""
    traffic = Traffic()
    token = _watching.set(traffic)
    try:
        yield traffic
    finally:
        _watching.reset(token)


_SHOWN_FROM_SECONDS = 0.05
_watching: ContextVar[Traffic | None] = ContextVar("dlt_orchestrate_traffic", default=None)
