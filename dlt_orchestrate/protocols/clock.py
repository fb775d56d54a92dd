"""Where the time comes from; tests pass a clock of their own instead of sleeping."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from dlt_orchestrate.protocols.interruption import interruption


class Clock(Protocol):
    """A source of time and of waiting."""

    def now(self) -> datetime:
        """The present moment, in UTC."""

    def monotonic(self) -> float:
        """Seconds from some fixed moment; never goes back."""

    def sleep(self, seconds: float) -> None:
        """Wait; ends early, by an exception, if the run is told to stop."""


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        interruption().sleep(seconds)
