"""Runs a resource again and again, carrying its state from run to run as committed loads do."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.extract.extraction import Extraction
from dlt_orchestrate.flow.page import Page


@dataclass
class Runs:
    """The runs of one resource; `state` is what the latest left, after a trip through JSON."""

    state: dict[str, Any] = field(default_factory=dict)
    source_state: dict[str, Any] = field(default_factory=dict)

    def pages(self, resource: Resource, **options: Any) -> list[Page]:
        self.latest = extraction(resource, self.state, self.source_state, **options)
        pages = list(self.latest)
        self.state = json.loads(json.dumps(self.latest.state_after))
        return pages

    def rows(self, resource: Resource, **options: Any) -> list[Any]:
        return [row for page in self.pages(resource, **options) for row in rows_of(page)]

    def cursor(self, path: str) -> dict[str, Any]:
        return self.state["incremental"][path]


def extraction(
    resource: Resource, state: dict[str, Any] | None = None, source_state: dict[str, Any] | None = None, **options: Any
) -> Extraction:
    return Extraction(
        resource,
        source_name="shop",
        resolver=Resolver.from_environment(environ={}),
        resource_state=state or {},
        source_state={} if source_state is None else source_state,
        **options,
    )


def rows_of(page: Page) -> list[Any]:
    return list(page.rows) if page.frame is None else page.frame.to_pylist()
