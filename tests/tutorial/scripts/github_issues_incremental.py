"""Append the issues that were created since the last run, newest first, and stop at the first old one."""

import os

import dlt_orchestrate as dlt
from dlt_orchestrate.sources.helpers import requests


@dlt.resource(table_name="issues", write_disposition="append")
def get_issues(created_at=dlt.sources.incremental("created_at", initial_value="1970-01-01T00:00:00Z")):
    url = f"{os.environ['GITHUB_API']}/repos/acme/teahouse/issues?per_page=100&sort=created&direction=desc&state=open"

    while True:
        response = requests.get(url)
        response.raise_for_status()
        yield response.json()

        # Issues come newest first: once one is older than the cursor, all that follow are.
        if created_at.start_out_of_range:
            break

        if "next" not in response.links:
            break
        url = response.links["next"]["url"]


pipeline = dlt.pipeline(
    pipeline_name="github_issues_incremental",
    destination="duckdb",
    dataset_name="github_data_append",
)
load_info = pipeline.run(get_issues)
row_counts = pipeline.last_trace.last_normalize_info

print(row_counts)
print("------")
print(load_info)
