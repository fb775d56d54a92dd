"""The extraction of one resource: its function, pipe and cursor, from the state before to the state after."""

from __future__ import annotations

import copy
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare import current
from dlt_orchestrate.declare.code_text import text_of
from dlt_orchestrate.declare.mark import Arrived, Aside, Checkpoint, Marked, RejectedRow
from dlt_orchestrate.declare.records import as_record
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.steps import LimitedStream, is_frame, row_count
from dlt_orchestrate.declare.validation import KEPT_REJECTS, Rejected, Validation, validation_of
from dlt_orchestrate.declare.workers import Workers
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.extract.bounds import ExtractionBounds
from dlt_orchestrate.extract.cuts import CutsByCursor, CutsByPosition, IsDue
from dlt_orchestrate.extract.incremental import Cursor
from dlt_orchestrate.extract.pipe import flattened, gathered, in_slices
from dlt_orchestrate.extract.tables import Tables
from dlt_orchestrate.flow import positions
from dlt_orchestrate.flow.cursor import CursorMove
from dlt_orchestrate.flow.cut import Cut
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.flow.typed_records import TypedRecords, plain, values_of
from dlt_orchestrate.protocols.clock import Clock, SystemClock
from dlt_orchestrate.schema.jsonpath import parse_path
from dlt_orchestrate.state.commits import Window
from dlt_orchestrate.state.document import CURSORS
from dlt_orchestrate.state.parts import ATTEMPT, CHECKPOINT, POSITIONS, REACHED
from dlt_orchestrate.state.values import decode, encode, printable

UPSTREAM = "upstream"

logger = logging.getLogger("dlt_orchestrate.extract")


