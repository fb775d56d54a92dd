"""A process may be killed at any durable action: the destination is old or new entirely, and one more run ends right."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import faulty_load
import pytest

from dlt_orchestrate import faults
from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.faults import FAULT_VARIABLE, FaultInjected
from dlt_orchestrate.load.spool import Spool
from dlt_orchestrate.state.document import decode_state

DISPOSITIONS = ["append", "replace", "merge"]
SLICE = ["commit.before_operation:2", "commit.before_record:1", "commit.before_commit:1", "commit.after_commit:1"]
BEFORE_THE_COMMIT = [
    "extract.after_page:1",
    "scratch.before_create:1",
    "scratch.after_create:1",
    "spool.before_write:2",
    "spool.after_write:2",
]
ALL = [
    *BEFORE_THE_COMMIT,
    "extract.after_page:2",
    *(f"commit.before_operation:{nth}" for nth in range(1, 6)),
    *(f"commit.before_record:{nth}" for nth in range(1, 5)),
    "commit.before_commit:1",
    "commit.after_commit:1",
    "scratch.before_remove:1",
]


@pytest.fixture
def warehouse(project: Path) -> Path:
    """A DuckDB file that holds version 1."""
    file = project / "shop.duckdb"
    faulty_load.load(file, "append", "1")
    return file


def seen(file: Path) -> dict[str, Any]:
    """Everything in the dataset that two loads of the same records have in common, checked for what must agree."""
    with duckdb.connect(str(file)) as connection:
        connection.execute("USE shop.shop_data")

        def rows(query: str) -> list[tuple]:
            return connection.sql(query).fetchall()

        loads = {load_id for (load_id,) in rows("SELECT load_id FROM _dlt_loads WHERE status = 0")}
        for table in ("orders", "visits", "_dlt_pipeline_state", "_dlt_commits"):
            column = "load_id" if table == "_dlt_commits" else "_dlt_load_id"
            assert {load_id for (load_id,) in rows(f"SELECT {column} FROM {table}")} <= loads, "rows without a load record"
        lonely = rows("SELECT * FROM orders__tags ANTI JOIN orders ON orders__tags._dlt_parent_id = orders._dlt_id")
        assert lonely == [], "nested rows without a parent"
        ids = rows("SELECT count(*) - count(DISTINCT _dlt_id) FROM orders")
        assert ids == [(0,)], "rows doubled"
        numbers = rows("SELECT resource_name, commit_number FROM _dlt_commits")
        assert len(numbers) == len(set(numbers)), "a commit number used twice"
        states = rows("SELECT state FROM _dlt_pipeline_state ORDER BY version DESC LIMIT 1")
        (columns,) = rows("SELECT count(*) FROM duckdb_columns() WHERE table_name = 'orders' AND column_name = 'extra'")
        return {
            "orders": rows('SELECT id, "at", v FROM orders ORDER BY ALL'),
            "tags": rows(
                "SELECT o.id, o.v, t.value FROM orders__tags t JOIN orders o ON t._dlt_parent_id = o._dlt_id ORDER BY ALL"
            ),
            "visits": rows("SELECT id FROM visits ORDER BY ALL"),
            "state": decode_state(states[0][0])["sources"],
            "has new column": columns,
            "commits": sorted(name for name, _ in numbers),
            "loads": len(loads),
        }


def data_of(what: dict[str, Any]) -> dict[str, Any]:
    """Without the count of commits: a replace that is run again commits again."""
    return {name: value for name, value in what.items() if name not in ("commits", "loads")}


@pytest.fixture(scope="session")
def versions(tmp_path_factory) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """What is seen of version 1 and of version 2, by write disposition, when nothing fails."""
    found = {}
    for disposition in DISPOSITIONS:
        file = tmp_path_factory.mktemp(disposition) / "shop.duckdb"
        faulty_load.load(file, "append", "1")
        old = seen(file)
        faulty_load.load(file, disposition, "2")
        found[disposition] = (old, seen(file))
    return found


def test_the_versions_are_what_the_dispositions_promise(versions) -> None:
    kept, first, third = (2, 1, "old"), (1, 2, "new"), (3, 2, "new")

    assert versions["append"][0]["orders"] == [(1, 1, "old"), kept]
    assert versions["append"][1]["orders"] == [(1, 1, "old"), first, kept, third]
    assert versions["replace"][1]["orders"] == versions["merge"][1]["orders"] == [first, kept, third]
    assert versions["merge"][1]["tags"] == [(1, "new", "z"), (2, "old", "c"), (3, "new", "y"), (3, "new", None)]


def killed_at(point: str, file: Path, disposition: str) -> None:
    name, nth = point.split(":")
    done = subprocess.run(
        [sys.executable, faulty_load.__file__, str(file), disposition, "2"],
        env={**os.environ, FAULT_VARIABLE: f"{name}:kill:{nth}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def is_old_or_new_and_the_next_run_ends_right(file: Path, disposition: str, versions, *, wiped: bool, monkeypatch) -> None:
    old, new = versions[disposition]
    after = seen(file)
    assert after in (old, new)
    if wiped:
        shutil.rmtree(Path.home() / ".dlt", ignore_errors=True)

    monkeypatch.setattr(Spool.__init__, "__defaults__", (1,))
    faulty_load.load(file, disposition, "2")

    again = seen(file)
    assert data_of(again) == data_of(new)
    if disposition != "replace" or after == old:
        assert again == new
    assert not list(Path.home().rglob("run-*")), "scratch of the dead run stays"


@pytest.mark.parametrize("disposition", DISPOSITIONS)
@pytest.mark.parametrize("point", SLICE)
def test_a_kill_in_the_commit_leaves_all_or_nothing(warehouse, versions, point, disposition, monkeypatch) -> None:
    killed_at(point, warehouse, disposition)

    assert (seen(warehouse) == versions[disposition][1]) == (point == "commit.after_commit:1")
    is_old_or_new_and_the_next_run_ends_right(warehouse, disposition, versions, wiped=False, monkeypatch=monkeypatch)


@pytest.mark.parametrize("point", BEFORE_THE_COMMIT)
def test_a_kill_before_the_commit_leaves_nothing(warehouse, versions, point, monkeypatch) -> None:
    killed_at(point, warehouse, "merge")

    assert seen(warehouse) == versions["merge"][0]
    is_old_or_new_and_the_next_run_ends_right(warehouse, "merge", versions, wiped=False, monkeypatch=monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("wiped", [False, True], ids=["same disk", "empty disk"])
@pytest.mark.parametrize("disposition", DISPOSITIONS)
@pytest.mark.parametrize("point", ALL)
def test_a_kill_anywhere_leaves_all_or_nothing(warehouse, versions, point, disposition, wiped, monkeypatch) -> None:
    killed_at(point, warehouse, disposition)

    is_old_or_new_and_the_next_run_ends_right(warehouse, disposition, versions, wiped=wiped, monkeypatch=monkeypatch)


@pytest.mark.parametrize("disposition", DISPOSITIONS)
def test_a_kill_in_the_very_first_load_leaves_a_dataset_that_the_next_run_fills(project, versions, disposition) -> None:
    file = project / "shop.duckdb"
    killed_at("commit.before_commit:1", file, disposition)

    faulty_load.load(file, "append", "1")

    assert seen(file) == versions[disposition][0]


@pytest.mark.parametrize(
    ("point", "disposition"),
    [
        ("commit.before_operation", "merge"),
        ("commit.before_commit", "merge"),
        ("spool.before_write", "merge"),
        *(("commit.before_record", disposition) for disposition in DISPOSITIONS),
    ],
)
@pytest.mark.parametrize(("action", "cause"), [("raise", FaultInjected), ("nospace", OSError)])
def test_an_error_in_the_commit_leaves_everything_as_it_was(
    warehouse, versions, point, disposition, action, cause, monkeypatch
) -> None:
    monkeypatch.setattr(Spool.__init__, "__defaults__", (1,))
    monkeypatch.setattr(faults, "passed", Counter())
    monkeypatch.setenv(FAULT_VARIABLE, f"{point}:{action}")

    with pytest.raises(PipelineStepFailed) as caught:
        faulty_load.load(warehouse, disposition, "2")

    error = caught.value.__cause__
    assert isinstance(error, cause)
    assert action == "raise" or error.errno == errno.ENOSPC
    if point.startswith("commit"):
        assert (caught.value.step, set(caught.value.resources)) == ("load", {"orders", "visits"})
        assert seen(warehouse) == versions[disposition][0]
    else:
        assert (caught.value.step, caught.value.resources) == ("normalize", ("orders",))
        assert seen(warehouse)["orders"] == versions[disposition][0]["orders"]
    monkeypatch.delenv(FAULT_VARIABLE)
    faulty_load.load(warehouse, disposition, "2")
    assert data_of(seen(warehouse)) == data_of(versions[disposition][1])
