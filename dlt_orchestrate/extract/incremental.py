"""The incremental filter: which records of a run are new, and where the cursor stands after it.

A record is compared with where the run *started*, never with the newest value so far: records may come in any order.
What equals the start was seen by the run before, in part; the hashes of those records tell which part.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from dlt_orchestrate.config.spelling import meant, nearest
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.errors import CursorFieldMissingError, CursorValueError, DeclarationError
from dlt_orchestrate.extract.row_hash import is_hashed, row_hash
from dlt_orchestrate.flow.cursor import CursorMove
from dlt_orchestrate.schema.jsonpath import compile_path, parse_path
from dlt_orchestrate.state.commits import Window
from dlt_orchestrate.state.held import Held
from dlt_orchestrate.state.moments import (
    MomentText,
    NotOnScale,
    as_moments,
    in_fixed_zones,
    in_zone_of,
    moved,
    read_like,
    spelling,
)
from dlt_orchestrate.state.values import decode, encode

_MAX_UNHASHED_TIES = 1_000


class Cursor:
    """Where the cursor of one run stands; takes records page by page and passes the new ones.

    Attributes:
        declared: The declaration.
        resource: The resource's name, for messages.
        start_value: From where this run asks: the floor, or the oldest value of a row that was rejected before.
        floor: Where this run started: what is newer is new, whether it was seen before or not.
        end_value: Where it ends; None without an end.
        order: Which of two values is the newer one.
        newest: The newest accepted value, from which the next run starts; with a stored value, at least that.
        is_bounded: Whether the run has an end or a window: then it neither reads nor writes state.
        goes_on_by_position: Whether a run that is cut short goes on where its walk through pages stood.
    """

    def __init__(
        self,
        declared: Incremental[Any],
        *,
        resource: str,
        stored: Mapping[str, Any] | None = None,
        window: Window | None = None,
        key: Sequence[str] = (),
        deduplicates: bool = True,
        is_merge: bool = False,
        parent: str | None = None,
    ) -> None:
        """Start a run.

        Args:
            stored: What the run before left; ignored by bounded runs.
            key: Tells records with equal cursor values apart; the whole record without one.
            deduplicates: Whether records that equal the start and were passed by the run before are dropped.
            is_merge: Whether a record takes the place of an earlier one: then what it said before is no longer known.
            parent: What the resource takes records of, for messages.
        """
        self.declared = declared
        self.resource = resource
        self.start_out_of_range = False
        self.end_out_of_range = False
        self.is_bounded = window is not None or declared.end_value is not None
        self.goes_on_by_position = False
        self._stored = {} if self.is_bounded or stored is None else stored
        self._reached: Mapping[str, Any] = self._stored
        self._window = window
        self._parent = parent
        self._key = tuple(key)
        self.order = order_of(declared.last_value_func)
        self._deduplicates = deduplicates and declared.lag is None and declared.range_start == "closed"
        self._read = _reader(declared.cursor_path)

        last = self.stored_value
        held = Held() if self.is_bounded else Held.read(self._stored)
        self._held: tuple[Any, ...] = tuple(held.accepted)
        self._hashes_of_held = dict(held.hashes)
        self.floor = self._lagged(last) if last is not None else declared.initial_value
        self.start_value = self._oldest(self.floor)
        self._farthest = self.start_value
        self.end_value = declared.end_value
        self.newest = last if last is not None else declared.initial_value
        self._seen = frozenset(self._stored.get("unique_hashes", ())) if self._deduplicates else frozenset()
        self._hashes = set(self._seen)
        self._is_merge = is_merge
        self._came_again: set[str] = set()
        self._ties: list[Any] = []
        self._reads_to_end = False
        self._settled: dict[str, Any] | None = None
        self._is_on_scale = False
        self._keys_instead: list[str] | None = None
        self._spellings: set[Any] = set()
        if window is not None:
            self._expect_rising()
            self._open_window(window)

    @property
    def stored_value(self) -> Any:
        """What the run before left; None before the first run and for bounded runs."""
        return decode(self._stored.get("last_value"))

    @property
    def last_value(self) -> Any:
        """The newest value so far, as the running function sees it: moved back by the lag, if the run before left one.

        While values are held, it moves over everything that comes, from the oldest of them on.
        """
        if self._held:
            return self._farthest
        lags = self.declared.lag is not None and not self.is_bounded and self._stored
        return self._lagged(self.newest) if lags else self.newest

    @property
    def warning(self) -> str | None:
        """What a cursor does that no record has, not even with null; None where one has a value."""
        if self._is_on_scale or self._keys_instead is None:
            return None
        path, rule = self.declared.cursor_path, self.declared.on_cursor_value_missing
        done = "were loaded, and will be again" if rule == "include" else "were dropped"
        return (
            f"Resource {self.resource!r}: no record has {path!r}, which its incremental cursor reads, so all that lack it "
            f"{done} (on_cursor_value_missing={rule!r}). {meant(_head(path), self._keys_instead)}"
        )

    def miss_key(self, keys: Iterable[str]) -> None:
        """Take in that records without a cursor value, which are no error, have these keys and not that of the cursor."""
        if self._keys_instead is None:
            self._keys_instead = list(keys)

    @property
    def is_done(self) -> bool:
        """Whether no record that is still to come can be new, by the declared order of the records."""
        if self._reads_to_end:
            return False
        rises = self.declared.rises
        return (rises is True and self.end_out_of_range) or (rises is False and self.start_out_of_range)

    def read_to_end(self) -> None:
        """Let no record out of range end the run."""
        self._reads_to_end = True

    def accept(self, rows: Sequence[Any]) -> Sequence[Any]:
        """The new records of a page; the cursor moves to the newest of them.

        Raises:
            CursorFieldMissingError: A record has no cursor value, and the declaration says that this is an error.
            CursorValueError: A cursor value cannot be compared.
        """
        values = self.on_one_scale(self._read(rows))
        try:
            return rows if self._moves_over(values, rows.__getitem__) else self._accept_each(rows, values)
        except TypeError:
            self._expect_comparable(values)
            raise

    @property
    def reads_key(self) -> str | None:
        """The key that holds the cursor values; None if they stand deeper, or a function of its own orders them."""
        steps = parse_path(self.declared.cursor_path)
        is_key = len(steps) == 1 and isinstance(self.order, Natural)
        return steps[0] if is_key and isinstance(steps[0], str) else None

    def accepts_whole(self, values: Sequence[Any], row: Callable[[int], Any]) -> bool:
        """Whether all records of a page are new, told by their cursor values alone; then the cursor moves to the newest.

        False means that each record must be looked at, and that the cursor has not moved.

        Args:
            row: Gives the record at an index.

        Raises:
            CursorValueError: A cursor value cannot be compared.
        """
        values = self.on_one_scale(values)
        try:
            return self._moves_over(values, row)
        except TypeError:
            self._expect_comparable(values)
            raise

    def accepts(self, row: Any) -> bool:
        """Whether one record is new; the cursor moves to it if it is the newest. Errors as in `accept`."""
        (value,) = self.on_one_scale(self._read((row,)))
        try:
            return self._accepts(row, value)
        except TypeError:
            self._expect_comparable((value,))
            raise

    def state(self, was_cut: bool, *, is_within_item: bool = False) -> dict[str, Any] | None:
        """What the next run starts from; None if that is what this run started from.

        Args:
            was_cut: Whether a limit ended the run: then records between the start and the newest may be missing, unless
                they came from old to new.
            is_within_item: Whether a limit stands behind a transformer, or a step behind the cursor, and may have cut off
                what comes of the newest records; then the cursor stands where it was settled.
        """
        if self.is_bounded or (was_cut and not self.resumes):
            return None
        if is_within_item:
            return self._settled
        newest, hashes = self._with_reached()
        moves = {"last_value": encode(newest), "unique_hashes": sorted(hashes)}
        is_new = newest != self.declared.initial_value or bool(hashes)
        if not is_new or all(self._reached.get(name) == value for name, value in moves.items()):
            return None if self._reached is self._stored else dict(self._reached)
        initial = self._stored.get("initial_value", encode(self.declared.initial_value))
        return {"initial_value": initial, "start_value": encode(self.start_value), **moves}

    def settle(self, state: dict[str, Any] | None) -> None:
        """Note that all has come that steps and transformers make of the records up to a state of the cursor."""
        self._settled = state

    @property
    def resumes(self) -> bool:
        """Whether a run that is cut short may move the cursor: the next one misses nothing."""
        return self.goes_on_by_position or (self.declared.rises is True and self.declared.range_start == "closed")

    @property
    def tells_boundary_apart(self) -> bool:
        """Whether records that equal the newest value, and come again, are told from new ones."""
        return self._deduplicates

    @property
    def reached(self) -> Mapping[str, Any]:
        """What is committed of the cursor so far, by the run before or by parts of this one."""
        return self._reached

    def go_on_from(self, reached: Mapping[str, Any] | None) -> None:
        """Take in what a part of the extraction has reached that was committed; what is new stays as it was."""
        if reached and not self.is_bounded:
            self._reached = reached

    def has_come_past(self, value: Any) -> bool:
        """Whether a record was newer than a value that another run has left; False if they cannot be compared."""
        try:
            return self.newest is not None and self._is_newer(self.newest, value)
        except CursorValueError:
            return False

    def move(self, keys: Sequence[str], was_cut: bool) -> CursorMove | None:
        """What a load must know to move the cursor by accepted records only; None for bounded runs.

        Args:
            keys: The keys that lead to the cursor's field.
            was_cut: As of `state`.
        """
        if self.is_bounded:
            return None
        return CursorMove(
            path=self.declared.cursor_path,
            keys=tuple(keys),
            order=self.order,
            stored=self._reached,
            initial_value=self.declared.initial_value,
            newest=self._with_reached()[0],
            identity=self._key,
            deduplicates=self._deduplicates,
            moves=self.resumes or not was_cut,
            was_cut=was_cut,
            is_merge=self._is_merge,
        )

    def _with_reached(self) -> tuple[Any, set[str]]:
        """The newest value, over all parts of the extraction, and the hashes of the records that hold it."""
        hashes = self._boundary_hashes()
        reached = decode(self._reached.get("last_value"))
        if self._reached is self._stored or reached is None:
            return self.newest, hashes
        reached = in_zone_of(reached, self.newest)
        if isinstance(self.newest, MomentText):
            (reached,) = as_moments([reached])
        of_reached = set(self._reached.get("unique_hashes", ()))
        if self.newest is None or self.order.is_newer(reached, self.newest):
            return reached, of_reached
        return self.newest, hashes | of_reached if reached == self.newest and not self._is_merge else hashes

    def _boundary_hashes(self) -> set[str]:
        """The hashes of the records that hold the newest value.

        Where a record takes the place of an earlier one, and new ones have come: of those that this run has seen. What one
        of them said before, in the same instant, it may say again.
        """
        self._hash_ties()
        new = self._hashes - self._seen
        if not self._is_merge or not new or self.newest != self.stored_value:
            return self._hashes
        return new | self._came_again

    def would_pass(self, row: Any) -> bool:
        """Whether a record that was turned away before the cursor saw it would be new, as far as its value tells."""
        (value,) = self._read((row,))
        if value is None or value != value:
            return True
        flags = self.start_out_of_range, self.end_out_of_range
        try:
            return self.passes(value, row)
        except TypeError:
            return True
        finally:
            self.start_out_of_range, self.end_out_of_range = flags

    @property
    def held_values(self) -> tuple[Any, ...]:
        """Values of records that were rejected before: records that hold one of them pass, whatever the floor."""
        return self._held

    def reach(self, value: Any) -> None:
        """Note how far the source has come, while values are held."""
        if self._held:
            self._farthest = self.order.newest(value, self._farthest)

    # --- what the filter of Arrow tables shares -----------------------------------------------------------------

    @property
    def keeps_end(self) -> bool:
        """Whether records that equal the end belong to the run; a window always excludes its end."""
        return self._window is None and self.declared.range_end == "closed"

    @property
    def keeps_start(self) -> bool:
        """Whether records that equal the start belong to the run; a window always includes its start."""
        return self._window is not None or self.declared.range_start == "closed"

    def on_one_scale(self, values: Sequence[Any]) -> Sequence[Any]:
        """Cursor values that can be compared: texts that spell moments in several ways, or zones, as moments."""
        first = values[0] if values else None
        if first is None:
            first = next((value for value in values if value is not None), None)
        if isinstance(first, datetime):
            return in_fixed_zones(values)
        if spelling(first) is None:
            return values
        bounds = (self.floor, self.end_value, self.newest)
        self._spellings.update(map(spelling, values), map(spelling, (b for b in bounds if b is not None)))
        return values if len(self._spellings - {None}) == 1 else as_moments(values)

    def put_on_scale(self, value: Any) -> None:
        """Bring the bounds to the kind of the records, which the first value tells.

        Texts of a window become values of that kind; moments are compared with a zone or without, as the records are.
        """
        if self._is_on_scale or value is None:
            return
        self._is_on_scale = True
        if self._window is not None and self.declared.initial_value is None:
            self.start_value, self.end_value = (
                self._read_bound(text, value) for text in (self._window.start, self._window.end)
            )
            self.floor = self.newest = self.start_value
        if isinstance(value, datetime):
            self.start_value, self.floor, self.end_value, self.newest, self._farthest = (
                in_zone_of(bound, value)
                for bound in (self.start_value, self.floor, self.end_value, self.newest, self._farthest)
            )
            self._held = tuple(in_zone_of(held, value) for held in self._held)
            self._hashes_of_held = {in_zone_of(held, value): known for held, known in self._hashes_of_held.items()}

    def passes(self, value: Any, row: Any) -> bool:
        """Whether a record with this cursor value is new; flags what is out of range."""
        if self.end_value is not None and self._is_past_end(value):
            self.end_out_of_range = True
            return False
        self.reach(value)
        if self.floor is None or self.order.is_newer(value, self.floor):
            return True
        if self.keeps_start and self.order.equals(value, self.floor):
            return not self.was_seen(row)
        if value in self._held:
            return not self.was_held(value, row)
        self.start_out_of_range |= self.is_before_start(value)
        return False

    def is_before_start(self, value: Any) -> bool:
        """Whether a value that is not newer than the floor is older than all that was asked for."""
        if not self._held:
            return True
        return not self.order.is_newer(value, self.start_value) and not self.order.equals(value, self.start_value)

    def was_seen(self, row: Any) -> bool:
        """Whether the run before passed a record that equals the start."""
        was_seen = is_hashed(row, self._key, self._seen)
        if was_seen and self._is_merge:
            self._came_again.add(row_hash(row, self._key))
        return was_seen

    def was_held(self, value: Any, row: Any) -> bool:
        """Whether a record that holds a held value was passed before another one of this value was rejected."""
        return is_hashed(row, self._key, self._hashes_of_held.get(value, ()))

    @property
    def knows_hashes_of_held(self) -> bool:
        """Whether records that hold held values must be looked at one by one."""
        return bool(self._hashes_of_held)

    def advance(self, value: Any, ties: Iterable[Any]) -> None:
        """Move to the newest value of accepted records; `ties` are those that hold it."""
        value = self.order.newest(value, self.newest)
        if self.newest is None or value != self.newest:
            self.newest = value
            self._hashes.clear()
            self._ties.clear()
        if self._deduplicates:
            self._ties += ties
            if len(self._ties) > _MAX_UNHASHED_TIES:
                self._hash_ties()

    def miss(self, found: str) -> CursorFieldMissingError:
        """The error for a record without a cursor value."""
        path, parent = self.declared.cursor_path, self._parent
        return CursorFieldMissingError(resource=self.resource, cursor_path=path, found=found, parent=parent)

    def mismatch(self, value: Any, bound: Any) -> CursorValueError:
        """The error for a value that cannot be compared with a bound."""
        return CursorValueError(
            resource=self.resource,
            cursor_path=self.declared.cursor_path,
            value_type=_kind(value),
            bound_type=_kind(bound),
        )

    # --- records --------------------------------------------------------------------------------------------------

    def _moves_over(self, values: Sequence[Any], row: Callable[[int], Any]) -> bool:
        """Judge a page by its newest and its oldest value alone; False if these are not inside the range."""
        order = self.order
        if not isinstance(order, Natural) or self._held or not values or None in values or _has_nan(values):
            return False
        self.put_on_scale(values[0])
        newest, oldest = order.pick(values), order.pick_oldest(values)
        is_after_start = self.floor is None or order.is_newer(oldest, self.floor)
        is_before_end = self.end_value is None or order.is_newer(self.end_value, newest)
        if not (is_after_start and is_before_end):
            return False
        if self.newest is None or newest == self.newest or order.is_newer(newest, self.newest):
            self.advance(newest, (row(index) for index, value in enumerate(values) if value == newest))
        return True

    def _accept_each(self, rows: Sequence[Any], values: Sequence[Any]) -> Sequence[Any]:
        return [row for row, value in zip(rows, values, strict=True) if self._accepts(row, value)]

    def _accepts(self, row: Any, value: Any) -> bool:
        if value is None or value != value:  # NaN is no value either
            return self._keeps_without_value(row)
        if not self._is_on_scale:
            self.put_on_scale(value)
        if not self.passes(value, row):
            return False
        if self.newest is None or self.order.reaches(value, self.newest):
            self.advance(value, (row,))
        return True

    def _keeps_without_value(self, row: Any) -> bool:
        if self.declared.on_cursor_value_missing == "raise":
            raise self.miss(_found_in(row, self.declared.cursor_path))
        if self._keys_instead is None and isinstance(row, Mapping) and _head(self.declared.cursor_path) not in row:
            self.miss_key(map(str, row))
        return self.declared.on_cursor_value_missing == "include"

    def _hash_ties(self) -> None:
        self._hashes.update(row_hash(row, self._key) for row in self._ties)
        self._ties.clear()

    # --- bounds ---------------------------------------------------------------------------------------------------

    def _expect_rising(self) -> None:
        if not (isinstance(self.order, Natural) and self.order.rises):
            raise DeclarationError(
                f"Resource {self.resource!r}: a window can be loaded only by a cursor whose last_value_func is max, since "
                "it goes from its start up to its end."
            )

    def _open_window(self, window: Window) -> None:
        initial = self.declared.initial_value
        if initial is None:
            self.start_value, self.end_value = window.start, window.end
        else:
            self.start_value, self.end_value = (self._read_bound(text, initial) for text in (window.start, window.end))
        self.floor = self.newest = self.start_value

    def _oldest(self, floor: Any) -> Any:
        """The oldest of the floor and the held values."""
        oldest = floor
        for value in self._held:
            if oldest is not None and self._is_newer(oldest, value):
                oldest = value
        return oldest

    def _read_bound(self, text: str, example: Any) -> Any:
        try:
            return read_like(text, example)
        except NotOnScale:
            raise self.mismatch(example, text) from None

    def _is_past_end(self, value: Any) -> bool:
        if self.order.is_newer(value, self.end_value):
            return True
        return not self.keeps_end and self.order.equals(value, self.end_value)

    def _lagged(self, value: Any) -> Any:
        """A value moved back by the lag, but not before the initial value."""
        lag, initial = self.declared.lag, self.declared.initial_value
        if lag is None or value is None:
            return value
        try:
            back = moved(value, lag if self.declared.last_value_func is min else -lag)
        except OverflowError:
            return initial
        except NotOnScale:
            raise self.mismatch(value, lag) from None
        return initial if initial is not None and not self._is_newer(back, initial) else back

    def _is_newer(self, value: Any, bound: Any) -> bool:
        """Whether a value is newer than a bound, neither of which is on the scale of the records yet."""
        value, bound = as_moments([value, in_zone_of(bound, value)])
        try:
            return self.order.is_newer(value, bound)
        except TypeError:
            raise self.mismatch(value, bound) from None

    def _expect_comparable(self, values: Iterable[Any]) -> None:
        present = [value for value in values if value is not None]
        for bound in (self.start_value, self.end_value, self.newest, *present[:1]):
            for value in present if bound is not None else ():
                try:
                    self.order.is_newer(value, bound)
                except TypeError:
                    raise self.mismatch(value, bound) from None


class Order:
    """Which of two cursor values is the newer one, as a function of the user's says."""

    def __init__(self, function: Callable[[Sequence[Any]], Any]) -> None:
        self._function = function

    def is_newer(self, value: Any, bound: Any) -> bool:
        return bool(self._function((value, bound)) != bound)

    def equals(self, value: Any, bound: Any) -> bool:
        return bool(self._function((value,)) == bound)

    def reaches(self, value: Any, bound: Any) -> bool:
        """Whether a value is newer than a bound or equals it."""
        return self.is_newer(value, bound) or self.equals(value, bound)

    def newest(self, value: Any, bound: Any) -> Any:
        """The newer of two; the bound may be None."""
        return self._function((value,)) if bound is None else self._function((value, bound))


