"""Load the first page of a repository's issues; run again, it appends a second copy."""

import os

import dlt_orchestrate as dlt
from dlt_orchestrate.sources.helpers import requests

url = f"{os.environ['GITHUB_API']}/repos/acme/teahouse/issues"
response = requests.get(url)
response.raise_for_status()

pipeline = dlt.pipeline(
    pipeline_name="github_issues",
    destination="duckdb",
    dataset_name="github_data",
)
load_info = pipeline.run(response.json(), table_name="issues")

print(load_info)
