"""The assets: one for each resource of the sources, below the system that they read."""

from definitions.github import github, github_source
from definitions.organization import organization, organization_source
from dlt_orchestrate.dagster import build_source_spec, ingest_assets

github_api = build_source_spec(github_source, group_name="github", kinds={"github"}, url="https://docs.github.com/rest")

github_assets = ingest_assets(
    github_source,
    github,
    group_name="github",
    upstream=github_api,
    checks=["schema_contract", "primary_key_unique", "row_count_anomaly"],
    hints={"issues": {"freshness": {"fail": "6h", "warn": "2h"}}},  # the schedule loads them every hour
)

organization_assets = ingest_assets(organization_source, organization, group_name="organization", upstream=github_api)