class Natural(Order):
    """The order of the values themselves, upwards or downwards.

    Attributes:
        rises: Whether greater values are newer.
    """

    def __init__(self, *, rises: bool) -> None:
        super().__init__(max if rises else min)
        self.rises = rises
        self._is_beyond = operator.gt if rises else operator.lt

    def pick(self, values: Iterable[Any]) -> Any:
        """The newest of some values."""
        return max(values) if self.rises else min(values)

    def pick_oldest(self, values: Iterable[Any]) -> Any:
        return min(values) if self.rises else max(values)

    def is_newer(self, value: Any, bound: Any) -> bool:
        return bool(self._is_beyond(value, bound))

    def equals(self, value: Any, bound: Any) -> bool:
        return bool(value == bound)


def order_of(function: Callable[[Sequence[Any]], Any]) -> Order:
    """The order that a `last_value_func` means."""
    return Natural(rises=function is max) if function in (max, min) else Order(function)


def _reader(path: str) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """A function that reads the cursor values of a page; None where a record has none."""
    steps = parse_path(path)
    if len(steps) == 1 and isinstance(steps[0], str):
        return _reader_of_key(steps[0])
    find = compile_path(path)

    def read_path(rows: Sequence[Any]) -> list[Any]:
        return [next(iter(find(row)), None) for row in rows]

    return read_path


