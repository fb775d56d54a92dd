"""When to load in any case: every hour."""

from definitions.assets import github_assets
from dlt_orchestrate.dagster import build_ingest_schedule

github_hourly = build_ingest_schedule(github_assets, cron="0 * * * *", name="github_hourly")
