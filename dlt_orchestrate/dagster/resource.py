"""The resource that the body of a decorated op runs."""

from collections.abc import Iterator, Mapping
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

from dagster import AssetExecutionContext, AssetMaterialization, ConfigurableResource

from dlt_orchestrate.dagster.attempts import StepContext
from dlt_orchestrate.dagster.bindings import Binding, SourceLike, binding_of
from dlt_orchestrate.dagster.config import LoadConfig
from dlt_orchestrate.dagster.outcomes import LoadEvent, reporting_of
from dlt_orchestrate.dagster.plain_op import load_in_op
from dlt_orchestrate.dagster.step import load_resources, selected_resources
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.pipeline.pipeline import Pipeline

_runs: WeakKeyDictionary[StepContext, int] = WeakKeyDictionary()
"""How many loads each attempt of a step has begun: a body may run several."""


class LoadEvents(Iterator[LoadEvent | AssetMaterialization]):
    """The events of one load, as they come."""

    def __init__(self, events: Iterator[LoadEvent] | Iterator[AssetMaterialization]) -> None:
        self._events = events

    def __next__(self) -> LoadEvent | AssetMaterialization:
        return next(self._events)

    def fetch_row_count(self) -> Self:
        """Nothing to do: row counts are always there. For code that was written for dagster-dlt."""
        return self


class DltResource(ConfigurableResource):  # type: ignore[type-arg]
    """Runs the source and pipeline of a `dlt_assets` op.

    The fields, where set, take the place of what the pipeline says; with `EnvVar` they are read when the run starts.

    Attributes:
        destination: Name of a destination, such as `duckdb`.
        credentials: Its credentials, in the destination's own form: for DuckDB the path of the file.
        dataset_name: The dataset (schema) to load into.
    """

    destination: str | None = None
    credentials: str | None = None
    dataset_name: str | None = None

    def run(
        self,
        context: StepContext,
        dlt_source: SourceLike | None = None,
        dlt_pipeline: Pipeline | None = None,
        config: LoadConfig | None = None,
        **run_arguments: Any,
    ) -> LoadEvents:
        """Load the selected resources; yields a materialization for each as soon as it is committed.

        Where the assets are partitioned, the partition bounds each resource. In an op without assets all resources of
        `dlt_source` are loaded, and told under their usual asset keys.

        Args:
            dlt_source, dlt_pipeline: Instead of those of the decorator, such as a source with other arguments. A source
                that is passed for a partition bounds itself, but for cursors without `end_value`.
            config: The op's config, if its function takes a `config: LoadConfig`.
            run_arguments: Further arguments of `Pipeline.run`, such as `write_disposition`.

        Raises:
            Failure: A resource could not be loaded; raised after the events of those that were.
            DeclarationError: The source is not known.
        """
        sequence = _runs.get(context, 0)
        _runs[context] = sequence + 1
        arguments = {**self._overrides(), **run_arguments}
        if not context.has_assets_def:
            binding = _binding(context, dlt_source, dlt_pipeline)
            return LoadEvents(load_in_op(context, binding, sequence=sequence, config=config, run_arguments=arguments))
        return LoadEvents(
            load_resources(
                cast("AssetExecutionContext", context),
                _binding(context, dlt_source, dlt_pipeline),
                selected_resources(context),
                sequence=sequence,
                config=config,
                reporting=reporting_of(context.op_def),
                is_bound=dlt_source is not None,
                run_arguments=arguments,
            )
        )

    def _overrides(self) -> Mapping[str, str]:
        fields = {
            "destination": self.destination,
            "credentials": self.credentials,
            "dataset_name": self.dataset_name,
        }
        return {name: value for name, value in fields.items() if value is not None}


def _binding(context: StepContext, source: SourceLike | None, pipeline: Pipeline | None) -> Binding:
    bound = binding_of(context.op_def)
    if bound is not None:
        return Binding(source or bound.source, pipeline or bound.pipeline, bound.resources)
    if source is None or pipeline is None:
        raise DeclarationError(
            f"Op {context.op_def.name!r} was not made with @dlt_assets, so its source and pipeline are not known. "
            "Pass dlt_source=... and dlt_pipeline=... to run(...), or decorate the function with @dlt_assets."
        )
    return Binding(source, pipeline)
