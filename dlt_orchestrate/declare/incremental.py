"""The declaration of an incremental cursor, which is also what the resource function reads while it runs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar

from dlt_orchestrate.errors import DeclarationError

CursorValue = TypeVar("CursorValue")

LastValueFunction = Callable[[Sequence[Any]], Any]
RowOrder = Literal["asc", "desc"]
Range = Literal["open", "closed"]
OnMissing = Literal["raise", "include", "exclude"]

_FUNCTIONS: dict[str, LastValueFunction] = {"max": max, "min": min}


class LiveCursor(Protocol):
    """Where a cursor stands while its resource runs."""

    @property
    def start_value(self) -> Any:
        """Where this run started."""

    @property
    def last_value(self) -> Any:
        """The newest value so far."""

    @property
    def end_value(self) -> Any:
        """Where this run ends; None without an end."""

    @property
    def start_out_of_range(self) -> bool:
        """Whether a record from before the start was seen."""

    @property
    def end_out_of_range(self) -> bool:
        """Whether a record from behind the end was seen."""

    def read_to_end(self) -> None:
        """Let no record out of range end the run."""


class Incremental(Generic[CursorValue]):
    """Loads only records that are newer than those of the run before.

    As a default argument of a resource function it declares the cursor; inside the running function it tells where the
    cursor stands, in `last_value` and its neighbours.

    Args:
        cursor_path: The field of a record that tells its age: a key or a JSONPath.
        initial_value: Where the first run starts; older records are dropped.
        last_value_func: `max` (or "max", or None), `min`, or a function from a sequence of values to the newest.
        primary_key: Tells records with equal cursor values apart; the resource's key by default, () for not at all.
        end_value: Where a bounded run ends, which reads and writes no state; needs `initial_value`.
        row_order: The order of the records, if they have one: a run then stops at the first record out of range.
        allow_external_schedulers: Accepted as in dlt; partition windows apply in any case.
        on_cursor_value_missing: What becomes of a record without a cursor value.
        lag: How far before the last value a run starts: seconds for moments, days for dates, units for numbers.
        range_start: "open" drops records that equal the start.
        range_end: "closed" keeps records that equal the end.
    """

    __dlt_declaration__ = True

    def __init__(
        self,
        cursor_path: str | None = None,
        initial_value: CursorValue | None = None,
        last_value_func: LastValueFunction | str | None = max,
        primary_key: str | Sequence[str] | None = None,
        end_value: CursorValue | None = None,
        row_order: RowOrder | None = None,
        allow_external_schedulers: bool | None = None,
        on_cursor_value_missing: OnMissing = "raise",
        lag: float | None = None,
        range_start: Range = "closed",
        range_end: Range = "open",
    ) -> None:
        self.cursor_path = cursor_path or ""
        self.initial_value = initial_value
        self.last_value_func = _function(last_value_func)
        self.primary_key = (primary_key,) if isinstance(primary_key, str) else _tuple_or_none(primary_key)
        self._end_value = end_value
        self.row_order = row_order
        self.allow_external_schedulers = allow_external_schedulers
        self.on_cursor_value_missing = on_cursor_value_missing
        self.lag = lag
        self.range_start = range_start
        self.range_end = range_end
        self._cursor: LiveCursor | None = None
        self._expect_sense()

    @property
    def start_value(self) -> CursorValue | None:
        """Where this run started: the last value of the run before, or the initial value."""
        return self._cursor.start_value if self._cursor else self.initial_value

    @property
    def last_value(self) -> CursorValue | None:
        """The newest value so far; moves whenever the resource yields."""
        return self._cursor.last_value if self._cursor else self.initial_value

    @property
    def end_value(self) -> CursorValue | None:
        """Where this run ends: the end of its window, or the declared end."""
        return self._cursor.end_value if self._cursor else self._end_value

    @property
    def start_out_of_range(self) -> bool:
        """Whether a record from before the start was seen: with newest records first, there is nothing more to read."""
        return self._cursor is not None and self._cursor.start_out_of_range

    @property
    def end_out_of_range(self) -> bool:
        """Whether a record from behind the end was seen: with oldest records first, there is nothing more to read."""
        return self._cursor is not None and self._cursor.end_out_of_range

    @property
    def rises(self) -> bool | None:
        """Whether records come from old to new; None if they come in any order."""
        if self.row_order is None:
            return None
        return (self.row_order == "asc") == (self.last_value_func is not min)

    def running(self, cursor: LiveCursor) -> Incremental[CursorValue]:
        """This declaration as the running function sees it."""
        live = copy.copy(self)
        live._cursor = cursor
        return live

    def read_to_end(self) -> None:
        """Let no record out of range end the run, whatever `row_order` says: for code that asks for the range alone."""
        if self._cursor is not None:
            self._cursor.read_to_end()

    def over(self, declared: Incremental[Any] | None) -> Incremental[Any]:
        """This declaration, with the cursor path of an earlier one if it names none of its own."""
        if self.cursor_path or declared is None:
            return self
        completed = copy.copy(self)
        completed.cursor_path = declared.cursor_path
        return completed

    def __repr__(self) -> str:
        return f"Incremental({self.cursor_path!r}, initial_value={self.initial_value!r}, last_value={self.last_value!r})"

    def _expect_sense(self) -> None:
        path = self.cursor_path
        _expect(path, "row_order", self.row_order, (None, "asc", "desc"))
        _expect(path, "on_cursor_value_missing", self.on_cursor_value_missing, ("raise", "include", "exclude"))
        _expect(path, "range_start", self.range_start, ("open", "closed"))
        _expect(path, "range_end", self.range_end, ("open", "closed"))
        if self._end_value is not None and self.initial_value is None:
            raise DeclarationError(f"Incremental {path!r}: end_value needs an initial_value, where the range starts.")
        if self.lag is not None and self.last_value_func not in (max, min):
            raise DeclarationError(
                f"Incremental {path!r}: lag needs max or min as last_value_func, not a function of its own."
            )


def _function(given: LastValueFunction | str | None) -> LastValueFunction:
    if given is None:
        return max
    if isinstance(given, str):
        if given not in _FUNCTIONS:
            raise DeclarationError(f"There is no last_value_func {given!r}. Choose 'max' or 'min', or pass a function.")
        return _FUNCTIONS[given]
    return given


def _tuple_or_none(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _expect(path: str, argument: str, found: Any, known: Sequence[Any]) -> None:
    if found not in known:
        raise DeclarationError(
            f"Incremental {path!r}: {argument}={found!r} is not known. Choose one of {', '.join(map(repr, known))}."
        )
