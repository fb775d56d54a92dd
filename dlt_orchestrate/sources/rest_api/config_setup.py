"""Classes of your own for the `type` of paginators and credentials, where dlt has the functions for it."""

from __future__ import annotations

from dlt_orchestrate.sources.rest_api.schemes import register_auth as register_auth
from dlt_orchestrate.sources.rest_api.schemes import register_paginator as register_paginator
