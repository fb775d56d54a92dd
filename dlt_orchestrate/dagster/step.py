"""One step: some resources of a source are run, and each is told as soon as it is committed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from dagster import AssetExecutionContext, AssetKey, AssetsDefinition, AssetSpec, Failure, RetryRequested

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dagster.attempts import StepContext, idempotency_key
from dlt_orchestrate.dagster.bindings import Binding
from dlt_orchestrate.dagster.config import LoadConfig, Wishes, wishes_of
from dlt_orchestrate.dagster.events import failed_resources, failure, own_word, root_cause, shown_cause
from dlt_orchestrate.dagster.logs import logs_to
from dlt_orchestrate.dagster.naming import CURSOR, RESOURCE
from dlt_orchestrate.dagster.nested import NESTED_OF
from dlt_orchestrate.dagster.outcomes import Load, LoadEvent, Outcomes, Reporting
from dlt_orchestrate.dagster.partitions import Part, bounded_by_itself, joined, parts_of
from dlt_orchestrate.dagster.progress import progress_of
from dlt_orchestrate.declare.source import Source
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.pipeline.info import ResourceReport
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.protocols.progress import Progress


def selected_resources(context: StepContext) -> dict[str, AssetKey]:
    """The resources that this step shall load, with their assets: told by the specs' metadata, whatever the keys are."""
    definition: AssetsDefinition = context.assets_def
    selected = [spec for spec in definition.specs if spec.key in context.selected_asset_keys]
    wanted = {spec.metadata.get(RESOURCE) or spec.metadata.get(NESTED_OF) for spec in selected}
    return {
        spec.metadata[RESOURCE]: spec.key for spec in definition.specs if spec.metadata.get(RESOURCE) in wanted - {None}
    }


def selected_nested(context: StepContext) -> dict[str, list[AssetSpec]]:
    """The assets of nested tables that this step shall tell of, by resource."""
    found: dict[str, list[AssetSpec]] = {}
    for spec in context.assets_def.specs:
        if spec.key in context.selected_asset_keys and NESTED_OF in spec.metadata:
            found.setdefault(spec.metadata[NESTED_OF], []).append(spec)
    return found


def load_resources(
    context: AssetExecutionContext,
    binding: Binding,
    assets: Mapping[str, AssetKey],
    *,
    sequence: int = 0,
    config: LoadConfig | None = None,
    reporting: Reporting | None = None,
    run_arguments: Mapping[str, Any] | None = None,
    is_bound: bool = False,
) -> Iterator[LoadEvent]:
    """Load resources and yield the events of each as soon as it is committed; then fail if one was not.

    Args:
        assets: The asset of each resource to load, by the resource's name.
        sequence: How many loads came before in the same step.
        config: What the run shall do otherwise than always; its tags may say so, too.
        run_arguments: Further arguments of `Pipeline.stream`.
        is_bound: Whether the source was made for the partition of the run.

    Raises:
        Failure: A resource could not be loaded. It names pipeline, resource, phase and cause.
    """
    pipeline = binding.pipeline.for_one_step()
    key = idempotency_key(context, sequence=sequence)
    errors: list[Exception] = []
    failed: set[str] = set()
    reporting = reporting or Reporting()
    with logs_to(context.log), _progress(context, assets, reporting) as progress:
        try:
            wishes = wishes_of(context, config)
            arguments = _arguments(wishes, binding, assets, {"progress": progress, **(run_arguments or {})})
            loads = list(_loads(context, binding, assets, is_bound=is_bound))
        except Exception as error:  # noqa: BLE001 - raised again as a failure that says what it is about
            raise _failure([error], pipeline, assets) from shown_cause(error)
        outcomes = Outcomes(context, pipeline, assets, selected_nested(context), reporting, loads)
        for load in loads:
            wanted = [name for name in load.resources if name not in failed]
            window = load.window if wishes.window is None else wishes.window
            try:
                source = wishes.limited(binding.recipe.with_resources(*wanted))
                for report in _reports(pipeline, source, idempotency_key=key, window=window, **arguments) if wanted else ():
                    yield from outcomes.of(report, load.part)
            except Exception as error:  # noqa: BLE001 - raised as a failure below, after the events of what was committed
                errors.append(error)
                failed.update(failed_resources(error) or wanted)
        if errors:
            yield from outcomes.of_failed(failed, [root_cause(error) for error in errors])
            cause = root_cause(errors[0])
            if isinstance(cause, Failure | RetryRequested):
                raise own_word(cause)  # on how to fail, or whether to try again
            raise _failure(errors, pipeline, sorted(failed)) from shown_cause(cause)


def _progress(
    context: AssetExecutionContext, assets: Mapping[str, AssetKey], reporting: Reporting
) -> AbstractContextManager[Progress]:
    return progress_of(context, assets, reporting.progress, reporting.progress_seconds)


def _reports(pipeline: Pipeline, source: Source, **arguments: Any) -> Iterator[ResourceReport]:
    if arguments.get("refresh") == "drop_sources":  # a source that is dropped is committed as a whole
        yield from pipeline.run(source, commit="source", **arguments).resources.values()
    else:
        yield from pipeline.stream(source, **arguments)


def _arguments(
    wishes: Wishes, binding: Binding, assets: Mapping[str, AssetKey], run_arguments: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a run, those that this one run wishes for before those of all.

    Raises:
        DeclarationError: A part of a source shall drop the whole.
    """
    if wishes.refresh is not None:
        run_arguments["refresh"] = wishes.refresh
    if wishes.checkpoints is not None:
        run_arguments["checkpoint"] = wishes.checkpoints
    others = [name for name in binding.resources if name not in assets]
    if run_arguments.get("refresh") == "drop_sources" and others:
        raise DeclarationError(
            f"refresh='drop_sources' drops all tables of the source, and this step does not load {', '.join(others)}. "
            "Run with refresh='drop_resources', or load all resources in one step with isolation='source'."
        )
    return run_arguments


def _loads(context: StepContext, binding: Binding, assets: Mapping[str, AssetKey], *, is_bound: bool) -> Iterator[Load]:
    """The loads of a step: one of everything, or those of its partitions.

    A range of time is one load for the resources with a cursor that tells the partitions apart, and for others one each.
    """
    parts = parts_of(context)
    if not parts:
        yield Load(tuple(assets))
        return
    bound = set[str]()
    if is_bound:
        resolver = Resolver.from_environment().for_pipeline(binding.pipeline.pipeline_name)
        bound = {r.name for r in binding.recipe.evaluate(resolver) if r.name in assets and bounded_by_itself(r)}
    with_cursor = {spec.metadata.get(RESOURCE) for spec in context.assets_def.specs if CURSOR in spec.metadata}
    together = tuple(name for name in assets if name in with_cursor and name not in bound)
    one_by_one = tuple(name for name in assets if name not in together and name not in bound)
    if bound:
        whole = Part({key: window for part in parts for key, window in part.windows.items()})
        yield Load(tuple(name for name in assets if name in bound), whole, has_window=False)
    for part in joined(parts) if together else ():
        yield Load(together, part)
    for part in parts if one_by_one else ():
        yield Load(one_by_one, part)


def _failure(errors: Sequence[Exception], pipeline: Pipeline, resources: Iterable[str]) -> Failure:
    """The failure of a step: of the first error, with what the others said."""
    return failure(errors[0], pipeline_name=pipeline.pipeline_name, resources=resources, further=errors[1:])
