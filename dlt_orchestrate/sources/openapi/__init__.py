"""A first configuration of a REST API, drafted from its OpenAPI document: what is known, guessed, and missing."""

from __future__ import annotations

from dlt_orchestrate.sources.openapi.document import Document as Document
from dlt_orchestrate.sources.openapi.document import read_document as read_document
from dlt_orchestrate.sources.openapi.draft import Draft as Draft
from dlt_orchestrate.sources.openapi.draft import draft_from as draft_from
