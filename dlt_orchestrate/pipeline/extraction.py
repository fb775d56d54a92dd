"""One resource from its first page to its spooled tables."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.checkpoints import NO_CHECKPOINTS, Checkpoints
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.workers import Workers
from dlt_orchestrate.errors import HintedColumnMissingError, PositionLostError, TooManyRejectsError
from dlt_orchestrate.extract.extraction import Extraction
from dlt_orchestrate.faults import faultpoint
from dlt_orchestrate.flow.batch import KeyPath, SpooledTable, TableKey
from dlt_orchestrate.flow.cursor import value_at
from dlt_orchestrate.flow.cut import Cut
from dlt_orchestrate.flow.package import CommitResult, DesiredTable, Reject, RejectLimits, ResourceLoad, StateChange
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.http.traffic import TrafficCounts
from dlt_orchestrate.load.hinted_columns import HintedColumns
from dlt_orchestrate.load.holding import known_rejects, settled, without_known_rows
from dlt_orchestrate.load.rejects import SHARE_COUNTS_FROM_ROWS, expect_few_rejects, first_causes
from dlt_orchestrate.load.scratch import Scratch
from dlt_orchestrate.load.spool import Spool
from dlt_orchestrate.normalize.by_table import TableNormalizers
from dlt_orchestrate.normalize.canonical import record_text
from dlt_orchestrate.normalize.ids import new_prefix
from dlt_orchestrate.normalize.presence import Sightings
from dlt_orchestrate.pipeline.checkpoints import CursorProgress, Due, merges_again, problem_of
from dlt_orchestrate.pipeline.growth import bounds_of, configured_growth, stored_places
from dlt_orchestrate.pipeline.inputs import no_window
from dlt_orchestrate.pipeline.overlap import Overlap
from dlt_orchestrate.pipeline.settings import configured_reject_limits
from dlt_orchestrate.protocols.clock import Clock
from dlt_orchestrate.protocols.interruption import interruption
from dlt_orchestrate.protocols.progress import Progress, Reached, unobserved
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.contracts import contract_over, parse_contract
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.growth import Growth
from dlt_orchestrate.schema.naming import Naming
from dlt_orchestrate.schema.table import HASHED_BY_DLT, ROW_ID, Column, TableHints
from dlt_orchestrate.state.commits import UnitKey
from dlt_orchestrate.state.parts import CHECKPOINT, EarlierParts

logger = logging.getLogger("dlt_orchestrate.pipeline")

CommitPart = Callable[[ResourceLoad, Mapping[str, Any]], CommitResult | None]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a resource is extracted under, the same for all resources of a run but for the unit.

    Attributes:
        commit_part: Commits what came before a checkpoint, with the shared state as it was there.
        earlier: What loads before brought of the same extraction; None if there were none.
        cursor_reached: Where the part before left the cursor.
    """

    unit: UnitKey
    base_commit: int
    resource_state: dict[str, Any]
    source_state: MutableMapping[str, Any]
    resolver: Resolver
    capabilities: Capabilities
    naming: Naming
    schema: Schema | None
    scratch: Scratch
    clock: Clock
    pipeline: Any
    workers: Workers
    idempotency_key: str | None = None
    source_asked_for_window: bool = False
    begins_anew: bool = False
    checkpoints: Checkpoints = NO_CHECKPOINTS
    commit_part: CommitPart | None = None
    earlier: EarlierParts | None = None
    cursor_reached: Any = None
    progress: Progress = unobserved


@dataclass(frozen=True, slots=True)
class Extracted:
    """What came of a resource.

    Attributes:
        cursor_before: Where the cursor stood before the first part of it.
        bytes_of_parts: Size in memory of the rows that were committed at checkpoints.
        refusals: Columns and chunks that were not taken by the fast path of normalize, by reason.
        http: What it asked for over HTTP; None if that was nothing.
    """

    load: ResourceLoad
    resource: Resource
    cursor_path: str | None
    pages: int
    refusals: dict[str, int]
    cursor_before: Any = None
    bytes_of_parts: int = 0
    http: TrafficCounts | None = None


class StepError(Exception):
    """Carries the step that a resource failed in; `__cause__` is the failure."""

    def __init__(self, step: str) -> None:
        self.step = step
        super().__init__(step)


