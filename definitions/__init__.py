"""The code location that Dagster loads: a GitHub repository as assets in DuckDB."""

from dagster import Definitions, in_process_executor

from definitions.assets import github_assets
from definitions.schedules import github_hourly
from definitions.sensors import github_issues_changed

defs = Definitions(
    assets=github_assets,
    schedules=[github_hourly],
    sensors=[github_issues_changed],
    executor=in_process_executor,  # a process for each of these small steps would cost more than the step
)
