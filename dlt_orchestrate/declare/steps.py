"""What lies between the yields of a resource and its table: maps, filters and a limit.

A step turns one stream of yields into another. A yielded list is mapped record by record; Arrow tables and other frames
go through whole.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import compress
from typing import Any, Literal, assert_never

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.mark import Arrived, Aside, Checkpoint, Marked
from dlt_orchestrate.declare.records import is_page
from dlt_orchestrate.declare.workers import DEFAULT_MAX_PARALLEL_ITEMS, AsyncReader, Pending, Workers, is_async, is_promise
from dlt_orchestrate.errors import DeclarationError, IngestError, ResourceCodeError
from dlt_orchestrate.flow.cut import Cut
from dlt_orchestrate.flow.typed_records import straight_from
from dlt_orchestrate.protocols.clock import Clock

StepKind = Literal["map", "filter", "yield_map", "step"]


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a stream of yields, for messages, and what runs beside the reading.

    Attributes:
        step: The step whose results are read; "" for the function of the resource.
        refusals: Says that the reader takes typed records; counts those that had to be read as dictionaries, by reason.
        keep: Takes a rejected row, perhaps with a mark, that has no place among the yields.
    """

    resource: str
    workers: Workers
    step: str = ""
    refusals: Counter[str] | None = None
    keep: Callable[[Any], None] | None = None

    def failed(self, error: Exception, what: str = "", given: Any = None) -> ResourceCodeError:
        """What is raised for an error of a user's code.

        Args:
            given: What the code was called with; a frame is named, since code for single records fails on it.
        """
        advice = ""
        if is_frame(given):
            kind = f"{type(given).__module__.partition('.')[0]}.{type(given).__name__}"
            advice = f"It was given a whole {kind}, not a record; of a database, backend='sqlalchemy' gives records."
        return ResourceCodeError(resource=self.resource, place=self._place(what), cause=error, advice=advice)

    def note(self, error: IngestError, what: str = "") -> None:
        """Say where an error came up that already tells what happened."""
        error.add_note(f"In {self._place(what)} of resource {self.resource!r}.")

    def _place(self, what: str) -> str:
        return ", ".join(part for part in (self.step, what) if part)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a pipe: what it does with each record, or for `step` with each yield as a whole."""

    kind: StepKind
    function: Callable[[Any], Any]

    def over(self, yields: Iterable[Any], reader: Reader) -> Iterator[Any]:
        """The stream after this step; what became empty or None is left out."""
        return settled(self._results(yields, reader), reader)

    def named(self, position: int) -> str:
        """The step in words."""
        return f"step {position}, add_{self.kind}({getattr(self.function, '__name__', type(self.function).__name__)})"

    def _results(self, yields: Iterable[Any], reader: Reader) -> Iterator[Any]:
        apply, function, makes_several = self._apply(), self.function, self.kind == "yield_map"
        try:
            for item in yields:
                mark = item if type(item) is Marked else None
                inner = item.item if mark else item
                if isinstance(inner, Aside | Cut):
                    yield item
                    continue
                try:
                    made = apply(function, inner)
                except IngestError as error:
                    reader.note(error)
                    raise
                except Exception as error:
                    raise reader.failed(error, given=inner) from error
                for part in _named(made, reader) if makes_several else (made,):
                    yield mark.holding(part) if mark else part
        finally:
            _close(yields)

    def _apply(self) -> Callable[[Callable[[Any], Any], Any], Any]:
        match self.kind:
            case "map":
                return _mapped
            case "filter":
                return _filtered_async if is_async(self.function) else _filtered
            case "yield_map":
                return _multiplied
            case "step":
                return _called
            case unknown:
                assert_never(unknown)


def through(steps: Iterable[Step], yields: Iterator[Any], reader: Reader, first: int = 1) -> Iterator[Any]:
    """The stream after all steps, in order; `first` is the position of the first of them."""
    for position, step in enumerate(steps, start=first):
        yields = step.over(yields, Reader(reader.resource, reader.workers, step.named(position)))
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

    def __init__(
        self, yields: Iterator[Any], limit: Limit, clock: Clock, looks_behind: Callable[[], bool] = lambda: False
    ) -> None:
        """
        Args:
            looks_behind: Whether somebody needs to know if what came was complete: then one more yield is read, and left.
        """
        self.was_cut = False
        self._yields = yields
        self._limit = limit
        self._clock = clock
        self._looks_behind = looks_behind

    def __iter__(self) -> Iterator[Any]:
        limit = self._limit
        if limit.max_items == 0:
            self.was_cut = True
            return
        count = 0
        started = self._clock.monotonic()
        for item in self._yields:
            if type(item) in (Cut, Checkpoint, Arrived):
                yield item
                continue
            count += row_count(item) if limit.count_rows else 1
            late = limit.max_seconds is not None and self._clock.monotonic() - started >= limit.max_seconds
            if late or (limit.max_items is not None and count >= limit.max_items):
                self.was_cut = True
                yield item
                yield from self._behind()
                return
            yield item

    def _behind(self) -> Iterator[Arrived]:
        """That what came was complete, if somebody needs to know; what fails there is not asked for, and so no failure."""
        while self._looks_behind():
            try:
                found = next(self._yields, None)
            except Exception:  # noqa: BLE001 - the next run meets it, if it asks for more
                return
            if type(found) is not Arrived:
                return
            yield found


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
    if isinstance(item, Marked):
        return row_count(item.item)
    if isinstance(item, Aside):
        return 0
    rows = getattr(item, "num_rows", None)
    if isinstance(rows, int):
        return rows
    return len(item) if is_frame(item) and hasattr(item, "__len__") else 1


# --- results that are still to come ------------------------------------------------------------------------------


def settled(yields: Iterable[Any], reader: Reader) -> Iterator[Any]:
    """The stream with calls and coroutines replaced by their results, in the order of the yields; None is left out.

    While a result is waited for, the stream is read ahead, so that several are on their way. Closing this closes the
    stream, and nothing that it began runs on.
    """
    ahead: deque[_Ahead] = deque()
    items = _unrolled(yields, reader)
    try:
        for item in items:
            if type(item) is Checkpoint:
                # The state holds where the mark stands: what was begun before comes first, and nothing is read ahead of it.
                while ahead:
                    yield from _results_of(ahead, reader)
                yield item
                continue
            begun = _begun(item, reader)
            if begun is None and not ahead:
                yield item
                continue
            ahead.append(_Ahead(item, ()) if begun is None else begun)
            while ahead and (len(ahead) >= reader.workers.max_items or ahead[0].is_done):
                yield from _results_of(ahead, reader)
        while ahead:
            yield from _results_of(ahead, reader)
    finally:
        reader.workers.abandon(pending for entry in ahead for pending in entry.pendings)
        _close(items)
        _close(yields)


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A yield that has been read before its turn.

    Attributes:
        pendings: What it waits for: nothing, one result, or for a page the results that stand in it.
    """

    item: Any
    pendings: tuple[Pending, ...]
    is_page: bool = False
    stream: AsyncReader | None = None

    @property
    def is_done(self) -> bool:
        return all(pending.future.done() for pending in self.pendings)

    def results(self, reader: Reader) -> Iterator[Any]:
        mark = self.item if type(self.item) is Marked else None
        for made in self._results(reader):
            yield mark.holding(made) if mark else made

    def _results(self, reader: Reader) -> Iterator[Any]:
        if self.stream is not None:
            yield from _named(iter(self.stream), reader)
        elif self.is_page:
            waiting = iter(self.pendings)
            page = self.item.item if type(self.item) is Marked else self.item
            yield [_result(next(waiting), reader) if is_promise(item) else item for item in page]
        elif self.pendings:
            yield _result(self.pendings[0], reader)
        else:
            yield self.item.item if type(self.item) is Marked else self.item


