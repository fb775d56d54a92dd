"""One step: some resources of a source are run, and each becomes a materialization."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dagster import AssetKey, AssetsDefinition, Failure, MaterializeResult, RetryRequested

from dlt_orchestrate.dagster.attempts import StepContext, idempotency_key
from dlt_orchestrate.dagster.events import committed, failure, materialize_result, own_word, root_cause, shown_cause
from dlt_orchestrate.dagster.logs import logs_to
from dlt_orchestrate.dagster.translator import RESOURCE
from dlt_orchestrate.declare.source import Source
from dlt_orchestrate.pipeline.info import LoadInfo
from dlt_orchestrate.pipeline.pipeline import Pipeline

SourceLike = Source | Callable[[], Source]
"""A source, which is a recipe, or a function that gives one."""


@dataclass(frozen=True)
class Binding:
    """What an op ingests: known when definitions load, evaluated in the step."""

    source: SourceLike
    pipeline: Pipeline

    @property
    def recipe(self) -> Source:
        """The source as a recipe; it is evaluated, with configuration, when it runs."""
        return self.source if isinstance(self.source, Source) else self.source()


def selected_resources(context: StepContext) -> dict[str, AssetKey]:
    """The resources that this step shall load, with their assets: told by the specs' metadata, whatever the keys are."""
    definition: AssetsDefinition = context.assets_def
    return {
        spec.metadata[RESOURCE]: spec.key
        for spec in definition.specs
        if spec.key in context.selected_asset_keys and RESOURCE in spec.metadata
    }


def load_resources(
    context: StepContext,
    binding: Binding,
    assets: Mapping[str, AssetKey],
    *,
    sequence: int = 0,
    run_arguments: Mapping[str, Any] | None = None,
) -> Iterator[MaterializeResult[None]]:
    """Load resources and yield a materialization for each that was committed; then fail if one was not.

    Args:
        assets: The asset of each resource to load, by the resource's name.
        sequence: How many loads came before in the same step.
        run_arguments: Further arguments of `Pipeline.run`.

    Raises:
        Failure: A resource could not be loaded. It names pipeline, resource, phase and cause.
    """
    # A copy: what this run is told of destination and dataset must not reach other steps.
    pipeline = copy.copy(binding.pipeline)
    key = idempotency_key(context, sequence=sequence)
    error: Exception | None = None
    info: LoadInfo | None = None
    with logs_to(context.log):
        try:
            source = binding.recipe.with_resources(*assets)
            info = pipeline.run(source, commit="resource", idempotency_key=key, **run_arguments or {})
        except Exception as failed:  # noqa: BLE001 - raised as a failure below, after the events of what was committed
            error = failed
    reports = info.resources.values() if info else committed(error)
    for report in reports:
        if report.resource in assets:
            table_name = pipeline.destination.qualified_name(pipeline.dataset_name, report.table)
            uri = pipeline.destination.location
            yield materialize_result(report, key=assets[report.resource], table_name=table_name, uri=uri)
    if error is not None:
        cause = root_cause(error)
        if isinstance(cause, Failure | RetryRequested):
            raise own_word(cause)  # on how to fail, or whether to try again
        raise failure(error, pipeline_name=pipeline.pipeline_name, resources=assets) from shown_cause(cause)
