"""The pipeline: a name, a destination and a dataset, and the verbs to load into it."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from dlt_orchestrate.config.providers import config_folders
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.spelling import likely
from dlt_orchestrate.declare.checkpoints import Checkpoints, to_checkpoints
from dlt_orchestrate.declare.hints import ColumnsDeclaration, Keys, TableName
from dlt_orchestrate.errors import (
    ConfigFieldMissingError,
    DeclarationError,
    InvalidPipelineNameError,
    PipelineStepFailed,
    UnknownDestinationError,
)
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.scratch import Scratch, folder_name
from dlt_orchestrate.pipeline.dataset import Dataset
from dlt_orchestrate.pipeline.info import ExtractInfo, LoadInfo, NormalizeInfo, ResourceReport
from dlt_orchestrate.pipeline.inputs import CommitScope, RunHints, to_inputs, to_window
from dlt_orchestrate.pipeline.naming import naming_asked_for
from dlt_orchestrate.pipeline.refresh import Refresh, to_refresh
from dlt_orchestrate.pipeline.schema_files import SchemaFiles
from dlt_orchestrate.pipeline.trace import Trace
from dlt_orchestrate.protocols.clock import Clock, SystemClock
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.protocols.interruption import interruptible, interruptible_steps
from dlt_orchestrate.protocols.progress import Progress, unobserved
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.conventions import DEFAULT_CONVENTION
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.naming import Naming, naming_for
from dlt_orchestrate.state.commits import Window

if TYPE_CHECKING:
    from dlt_orchestrate.pipeline.repair import Repair, Tables
    from dlt_orchestrate.pipeline.run import Run

LONGEST_SOURCE_NAME = 64
"""Characters of a source name that is made from a pipeline's name."""

_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f]')

DestinationLike = str | Destination | None


def _duckdb(pipeline: Pipeline, resolver: Resolver) -> Destination:
    from dlt_orchestrate import destinations

    def configured(field: str, annotation: Any = str) -> Any:
        found = resolver.lookup(field, ("destination", "duckdb"), annotation)
        return found.value if found else None

    path = pipeline.credentials or configured("credentials") or configured("credentials.database")
    path = path or f"{pipeline.pipeline_name}.duckdb"
    given = str(path).removeprefix("duckdb:///")
    return destinations.duckdb(
        # An address of something else stays one, to be refused.
        given if "://" in given else pipeline.local_dir / Path(given).expanduser(),
        lock_timeout_seconds=configured("lock_timeout_seconds", float),
        memory_limit=configured("memory_limit"),
        threads=configured("threads", int),
    )


def _postgres(pipeline: Pipeline, resolver: Resolver) -> Destination:
    from dlt_orchestrate import destinations
    from dlt_orchestrate.destinations.postgresql.address import FIELDS

    sections = ("destination", "postgres")

    def configured(field: str, annotation: Any = str, *, is_secret: bool = False) -> Any:
        found = resolver.lookup(field, sections, annotation, is_secret)
        return found.value if found else None

    parts = {field: configured(f"credentials.{field}", is_secret=field == "password") for field in FIELDS}
    credentials = pipeline.credentials or configured("credentials")
    if credentials is None and not any(parts.values()):
        raise ConfigFieldMissingError(
            owner="Destination 'postgres'",
            fields=["credentials"],
            tried={"credentials": resolver.tried("credentials", sections, True)},
            files_read=resolver.files_read,
            files_absent=resolver.files_absent,
        )
    return destinations.postgres(
        credentials or parts,
        lock_timeout_seconds=configured("lock_timeout_seconds", float),
        idle_timeout_seconds=configured("idle_timeout_seconds", float),
        most_counted_rows=configured("most_counted_rows", int),
    )


def _memory(_pipeline: Pipeline, _resolver: Resolver) -> Destination:
    from dlt_orchestrate import destinations

    return destinations.memory()


DESTINATIONS: dict[str, Callable[[Pipeline, Resolver], Destination]] = {
    "duckdb": _duckdb,
    "postgres": _postgres,
    "memory": _memory,
}
"""Destinations by the names that `pipeline(destination=...)` takes."""