class Extraction:
    """One run of one resource; iterating it, once, yields its pages.

    A transformer runs its parents too; their cursors stand in its own state under `upstream`, so that they commit with
    its rows. What this run changes in the state shows only in `state_after`: an extraction that fails changes nothing.

    Attributes:
        bounds: Where it ends with an error.
        rows: Records handed over so far.
        pages: Pages handed over so far.
        cut_short: Whether a limit ended the run.
        refusals: Pages of a paginator that were read as dictionaries, and could have come typed, by reason.
    """

    def __init__(
        self,
        resource: Resource,
        *,
        source_name: str,
        resolver: Resolver,
        sections: Sequence[str] | None = None,
        resource_state: Mapping[str, Any] | None = None,
        source_state: MutableMapping[str, Any] | None = None,
        window: Window | None = None,
        pipeline: Any = None,
        clock: Clock | None = None,
        workers: Workers | None = None,
        most_rejects: int = KEPT_REJECTS,
        is_checkpoint_due: IsDue | None = None,
        attempt: str | None = None,
    ) -> None:
        """Prepare a run; nothing of the user's is called before the first page is asked for.

        Args:
            sections: Where the resource's configuration stands; the resource knows by default.
            resource_state: What the run before left.
            source_state: What all resources of the source share; changed in place.
            window: The partition to extract; then no cursor is read or written.
            workers: What runs beside; some of its own by default.
            most_rejects: Records that models turn away and that are kept; all are counted.
            is_checkpoint_due: Whether its stream shall be cut behind a yield, where that can be; None if it shall not.
            attempt: Names who makes the checkpoints.
        """
        self.resource = resource
        self.rows = 0
        self.pages = 0
        self.refusals: Counter[str] = Counter()
        self._resolver = resolver
        self._sections = None if sections is None else tuple(sections)
        self._clock = clock or SystemClock()
        self._workers = workers
        stored = dict(resource_state or {})
        self._unfinished: Mapping[str, Any] = stored.pop(CHECKPOINT, {})
        self._state = decode(copy.deepcopy(stored))
        self._surroundings = current.Surroundings(
            source=source_name,
            resource=resource.name,
            resource_state=self._state,
            source_state={} if source_state is None else source_state,
            pipeline=pipeline,
            window=window,
            write_disposition=resource.write_disposition,
            declared=lambda: text_of((resource.declared, resource.incremental, resource.steps, resource.late_steps)),
            is_limited=any(member.limit is not None for member in _chain(resource)),
        )
        self._stages = _stages(resource, stored, window, most_rejects)
        self._window = window
        self._attempt = attempt
        self._cuts = self._ways_to_cut(is_checkpoint_due)
        self.bounds = ExtractionBounds.configured(resolver, resource.sections)
        self._limited: list[tuple[_Stage, LimitedStream]] = []
        self._most_rejects = most_rejects
        self._rejected: list[Rejected] = []
        self._rejected_count = 0
        self._was_started = False

    def __iter__(self) -> Iterator[Page]:
        if self._was_started:
            raise DeclarationError(
                f"Resource {self.resource.name!r}: an extraction runs once; make another one to run again."
            )
        self._was_started = True
        pages = current.within(self._surroundings, self._pages())
        if isinstance(self._cuts, CutsByPosition):
            pages = positions.within(self._cuts.positions, pages)
        for page in self.bounds.over(pages, resource=self.resource.name, clock=self._clock):
            if page.cut is not None:
                yield page
                continue
            self.rows += row_count(page.frame) if page.frame is not None else len(page.rows)
            self.pages += 1
            yield page
        if self.cut_short:
            for change in self._surroundings.when_cut_short:
                change()

    @property
    def cut_short(self) -> bool:
        return any(stream.was_cut for _, stream in self._limited)

    @property
    def is_unchanged(self) -> bool:
        """Whether the source said that it holds what it held before, and gave no record."""
        return current.UNCHANGED in self._surroundings.told and self.rows == 0

    @property
    def is_part(self) -> bool:
        """Whether the source said that it holds more than what came."""
        return current.PART in self._surroundings.told

    @property
    def replaces_partition(self) -> bool:
        """Whether the source said that what came is all that the partition holds."""
        return current.WHOLE in self._surroundings.told

    @property
    def rejected(self) -> tuple[Rejected, ...]:
        """The first records that models turned away, of the resource and of those that feed it, and that sources did."""
        return (*(found for validation in self._validations for found in validation.rejected), *self._rejected)

    @property
    def rejected_rows(self) -> int:
        """How many records models and sources turned away; they were not handed over."""
        return sum(validation.rejected_count for validation in self._validations) + self._rejected_count

    @property
    def _validations(self) -> Iterator[Validation]:
        return (stage.validation for stage in self._stages if stage.validation is not None)

    @property
    def state_after(self) -> dict[str, Any]:
        """The state to commit with the last rows, JSON-like."""
        moved = {stage.key: self._moved(stage) if self._window is None else None for stage in self._stages}
        state = {**self._own_state(), **self._cursor_states(moved)}
        if POSITIONS in self._unfinished and self._leaves_unfinished:
            state[CHECKPOINT] = dict(self._unfinished)
        return state

    def state_at(self, cut: Cut) -> dict[str, Any]:
        """The state to commit with the rows that came before a cut, JSON-like."""
        moved = self._cursor_states({name: state for name, (state, _) in cut.cursors.items()})
        checkpoint: dict[str, Any] = {ATTEMPT: self._attempt}
        if cut.positions is None:
            return {**cut.state, **moved, CHECKPOINT: checkpoint}
        stored = self._cursor_states({})
        return {**cut.state, **stored, CHECKPOINT: {**checkpoint, POSITIONS: dict(cut.positions), REACHED: moved}}

    def move_at(self, cut: Cut) -> CursorMove | None:
        """How the cursor has moved at a cut, as `cursor_move` at the end."""
        own = self._stages[-1]
        _, move = cut.cursors.get(self.resource.name, (None, None))
        return None if move is None or own.cursor_keys is None else replace(move, is_pending=cut.positions is not None)

    def cursor_at(self, cut: Cut) -> Any:
        """Where the cursor stands once what came before a cut is committed, as `cursor_after` at the end."""
        stage = next((stage for stage in reversed(self._stages) if stage.cursor), None)
        if stage is None or stage.cursor is None:
            return None
        moved = cut.cursors.get(stage.key, (None, None))[0] or stage.cursor.reached
        return self.cursor_before if cut.positions is not None else printable(decode(moved.get("last_value")))

    def committed(self, state: Mapping[str, Any]) -> None:
        """Take in that what came before a cut was committed, with this state; what follows is told apart from it."""
        self._go_on_from(state.get(CHECKPOINT, {}).get(REACHED) or state)
        self._rejected, self._rejected_count = [], 0
        for validation in self._validations:
            validation.begin_part()

    @property
    def is_resumed(self) -> bool:
        """Whether it goes on where an unfinished extraction was cut short by a position."""
        return isinstance(self._cuts, CutsByPosition) and POSITIONS in self._unfinished

    @property
    def goes_by_position(self) -> bool:
        """Whether its pages may come in any order, and carry their positions."""
        return isinstance(self._cuts, CutsByPosition)

    @property
    def stored_cursor(self) -> Mapping[str, Any]:
        """What is known of the own cursor when extraction begins; empty without one."""
        own = self._stages[-1].cursor
        return {} if own is None or own.is_bounded else own.reached

    def _own_state(self) -> dict[str, Any]:
        state: dict[str, Any] = encode({k: v for k, v in self._state.items() if k not in (CURSORS, UPSTREAM)})
        return state

    def _cursor_states(self, moved: Mapping[str, Any]) -> dict[str, Any]:
        """The cursors of all stages as they stand in the state, with those that have moved."""
        cursors = {stage.key: stage.cursors_after(moved.get(stage.key)) for stage in self._stages}
        state: dict[str, Any] = {}
        if own := cursors.pop(self.resource.name):
            state[CURSORS] = own
        if upstream := {name: {CURSORS: held} for name, held in cursors.items() if held}:
            state[UPSTREAM] = upstream
        return state

    def _ways_to_cut(self, is_due: IsDue | None) -> CutsByCursor | CutsByPosition | None:
        """How the stream is cut, if it is, or goes on from where an earlier one was; None to read it as it is."""
        replaces = self.resource.write_disposition == "replace"
        is_limited = any(stage.resource.limit is not None for stage in self._stages)
        self._leaves_unfinished = is_limited or self._window is not None
        if self._window is not None or replaces:
            return None
        if is_due is not None and any(stage.resource.takes_whole_stream for stage in self._stages):
            logger.warning(
                "Resource %r: it takes the rows of its parent as a whole and reads ahead of them, so what it has read is "
                "committed at its end only.",
                self.resource.name,
            )
            is_due = None
        stored = self._unfinished.get(POSITIONS)
        cursors = [stage.cursor for stage in self._stages if stage.cursor is not None and not stage.cursor.is_bounded]
        goes_by_cursor = bool(cursors) and all(map(self._is_place, cursors))
        if stored is None and (is_due is None or goes_by_cursor or is_limited):
            return CutsByCursor(is_due, self._cut) if is_due is not None and goes_by_cursor else None
        if is_limited:
            return None
        for cursor in cursors:
            cursor.goes_on_by_position = True
        self._go_on_from(self._unfinished.get(REACHED, {}))
        return CutsByPosition(self.resource.name, stored or {}, is_due, self._cut, has_cursors=bool(cursors))

    def _is_place(self, cursor: Cursor) -> bool:
        """Whether a cursor alone tells where to go on: what is loaded twice then must do no harm."""
        return cursor.resumes and (self.resource.write_disposition == "merge" or cursor.tells_boundary_apart)

    def _go_on_from(self, reached: Mapping[str, Any]) -> None:
        for stage in self._stages:
            if stage.cursor is not None:
                is_own = stage.resource is self.resource
                held = reached if is_own else reached.get(UPSTREAM, {}).get(stage.key, {})
                stage.cursor.go_on_from(held.get(CURSORS, {}).get(stage.cursor.declared.cursor_path))

    def _cut(self, at: Mapping[str, Any] | None) -> Cut:
        shared = encode(dict(self._surroundings.source_state))
        return Cut(self._own_state(), shared, at)

    @property
    def own_cursor_path(self) -> str | None:
        """The field of the resource's own records that its own cursor reads; None if it has none, or only its parent."""
        cursor = self._stages[-1].cursor
        return cursor.declared.cursor_path if cursor else None

    @property
    def cursor_move(self) -> CursorMove | None:
        """How the cursor moves if every record is accepted; None if no cursor reads a plain field of the loaded records."""
        keys = self._stages[-1].cursor_keys
        cursor = self._stages[-1].cursor
        return None if cursor is None or keys is None else cursor.move(keys, self.cut_short)

    @property
    def moves_unseen(self) -> bool:
        """Whether a cursor moves that reads no plain field of the loaded records, so that no record holds it back."""
        *feeding, own = self._stages
        cursors = [stage.cursor for stage in feeding] + [own.cursor if own.cursor_keys is None else None]
        return self._window is None and any(cursor is not None and not cursor.is_bounded for cursor in cursors)

    def warnings(self, *, is_last_part: bool) -> tuple[str, ...]:
        """What its code has said, and at the end, since records may still come, what its cursors could not do."""
        if not is_last_part:
            return tuple(self._surroundings.warnings)
        of_cursors = (stage.cursor.warning for stage in self._stages if stage.cursor and stage.cursor.warning)
        return (*self._surroundings.warnings, *of_cursors, *self._coming_again())

    def _coming_again(self) -> Iterator[str]:
        """That rows of a bounded run lie behind the cursor, which has not moved and will come to them, too."""
        own = self._stages[-1]
        if own.cursor is None or self.resource.write_disposition != "append" or not own.cursor.is_bounded or not self.rows:
            return
        path = own.cursor.declared.cursor_path
        last = decode(own.stored_cursors.get(path, {}).get("last_value"))
        if last is not None and own.cursor.has_come_past(last):
            yield (
                f"Resource {self.resource.name!r}: its cursor {path!r} stands at {printable(last)}, and newer rows were "
                "loaded by bounds of their own, which move no cursor. The next run without bounds appends them again. "
                "Merge rows by a primary key, or load only bounds that the cursor has passed."
            )

    @property
    def cursor_keys(self) -> tuple[str, ...] | None:
        """The keys that lead to the field which `cursor_move` is about."""
        return self._stages[-1].cursor_keys

    @property
    def asked_for_window(self) -> bool:
        """Whether the running code has asked which window, or which partition, it is to load."""
        return not self._surroundings.asked.isdisjoint(("window", "partition_key"))

    @property
    def cursor_path(self) -> str | None:
        """The field that the cursor reads; None without one."""
        cursor = self._cursor
        return cursor.declared.cursor_path if cursor else None

    @property
    def cursor_before(self) -> Any:
        """Where the run before left the cursor, or where the window starts; JSON-like, moments in ISO 8601."""
        cursor = self._cursor
        if cursor is None:
            return None
        return printable(cursor.start_value) if cursor.is_bounded else printable(cursor.stored_value)

    @property
    def cursor_after(self) -> Any:
        """Where this run leaves the cursor, or the newest value of a window; JSON-like, moments in ISO 8601."""
        cursor = self._cursor
        if cursor is None:
            return None
        if cursor.is_bounded:
            return printable(cursor.newest)
        moved = self._moved(next(stage for stage in reversed(self._stages) if stage.cursor))
        return self.cursor_before if moved is None else printable(decode(moved["last_value"]))

    def _moved(self, stage: _Stage) -> dict[str, Any] | None:
        """Where a run leaves the cursor of a stage; None where it has not moved."""
        if stage.cursor is None:
            return None
        is_within = any(stream.was_cut for limited, stream in self._limited if limited in self._reading_ahead(stage))
        return stage.cursor.state(self.cut_short, is_within_item=is_within)

    def _reading_ahead(self, stage: _Stage) -> Sequence[_Stage]:
        """The stages whose limits may leave out what comes of records that the cursor of a stage has passed."""
        own = self._stages.index(stage)
        return self._stages[own if stage.resource.late_steps else own + 1 :]

    def _has_to_settle(self, stage: _Stage) -> bool:
        """Whether it has to be known how far all has come that is made of a stage's records."""
        fed = self._reading_ahead(stage)
        # Who takes a stream as a whole does not tell which of its records its yields come from.
        is_known = not any(other.resource.takes_whole_stream for other in fed if other is not stage)
        return is_known and any(other.resource.limit is not None for other in fed)

    @property
    def _cursor(self) -> Cursor | None:
        """The resource's own cursor, or that of its nearest parent that has one."""
        return next((stage.cursor for stage in reversed(self._stages) if stage.cursor), None)

    def _pages(self) -> Iterator[Page]:
        tables = Tables(self.resource)
        own = Workers.configured(self._resolver) if self._workers is None else nullcontext(self._workers)
        with own as workers:
            for item in gathered(self._items(workers)):
                inner = item.item if type(item) is Marked else item
                if type(inner) is RejectedRow:
                    self._reject(item)
                elif type(inner) is Arrived:
                    inner.call()
                elif type(inner) is not Checkpoint:
                    yield from tables.pages_of(item)

    def _reject(self, item: Any) -> None:
        """Keep a row that a source could not read, perhaps with a mark, as long as there is room."""
        self._rejected_count += 1
        if len(self._rejected) < self._most_rejects:
            row, marked = (item.item, item.mark.table_name) if type(item) is Marked else (item, None)
            own = self.resource.table_name
            table = marked or (own if isinstance(own, str) else self.resource.name)
            self._rejected.append(Rejected(self.resource.name, table, row.record, row.column, row.cause))

    def _items(self, workers: Workers) -> Iterator[Any]:
        """Records, lists and tables behind steps, cursor and limit."""
        opened: list[Iterator[Any]] = []
        items: Iterator[Any] | None = None
        try:
            for stage in self._stages:
                resource = stage.resource
                own = self._open(stage, items, workers)
                if self._cuts is not None and stage is self._stages[0]:
                    own = self._cuts.over(own)
                yields = resource.before_cursor(own, workers)
                opened.append(yields)
                items = stage.filter(stage.records(yields, is_loaded=resource is self.resource))
                if stage.cursor is not None and self._has_to_settle(stage):
                    items = _settling(stage.cursor, items)
                if resource.late_steps:
                    items = stage.late_records(resource.after_cursor(items, workers), is_loaded=resource is self.resource)
                    opened.append(items)
                items = self._limit(stage, items)
            yield from items or ()
        finally:
            # The last one first: a generator that is closed may still read what feeds it.
            for yields in reversed(opened):
                close = getattr(yields, "close", None)
                if close is not None:
                    close()

    def _open(self, stage: _Stage, upstream: Iterator[Any] | None, workers: Workers) -> Iterator[Any]:
        resource = stage.resource
        if resource.rows is not None and resource is self.resource:
            return in_slices(resource.rows)
        live = stage.cursor.declared.running(stage.cursor) if stage.cursor else None
        sections = self._sections if resource is self.resource else None
        return resource.open(
            self._resolver,
            workers=workers,
            sections=sections,
            live=live,
            upstream=upstream,
            refusals=self.refusals if self._takes_typed(stage) else None,
            keep=self._reject,
        )

    def _takes_typed(self, stage: _Stage) -> bool:
        """Whether nothing looks at the records of a resource on their way to normalize, apart from a plain cursor."""
        resource = stage.resource
        steps = (*resource.steps, *resource.late_steps)
        return (
            resource is self.resource
            and not steps
            and stage.validation is None
            and isinstance(resource.table_name, str)
            and not resource.declared.dynamic
            and not resource.table_hints().keeps_versions
            and (stage.cursor is None or stage.cursor.reads_key is not None)
        )

    def _limit(self, stage: _Stage, items: Iterator[Any]) -> Iterator[Any]:
        if stage.resource.limit is None:
            return items
        has_to_know = self._surroundings.when_cut_short

        def looks_behind() -> bool:
            # The own cursor would count what is read behind the limit as passed, and lose it, unless it settles. Cursors
            # of parents have to know whether all that comes of their last record has come.
            until = self._stages[: self._stages.index(stage) + 1]
            settles = any(stage in self._reading_ahead(other) for other in until if other.cursor is not None)
            return (stage.cursor is None or bool(stage.resource.late_steps)) and (bool(has_to_know) or settles)

        stream = LimitedStream(items, stage.resource.limit, self._clock, looks_behind)
        self._limited.append((stage, stream))
        return iter(stream)


