"""The code location that Dagster loads: a repository and an organization of GitHub as assets in DuckDB, and a table."""

from dagster import Definitions, in_process_executor

from definitions.assets import github_api, github_assets, organization_assets
from definitions.github import github
from definitions.reports import contributors
from definitions.schedules import github_hourly
from definitions.sensors import github_issues_changed
from dlt_orchestrate.dagster import DatasetIOManager

defs = Definitions(
    assets=[github_api, *github_assets, *organization_assets, contributors],
    schedules=[github_hourly],
    sensors=[github_issues_changed],
    resources={"github_tables": DatasetIOManager(github)},
    executor=in_process_executor,  # a process for each of these small steps would cost more than the step
)
