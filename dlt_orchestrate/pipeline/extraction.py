"""One resource from its first page to its spooled tables."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.workers import Workers
from dlt_orchestrate.errors import TooManyRejectsError
from dlt_orchestrate.extract.extraction import Extraction
from dlt_orchestrate.faults import faultpoint
from dlt_orchestrate.flow.batch import KeyPath, SpooledTable, TableKey
from dlt_orchestrate.flow.cursor import value_at
from dlt_orchestrate.flow.package import DesiredTable, Reject, RejectLimits, ResourceLoad, StateChange
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.http.traffic import TrafficCounts
from dlt_orchestrate.load.holding import known_rejects, settled, without_known_rows
from dlt_orchestrate.load.rejects import expect_few_rejects, first_causes
from dlt_orchestrate.load.scratch import Scratch
from dlt_orchestrate.load.spool import Spool
from dlt_orchestrate.normalize.by_table import TableNormalizers
from dlt_orchestrate.normalize.canonical import record_text
from dlt_orchestrate.normalize.ids import new_prefix
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
from dlt_orchestrate.schema.table import HASHED_BY_DLT, ROW_ID, TableHints
from dlt_orchestrate.state.commits import UnitKey


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a resource is extracted under, the same for all resources of a run but for the unit."""

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
    progress: Progress = unobserved


@dataclass(frozen=True, slots=True)
class Extracted:
    """What came of a resource.

    Attributes:
        refusals: Columns and chunks that were not taken by the fast path of normalize, by reason.
        http: What it asked for over HTTP; None if that was nothing.
    """

    load: ResourceLoad
    resource: Resource
    cursor_path: str | None
    pages: int
    refusals: dict[str, int]
    http: TrafficCounts | None = None


class StepError(Exception):
    """Carries the step that a resource failed in; `__cause__` is the failure."""

    def __init__(self, step: str) -> None:
        self.step = step
        super().__init__(step)


def extract_resource(resource: Resource, under: Circumstances) -> Extracted:
    """Read a resource to its end, normalize its pages as they come and spool them.

    Raises:
        StepError: Extract or normalize failed; the cause says why.
    """
    growth = configured_growth(resource, under.resolver)
    limits = configured_reject_limits(resource, under.resolver)
    extraction, pages = _opened(resource, under, limits)
    seconds = {"extract": 0.0, "normalize": 0.0}
    normalizer = TableNormalizers(
        resource=resource.name,
        hints=resource.table_hints(),
        capabilities=under.capabilities,
        naming=under.naming.path,
        bounds_of=partial(bounds_of, growth, under.capabilities, under.schema, under.naming),
        has_place=stored_places(under.schema, under.naming, extraction.own_cursor_path),
        id_prefix=new_prefix,
        is_hashed_by_dlt=partial(_is_hashed_by_dlt, under),
        keep_reject_limit=_kept_rejects(limits, under),
        cursor_keys=extraction.cursor_keys or (),
    )
    keyed, keyless = Spool(under.scratch), Spool(under.scratch)

    def tell() -> None:
        byte_count = keyed.byte_count + keyless.byte_count
        under.progress(Reached(resource.name, "extract", extraction.rows, extraction.pages, byte_count))

    def normalize(step: Callable[[], list[Any]]) -> None:
        started = under.clock.monotonic()
        try:
            for part in step():
                (keyless if part.keyless else keyed).add(part.batch)
        except Exception as error:
            raise StepError("normalize") from error
        finally:
            seconds["normalize"] += under.clock.monotonic() - started

    def take(page: Page) -> None:
        normalize(partial(normalizer.add, page))

    tell()
    try:
        with Overlap(take, bytes_in_flight=extraction.bounds.bytes_in_flight) as overlap:
            while True:
                page, waited_seconds = _next_page(pages, seconds, under.clock)
                if page is None:
                    break
                faultpoint("extract.after_page")
                overlap.give(page, waited_seconds=waited_seconds)
                tell()
            _expect_windowed(resource, under, extraction)
            overlap.settle()
        normalize(normalizer.finish)
    finally:
        pages.close()
    try:
        load = _load(resource, under, extraction, normalizer, keyed, keyless, seconds, growth, limits)
    except Exception as error:
        raise StepError("extract") from error
    _expect_few_rejects(load, extraction.rows + extraction.rejected_rows)
    refusals = dict(normalizer.refusals + extraction.refusals)
    return Extracted(load, resource, extraction.cursor_path, extraction.pages, refusals)


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


