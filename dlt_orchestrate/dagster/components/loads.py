"""One load of a component: from its settings to assets and a schedule."""

from collections.abc import Mapping
from typing import Any

from dagster import (
    AssetKey,
    AssetSpec,
    BackfillPolicy,
    Backoff,
    ComponentLoadContext,
    DefaultScheduleStatus,
    Definitions,
    Jitter,
    ResolutionContext,
    RetryPolicy,
    ScheduleDefinition,
)

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.dagster.assets import ingest_assets
from dlt_orchestrate.dagster.components.checks import checks_of
from dlt_orchestrate.dagster.components.destinations import LateDestination
from dlt_orchestrate.dagster.components.late import late
from dlt_orchestrate.dagster.components.partitions import partitions_of
from dlt_orchestrate.dagster.components.sensors import sensors_of
from dlt_orchestrate.dagster.components.settings import (
    BackfillSettings,
    DestinationSettings,
    LoadSettings,
    OpSettings,
    RetrySettings,
    ScheduleSettings,
    TargetSettings,
    UpstreamSettings,
)
from dlt_orchestrate.dagster.components.sources import imported, source_of
from dlt_orchestrate.dagster.components.templates import rendered, scope_of
from dlt_orchestrate.dagster.components.translation import ComponentTranslator
from dlt_orchestrate.dagster.lineage import build_source_spec
from dlt_orchestrate.dagster.naming import op_name
from dlt_orchestrate.dagster.schedules import build_ingest_schedule
from dlt_orchestrate.declare.source import Source
from dlt_orchestrate.errors import ComponentError, SourceNotEvaluatedError, UnknownResourceError
from dlt_orchestrate.pipeline.pipeline import Pipeline


def build_load(
    settings: LoadSettings,
    context: ComponentLoadContext,
    *,
    place: str = "",
    arguments: Mapping[str, Any] | None = None,
    source_name: str | None = None,
) -> Definitions:
    """The assets of a load, with their schedule.

    Args:
        place: The keys that lead to the load in the file, with a dot at the end.
        arguments: Further arguments of the source.
        source_name: The source's name in place of its own.

    Raises:
        ComponentError: Something that the settings name is not there, or does not fit.
        DeclarationError: See `ingest_assets`.
    """
    scope = scope_of(context)
    args = {**late(settings.args, f"{place}args", lambda text, at: rendered(text, scope, at)), **(arguments or {})}
    source = source_of(imported(settings.source, context, f"{place}source"), args, place, name=source_name)
    return build_assets(settings, source, context, place=place)


def build_assets(
    settings: TargetSettings, source: Source, context: ComponentLoadContext, *, place: str = ""
) -> Definitions:
    """The assets of a source, with their schedule; arguments and errors as of `build_load`."""
    scope = scope_of(context)
    if settings.select is not None:
        source = source.with_resources(*settings.select)
    pipeline = _pipeline(settings, source, context, place)
    partitions = partitions_of(settings.partitions, scope, f"{place}partitions")
    upstream = _upstream(settings, source, scope, f"{place}upstream")
    own_ops = {name: own.op for name, own in settings.resources.items() if own.op is not None}
    try:
        assets = ingest_assets(
            source,
            pipeline,
            name=settings.name,
            translator=ComponentTranslator(settings, scope, place),
            resources=settings.resource_names,
            isolation=settings.isolation,
            partitions_def=partitions,
            on_empty=settings.on_empty,
            checks=checks_of(settings.checks, f"{place}checks"),
            nested={name: own.nested for name, own in settings.resources.items() if own.nested},
            preview_rows=settings.preview_rows,
            preview_masked=settings.preview_masked,
            progress=None if settings.progress == "none" else settings.progress,
            progress_seconds=settings.progress_seconds,
            upstream=upstream,
            op_overrides={name: _op_arguments(op) for name, op in own_ops.items()} | _bare(settings),
            **_op_arguments(settings.op),
        )
    except (UnknownResourceError, SourceNotEvaluatedError) as error:
        found = error if isinstance(error, UnknownResourceError) else error.__cause__
        if not isinstance(found, UnknownResourceError):
            raise
        raise _unknown_resource(found, settings, place) from None
    name = op_name(settings.name or source.name)
    schedule = _schedule(settings, name, context, f"{place}schedule")
    schedules: list[ScheduleDefinition] = []
    if schedule is not None:
        schedules = [
            build_ingest_schedule(
                assets,
                cron=schedule.cron,
                name=str(schedule.name),
                timezone=schedule.timezone,
                default_status=DefaultScheduleStatus.RUNNING if schedule.is_running else DefaultScheduleStatus.STOPPED,
            )
        ]
    return Definitions(
        assets=[*([upstream] if upstream else []), *assets],
        schedules=schedules,
        sensors=sensors_of(settings.sensors, assets, pipeline, context, name, f"{place}sensors"),
    )


