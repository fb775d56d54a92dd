"""The code location that Dagster loads: GitHub, a folder of files and a shop's database as assets, and a table of ours."""

from dagster import Definitions, in_process_executor

from definitions.assets import github_api, github_assets, organization_assets
from definitions.github import github
from definitions.inbox import inbox_assets, inbox_files
from definitions.reports import contributors
from definitions.schedules import github_hourly
from definitions.sensors import github_issues_changed
from definitions.shop import shop_assets
from dlt_orchestrate.dagster import DatasetIOManager

defs = Definitions(
    assets=[github_api, *github_assets, *organization_assets, contributors, *inbox_assets, *shop_assets],
    schedules=[github_hourly],
    sensors=[github_issues_changed, inbox_files],
    resources={"github_tables": DatasetIOManager(github)},
    executor=in_process_executor,  # a process for each of these small steps would cost more than the step
)