class Pipeline:
    """Loads sources into one dataset of a destination; making one opens nothing.

    Attributes:
        pipeline_name: Its identity: state is found by it.
        credentials: Where the destination is, if given instead of configured.
        local_dir: The folder of files that destinations make: `DLT_LOCAL_DIR`, or the folder it was made in.
        refresh: What each run takes away of earlier ones, unless it is told otherwise.
        schema_files: Where schemas are read from and written to as YAML.
    """

    def __init__(
        self,
        pipeline_name: str,
        *,
        destination: DestinationLike = None,
        dataset_name: str | None = None,
        credentials: Any = None,
        refresh: Refresh | None = None,
        import_schema_path: str | Path | None = None,
        export_schema_path: str | Path | None = None,
        resolver: Resolver | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not pipeline_name or pipeline_name in (".", "..") or _FORBIDDEN.search(pipeline_name):
            raise InvalidPipelineNameError(pipeline_name=pipeline_name)
        self.pipeline_name = pipeline_name
        self.credentials = credentials
        self.local_dir = Path(os.environ.get("DLT_LOCAL_DIR") or Path.cwd()).absolute()
        self.last_trace: Trace | None = None
        self.refresh = to_refresh(refresh, pipeline_name=pipeline_name, commit="run", is_windowed=False)
        self.schema_files = SchemaFiles(_folder(import_schema_path), _folder(export_schema_path))
        self._given_dataset_name = dataset_name
        self._resolver = resolver
        self._clock = clock or SystemClock()
        self._destination: Destination | None = None
        self._destination_name: str | None = None
        self._pending: Run | None = None
        self._is_for_one_step = False
        self._naming_of_dataset: Naming | None = None
        self._set_destination(destination)

    # --- what it is ----------------------------------------------------------------------------------------------

    @property
    def destination(self) -> Destination:
        """Where it loads.

        Raises:
            UnknownDestinationError: None was given.
        """
        if self._destination is None:
            self._destination = DESTINATIONS[self.destination_name](self, self.resolver())
        return self._destination

    @property
    def destination_name(self) -> str:
        """What kind of destination it loads into; told without credentials.

        Raises:
            UnknownDestinationError: None was given.
        """
        if self._destination is not None:
            return self._destination.name
        if self._destination_name is None:
            found = self.resolver().lookup("destination_type", (), str)
            self._set_destination(found.value if found else None)
        if self._destination_name is None:
            raise self._unknown(None)
        return self._destination_name

    @property
    def dataset_name(self) -> str:
        """The dataset, named by the configured convention; the pipeline's name with `_dataset` by default.

        Raises:
            UnknownNamingConventionError: There is no such convention.
        """
        return self.naming_of(None).dataset(self._wanted_dataset_name)

    @property
    def default_schema_name(self) -> str:
        """The source name of data that belongs to no source."""
        # As in dlt, so that the state of its datasets is found; beyond ASCII where one of its conventions is configured.
        name = DEFAULT_CONVENTION if self.naming_of(None).name == DEFAULT_CONVENTION else "snake_case"
        return naming_for(name, Capabilities(max_identifier_length=LONGEST_SOURCE_NAME)).dataset(self.pipeline_name)

    @property
    def first_run(self) -> bool:
        """Whether nothing has been loaded into the dataset yet."""
        return not self._snapshot().exists

    @property
    def has_data(self) -> bool:
        """Whether something has been loaded."""
        return not self.first_run

    @property
    def state(self) -> Mapping[str, Any]:
        """The state document, as the destination holds it."""
        return self._snapshot().state

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """The stored schemas by source."""
        return self._snapshot().schemas

    @property
    def schema_names(self) -> list[str]:
        return list(self.schemas)

    @property
    def default_schema(self) -> Schema:
        """The stored schema of the first source that was loaded; an empty one before."""
        stored = self._snapshot()
        name = stored.state.get("default_schema_name") or next(iter(stored.schemas), self.default_schema_name)
        return stored.schemas.get(name) or Schema(name)

    def naming_of(self, source: str | None) -> Naming:
        """The naming convention of new tables of a source, as configured; that of the dataset for None.

        Raises:
            UnknownNamingConventionError: There is no such convention.
        """
        try:
            limits = self.destination.capabilities
        except UnknownDestinationError:
            limits = Capabilities()
        if source is not None or not self._is_for_one_step:
            return naming_asked_for(self.resolver(), limits, source)
        if self._naming_of_dataset is None:
            self._naming_of_dataset = naming_asked_for(self.resolver(), limits)
        return self._naming_of_dataset

    def resolver(self) -> Resolver:
        """Where its configuration and secrets come from."""
        return (self._resolver or Resolver.from_environment()).for_pipeline(self.pipeline_name)

    # --- loading -------------------------------------------------------------------------------------------------

    def run(
        self,
        data: Any,
        *,
        destination: DestinationLike = None,
        dataset_name: str | None = None,
        credentials: Any = None,
        table_name: TableName | None = None,
        write_disposition: Any = None,
        columns: ColumnsDeclaration = None,
        primary_key: Keys = None,
        schema_contract: Any = None,
        refresh: Refresh | None = None,
        loader_file_format: str | None = None,  # noqa: ARG002 - there are no loader files; accepted as in dlt
        commit: CommitScope = "run",
        idempotency_key: str | None = None,
        window: Window | tuple[str, str] | None = None,
        partition: str | Mapping[str, str] | None = None,
        checkpoint: Any = None,
        progress: Progress = unobserved,
    ) -> LoadInfo:
        """Extract, normalize and load; rows, schema, state and load record become visible together.

        Args:
            data: A source, resources, a function, a generator, or any iterable of records.
            schema_contract: What the load may change about its tables: `evolve`, `freeze`, `discard_row` or
                `discard_value`, or a dictionary of these by `tables`, `columns` and `data_type`.
            refresh: Load as if for the first time. In the same commit as the new rows, `drop_sources` drops all tables and
                the state of the sources, `drop_resources` those of the resources that are loaded; `drop_data` only
                empties their tables.
            commit: What one transaction holds: all resources that succeeded, each source all or nothing, or each
                resource for itself.
            idempotency_key: Names this attempt. What it has committed before is reported and not extracted again.
            window: The part of history to load, from its start up to, but without, its end: two texts, ISO 8601 for
                moments. It bounds the cursor of each resource, which is neither read nor moved; a resource without one
                must ask `current.window()`. Loading a window again repeats nothing: `append` and `replace` first delete
                the rows that lie in it, `merge` replaces rows by their key and never one from after the window.
            partition: The key of a part that is no stretch of history, such as a region, or several keys by their names. A
                resource must ask `current.partition_key()`. The cursor is neither read nor moved, and loading a partition
                again replaces what the load before has left of it.
            checkpoint: How often a long extraction is committed, for all resources: after so many pages, or
                `{"pages": 100, "minutes": 5}`; True for every 10 minutes, False for none, None for what each resource or
                the configuration says. A run that fails goes on from there when it is run again.
            progress: Is told how far each resource has come, while it is read and committed.

        Raises:
            PipelineStepFailed: A step failed; `__cause__` says why, `load_info` what was committed all the same.
            DeclarationError, ConfigError: Nothing was started: code or configuration must change first.
        """
        if commit not in get_args(CommitScope):
            known = ", ".join(map(repr, get_args(CommitScope)))
            raise DeclarationError(f"Pipeline {self.pipeline_name!r}: commit={commit!r} is not known. Known are: {known}.")
        part = to_window(window, partition)
        mode = self._refresh(refresh, commit, is_windowed=part is not None)
        self._redirect(destination, dataset_name, credentials)
        inputs = to_inputs(
            data,
            schema_name=self.default_schema_name,
            hints=RunHints(table_name, write_disposition, columns, primary_key, schema_contract),
        )
        with interruptible(), Scratch(self._scratch_dir()) as scratch:
            often = to_checkpoints(checkpoint, f"Pipeline {self.pipeline_name!r}")
            run = self._run(scratch, commit, idempotency_key, part, mode, often, progress, commits_parts=True)
            with self._traced(run):
                if commit == "resource":
                    for _ in run.stream(inputs):
                        pass
                    return run.load_info()
                run.prepare(inputs)
                return run.commit()

    def stream(
        self,
        data: Any,
        *,
        destination: DestinationLike = None,
        dataset_name: str | None = None,
        credentials: Any = None,
        idempotency_key: str | None = None,
        window: Window | tuple[str, str] | None = None,
        partition: str | Mapping[str, str] | None = None,
        refresh: Refresh | None = None,
        progress: Progress = unobserved,
        loader_file_format: str | None = None,  # noqa: ARG002 - as in `run`
        checkpoint: Any = None,
        **hints: Any,
    ) -> Iterator[ResourceReport]:
        """Run with `commit="resource"` and report each resource as soon as it is committed, while others are still read.

        Args, Raises:
            As in `run`; what is raised comes after the reports of all that was committed.
        """
        part = to_window(window, partition)
        mode = self._refresh(refresh, "resource", is_windowed=part is not None)
        self._redirect(destination, dataset_name, credentials)
        inputs = to_inputs(data, schema_name=self.default_schema_name, hints=RunHints(**hints))
        with Scratch(self._scratch_dir()) as scratch:
            often = to_checkpoints(checkpoint, f"Pipeline {self.pipeline_name!r}")
            run = self._run(scratch, "resource", idempotency_key, part, mode, often, progress, commits_parts=True)
            with self._traced(run):
                yield from interruptible_steps(run.stream(inputs))

    def extract(
        self,
        data: Any,
        *,
        table_name: TableName | None = None,
        write_disposition: Any = None,
        columns: ColumnsDeclaration = None,
        primary_key: Keys = None,
        schema_contract: Any = None,
        refresh: Refresh | None = None,
    ) -> ExtractInfo:
        """Only extract (and normalize, which happens on the way); `load` commits it, in this process or not at all."""
        inputs = to_inputs(
            data,
            schema_name=self.default_schema_name,
            hints=RunHints(table_name, write_disposition, columns, primary_key, schema_contract),
        )
        mode = self._refresh(refresh, "run", is_windowed=False)
        self._drop_pending()
        run = self._pending = self._run(Scratch(self._scratch_dir()).__enter__(), "run", None, refresh=mode)
        try:
            with interruptible(), self._traced(run):
                run.prepare(inputs)
        except BaseException:
            self._drop_pending()
            raise
        return run.extract_info()

    def normalize(self) -> NormalizeInfo:
        """What normalize made of the last `extract`."""
        return self._pending.normalize_info() if self._pending else NormalizeInfo()

    def load(self) -> LoadInfo:
        """Commit the last `extract`."""
        if self._pending is None:
            raise DeclarationError(f"Pipeline {self.pipeline_name!r}: there is nothing to load; call extract(...) first.")
        run = self._pending
        try:
            with interruptible(), self._traced(run):
                return run.commit()
        finally:
            self._drop_pending()

    # --- repairing -----------------------------------------------------------------------------------------------

    def drop(
        self,
        *resources: str,
        source: str | None = None,
        everything: bool = False,
        tables: Tables = "drop",
        state: bool = True,
        windows: Iterable[Window | tuple[str, str]] = (),
        shared: bool = False,
        dry_run: bool = False,
    ) -> Repair:
        """Drop the tables and the state of resources in the destination, in one commit: they load anew in the next run.

        Without resources it drops what `extract` has left in this process, and nothing in the destination. (In dlt, `drop`
        removes the local working folder, which there is none of here.)

        Args:
            resources: Names; behind `re:` a regular expression that whole names must match.
            source: The source that is meant, if several have resources of these names.
            everything: All resources of the source, or of all sources, with the state that they share.
            tables: `empty` deletes their rows and leaves columns and types; `keep` leaves them alone.
            state: Whether cursors and other state go, too.
            windows: Take away only these windows: the rows that their loads brought, and that they were loaded.
            shared: Whether rows of other pipelines may go, too, in tables that they load as well.
            dry_run: Tell what would go, and change nothing.

        Raises:
            UnknownResourceError: No resource has such a name.
            CommitConflictError: Another load was committed meanwhile; nothing was changed.
            TableConflictError: Rows of a resource that is not named, or of another pipeline, would be lost.
        """
        from dlt_orchestrate.pipeline.repair import Repair, Wish, carry_out, plan_repair

        if not resources and not everything:
            self._drop_pending()
            return Repair()
        parts = tuple(part for window in windows if (part := to_window(window)) is not None)
        wish = Wish(resources, everything, source, tables, state, parts, shared)
        repair = plan_repair(self.destination, self.pipeline_name, self.dataset_name, wish, self._clock)
        return repair if dry_run else carry_out(self.destination, repair)

    def reset(
        self,
        *resources: str,
        source: str | None = None,
        everything: bool = False,
        state: bool = True,
        dry_run: bool = False,
    ) -> Repair:
        """Delete the rows and the state of resources, and leave their tables with columns and types; as `drop` besides."""
        return self.drop(*resources, source=source, everything=everything, tables="empty", state=state, dry_run=dry_run)

    def for_one_step(self) -> Pipeline:
        """A copy for one step of many in a process; what its runs are told of destination or dataset stays its own."""
        one = copy.copy(self)
        one._is_for_one_step = True
        # Files of configuration are read once for a step, and afresh for the next.
        one._resolver = self.resolver()
        one._naming_of_dataset = None
        return one

    # --- looking -------------------------------------------------------------------------------------------------

    def dataset(self) -> Dataset:
        """The tables of the dataset, for reading."""
        return Dataset(self.destination, self.dataset_name)

    def __repr__(self) -> str:
        where = self._destination_name or (self._destination.name if self._destination else None)
        return (
            f"<dlt_orchestrate.pipeline(pipeline_name={self.pipeline_name!r}, destination={where!r}, "
            f"dataset_name={self._wanted_dataset_name!r})>"
        )

    # --- details -------------------------------------------------------------------------------------------------

    @property
    def _wanted_dataset_name(self) -> str:
        return self._given_dataset_name or f"{self.pipeline_name}_dataset"

    def _refresh(self, given: Refresh | None, commit: CommitScope, *, is_windowed: bool) -> Refresh | None:
        mode = self.refresh if given is None else given
        return to_refresh(mode, pipeline_name=self.pipeline_name, commit=commit, is_windowed=is_windowed)

    def _run(
        self,
        scratch: Scratch,
        commit: CommitScope,
        key: str | None,
        window: Window | None = None,
        refresh: Refresh | None = None,
        checkpoints: Checkpoints | None = None,
        progress: Progress = unobserved,
        *,
        commits_parts: bool = False,
    ) -> Run:
        # Imported when something runs: Arrow is no business of code that only declares.
        from dlt_orchestrate.pipeline.run import Run, RunSettings

        return Run(
            settings=RunSettings(
                self.pipeline_name, self.dataset_name, commit, key, window, refresh, checkpoints, commits_parts
            ),
            destination=self.destination,
            resolver=self.resolver(),
            scratch=scratch,
            clock=self._clock,
            pipeline=self,
            schema_files=self.schema_files,
            progress=progress,
        )

    @contextmanager
    def _traced(self, run: Run) -> Iterator[None]:
        failure: BaseException | None = None
        try:
            yield
        except PipelineStepFailed as error:
            failure = error
            raise
        finally:
            self.last_trace = run.trace(failure)

    def _redirect(self, destination: DestinationLike, dataset_name: str | None, credentials: Any) -> None:
        """What `run` is told goes before what the pipeline was made with, from then on."""
        if credentials is not None:
            self.credentials, self._destination, self._naming_of_dataset = credentials, None, None
        if destination is not None:
            self._set_destination(destination)
        if dataset_name is not None:
            self._given_dataset_name = dataset_name

    def _set_destination(self, destination: DestinationLike) -> None:
        if destination is None:
            return
        self._naming_of_dataset = None
        if isinstance(destination, str):
            name = destination.rsplit(".", 1)[-1]
            if name not in DESTINATIONS:
                raise self._unknown(destination)
            self._destination_name, self._destination = name, None
        elif isinstance(destination, Destination):
            self._destination_name, self._destination = None, destination
        else:
            raise self._unknown(repr(destination))

    def _unknown(self, destination: str | None) -> UnknownDestinationError:
        return UnknownDestinationError(
            pipeline_name=self.pipeline_name,
            destination=destination,
            known=DESTINATIONS,
            likely=likely([destination or ""], DESTINATIONS),
        )

    def _snapshot(self) -> Snapshot:
        return self.destination.read_state(Scope(self.pipeline_name, self.dataset_name))

    def _scratch_dir(self) -> Path:
        return config_folders(None, None, os.environ)[-1] / "scratch" / folder_name(self.pipeline_name)

    def _drop_pending(self) -> None:
        if self._pending is not None:
            self._pending.scratch.__exit__(None, None, None)
            self._pending = None


def pipeline(
    pipeline_name: str | None = None,
    *,
    destination: DestinationLike = None,
    dataset_name: str | None = None,
    credentials: Any = None,
    import_schema_path: str | Path | None = None,
    export_schema_path: str | Path | None = None,
    dev_mode: bool = False,
    refresh: Refresh | None = None,
    progress: Any = None,  # noqa: ARG001 - accepted as in dlt
    pipelines_dir: Any = None,  # noqa: ARG001 - nothing is kept in a local folder; accepted as in dlt
) -> Pipeline:
    """Make a pipeline; nothing is opened or loaded before `run`.

    Args:
        pipeline_name: Its identity; the name of the running script by default.
        destination: A name such as `duckdb`, or a destination made by `destinations.duckdb(...)`.
        dataset_name: The schema of the tables; `<pipeline_name>_dataset` by default. The naming convention applies to it.
        import_schema_path: A folder with a file `<source>.schema.yaml` for each source, whose columns and types are hints;
            the first run writes it where there is none.
        export_schema_path: A folder that the stored schemas are written to, whenever they have changed.
        dev_mode: Load into a dataset of this run alone, with the time in its name.
        refresh: For every run; see `Pipeline.run`.

    Raises:
        InvalidPipelineNameError, UnknownDestinationError: The name or the destination cannot be used.
    """
    name = pipeline_name if pipeline_name is not None else _name_of_script()
    if dev_mode:
        dataset_name = f"{dataset_name or name}_{SystemClock().now():%Y%m%d%H%M%S}"
    return Pipeline(
        name,
        destination=destination,
        dataset_name=dataset_name,
        credentials=credentials,
        refresh=refresh,
        import_schema_path=import_schema_path,
        export_schema_path=export_schema_path,
    )


def run(
    data: Any,
    *,
    destination: DestinationLike = None,
    dataset_name: str | None = None,
    table_name: TableName | None = None,
    write_disposition: Any = None,
    columns: ColumnsDeclaration = None,
    primary_key: Keys = None,
    schema_contract: Any = None,
    refresh: Refresh | None = None,
) -> LoadInfo:
    """Load with a pipeline that is named after the running script; arguments and errors as in `Pipeline.run`."""
    return pipeline(destination=destination, dataset_name=dataset_name).run(
        data,
        table_name=table_name,
        write_disposition=write_disposition,
        columns=columns,
        primary_key=primary_key,
        schema_contract=schema_contract,
        refresh=refresh,
    )


def attach(pipeline_name: str, *, destination: DestinationLike = "duckdb", dataset_name: str | None = None) -> Pipeline:
    """A pipeline that has run before, for looking at its data and state; the destination keeps all there is to know."""
    return pipeline(pipeline_name, destination=destination, dataset_name=dataset_name)


def _folder(given: str | Path | None) -> Path | None:
    return Path(given).expanduser().absolute() if given is not None else None


def _name_of_script() -> str:
    import __main__

    file = getattr(__main__, "__file__", None)
    return f"dlt_{Path(file).stem}" if file else "dlt_pipeline"
