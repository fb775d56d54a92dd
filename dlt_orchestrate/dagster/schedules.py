"""Schedules: when assets are ingested."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import product

from dagster import (
    AssetsDefinition,
    DagsterInstance,
    DefaultScheduleStatus,
    DynamicPartitionsDefinition,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    PartitionsDefinition,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    TimeWindowPartitionsDefinition,
    define_asset_job,
    partition_loading_context,
)

from dlt_orchestrate.config.time_zones import expect_time_zone
from dlt_orchestrate.dagster.selection import Assets, select
from dlt_orchestrate.errors import DeclarationError


def build_ingest_schedule(
    assets: Assets,
    *,
    name: str,
    cron: str | None = None,
    timezone: str | None = None,
    partitions_def: PartitionsDefinition | None = None,
    lookback: int = 0,
    default_status: DefaultScheduleStatus = DefaultScheduleStatus.STOPPED,
    tags: Mapping[str, str] | None = None,
    description: str | None = None,
) -> ScheduleDefinition:
    """A job that materializes `assets`, named `<name>_job`, and a schedule `name` that launches it.

    Partitioned assets get a run for each partition: of windows of time, the one that has ended last when the tick is due
    (`end_offset` of the partitions moves that on); of other partitions, all that exist at the tick; of several dimensions,
    all keys of the others within the window that has ended.

    Args:
        assets: What `ingest_assets` returned, or any other selection of assets.
        cron: Five cron fields, or one of `@hourly`, `@daily`, `@weekly`, `@monthly`. Without it, assets that are
            partitioned by time are loaded at the end of each window.
        timezone: Name of the time zone that `cron` speaks of, such as `Europe/Berlin`; by default that of the partitions,
            or UTC.
        partitions_def: Only needed if `assets` are keys or a selection, which do not tell their partitions.
        lookback: How many windows before the last one are loaded again at each tick, for records that come late.

    Raises:
        DeclarationError: There is no such time zone, there is no `cron` and no window of time that would give one,
            `lookback` has no windows to look back on, or the assets have different partitions.
    """
    if timezone is not None:
        try:
            expect_time_zone(timezone)
        except ValueError as error:
            raise DeclarationError(f"Schedule {name!r}: {error}") from None
    partitions = partitions_def or _common_partitions(assets, schedule=name)
    windows = _windows_of(partitions)
    if cron is None and windows is None:
        raise DeclarationError(
            f"Schedule {name!r}: its assets are not partitioned by time, so nothing tells when to load. Give cron=..., "
            "such as '0 * * * *'."
        )
    if lookback < 0 or (lookback and windows is None):
        raise DeclarationError(
            f"Schedule {name!r}: lookback={lookback} counts windows of time that are loaded again; "
            f"{'it cannot be negative' if windows else 'these assets have none'}."
        )
    job = define_asset_job(f"{name}_job", selection=select(assets), tags=tags, partitions_def=partitions_def)
    cron_schedule = cron or (windows.get_cron_schedule() if windows else "")
    execution_timezone = timezone or (windows.timezone if windows else None)
    description = description or f"Launches {job.name}{_what_is_due(partitions, windows, lookback)}."
    if partitions is None:
        return ScheduleDefinition(
            name=name,
            job=job,
            cron_schedule=cron_schedule,
            execution_timezone=execution_timezone,
            default_status=default_status,
            description=description,
        )

    def launch(context: ScheduleEvaluationContext) -> Iterator[RunRequest | SkipReason]:
        due = context.scheduled_execution_time
        instance = context.instance if _has_dynamic(partitions) else None
        keys = list(_due_partitions(partitions, due, lookback=lookback, instance=instance))
        if not keys:
            yield SkipReason("No partition is due: no window has ended yet, or there are no keys.")
        # The tick is a part of the key: a partition that is loaded again is another run, and the same tick is the same.
        for key in keys:
            yield RunRequest(run_key=f"{due.isoformat()}|{key}", partition_key=key)

    return ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron_schedule,
        execution_timezone=execution_timezone,
        default_status=default_status,
        description=description,
        execution_fn=launch,
    )


def _common_partitions(assets: Assets, *, schedule: str) -> PartitionsDefinition | None:
    """The partitions of the assets, as far as these tell; None if they have none."""
    definitions = [] if isinstance(assets, str) or not isinstance(assets, Sequence) else assets
    found = [spec.partitions_def for one in definitions if isinstance(one, AssetsDefinition) for spec in one.specs]
    partitions = [definition for definition in found if definition is not None]
    if any(definition != partitions[0] for definition in partitions):
        raise DeclarationError(
            f"Schedule {schedule!r}: its assets have different partitions, and a run is about one. Make one for each."
        )
    return partitions[0] if partitions else None


def _windows_of(partitions: PartitionsDefinition | None) -> TimeWindowPartitionsDefinition | None:
    """The windows of time among the partitions' dimensions."""
    if isinstance(partitions, MultiPartitionsDefinition):
        dimensions = [dimension.partitions_def for dimension in partitions.partitions_defs]
        return next((part for part in dimensions if isinstance(part, TimeWindowPartitionsDefinition)), None)
    return partitions if isinstance(partitions, TimeWindowPartitionsDefinition) else None


def _what_is_due(
    partitions: PartitionsDefinition | None, windows: TimeWindowPartitionsDefinition | None, lookback: int
) -> str:
    """What a tick loads, in words."""
    if partitions is None:
        return ""
    if windows is None:
        return " for each partition"
    further = f" and for {lookback} before it" if lookback else ""
    return f" for the window that has ended{further}"


def _has_dynamic(partitions: PartitionsDefinition) -> bool:
    """Whether keys are kept by the instance."""
    if isinstance(partitions, MultiPartitionsDefinition):
        return any(_has_dynamic(dimension.partitions_def) for dimension in partitions.partitions_defs)
    return isinstance(partitions, DynamicPartitionsDefinition)


def _due_partitions(
    partitions: PartitionsDefinition, due: datetime, *, lookback: int, instance: DagsterInstance | None
) -> Iterator[str]:
    """The keys of the partitions that a tick loads, older windows first."""
    with partition_loading_context(effective_dt=due, dynamic_partitions_store=instance):
        if not isinstance(partitions, MultiPartitionsDefinition):
            yield from _due_keys(partitions, lookback)
            return
        dimensions = [(part.name, _due_keys(part.partitions_def, lookback)) for part in partitions.partitions_defs]
        names = [name for name, _ in dimensions]
        for keys in product(*(keys for _, keys in dimensions)):
            yield MultiPartitionKey(dict(zip(names, keys, strict=True)))


def _due_keys(partitions: PartitionsDefinition, lookback: int) -> list[str]:
    if not isinstance(partitions, TimeWindowPartitionsDefinition):
        return list(partitions.get_partition_keys())
    last = partitions.get_last_partition_window()
    keys: list[str] = []
    while last is not None and len(keys) <= lookback:
        keys.append(partitions.get_partition_key_for_timestamp(last.start.timestamp()))
        last = partitions.get_prev_partition_window(last.start)
    return keys[::-1]
