"""The pages of all children of a stream of rows, fetched side by side and given in an order that timing does not change.

A few walks through the pages of a child are under way at once, more than there are threads. Each thread fetches a few pages
of one walk, then of the next: no walk waits for another to end, and none runs further ahead of the reader. Pages are handed
out in rotation: one of each walk, in the order of the rows; the next row takes the place of a walk that has ended.
So the order depends on how many pages the children have, and on nothing else.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import field
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.threads import Threads
from dlt_orchestrate.flow.typed_records import StraightPages, TypedReader, TypedRecords, plain
from dlt_orchestrate.protocols.interruption import Interruption, interruptible, interruption

WALKS_PER_THREAD = 4
PAGES_AHEAD = 2
"""Pages that a walk may be ahead of their reader."""
_LOOK_SECONDS = 0.25
"""How often a wait looks whether the run was told to stop."""


class SharedReader(TypedReader):
    """Reads the pages of all children of one resource into typed records; what one walk has taught, all others know."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.RLock()

    def read(self, content: bytes, refusals: Counter[str]) -> TypedRecords | dict[str, Any] | None:
        with self._lock:
            return super().read(content, refusals)

    def learn(self, page: Any) -> None:
        with self._lock:
            super().learn(page)


class Gate:
    """Lets so many requests of one client be on their way at once, whichever resources they are for."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = threading.BoundedSemaphore(most)

    def __enter__(self) -> None:
        while not self._free.acquire(timeout=_LOOK_SECONDS):
            interruption().expect_none()

    def __exit__(self, *_: object) -> None:
        self._free.release()


class _Siblings(Interruption):
    """Tells the walks of one resource to stop, when the run is told or when one of them has failed."""

    def __init__(self, outer: Interruption) -> None:
        super().__init__()
        self._outer = outer

    def expect_none(self) -> None:
        self._outer.expect_none()
        super().expect_none()

    def sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            super().sleep(min(left, _LOOK_SECONDS))


class _Abandoned(Exception):
    """Nobody reads the pages any more."""


@dataclass(eq=False, slots=True)
class _Walk:
    """The pages of one row's children.

    Attributes:
        ready: Pages that were fetched and not yet handed out.
        is_running: Whether a thread is at it, or will be.
    """

    row: Any
    pages: Iterator[Any]
    ready: deque[Any] = field(default_factory=deque)
    refusals: Counter[str] = field(default_factory=Counter)
    is_running: bool = True
    has_ended: bool = False
    failure: BaseException | None = None


class ChildPages(StraightPages):
    """The pages of the children of all rows.

    Args:
        rows: The rows of the parent, read in the thread that reads the pages.
        walk: Opens the pages of one row's children; nothing is asked for yet.
        is_end: Whether a failure only says that there are no children.
        failed: What is raised for a failure, with its row.
        gate: Shared by all resources of a client.
        completed: Adds to a page what comes from its row.
    """

    def __init__(
        self,
        rows: Iterator[Any],
        *,
        walk: Callable[[Any], Iterator[Any]],
        is_end: Callable[[Exception], bool],
        failed: Callable[[Any, Exception], Exception],
        gate: Gate,
        completed: Callable[[Any, Any], Any] | None = None,
    ) -> None:
        self._rows = rows
        self._open = walk
        self._is_end = is_end
        self._failed = failed
        self._completed = completed
        self._gate = gate
        self._walks: deque[_Walk] = deque()
        self._threads = Threads(gate.most, "dlt_orchestrate_children")
        self._told = _Siblings(interruption())
        self._changed = threading.Condition()
        self._awaited: _Walk | None = None
        self._takes_typed = False
        self._has_all_rows = False
        self._is_closed = False

    @property
    def is_used_up(self) -> bool:
        return self._is_closed

    def __next__(self) -> Any:
        self._takes_typed = self._takes_typed or (self.refusals is not None and self._completed is None)
        try:
            while not self._is_closed:
                self._begin_walks()
                if not self._walks:
                    break
                walk = self._walks.popleft()
                page = self._taken(walk)
                if page is not None:
                    self._walks.append(walk)
                    return page if self._completed is None else self._complete(walk.row, page)
        except BaseException as error:
            self.close(error)
            raise
        self.close()
        raise StopIteration

    def close(self, cause: BaseException | None = None) -> None:
        """Ask for no further page; wait for what is on its way, not for long if anything is left."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._walks or cause is not None:
            self._told.tell(cause if cause is not None else _Abandoned())
        with interruptible(self._told):
            self._threads.close()
        for walk in self._walks:
            close = getattr(walk.pages, "close", None)
            if close is not None and not walk.is_running:
                close()
        self._walks.clear()

    def _complete(self, row: Any, page: Any) -> Any:
        assert self._completed is not None
        try:
            return self._completed(row, page)
        except Exception as error:
            raise self._failed(row, error) from error

    def _begin_walks(self) -> None:
        while not self._has_all_rows and len(self._walks) < WALKS_PER_THREAD * self._gate.most:
            row = next(self._rows, None)
            if row is None:
                self._has_all_rows = True
                return
            try:
                pages = self._open(row)
            except Exception as error:
                raise self._failed(row, error) from error
            walk = _Walk(row, pages)
            self._walks.append(walk)
            self._threads.submit(self._advance, walk)

    def _taken(self, walk: _Walk) -> Any:
        """The next page of a walk; None if it has ended."""
        with self._changed:
            self._awaited = walk
            while not walk.ready and walk.is_running:
                self._changed.wait(_LOOK_SECONDS)
                interruption().expect_none()
            if not walk.ready:
                if self.refusals is not None:
                    self.refusals.update(walk.refusals)
                self._raise_failure(walk)
                return None
            page = walk.ready.popleft()
            if not walk.is_running and not walk.has_ended:
                walk.is_running = True
                self._threads.submit(self._advance, walk)
        return plain(page) if type(page) is TypedRecords and self.refusals is None else page

    def _raise_failure(self, walk: _Walk) -> None:
        if isinstance(walk.failure, Exception):
            raise self._failed(walk.row, walk.failure) from walk.failure
        if walk.failure is not None:
            interruption().expect_none()
            raise walk.failure

    def _advance(self, walk: _Walk) -> None:
        """Fetch pages of a walk, in a thread, until it is as far ahead as it may be."""
        with interruptible(self._told):
            goes_on = True  # as decided under the lock: once it is left, the reader may have sent another thread
            while goes_on:
                page, failure = self._fetched(walk)
                with self._changed:
                    if page is None:
                        walk.has_ended, walk.failure = True, failure
                    else:
                        walk.ready.append(page)
                    goes_on = not walk.has_ended and len(walk.ready) < PAGES_AHEAD and not self._is_closed
                    walk.is_running = goes_on
                    if walk is self._awaited:
                        self._changed.notify()

    def _fetched(self, walk: _Walk) -> tuple[Any, BaseException | None]:
        """The next page of a walk, or none and why."""
        try:
            with self._gate:
                self._told.expect_none()
                return self._next_page(walk), None
        except BaseException as error:  # noqa: BLE001 - raised where the pages are read
            return None, None if isinstance(error, Exception) and self._is_end(error) else error

    def _next_page(self, walk: _Walk) -> Any:
        """The next page, typed if it goes straight to the load; None after the last one."""
        try:
            if self._takes_typed and isinstance(walk.pages, StraightPages):
                return walk.pages.hand_over(walk.pages, walk.refusals)
            return next(walk.pages)
        except StopIteration:
            return None
