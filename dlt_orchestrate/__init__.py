"""Ingest data with Dagster: every source resource is an asset, every load one transaction.

import dlt_orchestrate as dlt

pipeline = dlt.pipeline(pipeline_name="quick_start", destination="duckdb", dataset_name="mydata")
print(pipeline.run([{"id": 1, "name": "Alice"}, {"id": 2, "name": "Bob"}], table_name="users"))

This module only re-exports, and imports what is asked for when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Two rooms bear the names of two things users ask for. Imported first, they cannot take these names away later.
import dlt_orchestrate.config
import dlt_orchestrate.pipeline  # noqa: F401
from dlt_orchestrate.version import __version__

del config, pipeline  # noqa: F821 - bound by the imports above

if TYPE_CHECKING:
    from dlt_orchestrate import destinations, sources
    from dlt_orchestrate.config.values import config, secrets
    from dlt_orchestrate.declare import current, mark
    from dlt_orchestrate.declare.incremental import Incremental
    from dlt_orchestrate.declare.resource import Resource, resource
    from dlt_orchestrate.declare.source import Source, source
    from dlt_orchestrate.declare.transformer import transformer
    from dlt_orchestrate.declare.workers import defer
    from dlt_orchestrate.pipeline.info import LoadInfo
    from dlt_orchestrate.pipeline.pipeline import Pipeline, attach, pipeline, run
    from dlt_orchestrate.schema.document import Schema

_HOMES = {
    "Incremental": "declare.incremental",
    "LoadInfo": "pipeline.info",
    "Pipeline": "pipeline.pipeline",
    "Resource": "declare.resource",
    "Schema": "schema.document",
    "Source": "declare.source",
    "attach": "pipeline.pipeline",
    "config": "config.values",
    "current": "declare",
    "defer": "declare.workers",
    "destinations": "",
    "mark": "declare",
    "pipeline": "pipeline.pipeline",
    "resource": "declare.resource",
    "run": "pipeline.pipeline",
    "secrets": "config.values",
    "source": "declare.source",
    "sources": "",
    "transformer": "declare.transformer",
}

__all__ = [
    "Incremental",
    "LoadInfo",
    "Pipeline",
    "Resource",
    "Schema",
    "Source",
    "__version__",
    "attach",
    "config",
    "current",
    "defer",
    "destinations",
    "mark",
    "pipeline",
    "resource",
    "run",
    "secrets",
    "source",
    "sources",
    "transformer",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = f"{__name__}.{_HOMES[name]}".rstrip(".")
    found = _member(home, name)
    globals()[name] = found
    return found


def _member(home: str, name: str) -> Any:
    """A name of a module, or a module of a package."""
    if home == __name__ or name in ("current", "mark"):
        return importlib.import_module(f"{home}.{name}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
