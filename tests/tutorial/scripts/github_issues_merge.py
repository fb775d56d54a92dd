"""Merge the issues that were updated since the last run."""

import os

import dlt_orchestrate as dlt
from dlt_orchestrate.sources.helpers import requests


@dlt.resource(
    table_name="issues",
    write_disposition="merge",
    primary_key="id",
)
def get_issues(updated_at=dlt.sources.incremental("updated_at", initial_value="1970-01-01T00:00:00Z")):
    # The API filters by itself: it returns what was updated at `since` or later.
    url = (
        f"{os.environ['GITHUB_API']}/repos/acme/teahouse/issues"
        f"?since={updated_at.last_value}&per_page=100&sort=updated&direction=desc&state=open"
    )

    while True:
        response = requests.get(url)
        response.raise_for_status()
        yield response.json()

        if "next" not in response.links:
            break
        url = response.links["next"]["url"]


pipeline = dlt.pipeline(
    pipeline_name="github_issues_merge",
    destination="duckdb",
    dataset_name="github_data_merge",
)
load_info = pipeline.run(get_issues)
row_counts = pipeline.last_trace.last_normalize_info

print(row_counts)
print("------")
print(load_info)
