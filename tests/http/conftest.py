"""Loopback APIs, and a session that waits on a fake clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hostile import HostileServer
from loopback import FakeClock, api, other_api

from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import Session

__all__ = ["api", "other_api"]  # fixtures


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def session(clock: FakeClock) -> Iterator[Session]:
    """A session that waits on the fake clock, as long as its back-off allows at most."""
    with Session(retry=RetryPolicy(draw=lambda: 1.0), request_timeout=5, clock=clock) as session:
        yield session


@pytest.fixture
def hostile() -> Iterator[HostileServer]:
    """A server that breaks the rules."""
    server = HostileServer()
    yield server
    server.close()