def _opened(resource: Resource, under: Circumstances, limits: RejectLimits) -> tuple[Extraction, Any]:
    try:
        extraction = Extraction(
            resource,
            source_name=under.unit.source,
            resolver=under.resolver,
            sections=resource.sections,
            resource_state=under.resource_state,
            source_state=under.source_state,
            window=under.unit.window,
            pipeline=under.pipeline,
            workers=under.workers,
            most_rejects=_kept_rejects(limits, under),
        )
        return extraction, iter(extraction)
    except Exception as error:
        raise StepError("extract") from error


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
) -> ResourceLoad:
    own = resource.table_name
    roots = dict(normalizer.hints)
    if isinstance(own, str):
        roots = {own: roots.get(own) or resource.table_hints(), **roots}
    by_content = {root for root in normalizer.keyless_tables if not _is_keyed(under, root, roots[root])}
    keys = extraction.cursor_keys or ()
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
    load = ResourceLoad(
        unit=under.unit,
        base_commit=under.base_commit,
        tables=tuple(tables),
        state=None if windowed else StateChange(under.resource_state, extraction.state_after),
        cursor_before=extraction.cursor_before,
        cursor_after=extraction.cursor_after,
        rejects=tuple(rejects),
        rows_rejected=extraction.rejected_rows + normalizer.rejected_rows(by_content),
        reject_limits=limits,
        rows_extracted=normalizer.rows_seen + extraction.rejected_rows,
        is_complete=not extraction.cut_short and not extraction.is_unchanged,
        begins_anew=under.begins_anew,
        cursor_path=extraction.own_cursor_path,
        cursor=None if windowed else extraction.cursor_move,
        warnings=tuple(_unheld(resource, extraction)) if rejects else (),
        idempotency_key=under.idempotency_key,
        contract=parse_contract(f"Resource {resource.name!r}", resource.schema_contract),
        growth=growth,
        seconds=seconds,
    )
    return settled(without_known_rows(load))


def _unheld(resource: Resource, extraction: Extraction) -> Iterator[str]:
    """What rejected rows mean where no cursor can be read in them."""
    if extraction.moves_unseen:
        yield (
            f"Resource {resource.name!r}: rows were rejected, and its cursor moves past them: it is none of the plain "
            "fields of the rows that are loaded. To load them once they are mended, load their part of history again."
        )


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
    table = under.schema.tables.get(under.naming.table((root,))) if under.schema else None
    return table is not None and ROW_ID in table.columns and bool(table.columns[ROW_ID].hints.get(HASHED_BY_DLT))


def _is_keyed(under: Circumstances, root: str, hints: TableHints) -> bool:
    """Whether the stored table insists on the key, since earlier loads carried it."""
    table = under.schema.tables.get(under.naming.table((root,))) if under.schema else None
    names = {under.naming.path((key,)) for key in hints.required_key}
    return table is not None and any(name in names and not column.nullable for name, column in table.columns.items())


def _replaces(load: ResourceLoad) -> bool:
    return any(want.hints is not None and want.hints.write_disposition == "replace" for want in load.tables)


def _expect_few_rejects(load: ResourceLoad, rows: int) -> None:
    """Fail a load with more rejects than the limits allow."""
    if not load.rejects:
        return
    try:
        expect_few_rejects(
            load.unit.resource,
            load.reject_limits,
            rejected=load.rows_rejected,
            rows=rows,
            causes=first_causes(load.rejects),
            replaces=_replaces(load),
        )
    except TooManyRejectsError as error:
        raise StepError("normalize") from error