@dataclass(frozen=True, slots=True)
class _Stage:
    """One resource of the chain that feeds a transformer, with its cursor; the last stage is the resource itself.

    Attributes:
        key: Its name in states; one that is called like what it feeds, as `filesystem` may be, has another.
        stored_cursors: What the run before left of all cursors of this resource, by path.
        validation: What holds its records to its model, if it has one.
    """

    key: str
    resource: Resource
    cursor: Cursor | None
    stored_cursors: Mapping[str, Any]
    validation: Validation | None = None

    @property
    def cursor_keys(self) -> tuple[str, ...] | None:
        """The keys that lead to the cursor's field; None if it is none of the loaded records, or not at one plain place."""
        if self.cursor is None or self.resource.late_steps:
            return None
        steps = parse_path(self.cursor.declared.cursor_path)
        keys = tuple(step for step in steps if isinstance(step, str))
        return keys if keys and len(keys) == len(steps) else None

    def cursors_after(self, moved: Mapping[str, Any] | None) -> dict[str, Any]:
        """What the next run is to find of its cursors, if this one has moved its own."""
        if self.cursor is None or moved is None:
            return dict(self.stored_cursors)
        return {**self.stored_cursors, self.cursor.declared.cursor_path: moved}

    def records(self, yields: Iterator[Any], *, is_loaded: bool) -> Iterator[Any]:
        """What the cursor reads; objects with fields become dictionaries in time.

        Args:
            is_loaded: Whether they go to a table, not to a transformer.
        """
        if self.resource.late_steps:
            return flattened(yields, as_record if self.cursor else _as_it_is)
        return self._held(yields, makes_records=is_loaded or self.cursor is not None)

    def late_records(self, yields: Iterator[Any], *, is_loaded: bool) -> Iterator[Any]:
        """What the steps behind the cursor made."""
        return self._held(yields, makes_records=is_loaded)

    def _held(self, yields: Iterator[Any], *, makes_records: bool) -> Iterator[Any]:
        """Records, lists of records and tables behind the model, which stands behind all steps."""
        if self.validation is not None:
            return self.validation.over(flattened(yields, _as_it_is))
        return flattened(yields, as_record if makes_records else _as_it_is)

    def filter(self, items: Iterator[Any]) -> Iterator[Any]:
        """The items that are new; ends as soon as no new one can come."""
        return items if self.cursor is None else _new_items(self, self.cursor, items)


