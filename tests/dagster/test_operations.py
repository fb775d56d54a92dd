"""What an operator does to a live instance: backfills, pools, cancelling, running twice, going on from failure."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from live_instance import SETTINGS, LiveInstance

pytestmark = pytest.mark.slow

CODE = Path(__file__).parent / "scripts" / "operated.py"
POOLS = "concurrency: {pools: {default_limit: 1, granularity: op}}\n"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveInstance]:
    """One instance for all of these, since it takes long to start; each test has assets of its own."""
    home = tmp_path_factory.mktemp("operated")
    signals = home / "signals"
    signals.mkdir()
    live = LiveInstance(home, CODE, {"SIGNALS": str(signals), "HOME": str(home)}, SETTINGS + POOLS)
    live.start()
    try:
        yield live
    finally:
        live.stop()


def told(live: LiveInstance) -> list[str]:
    """What resources have told of themselves."""
    file = live.home / "signals" / "told"
    return file.read_text().splitlines() if file.exists() else []


def signal(live: LiveInstance, name: str) -> None:
    (live.home / "signals" / name).touch()


def query(live: LiveInstance, sql: str) -> list[tuple[Any, ...]]:
    """Ask the warehouse, once no load holds it."""

    def once() -> list[tuple[Any, ...]] | None:
        try:
            with duckdb.connect(str(live.home / "warehouse.duckdb"), read_only=True) as connection:
                return connection.execute(sql).fetchall()
        except duckdb.IOException:
            return None

    found: list[tuple[Any, ...]] = live.until("an answer of DuckDB", once)
    return found


DAYS = [f"2026-{month:02}-{day:02}" for month, days in ((1, 31), (2, 28), (3, 1)) for day in range(1, days + 1)]


@pytest.mark.parametrize(("source", "runs"), [("whole", 1), ("spread", 4)])
def test_a_backfill_of_sixty_days_and_two_resources_counts_each_day_also_when_repeated(
    live: LiveInstance, source: str, runs: int
) -> None:
    assets = [f"dlt_{source}_orders", f"dlt_{source}_visits"]
    before = len(live.runs())

    statuses = [live.backfill(assets, DAYS), live.backfill(assets, DAYS[:20])]

    assert statuses == ["COMPLETED_SUCCESS"] * 2
    assert len(live.runs()) - before == runs + (1 if runs == 1 else 2)
    rows_of = {day: number % 4 + 1 for number, day in enumerate(DAYS)}
    for asset in assets:
        materializations = live.materializations(asset)
        assert len(materializations) == 80
        counts = {one["partition"]: one["dagster/partition_row_count"] for one in reversed(materializations)}
        assert counts == rows_of
        assert {one["partition"]: one["rows_loaded"] for one in materializations[20:]} == rows_of
    for table in ("orders", "visits"):
        assert query(live, f"SELECT count(*), count(DISTINCT id) FROM {source}.{table}") == [(150, 150)]


def test_two_runs_of_one_pool_take_turns(live: LiveInstance) -> None:
    first = live.launch("dlt_queued_first")
    live.until("the first run extracts", lambda: "first begins" in told(live))
    second = live.launch("dlt_queued_second")
    live.until("the second run waits", lambda: waiting(live, "api"))

    beginning = [line for line in told(live) if line.endswith("begins")]
    signal(live, "go")

    assert beginning == ["first begins"]
    assert [live.ended(run)["status"] for run in (first, second)] == ["SUCCESS"] * 2
    of_pool = [line for line in told(live) if line.startswith(("first", "second"))]
    assert of_pool == ["first begins", "first ends", "second begins", "second ends"]


def test_two_runs_at_once_on_one_pipeline_both_load(live: LiveInstance) -> None:
    runs = [live.launch("dlt_together_left"), live.launch("dlt_together_right")]

    assert [live.ended(run)["status"] for run in runs] == ["SUCCESS"] * 2
    assert query(live, 'SELECT name FROM raw."left" UNION SELECT name FROM raw."right" ORDER BY 1') == [
        ("left",),
        ("right",),
    ]


def test_of_two_runs_at_once_of_one_resource_the_second_fails_and_loads_nothing(live: LiveInstance) -> None:
    runs = [live.launch("dlt_together_same"), live.launch("dlt_together_same")]

    assert sorted(live.ended(run)["status"] for run in runs) == ["FAILURE", "SUCCESS"]
    assert query(live, "SELECT number FROM raw.same ORDER BY 1") == [(1,), (2,)]
    (lost,) = [run for run in runs if live.run(run)["status"] == "FAILURE"]

    again = live.ended(live.launch_from_failure(lost))

    assert again["status"] == "SUCCESS"
    assert query(live, "SELECT number FROM raw.same ORDER BY 1") == [(1,), (2,)]


def test_a_run_that_is_terminated_leaves_no_rows_no_lock_no_scratch_and_no_place_in_its_pool(live: LiveInstance) -> None:
    run = live.launch("dlt_cancelled_endless")
    live.until("the run extracts", lambda: "endless begins" in told(live))

    live.terminate(run)
    ended = live.ended(run)

    assert ended["status"] == "CANCELED"
    assert list(live.home.rglob("run-*")) == []
    signal(live, "enough")
    assert live.ended(live.launch("dlt_cancelled_endless"))["status"] == "SUCCESS"
    assert query(live, "SELECT count(*) FROM raw.endless") == [(3,)]


def test_a_run_that_is_terminated_while_it_waits_for_the_destination_commits_nothing_afterwards(live: LiveInstance) -> None:
    run = live.launch("dlt_cancelled_held")
    live.until("the run extracts", lambda: "held begins" in told(live))
    with duckdb.connect(str(live.home / "warehouse.duckdb")):
        signal(live, "locked")
        live.until("everything is read", lambda: "held ends" in told(live))
        live.terminate(run)
        ended = live.ended(run)

    assert ended["status"] == "CANCELED"
    assert query(live, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'held'") == [(0,)]
    assert live.ended(live.launch("dlt_cancelled_held"))["status"] == "SUCCESS"
    assert query(live, "SELECT count(*) FROM raw.held") == [(1,)]


def test_a_re_execution_from_failure_loads_only_what_had_failed(live: LiveInstance) -> None:
    run = live.launch("dlt_retried_steady", "dlt_retried_broken")
    failed = live.ended(run)
    signal(live, "mended")

    again = live.ended(live.launch_from_failure(run))

    assert {step["stepKey"]: step["status"] for step in failed["stepStats"]} == {
        "retried__steady": "SUCCESS",
        "retried__broken": "FAILURE",
    }
    assert (again["status"], again["stepKeysToExecute"]) == ("SUCCESS", ["retried__broken"])
    assert told(live).count("steady is read") == 1
    assert query(live, "SELECT (SELECT count(*) FROM raw.steady), (SELECT count(*) FROM raw.broken)") == [(2, 2)]


def test_a_re_execution_of_a_run_that_died_after_its_commit_loads_nothing_twice(live: LiveInstance) -> None:
    run = live.launch("dlt_retried_killed")
    died = live.ended(run)

    again = live.ended(live.launch_from_failure(run))

    assert (died["status"], again["status"]) == ("FAILURE", "SUCCESS")
    (only,) = live.materializations("dlt_retried_killed")
    assert (only["run"], only["rows_loaded"], only["repeated"]) == (again["runId"], 2, True)
    assert told(live).count("killed is read") == 1
    assert query(live, "SELECT count(*) FROM raw.killed") == [(2,)]


def waiting(live: LiveInstance, pool: str) -> bool:
    """Whether a run or step waits for a place in a pool."""
    found = live.ask(
        "query($pool: String!) { instance { concurrencyLimit(concurrencyKey: $pool) { pendingSteps { runId } } } }",
        pool=pool,
    )
    queued = [run for run in live.runs() if run["status"] == "QUEUED"]
    return bool(found["concurrencyLimit"]["pendingSteps"]) or bool(queued)
