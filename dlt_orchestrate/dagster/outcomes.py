"""What became of each asset of a step, as the events that Dagster keeps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal
from weakref import WeakKeyDictionary

from dagster import (
    AssetCheckKey,
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetSpec,
    DataVersion,
    MaterializeResult,
    OpDefinition,
)

from dlt_orchestrate.dagster.checks import Check, SchemaContract, loaded_of_report
from dlt_orchestrate.dagster.events import data_version, load_metadata, of_range, of_table
from dlt_orchestrate.dagster.lineage import column_lineage
from dlt_orchestrate.dagster.nested import nested_metadata
from dlt_orchestrate.dagster.partitions import Part, PartitionCounts, partition_counts
from dlt_orchestrate.dagster.preview import Preview
from dlt_orchestrate.dagster.progress import PROGRESS_SECONDS, ProgressKind
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import SchemaContractError
from dlt_orchestrate.pipeline.info import ResourceReport
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.state.commits import Window

OnEmpty = Literal["materialize", "observe", "skip"]
LoadEvent = MaterializeResult[None] | AssetCheckResult


@dataclass(frozen=True)
class Load:
    """One load of a step: some resources, and which partitions of theirs, if they have any.

    Attributes:
        has_window: Whether the windows of the partitions bound the load, and not the resources themselves.
    """

    resources: tuple[str, ...]
    part: Part | None = None
    has_window: bool = True

    @property
    def window(self) -> Window | None:
        """The window of history, or the partition, that it loads."""
        return self.part.window if self.part is not None and self.has_window else None


@dataclass(frozen=True)
class Reporting:
    """How loads are shown.

    Attributes:
        on_empty: What a load tells that found nothing new.
        checks: What is checked of each asset, in the step.
        progress: How it is told how far a load has come, at least `progress_seconds` apart; None for not at all.
    """

    on_empty: OnEmpty = "materialize"
    checks: Mapping[AssetKey, tuple[Check, ...]] = field(default_factory=dict)
    preview: Preview = field(default_factory=Preview)
    progress: ProgressKind | None = "log"
    progress_seconds: float = PROGRESS_SECONDS


_reportings: WeakKeyDictionary[OpDefinition, Reporting] = WeakKeyDictionary()
"""Kept beside the ops whose body is a user's."""


def show_as(op: OpDefinition, reporting: Reporting) -> None:
    """Remember how the loads of an op are shown."""
    _reportings[op] = reporting


def reporting_of(op: OpDefinition) -> Reporting | None:
    """How the loads of an op are shown; None if nothing was said of it."""
    return _reportings.get(op)