def _bare(settings: TargetSettings) -> dict[str, dict[str, Any]]:
    """No overrides for the resources that have none, so that a name that is no resource is found."""
    return {name: {} for name, own in settings.resources.items() if own.op is None}


def _pipeline(settings: TargetSettings, source: Source, context: ComponentLoadContext, place: str) -> Pipeline:
    named = settings.pipeline or source.name
    if settings.pipeline is not None and (":" in settings.pipeline or "." in settings.pipeline):
        found = imported(settings.pipeline, context, f"{place}pipeline")
        if not isinstance(found, Pipeline):
            raise ComponentError(
                place=f"{place}pipeline",
                problem=f"it names a {type(found).__name__}, and should name a pipeline of dlt_orchestrate",
            )
        if twice := [name for name in ("destination", "dataset") if getattr(settings, name) is not None]:
            raise ComponentError(
                place=f"{place}{twice[0]}", problem=f"the pipeline {settings.pipeline!r} says that already. Leave it out"
            )
        return found
    if settings.destination is None:
        raise ComponentError(
            place=f"{place}destination",
            problem="it is missing. Give type and fields, such as {type: duckdb, path: data/raw.duckdb}",
        )
    scope = scope_of(context)
    return Pipeline(
        rendered(named, scope, f"{place}pipeline"),
        destination=_destination(settings.destination, context, f"{place}destination"),
        dataset_name=rendered(settings.dataset, scope, f"{place}dataset"),
    )


def _destination(settings: str | DestinationSettings, context: ComponentLoadContext, place: str) -> Any:
    scope = scope_of(context)
    if isinstance(settings, str):
        return rendered(settings, scope, place)
    given = settings.model_dump(exclude_unset=True, exclude={"type"})
    return LateDestination(
        settings.type, late(given, place, lambda text, at: rendered(text, scope, at)), context.project_root
    )


def _upstream(settings: TargetSettings, source: Source, scope: ResolutionContext, place: str) -> AssetSpec | None:
    """The system that is read, in the group of its assets unless it says otherwise."""
    if settings.upstream is False:
        return None
    own = settings.upstream.model_dump(exclude_none=True) if isinstance(settings.upstream, UpstreamSettings) else {}
    given = rendered(({"group_name": settings.group} if settings.group else {}) | own, scope, place)
    if "key" in given:
        given["key"] = AssetKey.from_user_string(given["key"])
    return build_source_spec(source, **given)


def _schedule(settings: TargetSettings, name: str, context: ComponentLoadContext, place: str) -> ScheduleSettings | None:
    if settings.schedule is None:
        return None
    told = ScheduleSettings(cron=settings.schedule) if isinstance(settings.schedule, str) else settings.schedule
    scope = scope_of(context)
    ready = ScheduleSettings(**rendered(told.model_dump(exclude_none=True), scope, place))
    return ready if ready.name else ready.model_copy(update={"name": f"{name}_schedule"})


def _op_arguments(op: OpSettings) -> dict[str, Any]:
    """What is said of an op, as `ingest_assets` takes it."""
    given = {
        "pool": op.pool,
        "retry_policy": _retry_policy(op.retry),
        "op_tags": op.tags,
        "backfill_policy": _backfill_policy(op.backfill_policy),
    }
    return {name: value for name, value in given.items() if value}


def _retry_policy(retry: RetrySettings | None) -> RetryPolicy | None:
    if retry is None:
        return None
    return RetryPolicy(
        max_retries=retry.max_retries,
        delay=retry.delay_seconds,
        backoff=Backoff[retry.backoff.upper()] if retry.backoff else None,
        jitter=Jitter[retry.jitter.upper()] if retry.jitter else None,
    )


def _backfill_policy(backfill: BackfillSettings | None) -> BackfillPolicy | None:
    if backfill is None:
        return None
    if backfill.type == "single_run":
        return BackfillPolicy.single_run()
    return BackfillPolicy.multi_run(backfill.max_partitions_per_run)


def _unknown_resource(error: UnknownResourceError, settings: TargetSettings, place: str) -> ComponentError:
    """Where in the file the resource is named that is none."""
    wrong = next(iter(error.asked))
    at = next(
        (key for key in ("resources", "select") if wrong in (getattr(settings, key) or ())),
        "isolation",
    )
    return ComponentError(
        place=f"{place}{at}.{wrong}" if at == "resources" else f"{place}{at}",
        problem=f"source {error.source!r} has no resource {wrong!r}. {meant(wrong, error.known)}",
    )
