"""A commit whose connection breaks at COMMIT is all there or not there, and the load that made it is told which."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cut_proxy import CutProxy, cut_proxy
from postgres_server import clean_database, execute, rows

from dlt_orchestrate import destinations
from dlt_orchestrate.destinations.postgresql.destination import Postgres
from dlt_orchestrate.errors import CommitLostError, CommitOutcomeUnknownError, DestinationUnavailableError
from dlt_orchestrate.testing.packages import DATASET, package, resource_load


class Clock:
    """A clock that passes only while somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def url() -> Iterator[str]:
    with clean_database() as found:
        destinations.postgres(found).commit(package(resource_load("r", [{"id": 1}])))
        yield found


@pytest.fixture
def proxy(url: str) -> Iterator[CutProxy]:
    with cut_proxy(url) as found:
        yield found


def loads(url: str) -> list[tuple[object, ...]]:
    return rows(
        url,
        f"SELECT r.id, l.load_id FROM {DATASET}.r r JOIN {DATASET}._dlt_loads l ON l.load_id = r._dlt_load_id ORDER BY 1",
    )


def test_a_commit_that_the_server_has_carried_out_is_reported_as_done(url: str, proxy: CutProxy) -> None:
    destination = destinations.postgres(proxy.url)
    proxy.cut = "after"

    result = destination.commit(package(resource_load("r", [{"id": 2}], based_on=1)))

    assert proxy.cuts == 1
    assert [number for number, _ in loads(url)] == [1, 2]
    assert loads(url)[1] == (2, result.load_id)
    assert (result.tables["r"].inserted, result.tables["r"].total) == (1, 2)


def test_a_commit_that_never_reached_the_server_is_told_as_not_made(url: str, proxy: CutProxy) -> None:
    destination = destinations.postgres(proxy.url)
    late = package(resource_load("r", [{"id": 2}], based_on=1))
    proxy.cut = "before"

    with pytest.raises(CommitLostError, match=r"has no such load\. Nothing was changed\. Run again") as caught:
        destination.commit(late)

    assert caught.value.load_id == late.load_id
    assert [number for number, _ in loads(url)] == [1]
    destination.commit(late)
    assert [number for number, _ in loads(url)] == [1, 2]


def test_the_load_is_asked_for_once_the_broken_session_has_ended(url: str, proxy: CutProxy) -> None:
    """A constraint that is checked at COMMIT keeps the server at it after its client has gone."""
    waits = "'BEGIN PERFORM pg_sleep(1); RETURN NULL; END'"
    execute(url, f"CREATE FUNCTION {DATASET}.slow() RETURNS trigger LANGUAGE plpgsql AS {waits}")
    execute(
        url,
        f"CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {DATASET}.r DEFERRABLE INITIALLY DEFERRED "
        f"FOR EACH ROW EXECUTE FUNCTION {DATASET}.slow()",
    )
    proxy.cut = "after"

    destinations.postgres(proxy.url).commit(package(resource_load("r", [{"id": 2}], based_on=1)))

    assert [number for number, _ in loads(url)] == [1, 2]


def test_an_outcome_that_nobody_can_tell_is_said_to_be_unknown(url: str, proxy: CutProxy) -> None:
    clock = Clock()
    destination = Postgres(proxy.url, clock=clock)
    proxy.cut, proxy.refuses = "after", True

    with pytest.raises(CommitOutcomeUnknownError, match="for 60 s the destination could not be asked") as caught:
        destination.commit(package(resource_load("r", [{"id": 2}], based_on=1)))

    assert isinstance(caught.value.__cause__, DestinationUnavailableError)
    assert clock.seconds == 60.0