@dataclass
class Outcomes:
    """Collects the reports of a step's loads, and tells each asset's event as soon as its last load is committed.

    Attributes:
        assets: The asset of each resource; one that was not selected is told, too, if it had to be loaded.
        nested: The selected assets of nested tables, by resource.
    """

    context: AssetExecutionContext
    pipeline: Pipeline
    assets: Mapping[str, AssetKey]
    nested: Mapping[str, Sequence[AssetSpec]]
    reporting: Reporting
    loads: Sequence[Load]
    _done: dict[str, list[tuple[Part | None, ResourceReport]]] = field(init=False, default_factory=dict)

    def of(self, report: ResourceReport, part: Part | None) -> Iterator[LoadEvent]:
        """The events of a report, if it is the last one of its asset."""
        if report.resource not in self.assets:
            return
        done = self._done.setdefault(report.resource, [])
        done.append((part, report))
        if len(done) == sum(report.resource in load.resources for load in self.loads):
            yield from self._complete(report.resource)

    def of_failed(self, failed: Iterable[str], causes: Sequence[BaseException]) -> Iterator[LoadEvent]:
        """Mark the partitions that failed resources have loaded before they failed, and the contracts that stopped them."""
        of_contracts = {cause.resource: cause for cause in causes if isinstance(cause, SchemaContractError)}
        for resource in failed:
            key = self.assets[resource]
            for part, report in self._done.get(resource, ()):
                counts = partition_counts(self.pipeline, report, part) if part else {}
                for partition, metadata in self._by_partition(report, counts).items():
                    self._log(key, report, metadata, partition)
            if resource in of_contracts:
                for check in self._checks(key):
                    if isinstance(check, SchemaContract):
                        yield check.broken(key, of_contracts[resource])

    def _complete(self, resource: str) -> Iterator[LoadEvent]:
        key, done = self.assets[resource], self._done[resource]
        part, report = done[-1]
        is_selected = key in self.context.selected_asset_keys
        rows_loaded: list[int] = []
        for of_part, of_load in done:
            counts = partition_counts(self.pipeline, of_load, of_part) if of_part else {}
            rows_loaded += [count.loaded for count in counts.values()] if counts else [of_load.rows_loaded]
            for partition, metadata in self._by_partition(of_load, counts).items():
                if is_selected:
                    self.context.add_asset_metadata(metadata, asset_key=key, partition_key=partition)
                else:
                    self._log(key, of_load, metadata, partition)
        results = self._checked(key, report, rows_loaded)
        if not report.changed and not report.repeated and part is None and self.reporting.on_empty != "materialize":
            if self.reporting.on_empty == "observe":
                self.context.log_event(AssetObservation(key, metadata=self._metadata(report), tags=_version(report)))
            yield from results
            return
        version = DataVersion(data_version(report))
        if is_selected:
            metadata = {} if part else self._metadata(report)
            yield MaterializeResult(asset_key=key, metadata=metadata, data_version=version, check_results=results)
        elif part is None:
            self._log(key, report, self._metadata(report))
        for spec in self.nested.get(resource, ()):
            of_nested = nested_metadata(report, spec, self.pipeline, root=key)
            several = part is not None and len(done) + len(part.windows) > 2
            yield MaterializeResult(
                asset_key=spec.key, metadata=of_table(of_nested) if several else of_nested, data_version=version
            )

    def _log(
        self, key: AssetKey, report: ResourceReport, metadata: Mapping[str, Any], partition: str | None = None
    ) -> None:
        """Tell a materialization beside the outputs of the step."""
        self.context.log_event(AssetMaterialization(key, metadata=metadata, partition=partition, tags=_version(report)))

    def _checked(self, key: AssetKey, report: ResourceReport, rows_loaded: Sequence[int]) -> list[AssetCheckResult]:
        """The results of the asset's checks, as far as they were selected."""
        checks = self._checks(key)
        if not checks:
            return []
        loaded = loaded_of_report(report, rows_loaded, key=key, pipeline=self.pipeline, instance=self.context.instance)
        return [check.evaluate(loaded)._replace(asset_key=key) for check in checks]

    def _checks(self, key: AssetKey) -> list[Check]:
        selected = self.context.selected_asset_check_keys
        return [check for check in self.reporting.checks.get(key, ()) if AssetCheckKey(key, check.name) in selected]

    def _metadata(self, report: ResourceReport) -> dict[str, Any]:
        spec = self.context.assets_def.specs_by_key[self.assets[report.resource]]
        return {
            **load_metadata(report, self.pipeline),
            **column_lineage(report.columns, spec.metadata, place=report.resource),
            **self.reporting.preview.of(report, self.pipeline),
        }

    def _by_partition(self, report: ResourceReport, counts: Mapping[str, PartitionCounts]) -> dict[str, dict[str, Any]]:
        """What is to be told of each partition of a load: its own rows first, then what holds for the whole load."""
        if not counts:
            return {}
        metadata = self._metadata(report)
        if len(counts) > 1:
            metadata = of_range(metadata)
        return {
            key: {"rows_loaded": found.loaded, "dagster/partition_row_count": found.total, **metadata}
            for key, found in counts.items()
        }


def _version(report: ResourceReport) -> dict[str, str]:
    return {"dagster/data_version": data_version(report)}
