"""One tick after another of Dagster's daemons, and what each leaves; slow tests do the same on a live instance."""

import datetime
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from daemons_in_process import Daemons, daemons_of
from dagster._core.test_utils import freeze_time
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

CODE = Path(__file__).parent / "scripts" / "ticking.py"
DAYS = [f"2026-01-{day:02}" for day in range(1, 13)]
SENSOR = """
{ sensorOrError(sensorSelector: {
    repositoryName: "__repository__", repositoryLocationName: "ticking.py", sensorName: "page"
  }) { ... on Sensor { sensorState { typeSpecificData { ... on SensorData { lastCursor } } } } } }
"""
FRESHNESS = """
{ assetNodes(assetKeys: [{path: ["dlt_retried_steady"]}]) { freshnessStatusInfo { freshnessStatus } } }
"""


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemons]:
    """One instance for all of these, in a folder with the warehouse; each test has assets of its own."""
    home = tmp_path_factory.mktemp("ticking")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("HOME", str(home))
        patch.setenv("SIGNALS", str(home))
        with daemons_of(code_in(home), home / "dagster_home") as daemons:
            yield daemons


def code_in(folder: Path) -> Path:
    """The code location in a file of its own: a process loads a file but once."""
    return Path(shutil.copy(CODE, folder))


def statuses(daemons: Daemons, *runs: str) -> list[str]:
    return [daemons.run(run)["status"] for run in runs]


