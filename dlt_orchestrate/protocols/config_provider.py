"""A configuration provider: a place that holds values, such as a vault."""

from __future__ import annotations

from dlt_orchestrate.config.keys import Key
from dlt_orchestrate.config.providers import ConfigProvider

__all__ = ["ConfigProvider", "Key"]
