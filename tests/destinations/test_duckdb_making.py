"""A DuckDB file that another process has only begun to make is waited for."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.destinations.duckdb_file.destination import DuckDB
from dlt_orchestrate.errors import DestinationUnavailableError
from dlt_orchestrate.flow.snapshot import Scope


class MakingClock:
    """A clock during whose first pause a file is completed."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seconds = 0.0

    def now(self):
        raise AssertionError("not asked for here")

    def monotonic(self) -> float:
        return self._seconds

    def sleep(self, seconds: float) -> None:
        self._seconds += seconds
        if self._path is not None:
            self._path.unlink()
            duckdb.connect(str(self._path)).close()
            self._path = None


def test_a_file_in_the_making_is_opened_once_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "new.duckdb"
    path.write_bytes(b"\0" * 4096)

    snapshot = DuckDB(path, clock=MakingClock(path)).read_state(Scope("shop", "raw"))

    assert not snapshot.exists


@pytest.mark.parametrize("size", [100, 20_000])
def test_a_file_that_holds_something_else_is_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "text.duckdb"
    path.write_bytes(b"x" * size)

    with pytest.raises(DestinationUnavailableError, match="holds something else"):
        DuckDB(path, clock=MakingClock()).read_state(Scope("shop", "raw"))

    assert path.read_bytes() == b"x" * size


def test_a_file_whose_maker_died_before_it_held_anything_is_made_anew(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.duckdb", tmp_path / "torn.duckdb"
    duckdb.connect(str(whole)).close()
    torn.write_bytes(whole.read_bytes()[:4096])

    pipeline = dlt.pipeline("shop", destination=dlt.destinations.duckdb(torn), dataset_name="d")
    pipeline.run([{"id": 1}], table_name="orders")

    assert pipeline.dataset().row_counts() == {"orders": 1}
