"""What a session has done so far, in numbers."""

from __future__ import annotations

import threading


class Traffic:
    """Counts of requests and waits; sessions and threads may share one.

    Attributes:
        requests: Requests sent, each attempt and each redirect counted.
        retries: Attempts after a failure or a rate limit.
        seconds_waited: Time spent waiting between attempts and for a throttle.
        bytes_received: Size of the bodies read, after decompression.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.retries = 0
        self.seconds_waited = 0.0
        self.bytes_received = 0
        self._lock = threading.Lock()

    def count(self, *, requests: int = 0, retries: int = 0, seconds_waited: float = 0.0, bytes_received: int = 0) -> None:
        """Add to the counts."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.seconds_waited += seconds_waited
            self.bytes_received += bytes_received

    def __repr__(self) -> str:
        return (
            f"Traffic(requests={self.requests}, retries={self.retries}, seconds_waited={self.seconds_waited:.1f}, "
            f"bytes_received={self.bytes_received})"
        )
