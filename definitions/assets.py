"""The assets: one for each resource of the sources."""

from definitions.github import github, github_source
from definitions.organization import organization, organization_source
from dlt_orchestrate.dagster import ingest_assets

github_assets = ingest_assets(
    github_source,
    github,
    group_name="github",
    hints={"issues": {"freshness": {"fail": "6h", "warn": "2h"}}},  # the schedule loads them every hour
)

organization_assets = ingest_assets(organization_source, organization, group_name="organization")
