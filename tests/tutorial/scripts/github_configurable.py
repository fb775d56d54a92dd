"""Load any repository: its name comes from config.toml, the token from secrets.toml."""

import os

import dlt_orchestrate as dlt
from dlt_orchestrate.sources.helpers.rest_client import paginate
from dlt_orchestrate.sources.helpers.rest_client.auth import BearerTokenAuth

BASE_GITHUB_URL = os.environ["GITHUB_API"] + "/repos/{repo_name}"


def fetch_github_data(repo_name, endpoint, params={}, access_token=None):
    """Read an endpoint of a repository, page by page."""
    url = BASE_GITHUB_URL.format(repo_name=repo_name) + f"/{endpoint}"
    return paginate(
        url,
        params=params,
        auth=BearerTokenAuth(token=access_token) if access_token else None,
    )


@dlt.source
def github_source(
    repo_name: str = dlt.config.value,
    access_token: str = dlt.secrets.value,
):
    for endpoint in ["issues", "comments", "traffic/clones"]:
        params = {"per_page": 100}
        yield dlt.resource(
            fetch_github_data(repo_name, endpoint, params, access_token),
            name=endpoint,
            write_disposition="merge",
            primary_key="id",
        )


pipeline = dlt.pipeline(
    pipeline_name="github_with_source_secrets",
    destination="duckdb",
    dataset_name="github_data",
)
load_info = pipeline.run(github_source())

print(load_info)