def _begun(item: Any, reader: Reader) -> _Ahead | None:
    """What a yield waits for, begun; None if it waits for nothing."""
    kind = type(item)
    if kind is dict:
        return None
    inner = item.item if kind is Marked else item
    if is_page(inner):
        if inner and is_promise(inner[0]):
            return _Ahead(item, tuple(reader.workers.start(part) for part in inner if is_promise(part)), is_page=True)
    elif isinstance(inner, AsyncIterator):
        stream = reader.workers.read(inner, ahead=reader.workers.max_items)
        return _Ahead(item, (stream.pending,), stream=stream)
    elif is_promise(inner):
        return _Ahead(item, (reader.workers.start(inner),))
    return None


def _results_of(ahead: deque[_Ahead], reader: Reader) -> Iterator[Any]:
    """What the first entry became; it stays in the queue, to be abandoned, until all of it has been taken."""
    first = ahead[0]
    for made in first.results(reader):
        inner = made.item if type(made) is Marked else made
        if type(made) is not dict and (isinstance(inner, Iterator | AsyncIterator) or is_promise(inner)):
            yield from settled(iter((made,)), reader)
        elif made is not None:
            yield made
    ahead.popleft()


def _result(pending: Pending, reader: Reader) -> Any:
    try:
        return pending.future.result()
    except IngestError as error:
        reader.note(error, pending.name)
        raise
    except Exception as error:
        raise reader.failed(error, pending.name) from error


