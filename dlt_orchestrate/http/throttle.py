"""A rate limit of our own: a token bucket for each host."""

from __future__ import annotations

import threading
from math import inf

from dlt_orchestrate.protocols.clock import Clock, SystemClock


class Throttle:
    """Lets `per_second` requests a second go to each host, after a first `burst`; sessions and threads may share one."""

    def __init__(self, per_second: float, *, burst: int = 1, clock: Clock | None = None) -> None:
        if per_second <= 0 or burst < 1:
            raise ValueError(f"Throttle needs per_second above 0 and burst of at least 1, got {per_second} and {burst}.")
        self.per_second = per_second
        self.burst = burst
        self.clock: Clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._free_from: dict[str, float] = {}

    def wait(self, origin: str) -> float:
        """Wait for the turn of a request to `origin`; returns the seconds waited."""
        seconds = self.reserve(origin, self.clock.monotonic())
        if seconds > 0:
            self.clock.sleep(seconds)
        return seconds

    def reserve(self, origin: str, now: float) -> float:
        """Take the next free slot, and tell how many seconds it is away.

        Slots lie 1/per_second apart, and `burst` of them may be used ahead of time.
        """
        with self._lock:
            slot = max(self._free_from.get(origin, -inf), now - (self.burst - 1) / self.per_second)
            self._free_from[origin] = slot + 1 / self.per_second
            return max(0.0, slot - now)
