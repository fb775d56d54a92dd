"""Where walks through pages stand: what an extraction that was cut short goes on from.

A walk is one reading of a list, page after page, such as one call of `paginate`. It is known by a key that is the same when
the same code asks for the same list again. Each of its pages carries its position: what leads to the page behind it. So a
page that went to its table brings along where to go on, and code that makes records of its own of it brings nothing.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import field
from typing import Any, TypeVar

from dlt_orchestrate.dataclass import dataclass

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, eq=False)
class Position:
    """What stands behind one page.

    Attributes:
        key: The walk.
        bookmark: What leads to the next page, JSON-like; None behind the last one.
        problem: Why nobody can go on from here, if that is so.
        is_known: Whether it can be told yet what leads on; the next page of the walk will tell.
        number: Rises with every page that is read.
    """

    key: str
    bookmark: Mapping[str, Any] | None
    problem: str | None = None
    is_known: bool = True
    number: int = field(default_factory=itertools.count().__next__)


@dataclass(frozen=True, slots=True)
class Walk:
    """One reading of a list.

    Attributes:
        start: The bookmark to go on from; None to begin with the first page.
        is_done: Whether an earlier run has read it to its end.
    """

    key: str
    start: Mapping[str, Any] | None = None
    is_done: bool = False


class Positions:
    """The walks of one extraction."""

    def __init__(self, stored: Mapping[str, Any] | None = None) -> None:
        """
        Args:
            stored: Bookmarks by key, as the run before left them; None for a walk that was read to its end.
        """
        self._stored = dict(stored or {})
        self._begun: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def go_on(self) -> bool:
        """Whether an earlier run has read some of the pages, which do not come again."""
        return bool(self._stored)

    def begin(self, mark: str) -> Walk:
        """Begin a walk.

        Args:
            mark: Tells lists apart; walks of the same list are told apart by their order.
        """
        with self._lock:
            number = self._begun[mark]
            self._begun[mark] += 1
        key = f"{mark}.{number}" if number else mark
        return Walk(key, self._stored.get(key), is_done=key in self._stored and self._stored[key] is None)


_kept: ContextVar[Positions | None] = ContextVar("dlt_orchestrate_positions", default=None)


def kept_positions() -> Positions | None:
    """Who keeps the positions of the running code; None if nobody does."""
    return _kept.get()


def within(positions: Positions, items: Generator[Item, None, None]) -> Generator[Item, None, None]:
    """The items, each of them made while these positions are kept; closing this closes `items`."""
    end: Any = object()
    try:
        while True:
            token = _kept.set(positions)
            try:
                item = next(items, end)
            finally:
                _kept.reset(token)
            if item is end:
                return
            yield item
    finally:
        items.close()


def position_of(item: Any) -> Position | None:
    """The position that a page carries; None if it carries none, or is no page."""
    found = getattr(item, "position", None) if isinstance(item, list) else None
    return found if type(found) is Position else None


def bookmarks(stored: Mapping[str, Any]) -> Iterator[str]:
    """The keys of walks that were begun and not read to their end."""
    return (key for key, bookmark in stored.items() if bookmark is not None)