def _stages(resource: Resource, state: Mapping[str, Any], window: Window | None, most_rejects: int) -> tuple[_Stage, ...]:
    """The resource behind all that feed it; a window holds for the one nearest to the table that has a cursor."""
    stages: list[_Stage] = []
    for member in _chain(resource):
        is_taken = any(stage.key == member.name for stage in stages)
        key = f"{member.name} above {stages[-1].key}" if is_taken else member.name
        held = state if member is resource else state.get(UPSTREAM, {}).get(key, {})
        # A full replacement starts over: rows from before the cursor would be missing in it.
        stored = {} if resource.write_disposition == "replace" and window is None else held.get(CURSORS, {})
        bounds = window is not None and window.has_bounds and not any(stage.cursor for stage in stages)
        cursor = _cursor_of(member, resource, {} if window else stored, window if bounds else None)
        is_before_cursor = cursor is not None and not member.late_steps
        validation = validation_of(
            member.name,
            member.declared,
            most_rejects=most_rejects,
            is_new=cursor.would_pass if cursor is not None and is_before_cursor else None,
        )
        stages.append(_Stage(key, member, cursor, stored, validation))
    return tuple(reversed(stages))


def _chain(resource: Resource) -> Iterator[Resource]:
    """The resource, and what feeds it, the nearest first."""
    member: Resource | None = resource
    while member is not None:
        yield member
        member = member.upstream


