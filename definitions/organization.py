"""A REST API by declaration: what `organization.yaml` says becomes a source."""

from pathlib import Path

import dlt_orchestrate as dlt
from dlt_orchestrate.sources.rest_api import rest_api_source

organization_source = rest_api_source(Path(__file__).with_suffix(".yaml"), name="organization")

organization = dlt.pipeline("organization", destination="duckdb", dataset_name="organization_data")
