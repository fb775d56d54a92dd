"""One run: read the state, extract and normalize each resource, commit, report."""

from __future__ import annotations

import logging
import socket
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import field, replace
from datetime import datetime
from functools import partial
from queue import SimpleQueue
from typing import Any

from dlt_orchestrate.config.redaction import mask_chain, redact
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare import current
from dlt_orchestrate.declare.checkpoints import NO_CHECKPOINTS, Checkpoints
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import Source
from dlt_orchestrate.declare.threads import Threads
from dlt_orchestrate.declare.workers import Workers
from dlt_orchestrate.errors import DeclarationError, IngestError, LoadError, PipelineStepFailed, SourceFailedError
from dlt_orchestrate.flow.package import CommitResult, LoadPackage, ResourceLoad, Retention, StateChange
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.http.traffic import counted
from dlt_orchestrate.load.scratch import Scratch
from dlt_orchestrate.pipeline import reports
from dlt_orchestrate.pipeline.checkpoints import configured_checkpoints, expect_divisible, problem_of
from dlt_orchestrate.pipeline.extraction import Circumstances, Extracted, StepError, extract_resource
from dlt_orchestrate.pipeline.info import ExtractInfo, LoadInfo, NormalizeInfo, ResourceReport
from dlt_orchestrate.pipeline.inputs import CommitScope, Inputs, expect_bounded, expect_supported
from dlt_orchestrate.pipeline.memory import arrow_memory_of_the_system, settled_objects
from dlt_orchestrate.pipeline.naming import namings_of_sources
from dlt_orchestrate.pipeline.refresh import Refresh, resets
from dlt_orchestrate.pipeline.retention import configured_retention
from dlt_orchestrate.pipeline.schema_files import SchemaFiles, with_imported_hints
from dlt_orchestrate.pipeline.shared_states import Share, SharedStates
from dlt_orchestrate.pipeline.trace import StepTrace, Trace
from dlt_orchestrate.pipeline.watching import Harmless
from dlt_orchestrate.protocols.clock import Clock
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.protocols.interruption import interruption
from dlt_orchestrate.protocols.progress import Phase, Progress, Reached, unobserved
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.naming import Naming
from dlt_orchestrate.state.commits import CommitRecord, UnitKey, Window, new_load_id
from dlt_orchestrate.state.document import resource_state, source_state
from dlt_orchestrate.state.parts import ATTEMPT, CHECKPOINT, EarlierParts

