"""The failure sensor: what failed in a run, told by resource and phase."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dagster import (
    AssetsDefinition,
    AssetSelection,
    DagsterEvent,
    DefaultSensorStatus,
    RepositoryDefinition,
    RunFailureSensorContext,
    SensorDefinition,
    SkipReason,
    run_failure_sensor,
)

from dlt_orchestrate.config.redaction import redact
from dlt_orchestrate.dagster.naming import RESOURCE
from dlt_orchestrate.dagster.selection import Assets, select
from dlt_orchestrate.dagster.ticks import assets_of
from dlt_orchestrate.dataclass import dataclass


@dataclass(frozen=True)
class IngestFailure:
    """What failed in one step of a run.

    Attributes:
        step: The step's key; "" if the run died without saying in which step.
        pipeline: "" if the step died before it could tell.
        resources: The resources that failed.
        phase: `evaluate`, `sync`, `extract`, `normalize` or `load`; `step` or `run` if it died before it could tell.
        error: Name of the exception's class.
        retryable: Whether the same run may succeed; False where code or configuration must change first.
        message: What the step says, without secrets.
        missing: The values that the configuration lacks.
    """

    run_id: str
    job_name: str
    step: str
    pipeline: str
    resources: tuple[str, ...]
    phase: str
    error: str
    retryable: bool
    message: str
    missing: tuple[str, ...] = ()
    partition_key: str | None = None

    @property
    def resource(self) -> str:
        """The resources that failed, as one text."""
        return ", ".join(self.resources)


def build_ingest_failure_sensor(
    handler: Callable[[IngestFailure], object],
    assets: Assets | None = None,
    *,
    name: str,
    minimum_interval_seconds: int = 30,
    default_status: DefaultSensorStatus = DefaultSensorStatus.STOPPED,
    description: str | None = None,
) -> SensorDefinition:
    """A sensor that calls `handler` for each step of a failed run that ingests, once for each.

    Failures from before it was turned on are not told. If `handler` raises, the tick shows the error when all failures of
    the run are told, and goes on with the next run.

    Args:
        handler: Such as a function that sends a message.
        assets: Only failures of these; all that were made with this package if not given.
    """

    @run_failure_sensor(
        name=name,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=description or "Tells what failed when a run that ingests has failed.",
    )
    def failed(context: RunFailureSensorContext) -> SkipReason | None:
        failures = list(failures_of(context, assets))
        errors = [error for failure in failures if (error := _raised_by(handler, failure)) is not None]
        if errors:
            raise errors[0]
        return None if failures else SkipReason("Nothing that ingests has failed in this run.")

    return failed


def _raised_by(handler: Callable[[IngestFailure], object], failure: IngestFailure) -> Exception | None:
    """What the handler raises: kept, so that it is told of the further failures of the run, too."""
    try:
        handler(failure)
    except Exception as error:  # noqa: BLE001 - raised when all are told
        return error
    return None


def failures_of(context: RunFailureSensorContext, assets: Assets | None = None) -> Iterator[IngestFailure]:
    """What failed in a run, step by step; nothing if none of the failed steps ingests."""
    repository = context.repository_def
    if repository is None:
        return
    run, of_op = context.dagster_run, _resources_by_op(repository, assets)
    common: dict[str, Any] = {"run_id": run.run_id, "job_name": run.job_name, "partition_key": context.partition_key}
    events = context.get_step_failure_events()
    for event in events:
        op = (event.step_key or "").partition("[")[0]
        if op in of_op and (found := _of_step(event, of_op[op], common)) is not None:
            yield found
    chosen = assets_of(run, repository)
    died = [name for by_key in of_op.values() for key, name in by_key.items() if key in {str(one) for one in chosen}]
    if not events and died:
        yield IngestFailure(
            **common,
            step="",
            pipeline="",
            resources=tuple(died),
            phase="run",
            error="RunFailure",
            retryable=True,
            message=redact(context.failure_event.message or "The run failed, and no step said why."),
        )


def _of_step(event: DagsterEvent, of_op: Mapping[str, str], common: Mapping[str, Any]) -> IngestFailure | None:
    """The failure of a step; None if it is about other resources."""
    details = event.step_failure_data
    told = details.user_failure_data
    facts = {name: entry.value for name, entry in told.metadata.items()} if told else {}
    if "phase" not in facts:
        return IngestFailure(
            **common,
            step=event.step_key or "",
            pipeline="",
            resources=tuple(of_op.values()),
            phase="step",
            error=details.error.cls_name or "" if details.error else "",
            retryable=True,
            message=redact(event.message or ""),
        )
    resources = tuple(str(facts.get("resource", "")).split(", "))
    if not set(resources) & set(of_op.values()):
        return None
    return IngestFailure(
        **common,
        step=event.step_key or "",
        pipeline=str(facts.get("pipeline", "")),
        resources=resources,
        phase=str(facts["phase"]),
        error=str(facts.get("error", "")),
        retryable=bool(facts.get("retryable", True)),
        message=(told.description if told else None) or event.message or "",
        missing=tuple(str(facts["missing"]).split(", ")) if "missing" in facts else (),
    )


def _resources_by_op(repository: RepositoryDefinition, assets: Assets | None) -> dict[str, dict[str, str]]:
    """The resources that are loaded by each op, by the key of their asset."""
    selection = AssetSelection.all() if assets is None else select(assets)
    wanted = selection.resolve(repository.asset_graph)
    definitions: set[AssetsDefinition] = set(repository.assets_defs_by_key.values())
    found: dict[str, dict[str, str]] = {}
    for definition in definitions:
        of_op = {str(s.key): s.metadata[RESOURCE] for s in definition.specs if s.key in wanted and RESOURCE in s.metadata}
        if of_op:
            found.setdefault(definition.node_def.name, {}).update(of_op)
    return found
