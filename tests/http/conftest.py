"""Loopback APIs, and a session that waits on a fake clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hostile import HostileServer
from loopback import Api, FakeClock

from dlt_orchestrate.http.retry import RetryPolicy
from dlt_orchestrate.http.session import Session


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
