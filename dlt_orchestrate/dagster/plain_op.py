"""A load in an op that has no assets: what it loads is told as materializations all the same."""

from collections.abc import Iterator, Mapping
from typing import Any

from dagster import AssetMaterialization

from dlt_orchestrate.dagster.attempts import StepContext, idempotency_key
from dlt_orchestrate.dagster.bindings import Binding
from dlt_orchestrate.dagster.config import LoadConfig, wishes_of
from dlt_orchestrate.dagster.events import data_version, failure, load_metadata, shown_cause
from dlt_orchestrate.dagster.logs import logs_to
from dlt_orchestrate.dagster.specs import asset_specs, translated
from dlt_orchestrate.dagster.translator import DltTranslator


def load_in_op(
    context: StepContext,
    binding: Binding,
    *,
    sequence: int = 0,
    config: LoadConfig | None = None,
    run_arguments: Mapping[str, Any] | None = None,
) -> Iterator[AssetMaterialization]:
    """Load a source and yield a materialization of each resource as soon as it is committed, under its usual asset key.

    Raises:
        Failure: A resource could not be loaded. It names pipeline, resource, phase and cause.
    """
    pipeline = binding.pipeline.for_one_step()
    keys = {name: spec.key for name, spec in asset_specs(translated(binding), translator=DltTranslator()).items()}
    with logs_to(context.log):
        try:
            wishes = wishes_of(context, config)
            arguments = {"refresh": wishes.refresh, "window": wishes.window, **(run_arguments or {})}
            key = idempotency_key(context, sequence=sequence)
            for report in pipeline.stream(wishes.limited(binding.recipe), idempotency_key=key, **arguments):
                yield AssetMaterialization(
                    keys[report.resource],
                    metadata=load_metadata(report, pipeline),
                    tags={"dagster/data_version": data_version(report)},
                )
        except Exception as error:  # noqa: BLE001 - raised again as a failure that says what it is about
            raise failure(error, pipeline_name=pipeline.pipeline_name, resources=keys) from shown_cause(error)
