"""Ready-made sources, and what sources are written with: `sources.incremental`, `sources.helpers`."""

from typing import Any

from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource as DltResource
from dlt_orchestrate.declare.source import Source as DltSource

incremental = Incremental

TDataItem = Any
"""One record, or whatever a resource yields; sources that were written for dlt annotate with it."""
TDataItems = Any
"""The same, or a page of them."""

__all__ = ["DltResource", "DltSource", "Incremental", "TDataItem", "TDataItems", "incremental"]
