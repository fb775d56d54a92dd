"""A client for REST APIs: pages, credentials, records."""

from __future__ import annotations

from dlt_orchestrate.http.client import RESTClient as RESTClient
from dlt_orchestrate.http.client import paginate as paginate
from dlt_orchestrate.http.hosts import RateLimit as RateLimit
