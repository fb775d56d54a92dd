"""The parts of a REST API's configuration, for annotations, under the names and where dlt has them."""

from __future__ import annotations

from dlt_orchestrate.sources.rest_api.models import ClientConfig as ClientConfig
from dlt_orchestrate.sources.rest_api.models import EndpointConfig as Endpoint
from dlt_orchestrate.sources.rest_api.models import IncrementalConfig as IncrementalConfig
from dlt_orchestrate.sources.rest_api.models import ResourceConfig as EndpointResource
from dlt_orchestrate.sources.rest_api.models import ResourceDefaults as EndpointResourceBase
from dlt_orchestrate.sources.rest_api.models import ResponseAction as ResponseAction
from dlt_orchestrate.sources.rest_api.models import RESTAPIConfig as RESTAPIConfig

__all__ = [
    "ClientConfig",
    "Endpoint",
    "EndpointResource",
    "EndpointResourceBase",
    "IncrementalConfig",
    "RESTAPIConfig",
    "ResponseAction",
]