def extract_resource(resource: Resource, under: Circumstances) -> Extracted:
    """Read a resource to its end, normalize its pages as they come and spool them.

    What comes before a checkpoint is committed at once, and is no part of what is returned.

    Raises:
        StepError: Extract, normalize or the commit of a checkpoint failed; the cause says why.
    """
    reading = _Reading(resource, under)
    try:
        return reading.to_the_end()
    except StepError as error:
        lost = error.__cause__
        if not isinstance(lost, PositionLostError) or not merges_again(resource.table_hints()):
            raise
        logger.warning("%s: %s. It begins anew, which changes no row that is there twice.", lost.where, lost.problem)
    begun = {name: value for name, value in reading.under.resource_state.items() if name != CHECKPOINT}
    return _Reading(resource, replace(reading.under, resource_state=begun)).to_the_end()


class _Reading:
    """One reading of a resource, from its state to what is left to commit at its end.

    Attributes:
        under: What the part that is read now begins with.
    """

    def __init__(self, resource: Resource, under: Circumstances) -> None:
        self.under = under
        self._resource = resource
        self._growth = configured_growth(resource, under.resolver)
        self._limits = configured_reject_limits(resource, under.resolver)
        self._due = Due(under.checkpoints, under.clock)
        self._seconds = {"extract": 0.0, "normalize": 0.0}
        self._refusals: Counter[str] = Counter()
        self._problem: str | None = None
        self._bytes_of_parts = 0
        self._sighted: dict[str, tuple[TableHints, Sightings]] = {}
        try:
            self._extraction = self._opened()
            self._progress = CursorProgress(self._extraction)
            self._begin_part()
        except Exception as error:
            raise StepError("extract") from error

    def to_the_end(self) -> Extracted:
        extraction, seconds = self._extraction, self._seconds
        pages: Any = iter(extraction)
        self._tell()
        try:
            with Overlap(self._take, bytes_in_flight=extraction.bounds.bytes_in_flight) as overlap:
                while True:
                    page, waited_seconds = _next_page(pages, seconds, self.under.clock)
                    if page is None:
                        break
                    if page.cut is not None:
                        overlap.settle()
                        self._commit(page.cut)
                        continue
                    faultpoint("extract.after_page")
                    overlap.give(page, waited_seconds=waited_seconds)
                    self._tell()
                _expect_windowed(self._resource, self.under, extraction)
                overlap.settle()
        finally:
            pages.close()
        load = self._finished_part(None)
        _expect_few_rejects(load)
        refusals = dict(self._refusals + extraction.refusals)
        return Extracted(
            load=load,
            resource=self._resource,
            cursor_path=extraction.cursor_path,
            pages=extraction.pages,
            refusals=refusals,
            cursor_before=extraction.cursor_before,
            bytes_of_parts=self._bytes_of_parts,
        )

    def _opened(self) -> Extraction:
        under = self.under
        return Extraction(
            self._resource,
            source_name=under.unit.source,
            resolver=under.resolver,
            sections=self._resource.sections,
            resource_state=under.resource_state,
            source_state=under.source_state,
            window=under.unit.window,
            pipeline=under.pipeline,
            workers=under.workers,
            most_rejects=_kept_rejects(self._limits, under),
            is_checkpoint_due=self._due.behind if under.checkpoints else None,
            attempt=under.idempotency_key,
        )

    def _begin_part(self) -> None:
        under = self.under
        self._normalizer = TableNormalizers(
            resource=self._resource.name,
            hints=self._resource.table_hints(),
            capabilities=under.capabilities,
            naming=under.naming.path,
            bounds_of=partial(bounds_of, self._growth, under.capabilities, under.schema, under.naming),
            has_place=stored_places(under.schema, under.naming, self._extraction.own_cursor_path),
            id_prefix=new_prefix,
            is_hashed_by_dlt=partial(_is_hashed_by_dlt, under),
            keep_reject_limit=_kept_rejects(self._limits, under),
            cursor_keys=self._extraction.cursor_keys or (),
        )
        self._keyed, self._keyless = Spool(under.scratch), Spool(under.scratch)
        self._due.begin()

    def _take(self, page: Page) -> None:
        self._normalize(partial(self._normalizer.add, page))

    def _tell(self) -> None:
        """Say how far it has come, to one who watches."""
        if self.under.progress is unobserved:
            return
        extraction, bytes_now = self._extraction, self._keyed.byte_count + self._keyless.byte_count
        reached = Reached(
            self._resource.name, "extract", extraction.rows, extraction.pages, self._bytes_of_parts + bytes_now
        )
        self.under.progress(reached)

    def _normalize(self, step: Callable[[], list[Any]]) -> None:
        started = self.under.clock.monotonic()
        try:
            for part in step():
                (self._keyless if part.keyless else self._keyed).add(part.batch)
        except Exception as error:
            raise StepError("normalize") from error
        finally:
            self._seconds["normalize"] += self.under.clock.monotonic() - started

    def _finished_part(self, cut: Cut | None) -> ResourceLoad:
        self._normalize(self._normalizer.finish)
        try:
            load = _load(
                self._resource,
                self.under,
                self._extraction,
                self._normalizer,
                self._keyed,
                self._keyless,
                self._seconds,
                self._growth,
                self._limits,
                self._progress,
                cut,
            )
        except Exception as error:
            raise StepError("extract") from error
        finally:
            self._refusals += self._normalizer.refusals
        for root, found in self._normalizer.sightings.items():
            _, earlier = self._sighted.get(root, (None, None))
            self._sighted[root] = (self._normalizer.hints[root], found.behind(earlier))
        if not load.is_last_part:
            return load  # what no row has yet may come with a later part
        try:
            of_hints = _warnings_of_hints(load, self.under, self._sighted, self._normalizer.keyless_tables)
            return replace(load, warnings=(*load.warnings, *of_hints))
        except HintedColumnMissingError as error:
            raise StepError("normalize") from error

    def _commit(self, cut: Cut) -> None:
        """Commit what came before a cut, if that may be, and go on with the next part."""
        assert self.under.commit_part is not None
        self._due.begin()
        self._normalize(self._normalizer.finish)
        if not (self._normalizer.rows_seen or self._extraction.rejected_rows):
            return  # where nothing is new, nothing is committed
        if self._is_whole_only():
            return
        rejected = self._extraction.rejected_rows + self._normalizer.rejected_rows(())
        if self._exceeds_share(rejected):
            return
        load = self._finished_part(cut)
        _expect_few_rejects(load)
        faultpoint("extract.before_checkpoint")
        try:
            result = self.under.commit_part(load, cut.shared)
        except Exception as error:
            raise StepError("load") from error
        faultpoint("extract.after_checkpoint")
        self._keyed.discard()
        self._keyless.discard()
        if result is not None:
            load = result.loads.get(load.unit, load)
            self._bytes_of_parts += sum(table.spool.byte_count for table in load.tables)
            self.under = _behind(self.under, load, result)
        self._extraction.committed(self.under.resource_state)
        self._progress.committed(load)
        self._begin_part()

    def _is_whole_only(self) -> bool:
        """Whether what has come so far cannot be committed in parts; said once."""
        if self._problem is None:
            hints = self._normalizer.hints.items()
            found = (problem for table, of_table in hints if (problem := problem_of(of_table, f"its table {table!r}")))
            self._problem = next(found, None)
            keyless = self._normalizer.keyless_tables
            if self._problem is None and any(
                not _is_keyed(self.under, root, self._normalizer.hints[root]) for root in keyless
            ):
                self._problem = "no row carries the declared primary key, so that rows are matched by their content"
            if self._problem is not None:
                logger.warning("Resource %r is committed at its end only: %s.", self._resource.name, self._problem)
        return self._problem is not None

    def _exceeds_share(self, rejected: int) -> bool:
        """Whether more rows are rejected by now than may be at the end; more good ones may still come."""
        earlier = self.under.earlier or EarlierParts()
        rows = earlier.rows + self._normalizer.rows_seen + self._extraction.rejected_rows
        return rows >= SHARE_COUNTS_FROM_ROWS and rejected + earlier.rejected > self._limits.max_share * rows