def _as_it_is(record: Any) -> Any:
    return record


def _cursor_of(member: Resource, resource: Resource, stored: Mapping[str, Any], window: Window | None) -> Cursor | None:
    declared = member.incremental
    if declared is None:
        return None
    if not declared.cursor_path:
        raise DeclarationError(f"Resource {member.name!r}: its incremental names no cursor_path, the field that it reads.")
    # Merging a row again is harmless, missing an update is not: there, only rows equal in every field were seen before.
    is_merge = resource.write_disposition == "merge"
    own_key = member.primary_key if declared.primary_key is None else declared.primary_key
    return Cursor(
        declared,
        resource=member.name,
        stored=stored.get(declared.cursor_path),
        window=window,
        key=() if is_merge else own_key,
        deduplicates=declared.primary_key != (),
        is_merge=is_merge,
        parent=member.upstream.name if member.upstream else None,
    )


def _settling(cursor: Cursor, items: Iterator[Any]) -> Iterator[Any]:
    """The items, each with a mark behind it that passes every limit once all has come that is made of the item."""
    for item in items:
        state = cursor.state(was_cut=True)
        yield item
        if type(item) is not Cut and not isinstance(item, Aside):
            yield Arrived(partial(cursor.settle, state))


def _new_items(stage: _Stage, cursor: Cursor, items: Iterator[Any]) -> Iterator[Any]:
    for item in items:
        if type(item) is Cut:
            move = cursor.move(stage.cursor_keys or (), was_cut=True)
            item.cursors[stage.key] = (cursor.state(was_cut=True), move)
            yield item
            continue
        accepted = _accepted(cursor, item)
        if accepted is not None:
            yield accepted
        if cursor.is_done:
            return


def _accepted_typed(cursor: Cursor, rows: TypedRecords) -> Any:
    """The rows if all are new, which is told by their cursor values; else the new ones as dictionaries."""
    assert cursor.reads_key is not None
    try:
        values = values_of(rows, cursor.reads_key)
    except KeyError:
        values = []
    if values and cursor.accepts_whole(values, lambda index: plain(rows[index])):
        return rows
    return _accepted(cursor, plain(rows))


def _accepted(cursor: Cursor, item: Any) -> Any:
    """The new part of an item; None if there is none."""
    kind = type(item)
    if kind is TypedRecords:
        return _accepted_typed(cursor, item)
    if kind is list:
        rows = cursor.accept(item)
        return rows if rows or not item else None
    if kind is Marked:
        return item.holding(_accepted(cursor, item.item))
    if isinstance(item, Aside):
        return item
    if kind is not dict and is_frame(item):
        from dlt_orchestrate.extract.incremental_arrow import accept_table

        table = accept_table(cursor, item)
        return table if table.num_rows or not item.num_rows else None
    return item if cursor.accepts(item) else None