logger = logging.getLogger("dlt_orchestrate.pipeline")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run is told besides its data.

    Attributes:
        idempotency_key: Names the attempt; resources that it has committed before are reported and not extracted.
        window: The part of history to load, for all resources; None for everything that is new.
        refresh: What earlier loads left and this one takes away; None for nothing.
        checkpoints: How often long extractions are committed, whatever their resources say; None for what these say.
        commits_parts: Whether what is extracted may be committed before `commit` is called.
    """

    pipeline_name: str
    dataset_name: str
    commit: CommitScope = "run"
    idempotency_key: str | None = None
    window: Window | None = None
    refresh: Refresh | None = None
    checkpoints: Checkpoints | None = None
    commits_parts: bool = False


@dataclass(eq=False)
class _Member:
    """One resource in a run.

    Attributes:
        source_asked_for_window: Whether the source's function has chosen its resources by the window.
        share: What it has found in the state of its source, and left there; None before it is extracted.
        parts: What was committed of it at checkpoints, in this run.
    """

    unit: UnitKey
    resource: Resource
    source_asked_for_window: bool = False
    extracted: Extracted | None = None
    failure: StepError | None = None
    share: Share | None = None
    parts: list[CommitResult] = field(default_factory=list)


@dataclass
class Run:
    """A run from its inputs to its reports; `prepare` and `commit` are its two halves."""

    settings: RunSettings
    destination: Destination
    resolver: Resolver
    scratch: Scratch
    clock: Clock
    pipeline: Any
    schema_files: SchemaFiles = field(default_factory=SchemaFiles)
    progress: Progress = unobserved
    started_at: datetime = field(init=False)
    _snapshot: Snapshot = field(init=False, default_factory=Snapshot)
    _namings: dict[str, Naming] = field(init=False, default_factory=dict)
    _members: list[_Member] = field(init=False, default_factory=list)
    _shared: SharedStates = field(init=False)
    _imported: dict[str, Schema] = field(init=False, default_factory=dict)
    _retention: Retention = field(init=False)
    _results: list[CommitResult] = field(init=False, default_factory=list)
    _warned: set[str] = field(init=False, default_factory=set)
    _load_seconds: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.started_at = self.clock.now()
        self._retention = configured_retention(self.resolver)
        if self.progress is not unobserved:
            self.progress = Harmless(self.progress)

    def prepare(self, inputs: Inputs) -> None:
        """Evaluate the sources, read the state, extract and normalize. A resource that fails does so alone.

        Raises:
            PipelineStepFailed: The destination could not be read.
            ConfigError: The configured naming convention is unknown, or not that of the tables which are there.
            SchemaFileError: A file of imported hints cannot be used.
        """
        for _ in self._prepared(inputs):
            pass

    def stream(self, inputs: Inputs) -> Generator[ResourceReport, None, None]:
        """Commit each resource as soon as it has been extracted, and report it then; the whole of a run, in one.

        Resources that run beside the others are committed between those, in the order in which they were done.

        Raises:
            PipelineStepFailed, ConfigError, SchemaFileError: As in `prepare` and `commit`.
        """
        for member in self._prepared(inputs):
            if member.extracted is not None:
                self._commit_all([self._package_of(member, member.extracted)])
            if self._is_done(member):
                yield self._report(member)
        self._raise_if_failed()

    def _prepared(self, inputs: Inputs) -> Iterator[_Member]:
        """The resources of the run, each once it is extracted, has failed, or is known to have been committed before."""
        names = tuple(dict.fromkeys(source.name for source in inputs.sources))
        keys = (self.settings.idempotency_key,) if self.settings.idempotency_key else ()
        scope = Scope(self.settings.pipeline_name, self.settings.dataset_name, names, keys)
        self._imported = {name: found for name in names if (found := self.schema_files.read(name)) is not None}
        try:
            self._snapshot = self.destination.read_state(scope)
            self._namings = namings_of_sources(names, scope, self._snapshot, self.resolver, self.destination)
        except LoadError as error:
            masked = mask_chain(error)
            raise self._failed("sync", masked, ()) from masked
        self._shared = SharedStates({name: self._stored_state(name) for name in names})
        for source in inputs.sources:
            with self._shared.evaluating(source.name) as shared:
                self._members += self._evaluated(source, inputs, shared)
        _expect_each_once(self._members)
        yield from (member for member in self._members if self._repeated(member) is not None)
        yield from self._extract_all([member for member in self._members if self._repeated(member) is None])

    def commit(self) -> LoadInfo:
        """Commit what succeeded and report it.

        Raises:
            PipelineStepFailed: A resource failed, or a commit did. `load_info` holds what was committed all the same.
        """
        self._commit_all(self._packages())
        self._raise_if_failed()
        return self.load_info()

    def _commit_all(self, packages: Iterable[LoadPackage]) -> None:
        for package in packages:
            self._tell(package, "load")
            if package.changes_anything:
                started = self.clock.monotonic()
                self._commit_one(package)
                self._load_seconds[package.load_id] = self.clock.monotonic() - started
            else:
                self._warn(warning for load in package.loads for warning in load.warnings)
            self._tell(package, "done")

    def _tell(self, package: LoadPackage, phase: Phase) -> None:
        """Tell who watches the run that resources go on to another phase."""
        loads = {load.unit for load in package.loads}
        for member in self._members:
            if member.extracted is not None and member.unit in loads:
                load = member.extracted.load
                byte_count = sum(table.spool.byte_count for table in load.tables)
                reached = Reached(load.unit.resource, phase, load.rows_extracted, member.extracted.pages, byte_count)
                self.progress(reached)

    def _raise_if_failed(self) -> None:
        interruption().expect_none()
        failed = [member for member in self._members if member.failure is not None]
        if failed:
            first = failed[0].failure
            assert first is not None
            cause = mask_chain(first.__cause__ or first)
            raise self._failed(first.step, cause, [member.unit.resource for member in failed]) from cause

    def _commit_one(self, package: LoadPackage) -> None:
        """Commit a package; if that fails, its resources have failed, and those of other packages have not."""
        interruption().expect_none()
        try:
            with arrow_memory_of_the_system():
                result = self.destination.commit(package)
        except Exception as error:  # noqa: BLE001 - raised at the end of the run
            failure = StepError("load")
            failure.__cause__ = error
            units = {load.unit for load in package.loads}
            for member in self._members:
                if member.unit in units:
                    member.failure = failure
            return
        self._take_in(package, result, result)

    def _commit_part(
        self, member: _Member, share: Share, load: ResourceLoad, shared: Mapping[str, Any]
    ) -> CommitResult | None:
        """Commit what a resource has extracted up to a checkpoint; None if that is nothing."""
        with self._shared.beginning(share.source) as is_first:
            share.after = dict(shared)
            package = self._package([load], self._shared.going_with(share, is_first=is_first))
            if not package.changes_anything:
                return None
            interruption().expect_none()
            started = self.clock.monotonic()
            with arrow_memory_of_the_system():
                result = self.destination.commit(package)
            self._load_seconds[package.load_id] = self.clock.monotonic() - started
            with self._shared.committed(share, package.source_states):
                kept = replace(result, loads={})  # the rows are not needed any more
                member.parts.append(kept)
                self._take_in(package, result, kept)
        earlier = load.earlier or EarlierParts()
        rows = sum(counts.loaded for counts in result.tables_of_unit.get(member.unit, {}).values())
        logger.info(
            "Pipeline %r, resource %r: checkpoint %d is committed as load %s, with %s row(s) in all of its tables; %s "
            "record(s) of the extraction so far.",
            self.settings.pipeline_name,
            member.unit.resource,
            earlier.loads + 1,
            result.load_id,
            f"{rows:,}",
            f"{load.rows_extracted_so_far:,}",
        )
        return result

    def _take_in(self, package: LoadPackage, result: CommitResult, kept: CommitResult) -> None:
        """Note what a commit did, and warn of what the user should know."""
        self._results.append(kept)
        self.schema_files.export(result.schemas.values())
        for name in package.sources:
            resources = [member.resource for member in self._members if member.unit.source == name]
            self.schema_files.begin_import(name, resources, self._namings[name].name)
        for load in package.loads:
            rejects = result.loads.get(load.unit, load).rejects
            if rejects and not result.repeated:
                logger.warning(
                    "Pipeline %r, resource %r: %d row(s) were rejected; table _dlt_rejects holds them with the cause.",
                    self.settings.pipeline_name,
                    load.unit.resource,
                    len(rejects),
                )
        self._warn(result.warnings)

    def _warn(self, warnings: Iterable[str]) -> None:
        """Log warnings, each once: parts of an extraction say the same again."""
        for warning in warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                logger.warning("Pipeline %r: %s", self.settings.pipeline_name, warning)

    def load_info(self) -> LoadInfo:
        """What has been committed so far."""
        return LoadInfo(
            pipeline_name=self.settings.pipeline_name,
            destination_type=self.destination.name,
            destination_displayable_credentials=self.destination.location,
            dataset_name=self.settings.dataset_name,
            started_at=self.started_at,
            finished_at=self.clock.now(),
            loads_ids=tuple(result.load_id for result in self._results),
            load_packages=tuple(reports.package_info(result) for result in self._results),
            resources={self._name(member): self._report(member) for member in self._members if self._is_done(member)},
            first_run=not self._snapshot.exists,
        )

    def _name(self, member: _Member) -> str:
        """A resource's name; behind that of its source where two sources of the run have one of the same name."""
        sources = {other.unit.source for other in self._members if other.unit.resource == member.unit.resource}
        return member.unit.resource if len(sources) == 1 else f"{member.unit.source}.{member.unit.resource}"

    def normalize_info(self) -> NormalizeInfo:
        """Rows by table, as committed; before the commit, as they will be."""
        refusals: Counter[str] = Counter()
        for member in self._members:
            refusals.update(member.extracted.refusals if member.extracted else {})
        if self._results:
            return replace(reports.normalize_info(self._results), refusals=dict(refusals))
        counts: dict[str, int] = {}
        for load in self._loads():
            for table in load.tables:
                name = self._namings[load.unit.source].table((table.spool.key.root, *table.spool.key.path))
                if table.spool.row_count:
                    counts[name] = counts.get(name, 0) + table.spool.row_count
        return NormalizeInfo(row_counts=counts, refusals=dict(refusals))

    def extract_info(self) -> ExtractInfo:
        """Records and pages by resource."""
        done = [(member.unit.resource, member.extracted) for member in self._members if member.extracted is not None]
        return ExtractInfo(
            row_counts={name: extracted.load.rows_extracted for name, extracted in done},
            pages={name: extracted.pages for name, extracted in done},
            http={name: extracted.http for name, extracted in done if extracted.http is not None},
        )

    def trace(self, failure: BaseException | None = None) -> Trace:
        """The run, step by step."""
        finished_at = self.clock.now()
        text = redact(str(failure)) if failure else None
        step = failure.step if isinstance(failure, PipelineStepFailed) else "run"
        seconds = {name: sum(load.seconds.get(name, 0.0) for load in self._loads()) for name in ("extract", "normalize")}
        return Trace(
            pipeline_name=self.settings.pipeline_name,
            started_at=self.started_at,
            finished_at=finished_at,
            steps=(
                StepTrace("extract", seconds["extract"], self.extract_info(), text if step == "extract" else None),
                StepTrace("normalize", seconds["normalize"], self.normalize_info(), text if step == "normalize" else None),
                StepTrace("load", sum(self._load_seconds.values()), self.load_info(), text if step == "load" else None),
                StepTrace("run", (finished_at - self.started_at).total_seconds(), None, text),
            ),
        )

    def _evaluated(self, source: Source, inputs: Inputs, shared: dict[str, Any]) -> list[_Member]:
        surroundings = current.Surroundings(
            source=source.name, resource=None, source_state=shared, pipeline=self.pipeline, window=self.settings.window
        )
        try:
            with current.running(surroundings):
                found = [resource for resource in source.evaluate(self.resolver) if resource.selected]
        except IngestError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again, as what it means for the run
            failure = SourceFailedError(source=source.name, cause=error)
            failure.__cause__ = error
            failure = mask_chain(failure)
            raise self._failed("extract", failure, ()) from failure
        imported, naming = self._imported.get(source.name), self._namings[source.name]
        hinted = [with_imported_hints(inputs.hints.apply_to(resource), imported, naming) for resource in found]
        settings, asked = self.settings, not surroundings.asked.isdisjoint(("window", "partition_key"))
        for resource in hinted:
            expect_supported(resource)
            expect_divisible(resource, is_windowed=settings.window is not None)
            expect_bounded(resource, settings.window, source_asked=asked)
        return [
            _Member(UnitKey(settings.pipeline_name, source.name, resource.name, settings.window), resource, asked)
            for resource in hinted
        ]

    def _extract_all(self, members: list[_Member]) -> Iterator[_Member]:
        """Extract the members: those that are asynchronous, or declared parallel, beside the others, which take turns.

        Gives each once it is done: between the turns those that run beside them.
        """
        with Workers.configured(self.resolver) as workers, ExitStack() as pools:
            running: list[Future[None]] = []
            done: SimpleQueue[_Member] = SimpleQueue()
            in_turn = members
            if len(members) > 1:
                asynchronous = [member for member in members if member.resource.is_async]
                parallel = [m for m in members if m.resource.parallelized and m not in asynchronous]
                in_turn = [m for m in members if m not in asynchronous and m not in parallel]
                for beside, most in ((asynchronous, workers.max_items), (parallel, workers.threads)):
                    if beside:
                        pool = pools.enter_context(Threads(most, "dlt_orchestrate"))
                        running += [pool.submit(self._extract, member, workers, done) for member in beside]
            left = len(members)
            for member in in_turn:
                self._extract(member, workers, done)
                while not done.empty():
                    left -= 1
                    yield done.get()
            for _ in range(left):
                yield done.get()
            for future in running:
                future.result()

    def _extract(self, member: _Member, workers: Workers, done: SimpleQueue[_Member]) -> None:
        """Extract one member and put it into `done`, behind those whose changes of the shared state it may have seen."""
        member.share = share = self._shared.share(member.unit.source)
        state = share.decoded()
        try:
            with arrow_memory_of_the_system(), settled_objects(), counted() as traffic:
                extracted = extract_resource(member.resource, self._circumstances(member, share, state, workers))
            with self._shared.extracted(share, state):
                member.extracted = replace(extracted, http=traffic.counts())
                done.put(member)
        except StepError as failure:
            member.failure = failure
        except Exception as error:  # noqa: BLE001 - a state that cannot be kept fails its resource, not the run
            member.failure = StepError("extract")
            member.failure.__cause__ = error
        finally:
            if member.extracted is None:
                self.progress(Reached(member.unit.resource, "done"))
                done.put(member)

    def _repeated(self, member: _Member) -> CommitRecord | None:
        """The commit of this member that the same attempt made before."""
        records = self._snapshot.repeated.get(self.settings.idempotency_key or "", ())
        return next((record for record in records if record.unit == member.unit), None)

    def _circumstances(self, member: _Member, share: Share, state: dict[str, Any], workers: Workers) -> Circumstances:
        unit = member.unit
        schema, refresh = self._snapshot.schemas.get(unit.source), self.settings.refresh
        stored = resource_state(self._snapshot.state, unit.source, unit.resource)
        unfinished = stored.get(CHECKPOINT) if unit.window is None else None
        if unfinished and refresh and self._is_own_attempt(unfinished):
            refresh = None  # this very attempt has reset it, with its first checkpoint
        goes_on = unfinished is not None and refresh is None
        return Circumstances(
            unit=unit,
            base_commit=self._snapshot.commit_number(unit),
            resource_state={} if refresh else stored,
            source_state=state,
            resolver=self.resolver,
            capabilities=self.destination.capabilities,
            naming=self._namings[unit.source],
            schema=None if refresh in ("drop_sources", "drop_resources") else schema,
            scratch=self.scratch,
            clock=self.clock,
            pipeline=self.pipeline,
            workers=workers,
            idempotency_key=self.settings.idempotency_key,
            source_asked_for_window=member.source_asked_for_window,
            begins_anew=refresh is not None,
            checkpoints=self._checkpoints_of(member),
            commit_part=partial(self._commit_part, member, share),
            earlier=_parts_up_to(self._snapshot.latest.get(unit)) if goes_on else None,
            progress=self.progress,
        )

    def _is_own_attempt(self, unfinished: Mapping[str, Any]) -> bool:
        key = self.settings.idempotency_key
        return key is not None and unfinished.get(ATTEMPT) == key

    def _checkpoints_of(self, member: _Member) -> Checkpoints:
        """How often a member is committed before its end."""
        found = self.settings.checkpoints
        if found is None:
            found = configured_checkpoints(member.resource, self.resolver)
        if not found or not self.settings.commits_parts:
            return NO_CHECKPOINTS
        problem = (
            "a window is committed in one piece, and loading it again replaces it"
            if member.unit.window is not None
            else "its source is committed all or nothing"
            if self.settings.commit == "source" or self.settings.refresh == "drop_sources"
            else problem_of(member.resource.table_hints(), "its table")
        )
        if problem is None:
            return found
        logger.info(
            "Pipeline %r, resource %r: there are no checkpoints, since %s.",
            self.settings.pipeline_name,
            member.unit.resource,
            problem,
        )
        return NO_CHECKPOINTS

    def _stored_state(self, source: str) -> dict[str, Any]:
        """The state that a source's resources share, as the run finds it."""
        return {} if self.settings.refresh == "drop_sources" else source_state(self._snapshot.state, source)

    def _loads(self) -> list[ResourceLoad]:
        return [member.extracted.load for member in self._members if member.extracted is not None]

    def _packages(self) -> Iterator[LoadPackage]:
        """The packages of this run: one, or one for each source. (`stream` makes one for each resource.)

        A source that is dropped is committed all or nothing, so that what a failed resource has loaded before stays.
        """
        all_or_nothing = self.settings.commit == "source" or self.settings.refresh == "drop_sources"
        broken = {member.unit.source for member in self._members if member.failure is not None and all_or_nothing}
        loads = [load for load in self._loads() if load.unit.source not in broken]
        changes = self._shared.uncommitted()
        match self.settings.commit:
            case "run":
                yield self._package(loads, {name: change for name, change in changes.items() if name not in broken})
            case "source":
                for name in dict.fromkeys(load.unit.source for load in loads):
                    of_source = {name: changes[name]} if name in changes else {}
                    yield self._package([load for load in loads if load.unit.source == name], of_source)

    def _package_of(self, member: _Member, extracted: Extracted) -> LoadPackage:
        """The package of one resource."""
        assert member.share is not None
        is_first = self._shared.begin(member.unit.source)
        return self._package([extracted.load], self._shared.going_with(member.share, is_first=is_first))

    def _package(self, loads: Sequence[ResourceLoad], states: Mapping[str, StateChange]) -> LoadPackage:
        now = self.clock.now()
        return LoadPackage(
            load_id=new_load_id(now),
            pipeline_name=self.settings.pipeline_name,
            dataset_name=self.settings.dataset_name,
            created_at=now,
            host=socket.gethostname(),
            loads=tuple(loads),
            source_states=dict(states),
            fingerprints={name: schema.fingerprints() for name, schema in self._snapshot.schemas.items()},
            namings={source: naming.name for source, naming in self._namings.items()},
            destination_type=self.destination.name,
            resets=resets(self.settings.refresh, (load.unit for load in loads if load.begins_anew)),
            imported=self._imported,
            retention=self._retention,
        )

    def _report(self, member: _Member) -> ResourceReport:
        repeated = self._repeated(member)
        if repeated is not None:
            naming = self._namings[member.unit.source]
            return reports.of_repeated(member.unit, repeated, self._snapshot, member.resource, naming)
        assert member.extracted is not None
        result = self._last_result(member)
        naming = self._namings[member.unit.source]
        report = reports.of_extracted(member.extracted, result, self._snapshot, naming, member.parts)
        results = [*member.parts, *([result] if result else [])]
        load_seconds = sum((self._load_seconds.get(done.load_id, 0.0) for done in results), start=0.0)
        return replace(report, seconds={**report.seconds, "load": load_seconds})

    def _is_done(self, member: _Member) -> bool:
        """Whether a member has been committed, now or before, or had nothing to commit."""
        if member.failure is not None:
            return False
        if self._repeated(member) is not None:
            return True
        if member.extracted is None:
            return False
        return not member.extracted.load.changes_anything or self._last_result(member) is not None

    def _last_result(self, member: _Member) -> CommitResult | None:
        """The commit of a member's load, past those at its checkpoints."""
        parts = {part.load_id for part in member.parts}
        return next((r for r in self._results if r.load_id not in parts and self._is_in(r, member)), None)

    def _is_in(self, result: CommitResult, member: _Member) -> bool:
        """Whether a commit held a member's load."""
        changed = member.extracted is not None and member.extracted.load.changes_anything
        return changed and member.unit in result.tables_of_unit

    def _failed(self, step: str, cause: BaseException, resources: Iterable[str]) -> PipelineStepFailed:
        """The error that ends the run; `cause` has been masked."""
        return mask_chain(
            PipelineStepFailed(
                pipeline_name=self.settings.pipeline_name,
                step=step,
                cause=cause,
                resources=tuple(resources),
                checkpoints={m.unit.resource: len(m.parts) for m in self._members if m.failure is not None and m.parts},
                load_id=self._results[-1].load_id if self._results else None,
                load_info=self.load_info(),
            )
        )


def _parts_up_to(record: CommitRecord | None) -> EarlierParts:
    """What was committed of an unfinished extraction, by the unit's latest record; nothing if that is no part of it."""
    if record is None or record.earlier is None:
        return EarlierParts()
    return replace(record.earlier, rows=0).and_load(
        record.load_id, record.row_counts, rows=record.earlier.rows, rejected=record.rows_rejected
    )


def _expect_each_once(members: Iterable[_Member]) -> None:
    """One run commits a unit once: a second time would be planned on the same commit.

    Raises:
        DeclarationError: A resource is in the run twice.
    """
    seen: set[UnitKey] = set()
    for member in members:
        if member.unit in seen:
            raise DeclarationError(
                f"Resource {member.unit.resource!r} of source {member.unit.source!r} is in this run twice, and would have "
                "one cursor for both. Run them one after another, or give one another name: "
                "with_name(...) for a resource, with_args(name=...) for a source."
            )
        seen.add(member.unit)
