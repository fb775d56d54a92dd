"""Normalizing a page while the source waits for the next one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Self

from dlt_orchestrate.declare.threads import Threads
from dlt_orchestrate.extract.bounds import BYTES_IN_FLIGHT, about_bytes
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.flow.typed_records import TypedRecords

WAIT_SECONDS = 0.001
"""A source that waited less for a page than this is busy computing: a thread beside it would only take turns with it."""


class Overlap:
    """Hands pages to `take`, in order: at once, or in a thread beside the source where that waits for the network.

    The source itself stays in the thread that runs it, so whatever it has opened there keeps working.
    """

    def __init__(self, take: Callable[[Page], None], *, bytes_in_flight: int = BYTES_IN_FLIGHT) -> None:
        self._take = take
        self._limit = bytes_in_flight
        self._waiting: deque[tuple[Future[None], int]] = deque()
        self._bytes = 0
        self._thread: Threads | None = None

    def give(self, page: Page, *, waited_seconds: float) -> None:
        """Take a page over.

        Raises:
            Exception: What `take` raised, for this page or one before it.
        """
        while self._waiting and self._waiting[0][0].done():
            self._settle()
        if not self._waiting and waited_seconds < WAIT_SECONDS:
            self._take(page)
            return
        size = about_bytes(page)
        while self._waiting and self._bytes + size > self._limit:
            self._settle()
        if self._thread is None:
            self._thread = Threads(1, "dlt_orchestrate_normalize")
        # The list belongs to the source, which may empty and fill it again; its records do not. Nobody else has typed ones.
        is_owned = page.frame is not None or type(page.rows) is TypedRecords
        owned = page if is_owned else replace(page, rows=list(page.rows))
        self._waiting.append((self._thread.submit(self._take, owned), size))
        self._bytes += size

    def settle(self) -> None:
        """Wait until every page is taken; raises what `take` raised."""
        while self._waiting:
            self._settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._thread is not None:
            self._thread.close()

    def _settle(self) -> None:
        future, size = self._waiting.popleft()
        self._bytes -= size
        future.result()
