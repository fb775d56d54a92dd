"""An error in the middle of a load, or a full disk, leaves everything as it was; one more run ends right.

That kills do so, too, is shown in `tests/soak`.
"""

from __future__ import annotations

import errno
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
