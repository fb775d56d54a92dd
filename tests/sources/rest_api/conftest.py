"""A loopback API whose answers a test writes as a function."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "http"))

from loopback import api, other_api

__all__ = ["api", "other_api"]
