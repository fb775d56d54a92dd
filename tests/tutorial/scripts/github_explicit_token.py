"""Load an endpoint that asks for a token; the token is an argument of the source."""

import os

import dlt_orchestrate as dlt
from dlt_orchestrate.sources.helpers.rest_client import paginate
from dlt_orchestrate.sources.helpers.rest_client.auth import BearerTokenAuth

BASE_GITHUB_URL = f"{os.environ['GITHUB_API']}/repos/acme/teahouse"


def fetch_github_data(endpoint, params={}, access_token=None):
    url = f"{BASE_GITHUB_URL}/{endpoint}"
    return paginate(
        url,
        params=params,
        auth=BearerTokenAuth(token=access_token) if access_token else None,
    )


@dlt.source
def github_source(access_token):
    for endpoint in ["issues", "comments", "traffic/clones"]:
        params = {"per_page": 100}
        yield dlt.resource(
            fetch_github_data(endpoint, params, access_token),
            name=endpoint,
            write_disposition="merge",
            primary_key="id",
        )


pipeline = dlt.pipeline(
    pipeline_name="github_with_source_secrets",
    destination="duckdb",
    dataset_name="github_data",
)
load_info = pipeline.run(github_source(access_token="sample-token"))

print(load_info)
