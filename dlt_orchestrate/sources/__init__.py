"""Ready-made sources, and what sources are written with: `sources.incremental`, `sources.helpers`."""

from dlt_orchestrate.declare.incremental import Incremental

incremental = Incremental

__all__ = ["Incremental", "incremental"]
