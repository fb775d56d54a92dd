"""What lies between the yields of a resource and its table: maps, filters and a limit.

A step turns one stream of yields into another. A yielded list is mapped record by record; Arrow tables and other frames
go through whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, assert_never

from dlt_orchestrate.declare.records import is_page
from dlt_orchestrate.protocols.clock import Clock

StepKind = Literal["map", "filter", "yield_map", "step"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipe: what it does with each record, or for `step` with each yield as a whole."""

    kind: StepKind
    function: Callable[[Any], Any]

    def over(self, yields: Iterable[Any]) -> Iterator[Any]:
        """The stream after this step; what became empty or None is left out."""
        function = self.function
        match self.kind:
            case "map":
                return (_mapped(function, item) for item in yields)
            case "filter":
                return _filtered(function, yields)
            case "yield_map":
                return _yield_mapped(function, yields)
            case "step":
                return _stepped(function, yields)
            case unknown:
                assert_never(unknown)


def through(steps: Iterable[Step], yields: Iterator[Any]) -> Iterator[Any]:
    """The stream after all steps, in order."""
    for step in steps:
        yields = step.over(yields)
    return yields


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a run stops early.

    Attributes:
        max_items: Most yields, or most rows if `count_rows`; a page is never cut, so rows are rounded up to its end.
        max_seconds: The run stops at the first yield after this time.
    """

    max_items: int | None = None
    max_seconds: float | None = None
    count_rows: bool = False


class LimitedStream:
    """A stream that ends at a limit; `was_cut` tells whether it did.

    A stream that holds exactly as much as the limit counts as cut: nobody looked whether there is more.
    """

    def __init__(self, yields: Iterator[Any], limit: Limit, clock: Clock) -> None:
        self.was_cut = False
        self._yields = yields
        self._limit = limit
        self._clock = clock

    def __iter__(self) -> Iterator[Any]:
        limit = self._limit
        if limit.max_items == 0:
            self.was_cut = True
            return
        count = 0
        started = self._clock.monotonic()
        for item in self._yields:
            count += row_count(item) if limit.count_rows else 1
            late = limit.max_seconds is not None and self._clock.monotonic() - started >= limit.max_seconds
            if late or (limit.max_items is not None and count >= limit.max_items):
                self.was_cut = True
                yield item
                return
            yield item


def is_frame(item: Any) -> bool:
    """Whether a value is a table of its own: Arrow data, or anything that hands Arrow data out."""
    kind = type(item)
    if kind is dict or kind is list:
        return False
    return hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__arrow_c_array__")


def row_count(item: Any) -> int:
    """The number of records in one yield.

    >>> row_count([{"id": 1}, {"id": 2}]), row_count({"id": 1})
    (2, 1)
    """
    if is_page(item):
        return len(item)
    rows = getattr(item, "num_rows", None)
    if isinstance(rows, int):
        return rows
    return len(item) if is_frame(item) and hasattr(item, "__len__") else 1


def unrolled(yields: Iterable[Any]) -> Iterator[Any]:
    """The stream with yielded iterators replaced by what they yield; closing it closes them."""
    try:
        for item in yields:
            kind = type(item)
            if kind is dict or kind is list:
                yield item
            elif isinstance(item, AsyncIterator):
                yield from unrolled(synchronous(item))
            elif isinstance(item, Iterator) and not is_frame(item):
                yield from unrolled(item)
            elif item is not None:
                yield item
    finally:
        close = getattr(yields, "close", None) if isinstance(yields, Iterator) else None
        if close is not None:
            close()


def synchronous(items: AsyncIterator[Any]) -> Iterator[Any]:
    """Read an asynchronous stream, in an event loop of its own."""
    import asyncio

    end = object()

    async def next_item() -> Any:
        return await anext(items, end)

    with asyncio.Runner() as runner:
        try:
            while (item := runner.run(next_item())) is not end:
                yield item
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                runner.run(close())


def _mapped(function: Callable[[Any], Any], item: Any) -> Any:
    if is_page(item):
        return [function(record) for record in item]
    return function(item)


def _filtered(accepts: Callable[[Any], Any], yields: Iterable[Any]) -> Iterator[Any]:
    for item in yields:
        if is_page(item):
            kept = [record for record in item if accepts(record)]
            if kept or not item:
                yield kept
        elif item is not None and accepts(item):
            yield item


def _yield_mapped(function: Callable[[Any], Any], yields: Iterable[Any]) -> Iterator[Any]:
    for item in yields:
        records = item if is_page(item) else (item,)
        for record in records:
            yield from unrolled(function(record))


def _stepped(function: Callable[[Any], Any], yields: Iterable[Any]) -> Iterator[Any]:
    return unrolled(function(item) for item in yields)
