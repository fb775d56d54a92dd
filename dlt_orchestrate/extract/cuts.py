"""Where the stream of a resource is cut, so that what came before can be committed while it goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dlt_orchestrate.config.redaction import holds_secret
from dlt_orchestrate.declare.mark import Checkpoint
from dlt_orchestrate.errors import PositionLostError
from dlt_orchestrate.flow.cut import Cut
from dlt_orchestrate.flow.positions import Position, Positions, bookmarks, position_of

MOST_WALKS = 10_000
"""Walks through pages whose ends are kept; a resource that makes more is not cut any more."""

logger = logging.getLogger("dlt_orchestrate.extract")

IsDue = Callable[[Any], bool]
"""Whether the next cut is due behind a yield."""

TakeCut = Callable[[Mapping[str, Any] | None], Cut]
"""Makes a cut of where things stand now, given the positions."""


class CutsByCursor:
    """Cuts between any two items: the cursors tell where to go on."""

    def __init__(self, is_due: IsDue, cut: TakeCut) -> None:
        self._is_due = is_due
        self._cut = cut

    def over(self, yields: Iterator[Any]) -> Iterator[Any]:
        """The yields of a resource, with cuts behind them."""
        try:
            for item in yields:
                if type(item) is Checkpoint:
                    yield from _by_state(yields, self._is_due, self._cut, None)
                    return
                yield item
                if self._is_due(item):
                    yield self._cut(None)
        finally:
            _close(yields)


class CutsByPosition:
    """Cuts behind pages that carry their positions.

    A page may be yielded more than once, for several tables, say. So a cut comes only when the next one is there.

    Attributes:
        positions: What walks ask where they begin.
    """

    def __init__(
        self, resource: str, stored: Mapping[str, Any], is_due: IsDue | None, cut: TakeCut, *, has_cursors: bool
    ) -> None:
        """
        Args:
            stored: Where the walks stood when the run before was cut short.
            is_due: None if nothing is to be cut, and only gone on with.
            has_cursors: Whether there are cursors, which must not move before all has been read.
        """
        self.positions = Positions(stored)
        self._resource = resource
        self._stored = stored
        self._open = set(bookmarks(stored))
        self._reached: dict[str, Any] = dict(stored)
        self._numbers: dict[str, int] = {}
        self._is_due = is_due
        self._cut = cut
        self._has_cursors = has_cursors

    def over(self, yields: Iterator[Any]) -> Iterator[Any]:
        """The yields of a resource, with cuts between them.

        Raises:
            PositionLostError: They do not go on from where the run before was cut short.
        """
        waiting: Cut | None = None
        last: Position | None = None
        unknown: set[str] = set()
        is_due = self._is_due
        try:
            for item in yields:
                if type(item) is Checkpoint:
                    self._expect_to_go_on(None)
                    # Without positions the cursors would move with each part, past what is still to come.
                    yield from _by_state(yields, self._is_due, self._cut, {} if self._has_cursors else None)
                    return
                position = position_of(item)
                self._expect_to_go_on(position)
                problem = self._problem(position)
                if waiting is not None and position is not last and problem is None:
                    yield waiting
                waiting = None
                if problem is not None and is_due is not None:
                    logger.warning(
                        "Resource %r: %s, so what it has read is committed at its end only, or behind its last checkpoint.",
                        self._resource,
                        problem,
                    )
                    is_due = None
                if position is not None and position.is_known:
                    self._reached[position.key] = position.bookmark
                    unknown.discard(position.key)
                elif position is not None:
                    unknown.add(position.key)
                if position is not None:
                    self._numbers[position.key] = position.number
                last = position
                yield item
                if is_due is None and not self._open:
                    yield from yields
                    return
                if is_due is not None and is_due(item) and not unknown:
                    waiting = self._cut(dict(self._reached))
        finally:
            _close(yields)

    def _expect_to_go_on(self, position: Position | None) -> None:
        if position is not None:
            self._open.discard(position.key)
        if self._open and (position is None or position.key not in self._stored):
            raise PositionLostError(
                where=f"Resource {self._resource!r}",
                problem="it asks for other pages than the run before, which was cut short, has not come to the end of",
            )

    def _problem(self, position: Position | None) -> str | None:
        """Why nobody could go on behind an item."""
        if position is None:
            return (
                "it yields something else than the pages of paginate(...) as they are, and has no cursor with "
                "row_order='asc'"
            )
        if position.problem is not None:
            return position.problem
        if position.number < self._numbers.get(position.key, 0):
            return "it yields pages in another order than they were read in"
        if position.key not in self._reached and len(self._reached) >= MOST_WALKS:
            return f"it reads more than {MOST_WALKS:,} lists"
        if position.bookmark is not None and holds_secret(json.dumps(position.bookmark)):
            return "the address of the next page holds a secret, which the state must not keep"
        return None


def _by_state(yields: Iterator[Any], is_due: IsDue | None, cut: TakeCut, at: Mapping[str, Any] | None) -> Iterator[Any]:
    """The rest of a resource that keeps in its state where it is, and says where that holds; it has said so once."""
    due = False
    for item in yields:
        if type(item) is not Checkpoint:
            yield item
            due = due or (is_due is not None and is_due(item))
        elif due:
            yield cut(at)
            due = False


def _close(yields: Iterator[Any]) -> None:
    close = getattr(yields, "close", None)
    if close is not None:
        close()
