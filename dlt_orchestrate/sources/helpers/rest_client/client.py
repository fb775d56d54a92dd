"""The client and what it hands out."""

from __future__ import annotations

from dlt_orchestrate.http.client import Hooks as Hooks
from dlt_orchestrate.http.client import RESTClient as RESTClient
from dlt_orchestrate.http.guard import PageLimits as PageLimits
from dlt_orchestrate.http.hosts import RateLimit as RateLimit
from dlt_orchestrate.http.paging import PageData as PageData
from dlt_orchestrate.http.paging import PaginatorFactory as PaginatorFactory