def query(sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect("warehouse.duckdb", read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize(("source", "runs", "again"), [("whole", 1, 1), ("spread", 3, 1)])
def test_a_backfill_of_two_resources_counts_each_day_also_when_repeated(
    daemons: Daemons, source: str, runs: int, again: int
) -> None:
    assets = [f"dlt_{source}_orders", f"dlt_{source}_visits"]

    found = []
    for days in (DAYS, DAYS[:4]):
        backfill = daemons.launch_backfill(assets, days)
        daemons.tick("BACKFILL", "QUEUED_RUN_COORDINATOR", "BACKFILL")
        found.append((daemons.backfill_status(backfill), len(daemons.runs({"dagster/backfill": backfill}))))

    assert found == [("COMPLETED_SUCCESS", runs), ("COMPLETED_SUCCESS", again)]
    rows_of = {day: number % 4 + 1 for number, day in enumerate(DAYS)}
    for asset in assets:
        materializations = daemons.materializations(asset)
        assert len(materializations) == 16
        counts = {one["partition"]: one["dagster/partition_row_count"] for one in reversed(materializations)}
        assert counts == rows_of
        assert {one["partition"]: one["rows_loaded"] for one in materializations[4:]} == rows_of
    for table in ("orders", "visits"):
        assert query(f"SELECT count(*), count(DISTINCT id) FROM {source}.{table}") == [(30, 30)]


def test_two_runs_of_one_pool_take_turns(daemons: Daemons) -> None:
    daemons.limit_pool("api", 1)
    both = daemons.launch("dlt_watched_issues"), daemons.launch("dlt_watched_clock")

    seen = [statuses(daemons, *both)]
    for _ in range(2):
        daemons.tick("QUEUED_RUN_COORDINATOR")
        seen.append(statuses(daemons, *both))

    assert seen == [["QUEUED", "QUEUED"], ["SUCCESS", "QUEUED"], ["SUCCESS", "SUCCESS"]]


def test_a_re_execution_from_failure_loads_only_what_had_failed(daemons: Daemons) -> None:
    run = daemons.launch("dlt_retried_steady", "dlt_retried_broken")
    daemons.tick("QUEUED_RUN_COORDINATOR")
    Path("mended").touch()

    again = daemons.launch_from_failure(run)
    daemons.tick("QUEUED_RUN_COORDINATOR")

    assert {step["stepKey"]: step["status"] for step in daemons.run(run)["stepStats"]} == {
        "retried__steady": "SUCCESS",
        "retried__broken": "FAILURE",
    }
    told = daemons.run(again)
    assert (told["status"], told["stepKeysToExecute"]) == ("SUCCESS", ["retried__broken"])
    assert query("SELECT (SELECT count(*) FROM retried.steady), (SELECT count(*) FROM retried.broken)") == [(2, 2)]


def test_a_schedule_launches_one_run_for_each_tick_of_its_clock(daemons: Daemons) -> None:
    noon = datetime.datetime(2026, 1, 1, 12, 0, 30, tzinfo=datetime.UTC)

    launched = []
    for seconds in (0, 40, 50, 100):
        with freeze_time(noon + datetime.timedelta(seconds=seconds)):
            daemons.tick("SCHEDULER")
        launched.append(len(daemons.runs({"dagster/schedule_name": "minutely"})))
    daemons.tick("QUEUED_RUN_COORDINATOR")

    assert launched == [0, 1, 1, 2]
    assert daemons.materializations("dlt_watched_clock")[0]["rows_loaded"] == 1


def test_a_sensor_goes_on_from_its_cursor_after_the_daemons_have_restarted(
    project: Path, monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    text = ["A"]

    def answer(request: Request) -> Response:
        response = Response(text[0])
        response.set_etag(text[0])
        response.make_conditional(request)
        return response

    httpserver.expect_request("/issues").respond_with_handler(answer)
    monkeypatch.setenv("PAGE", httpserver.url_for("/issues"))
    monkeypatch.setenv("SIGNALS", str(project))

    seen = []
    now = datetime.datetime.now(datetime.UTC)
    for restart, change in enumerate(("A", "A", "B")):
        text[0] = change
        with daemons_of(code_in(project), project / "dagster_home") as daemons:
            for tick in range(2):
                with freeze_time(now + datetime.timedelta(minutes=2 * restart + tick)):
                    daemons.tick("SENSOR", "QUEUED_RUN_COORDINATOR")
            runs = daemons.runs({"dagster/sensor_name": "page"})
            keys = [tag["value"] for run in runs for tag in run["tags"] if tag["key"] == "dagster/run_key"]
            cursor = daemons.ask(SENSOR)["sensorState"]["typeSpecificData"]["lastCursor"]
            seen.append(([run["status"] for run in runs], keys, cursor))

    (once, keys, cursor), after_restart, (twice, both_keys, moved) = seen
    assert (once, keys) == (["SUCCESS"], ['"A"|1'])
    assert after_restart == (once, keys, cursor)
    assert (twice, both_keys) == (["SUCCESS", "SUCCESS"], ['"B"|2', '"A"|1'])
    assert moved != cursor


def test_conditions_from_hints_launch_on_their_schedule_and_below_only_when_data_has_changed(daemons: Daemons) -> None:
    noon = datetime.datetime.now(datetime.UTC).replace(second=0)

    seen = []
    for minute in range(3):
        with freeze_time(noon + datetime.timedelta(minutes=minute, seconds=30)):
            daemons.tick("ASSET", "QUEUED_RUN_COORDINATOR")
        with freeze_time(noon + datetime.timedelta(minutes=minute, seconds=45)):
            daemons.tick("ASSET", "QUEUED_RUN_COORDINATOR")
        runs = daemons.runs({"dagster/from_automation_condition": "true"})
        assets = [asset["path"][-1] for run in runs for asset in run["assetSelection"]]
        seen.append((assets.count("dlt_watched_settings"), assets.count("report")))

    assert [settings for settings, _ in seen] == [0, 1, 2]
    assert [report for _, report in seen] == [0, 1, 1]
    assert {run["status"] for run in daemons.runs({"dagster/from_automation_condition": "true"})} == {"SUCCESS"}


def test_freshness_is_seen_and_ends_with_its_window(daemons: Daemons) -> None:
    def status() -> str | None:
        info = daemons.ask(FRESHNESS)[0]["freshnessStatusInfo"]
        return info and info["freshnessStatus"]

    now = datetime.datetime.now(datetime.UTC)
    daemons.launch("dlt_retried_steady")

    seen = [status()]
    daemons.tick("QUEUED_RUN_COORDINATOR")
    for hours in (0, 2):
        with freeze_time(now + datetime.timedelta(hours=hours, minutes=1)):
            daemons.tick("FRESHNESS_DAEMON")
            seen.append(status())

    assert seen == ["UNKNOWN", "HEALTHY", "DEGRADED"]
