"""A GitHub-shaped REST API on loopback, with invented records: for tests, demos and offline work."""

from dlt_orchestrate.testing.sample_api.server import SampleApi, ServedRequest

__all__ = ["SampleApi", "ServedRequest"]