def _unrolled(yields: Iterable[Any], reader: Reader) -> Iterator[Any]:
    """The stream with yielded iterators replaced by what they yield; closing it closes them."""
    for item in yields if reader.refusals is None else _typed_where_possible(iter(yields), reader.refusals):
        kind = type(item)
        if kind is dict or kind is list:
            yield item
            continue
        inner = item.item if kind is Marked else item
        if isinstance(inner, Iterator) and not is_frame(inner):
            try:
                for part in _unrolled(_named(inner, reader), reader):
                    yield item.holding(part) if kind is Marked else part
            finally:
                _close(inner)
        elif inner is not None:
            yield item


def _typed_where_possible(items: Iterator[Any], refusals: Counter[str]) -> Iterator[Any]:
    """The items; pages of records that come straight from who reads them are typed records."""
    for item in items:
        yield item
        while type(item) is not dict and (pages := straight_from(items)) is not None:
            try:
                item = pages.hand_over(items, refusals)
            except StopIteration:
                return
            yield item


def _named(items: Iterator[Any], reader: Reader) -> Iterator[Any]:
    """The items; an error in making one of them names the step that hands them over."""
    if not reader.step:
        yield from items
        return
    try:
        yield from items
    except IngestError as error:
        reader.note(error)
        raise
    except Exception as error:
        raise reader.failed(error) from error


def _close(items: Any) -> None:
    close = getattr(items, "close", None) if isinstance(items, Iterator) else None
    if close is not None:
        close()


# --- what steps do with one yield --------------------------------------------------------------------------------


def _mapped(function: Callable[[Any], Any], item: Any) -> Any:
    if is_page(item):
        return [function(record) for record in item]
    return function(item)


def _filtered(accepts: Callable[[Any], Any], item: Any) -> Any:
    if not is_page(item):
        return item if _yes_or_no(accepts(item)) else None
    verdicts = [accepts(record) for record in item]
    if verdicts:
        _yes_or_no(verdicts[0])
    return list(compress(item, verdicts)) or (None if item else [])


async def _filtered_async(accepts: Callable[[Any], Any], item: Any) -> Any:
    import asyncio

    if not is_page(item):
        return item if await accepts(item) else None
    verdicts: list[Any] = []
    for start in range(0, len(item), DEFAULT_MAX_PARALLEL_ITEMS):
        verdicts += await asyncio.gather(*map(accepts, item[start : start + DEFAULT_MAX_PARALLEL_ITEMS]))
    return list(compress(item, verdicts)) or (None if item else [])


def _yes_or_no(verdict: Any) -> Any:
    if type(verdict) is not bool and is_promise(verdict):
        if hasattr(verdict, "close"):
            verdict.close()
        raise DeclarationError(
            "a filter returned something to await, which would always count as yes. Pass the async function itself."
        )
    return verdict


def _multiplied(function: Callable[[Any], Any], item: Any) -> Iterator[Any]:
    records = item if is_page(item) else (item,)
    for record in records:
        made = function(record)
        if isinstance(made, AsyncIterator) or is_promise(made):
            yield made
        else:
            yield from made


def _called(function: Callable[[Any], Any], item: Any) -> Any:
    return function(item)
