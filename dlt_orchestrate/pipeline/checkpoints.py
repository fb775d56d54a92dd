"""Committing a long extraction in parts: when, whether at all, and what the cursor's parts know of each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.declare.checkpoints import NO_CHECKPOINTS, Checkpoints
from dlt_orchestrate.declare.mark import Marked
from dlt_orchestrate.declare.records import is_page
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.steps import is_frame
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.extract.extraction import Extraction
from dlt_orchestrate.extract.pipe import ROWS_PER_PAGE
from dlt_orchestrate.flow.cursor import CursorMove
from dlt_orchestrate.flow.cut import Cut
from dlt_orchestrate.flow.package import ResourceLoad
from dlt_orchestrate.load.holding import can_be_held, known_rows
from dlt_orchestrate.pipeline.settings import at_least, setting
from dlt_orchestrate.protocols.clock import Clock
from dlt_orchestrate.schema.table import DEDUP_SORT, TableHints
from dlt_orchestrate.state.held import Held


class Due:
    """Whether the next checkpoint is due, by what a resource yields."""

    def __init__(self, checkpoints: Checkpoints, clock: Clock) -> None:
        self._checkpoints = checkpoints
        self._clock = clock
        self._pages = self._records = 0
        self._since = clock.monotonic() if checkpoints else 0.0

    def begin(self) -> None:
        """Begin to count anew."""
        self._pages = 0
        if self._checkpoints:
            self._since = self._clock.monotonic()

    def behind(self, item: Any) -> bool:
        """Whether enough pages, or enough time, have passed, with this yield, since the last one.

        Records that are yielded one by one count as a page when they fill one.
        """
        inner = item.item if type(item) is Marked else item
        if type(inner) is dict or not (is_page(inner) or is_frame(inner)):
            self._records += 1
            if self._records % ROWS_PER_PAGE:
                return False
        self._pages += 1
        pages, minutes = self._checkpoints.pages, self._checkpoints.minutes
        if pages is not None and self._pages >= pages:
            return True
        return minutes is not None and self._clock.monotonic() - self._since >= 60 * minutes


class CursorProgress:
    """What the parts of one extraction must know of each other so that their cursor moves as that of the whole.

    Attributes:
        left: What may still come again of rows that were loaded before the extraction began.
    """

    def __init__(self, extraction: Extraction) -> None:
        at_start = Held.read(extraction.stored_cursor)
        self.left = known_rows(extraction.stored_cursor)
        self._extraction = extraction
        self._held_at_start = frozenset(at_start.accepted)
        self._known_rejections = at_start.rejected
        self._rejected: dict[Any, None] = {}
        self._has_parts = False
        self._goes_by_position = extraction.goes_by_position

    def move(self, cut: Cut | None) -> CursorMove | None:
        """How the cursor moves with the part that ends at a cut, or with the last part."""
        move = self._extraction.cursor_move if cut is None else self._extraction.move_at(cut)
        is_resumed = self._extraction.is_resumed
        if move is None or (cut is None and not self._has_parts and not is_resumed):
            return move
        rejected = tuple(self._rejected)
        is_end = cut is None and not self._extraction.cut_short and not is_resumed
        return replace(
            move,
            was_cut=True,
            knows_all_of_a_value=not self._goes_by_position or not (self._has_parts or is_resumed),
            rejected_before=rejected,
            known_rejections=self._known_rejections,
            keeps=frozenset(rejected) if is_end else self._held_at_start.union(rejected),
        )

    def committed(self, load: ResourceLoad) -> None:
        """Take in what a part has rejected."""
        self._has_parts = True
        for reject in (*load.rejects, *load.rejected_again):
            if can_be_held(reject.cursor):
                self._rejected[reject.cursor] = None


def configured_checkpoints(resource: Resource, resolver: Resolver) -> Checkpoints:
    """As the resource says; else `checkpoint_pages` and `checkpoint_minutes` of section `extract`.

    Raises:
        ConfigValueCoercionError: A setting is none of the values that it may have.
    """
    if resource.checkpoints is not None:
        return resource.checkpoints
    pages = setting("extract.checkpoint_pages", resource, resolver, int, "number of pages, 0 for none", at_least(0))
    minutes = setting("extract.checkpoint_minutes", resource, resolver, float, "number of minutes, 0 for none", at_least(0))
    return Checkpoints(pages or None, minutes or None) if pages or minutes else NO_CHECKPOINTS


def problem_of(hints: TableHints, what: str) -> str | None:
    """Why rows with these hints cannot be committed in parts; None if they can."""
    if hints.write_disposition == "replace":
        return f"{what} is replaced, and would be seen, and left, in part"
    if hints.deletes_absent:
        return f"{what} is merged by {hints.strategy!r}, where rows that are absent from a load count as gone"
    if hints.is_merge and hints.merge_key:
        return f"{what} has a merge key, and a part would delete rows of a group that another part has brought"
    if hints.is_merge and any(column.hints.get(DEDUP_SORT) for column in hints.columns.values()):
        return f"{what} keeps one of several rows by {DEDUP_SORT!r}, which only the whole load can tell"
    return None


def merges_again(hints: TableHints) -> bool:
    """Whether rows may be loaded again without harm: they take their own place."""
    return hints.is_merge and bool(hints.primary_key) and not hints.merge_key and not hints.deletes_absent


def expect_divisible(found: Resource, *, is_windowed: bool) -> None:
    """Refuse checkpoints that a resource declares and that its write disposition does not bear.

    Raises:
        DeclarationError: It declares such.
    """
    problem = problem_of(found.table_hints(), "its table") if found.checkpoints and not is_windowed else None
    if problem is not None:
        raise DeclarationError(
            f"Resource {found.name!r} cannot have checkpoints: {problem}. Leave out checkpoint=..., or load it by "
            "'append', or by 'merge' with a primary key."
        )
