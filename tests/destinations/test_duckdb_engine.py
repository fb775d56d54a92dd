"""Steps of one process share an engine of DuckDB, and the file stays free for others between commits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from dlt_orchestrate import destinations
from dlt_orchestrate.destinations.duckdb_file.destination import DuckDB
from dlt_orchestrate.destinations.duckdb_file.engine import kept_engine
from dlt_orchestrate.errors import DestinationLockedError
from dlt_orchestrate.flow.snapshot import Scope
from dlt_orchestrate.protocols.clock import SystemClock
from dlt_orchestrate.state.commits import UnitKey
from dlt_orchestrate.testing.packages import DATASET, PIPELINE, SOURCE, package, resource_load

ORDERS = f"SELECT id FROM {DATASET}.orders ORDER BY id"


def loaded(destination: DuckDB, *numbers: int) -> None:
    """Commit orders of these numbers, on what is there."""
    done = destination.read_state(Scope(PIPELINE, DATASET)).commit_number(UnitKey(PIPELINE, SOURCE, "orders"))
    destination.commit(package(resource_load("orders", [{"id": number} for number in numbers], based_on=done)))


def test_another_process_may_write_between_two_commits(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    destination = destinations.duckdb(path).for_many_runs()
    loaded(destination, 1)

    other = f"import duckdb; duckdb.connect({str(path)!r}).execute('CREATE TABLE of_others AS SELECT 7 AS n')"
    subprocess.run([sys.executable, "-c", other], check=True, timeout=60)
    loaded(destination, 2)

    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute(ORDERS).fetchall() == [(1,), (2,)]
        assert connection.execute("FROM of_others").fetchall() == [(7,)]
    assert not path.with_name("shop.duckdb.wal").exists()


def test_a_file_that_the_process_has_open_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as mine:
        loaded(destinations.duckdb(path).for_many_runs(), 1, 2)
        assert mine.execute(ORDERS).fetchall() == [(1,), (2,)]


@pytest.mark.parametrize("name", ["shop.duckdb", "my.shop.duckdb", "it's.duckdb", "memory.duckdb", "shop"])
def test_the_file_is_called_the_same_as_where_it_is_opened_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    destination = destinations.duckdb(path).for_many_runs()
    loaded(destination, 1)

    with duckdb.connect(str(path)) as connection:
        own = connection.execute("SELECT current_database()").fetchall()
        connection.execute(f'CREATE VIEW "{DATASET}".own AS FROM "{own[0][0]}"."{DATASET}".orders')
    with destination._file.turn_to_read() as connection:
        assert connection.execute("SELECT current_database()").fetchall() == own
        assert connection.execute(f"SELECT id FROM {DATASET}.own").fetchall() == [(1,)]


class Waiting(SystemClock):
    """A clock on which nothing is waited for: something is done instead."""

    def __init__(self, *instead) -> None:
        self._instead = list(instead)
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        if self._instead:
            self._instead.pop(0)()


def test_who_reads_waits_until_a_commit_of_the_same_process_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    loaded(destinations.duckdb(path), 1)
    _, detach = kept_engine(path).attach()
    clock = Waiting(detach)

    with DuckDB(path, clock=clock).reader(DATASET) as reader:
        assert reader.query("SELECT id FROM orders").to_pylist() == [{"id": 1}]
    assert clock.seconds > 0


def test_a_wait_that_takes_too_long_names_who_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    loaded(destinations.duckdb(path), 1)
    _, detach = kept_engine(path).attach()

    with pytest.raises(DestinationLockedError, match="another thread of this process"):
        DuckDB(path, clock=Waiting(), lock_timeout_seconds=3).read_state(Scope(PIPELINE, DATASET))
    detach()


def test_temporary_tables_of_a_commit_are_gone_with_it(tmp_path: Path) -> None:
    destination = destinations.duckdb(tmp_path / "shop.duckdb").for_many_runs()
    with destination._file.turn_to_write() as connection:
        connection.execute("CREATE TEMP TABLE staged_1 AS SELECT 1 AS n")
    with destination._file.turn_to_write() as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_tables() WHERE temporary").fetchall() == [(0,)]