def _behind(under: Circumstances, load: ResourceLoad, result: CommitResult) -> Circumstances:
    """What the part behind a committed one begins with."""
    if not load.changes_anything:
        return under  # only the shared state had changed, and the unit has no record of it
    counts = {name: asdict(done) for name, done in result.tables_of_unit.get(load.unit, {}).items()}
    earlier = under.earlier or EarlierParts()
    return replace(
        under,
        base_commit=load.base_commit + 1,
        resource_state=dict(load.state.after) if load.state is not None else under.resource_state,
        schema=result.schemas.get(load.unit.source, under.schema),
        begins_anew=False,
        cursor_reached=load.cursor_after,
        earlier=earlier.and_load(result.load_id, counts, rows=load.rows_extracted, rejected=load.rows_rejected),
    )


def _expect_windowed(resource: Resource, under: Circumstances, extraction: Extraction) -> None:
    """A resource that neither bounds its records by the window nor asks for it would load everything."""
    window = under.unit.window
    asked = extraction.asked_for_window or under.source_asked_for_window
    is_bounded = extraction.cursor_path is not None and window is not None and not window.keys
    if window is not None and not is_bounded and not asked:
        raise StepError("extract") from no_window(resource.name, window)


_SHOWN_REJECTS = 10
"""Rejected rows that are looked through for causes, if none is allowed."""


