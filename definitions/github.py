"""The source: issues, comments and traffic of one GitHub repository."""

from collections.abc import Iterator
from typing import Any

import dlt_orchestrate as dlt
from dlt_orchestrate.sources.helpers.rest_client import RESTClient
from dlt_orchestrate.sources.helpers.rest_client.auth import BearerTokenAuth

Records = Iterator[list[dict[str, Any]]]
LONG_AGO = "1970-01-01T00:00:00Z"


@dlt.source(name="github")
def github_source(
    repo_name: str = dlt.config.value,
    access_token: str | None = dlt.secrets.value,
    base_url: str = "https://api.github.com",
) -> Any:
    """One repository. Public repositories need no token, except for their traffic."""
    client = RESTClient(
        base_url=f"{base_url}/repos/{repo_name}",
        auth=BearerTokenAuth(access_token) if access_token else None,
    )

    @dlt.resource(write_disposition="merge", primary_key="id")
    def issues(updated_at: Any = dlt.sources.incremental("updated_at", initial_value=LONG_AGO)) -> Records:
        """Issues and pull requests that changed since the last load."""
        params = {"state": "all", "since": updated_at.last_value, "per_page": 100}
        yield from client.paginate("issues", params=params)

    @dlt.resource(write_disposition="merge", primary_key="id")
    def comments(updated_at: Any = dlt.sources.incremental("updated_at", initial_value=LONG_AGO)) -> Records:
        """Comments on commits that changed since the last load."""
        yield from client.paginate("comments", params={"since": updated_at.last_value, "per_page": 100})

    @dlt.resource(name="traffic/clones", write_disposition="merge", primary_key="timestamp")
    def clones(access_token: str = access_token or dlt.secrets.value) -> Records:
        """Clones of the last 14 days, one row a day. GitHub shows them to owners only, so here a token is required."""
        auth = BearerTokenAuth(access_token)
        yield from client.paginate("traffic/clones", auth=auth, data_selector="clones")

    return [issues, comments, clones]


github = dlt.pipeline("github", destination="duckdb", dataset_name="github_data")
