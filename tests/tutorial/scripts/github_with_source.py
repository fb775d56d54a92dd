"""Load issues and comments together: two resources of one source."""

import os

import dlt_orchestrate as dlt
from dlt_orchestrate.sources.helpers.rest_client import paginate

BASE_GITHUB_URL = f"{os.environ['GITHUB_API']}/repos/acme/teahouse"


@dlt.resource(
    table_name="issues",
    write_disposition="merge",
    primary_key="id",
)
def get_issues(updated_at=dlt.sources.incremental("updated_at", initial_value="1970-01-01T00:00:00Z")):
    for page in paginate(
        f"{BASE_GITHUB_URL}/issues",
        params={
            "since": updated_at.last_value,
            "per_page": 100,
            "sort": "updated",
            "direction": "desc",
            "state": "open",
        },
    ):
        yield page


@dlt.resource(
    table_name="comments",
    write_disposition="merge",
    primary_key="id",
)
def get_comments(updated_at=dlt.sources.incremental("updated_at", initial_value="1970-01-01T00:00:00Z")):
    for page in paginate(
        f"{BASE_GITHUB_URL}/comments",
        params={
            "since": updated_at.last_value,
            "per_page": 100,
        },
    ):
        yield page


@dlt.source
def github_source():
    return [get_issues, get_comments]


pipeline = dlt.pipeline(
    pipeline_name="github_with_source",
    destination="duckdb",
    dataset_name="github_data",
)

load_info = pipeline.run(github_source())
print(pipeline.last_trace.last_normalize_info)
print("------")
print(load_info)