def _kept_rejects(limits: RejectLimits, under: Circumstances) -> int:
    """Rejected rows that are kept: one more than may be, and all that earlier loads may have recorded."""
    return max(limits.max_rows + 1, _SHOWN_REJECTS) + known_rejects(under.resource_state)


def _next_page(pages: Iterator[Page], seconds: dict[str, float], clock: Clock) -> tuple[Page | None, float]:
    """The next page, if there is one, and how long the source has waited for it without computing anything."""
    started, worked = clock.monotonic(), time.thread_time()
    elapsed = 0.0
    interruption().expect_none()
    try:
        page = next(pages, None)
    except Exception as error:
        raise StepError("extract") from error
    finally:
        elapsed = clock.monotonic() - started
        seconds["extract"] += elapsed
    return page, elapsed - (time.thread_time() - worked)


def _load(
    resource: Resource,
    under: Circumstances,
    extraction: Extraction,
    normalizer: TableNormalizers,
    keyed: Spool,
    keyless: Spool,
    seconds: dict[str, float],
    growth: Growth,
    limits: RejectLimits,
    progress: CursorProgress,
    cut: Cut | None,
) -> ResourceLoad:
    own = resource.table_name
    roots = dict(normalizer.hints)
    if isinstance(own, str):
        roots = {own: roots.get(own) or resource.table_hints(), **roots}
    by_content = {root for root in normalizer.keyless_tables if not _is_keyed(under, root, roots[root])}
    keys = extraction.cursor_keys or ()
    is_whole = cut is None and under.earlier is None
    rejects = [
        *(
            Reject(r.resource, r.table, record_text(r.record), r.column, r.cause, value_at(r.record, keys))
            for r in extraction.rejected
        ),
        *normalizer.rejects,
        *(found for found in normalizer.keyless_rejects if found.table not in by_content),
    ]
    spools = [*keyed.finish(), *(table for table in keyless.finish() if table.key.root in by_content)]
    tables = [_desired(resource, under, spooled, roots[spooled.key.root], by_content) for spooled in spools]
    filled = {table.spool.key for table in tables}
    for root in reversed(roots):
        if TableKey(root) not in filled:
            wanted = root in normalizer.wanted and _is_missing(under, root, roots[root])
            empty = _desired(resource, under, SpooledTable(TableKey(root)), roots[root], by_content)
            tables.insert(0, replace(empty, is_wanted=wanted))
    if extraction.is_unchanged:
        tables = []  # what they hold stays, whatever the write disposition makes of a load without rows
    windowed = under.unit.window is not None
    state_after = extraction.state_after if cut is None else extraction.state_at(cut)
    load = ResourceLoad(
        unit=under.unit,
        base_commit=under.base_commit,
        tables=tuple(tables),
        state=None if windowed else StateChange(under.resource_state, state_after),
        cursor_before=extraction.cursor_before if under.cursor_reached is None else under.cursor_reached,
        cursor_after=extraction.cursor_after if cut is None else extraction.cursor_at(cut),
        rejects=tuple(rejects),
        rows_rejected=extraction.rejected_rows + normalizer.rejected_rows(by_content),
        reject_limits=limits,
        rows_extracted=normalizer.rows_seen + extraction.rejected_rows,
        is_complete=is_whole and not (extraction.cut_short or extraction.is_unchanged or extraction.is_part),
        replaces_partition=windowed and extraction.replaces_partition,
        begins_anew=under.begins_anew,
        cursor_path=extraction.own_cursor_path,
        cursor=None if windowed else progress.move(cut),
        warnings=(*extraction.warnings(is_last_part=cut is None), *(_unheld(resource, extraction) if rejects else ())),
        # A part has no key: only the whole counts as done, and only the compare-and-swap tells two workers apart.
        idempotency_key=under.idempotency_key if cut is None else None,
        contract=parse_contract(f"Resource {resource.name!r}", resource.schema_contract),
        growth=growth,
        seconds=seconds,
        earlier=under.earlier if cut is None else under.earlier or EarlierParts(),
        is_last_part=cut is None,
    )
    return settled(without_known_rows(load, progress.left))


