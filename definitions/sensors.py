"""When to load at once: as soon as the list of issues changes."""

import dlt_orchestrate as dlt
from definitions.assets import github_assets
from dlt_orchestrate.dagster import build_http_sensor


def newest_issue() -> str:
    """The address of the issue that changed last, as configured."""
    base_url, repo_name = dlt.config["sources.github.base_url"], dlt.config["sources.github.repo_name"]
    return f"{base_url}/repos/{repo_name}/issues?state=all&sort=updated&per_page=1"


github_issues_changed = build_http_sensor(newest_issue, github_assets, name="github_issues_changed")