def _reader_of_key(key: str) -> Callable[[Sequence[Any]], list[Any]]:
    get = operator.itemgetter(key)

    def read_key(rows: Sequence[Any]) -> list[Any]:
        try:
            return list(map(get, rows))
        except (KeyError, TypeError, IndexError):
            return [row.get(key) if isinstance(row, Mapping) else None for row in rows]

    return read_key


def _has_nan(values: Sequence[Any]) -> bool:
    return not {float, Decimal}.isdisjoint(map(type, values)) and any(value != value for value in values)


def _found_in(row: Any, path: str) -> str:
    if not isinstance(row, Mapping):
        return f"the record is a {type(row).__name__}"
    if path in row:
        return "it holds null there"
    return told_instead(path, map(str, row))


def told_instead(path: str, keys: Iterable[str]) -> str:
    """What a record has that lacks the key of a cursor.

    >>> told_instead("updated", ["id", "updatd"])
    "it has id, updatd. Did you mean 'updatd'?"
    """
    found = sorted(keys)
    near = nearest(_head(path), found)
    return f"it has {', '.join(found) or 'no fields'}" + (f". Did you mean {near!r}?" if near else "")


def _head(path: str) -> str:
    """The key of the record at which a path begins."""
    return str(next(iter(parse_path(path)), path))


def _kind(value: Any) -> str:
    if isinstance(value, MomentText):
        return f"text of a moment {'with' if value.moment.tzinfo else 'without'} a zone"
    if isinstance(value, datetime):
        return "datetime with a zone" if value.tzinfo else "datetime without a zone"
    return "text" if isinstance(value, str) else type(value).__name__
