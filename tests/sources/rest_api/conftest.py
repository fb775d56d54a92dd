"""A loopback API whose answers a test writes as a function."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "http"))

from loopback import Api


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    yield server
    server.close()


@pytest.fixture
def other_api() -> Iterator[Api]:
    """A second origin."""
    server = Api()
    yield server
    server.close()
