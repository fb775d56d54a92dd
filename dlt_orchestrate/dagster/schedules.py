"""Schedules: when assets are ingested."""

from collections.abc import Mapping

from dagster import DefaultScheduleStatus, ScheduleDefinition, define_asset_job

from dlt_orchestrate.dagster.selection import Assets, select


def build_ingest_schedule(
    assets: Assets,
    *,
    cron: str,
    name: str,
    timezone: str | None = None,
    default_status: DefaultScheduleStatus = DefaultScheduleStatus.STOPPED,
    tags: Mapping[str, str] | None = None,
) -> ScheduleDefinition:
    """A job that materializes `assets`, named `<name>_job`, and a schedule `name` that launches it.

    Args:
        assets: What `ingest_assets` returned, or any other selection of assets.
        cron: Five cron fields, or one of `@hourly`, `@daily`, `@weekly`, `@monthly`.
        timezone: Name of the time zone that `cron` speaks of, such as `Europe/Berlin`; None for UTC.
    """
    job = define_asset_job(f"{name}_job", selection=select(assets), tags=tags)
    return ScheduleDefinition(
        name=name, job=job, cron_schedule=cron, execution_timezone=timezone, default_status=default_status
    )