def _unheld(resource: Resource, extraction: Extraction) -> Iterator[str]:
    """What rejected rows mean where no cursor can be read in them."""
    if extraction.moves_unseen:
        yield (
            f"Resource {resource.name!r}: rows were rejected, and its cursor moves past them: it is none of the plain "
            "fields of the rows that are loaded. To load them once they are mended, load their part of history again."
        )


def _warnings_of_hints(
    load: ResourceLoad,
    under: Circumstances,
    sighted: Mapping[str, tuple[TableHints, Sightings]],
    keyless_tables: Sequence[str],
) -> Iterator[str]:
    """What hints cannot do whose columns no row has.

    Args:
        sighted: Of each root table, what all parts of the extraction have of its columns.

    Raises:
        HintedColumnMissingError: Rows would be doubled without it, or kept that nobody wants.
    """
    for root, (hints, sightings) in sighted.items():
        stored = _stored_columns(under, root)
        found = HintedColumns(
            resource=load.unit.resource,
            table=root,
            hints=hints,
            unseen=frozenset(sightings.unseen.values()),
            columns=tuple(sightings.columns.values()),
            stored=frozenset(name for name in hints.deciding_columns if under.naming.path((name,)) in stored),
            is_keyless=root in keyless_tables,
            was_keyed=_is_keyed(under, root, hints),
            is_new=any(reject.table == root for reject in load.rejects),
            is_whole=load.earlier is None,
        )
        yield from found.warnings()


def _stored_columns(under: Circumstances, root: str) -> Mapping[str, Column]:
    table = under.schema.tables.get(under.naming.table((root,))) if under.schema else None
    return table.columns if table is not None else {}


def _desired(
    resource: Resource, under: Circumstances, spool: SpooledTable, root_hints: TableHints, by_content: set[str]
) -> DesiredTable:
    """A spooled table with what is declared of it."""
    root, path = spool.key
    nested = _nested_hints(under, path, root_hints)
    declared = contract_over(root_hints.contract, nested.contract if nested else None)
    if declared is not None and nested is not None and root_hints.contract is None:
        declared = contract_over(resource.schema_contract, declared)
    return DesiredTable(
        spool=spool,
        hints=None if path else root_hints,
        merges_by_content=root in by_content and not path,
        nested_hints=nested,
        contract=None if declared is None else parse_contract(f"Resource {resource.name!r}", declared),
    )


def _nested_hints(under: Circumstances, path: KeyPath, root_hints: TableHints) -> TableHints | None:
    """The hints that mean a nested table: those under keys that read the same."""
    if not path or not root_hints.nested:
        return None
    name = under.naming.path(path)
    return next((hints for keys, hints in root_hints.nested.items() if under.naming.path(keys) == name), None)


def _is_missing(under: Circumstances, root: str, hints: TableHints) -> bool:
    """Whether the table, or a column that is declared with its type, was not there before."""
    table = under.schema.tables.get(under.naming.table((root,))) if under.schema else None
    names = (under.naming.path((name,)) for name, hint in hints.columns.items() if hint.type is not None)
    return table is None or not table.columns.keys() >= set(names)


def _is_hashed_by_dlt(under: Circumstances, root: str) -> bool:
    """Whether dlt made the versions of the stored table."""
    row_id = _stored_columns(under, root).get(ROW_ID)
    return row_id is not None and bool(row_id.hints.get(HASHED_BY_DLT))


def _is_keyed(under: Circumstances, root: str, hints: TableHints) -> bool:
    """Whether the stored table insists on the key, since earlier loads carried it."""
    names = {under.naming.path((key,)) for key in hints.required_key}
    return any(name in names and not column.nullable for name, column in _stored_columns(under, root).items())


def _replaces(load: ResourceLoad) -> bool:
    return any(want.hints is not None and want.hints.write_disposition == "replace" for want in load.tables)


def _expect_few_rejects(load: ResourceLoad) -> None:
    """Fail an extraction with more rejects than the limits allow."""
    if not load.rows_rejected_so_far:
        return
    try:
        expect_few_rejects(
            load.unit.resource,
            load.reject_limits,
            rejected=load.rows_rejected_so_far,
            rows=load.rows_extracted_so_far,
            causes=first_causes(load.rejects),
            replaces=_replaces(load),
            is_whole=load.is_last_part,
        )
    except TooManyRejectsError as error:
        raise StepError("normalize") from error
