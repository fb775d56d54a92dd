"""What became of each asset of a step, as the events that Dagster keeps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    DataVersion,
    MaterializeResult,
)

from dlt_orchestrate.dagster.events import data_version, load_metadata, of_range, of_table
from dlt_orchestrate.dagster.partitions import Part, partition_counts
from dlt_orchestrate.pipeline.info import ResourceReport
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.state.commits import Window

OnEmpty = Literal["materialize", "observe", "skip"]
LoadEvent = MaterializeResult[None] | AssetCheckResult

DATA_VERSION = "dagster/data_version"


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
    """

    on_empty: OnEmpty = "materialize"


@dataclass
class Outcomes:
    """Collects the reports of a step's loads, and tells each asset's event as soon as its last load is committed."""

    context: AssetExecutionContext
    pipeline: Pipeline
    assets: Mapping[str, AssetKey]
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

    def mark_done_before(self, failed: Iterable[str]) -> None:
        """Mark the partitions that failed resources have loaded before they failed."""
        for resource in failed:
            for part, report in self._done.get(resource, ()):
                for partition, metadata in self._by_partition(part, report).items() if part else ():
                    self.context.log_event(
                        AssetMaterialization(
                            self.assets[resource],
                            metadata={**self._shared(part, report), **metadata},
                            partition=partition,
                            tags={DATA_VERSION: data_version(report)},
                        )
                    )

    def _complete(self, resource: str) -> Iterator[LoadEvent]:
        key, done = self.assets[resource], self._done[resource]
        part, report = done[-1]
        if not report.changed and not report.repeated and part is None and self.reporting.on_empty != "materialize":
            if self.reporting.on_empty == "observe":
                tags = {DATA_VERSION: data_version(report)}
                self.context.log_event(AssetObservation(key, metadata=self._metadata(report), tags=tags))
            return
        for of_part, of_load in done:
            for partition, metadata in self._by_partition(of_part, of_load).items() if of_part else ():
                self.context.add_asset_metadata(metadata, asset_key=key, partition_key=partition)
        yield MaterializeResult(
            asset_key=key, metadata=self._shared(part, report), data_version=DataVersion(data_version(report))
        )

    def _shared(self, part: Part | None, report: ResourceReport) -> dict[str, Any]:
        """What is to be told of all partitions of a load; everything if there are none."""
        metadata = self._metadata(report)
        if part is None:
            return metadata
        return of_table(metadata) if len(part.windows) == 1 else of_range(metadata)

    def _metadata(self, report: ResourceReport) -> dict[str, Any]:
        destination = self.pipeline.destination
        table_name = destination.qualified_name(self.pipeline.dataset_name, report.table)
        return load_metadata(report, table_name=table_name, uri=destination.location)

    def _by_partition(self, part: Part, report: ResourceReport) -> dict[str, dict[str, Any]]:
        """What is to be told of each partition of a load, and of no other."""
        counts = partition_counts(self.pipeline, report, part)
        if len(part.windows) == 1:
            own = self._metadata(report)
            return {key: {**own, "dagster/partition_row_count": found.total} for key, found in counts.items()}
        return {
            key: {"rows_loaded": found.loaded, "dagster/partition_row_count": found.total} for key, found in counts.items()
        }
