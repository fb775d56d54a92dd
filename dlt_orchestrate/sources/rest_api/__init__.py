"""REST APIs by declaration: a configuration of client, endpoints and relations becomes a source.

from dlt_orchestrate.sources.rest_api import rest_api_source

source = rest_api_source({"client": {"base_url": "https://api.example"}, "resources": ["posts"]})
"""

from __future__ import annotations

from dlt_orchestrate.errors import RestApiConfigError as RestApiConfigError
from dlt_orchestrate.sources.rest_api.models import RESTAPIConfig as RESTAPIConfig
from dlt_orchestrate.sources.rest_api.schemes import register_auth as register_auth
from dlt_orchestrate.sources.rest_api.schemes import register_paginator as register_paginator
from dlt_orchestrate.sources.rest_api.source import rest_api_resources as rest_api_resources
from dlt_orchestrate.sources.rest_api.source import rest_api_source as rest_api_source
