"""Dagster's daemons and web server on a persistent instance: ticks, their cursors over a restart, automation, freshness."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live_instance import LiveInstance
from operator_of_dagster import ENDED
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

CODE = Path(__file__).parent / "scripts" / "automated.py"

NOT_LOADED_YET = "Table with name issues does not exist"
"""What the watermark's query says as long as other tables are loaded, and the one that it asks for is not."""

SENSOR = """
query($name: String!) {
  sensorOrError(sensorSelector: {
    repositoryName: "__repository__", repositoryLocationName: "automated.py", sensorName: $name
  }) {
    ... on Sensor { sensorState {
      typeSpecificData { ... on SensorData { lastCursor lastRunKey } }
      ticks(limit: 200) { status timestamp skipReason runIds error { message causes { message } } }
    } }
  }
}
"""

SCHEDULE = """
{ scheduleOrError(scheduleSelector: {
    repositoryName: "__repository__", repositoryLocationName: "automated.py", scheduleName: "minutely"
  }) { ... on Schedule { scheduleState { ticks(limit: 10) { status runIds } } } } }
"""

FRESHNESS = """
query($path: [String!]!) { assetNodes(assetKeys: [{path: $path}]) {
  freshnessStatusInfo { freshnessStatus }
} }
"""


class Page:
    """An address with an ETag."""

    def __init__(self, server: HTTPServer) -> None:
        self.text = "A"
        self.url = server.url_for("/issues")
        server.expect_request("/issues").respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        response = Response(self.text)
        response.set_etag(self.text)
        response.make_conditional(request)
        return response


class Server(LiveInstance):
    """An instance whose sensors, schedules and freshness are asked for."""

    def ticks(self, sensor: str) -> list[dict[str, Any]]:
        found = self.ask(SENSOR, name=sensor)
        return found["sensorState"]["ticks"] if found and "sensorState" in found else []

    def cursor(self, sensor: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(
            self.ask(SENSOR, name=sensor)["sensorState"]["typeSpecificData"]["lastCursor"]
        )
        return document

    def runs_of(self, sensor: str) -> list[dict[str, Any]]:
        return self.runs({"dagster/sensor_name": sensor})

    def succeeded(self, sensor: str, count: int) -> list[dict[str, Any]]:
        """The runs of a sensor, once there are so many and all are finished."""

        def all_done() -> list[dict[str, Any]]:
            runs = self.runs_of(sensor)
            return runs if len(runs) >= count and all(run["status"] in ENDED for run in runs) else []

        found: list[dict[str, Any]] = self.until(f"{count} runs of {sensor}", all_done)
        return found

    def freshness(self, *path: str) -> str | None:
        """The state of an asset that has a policy, once the daemon has evaluated it."""
        found = self.ask(FRESHNESS, path=path)
        return found[0]["freshnessStatusInfo"] and found[0]["freshnessStatusInfo"]["freshnessStatus"] if found else None


@pytest.fixture
def page() -> Iterator[Page]:
    with HTTPServer(host="127.0.0.1") as server:
        yield Page(server)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def server(project: Path, page: Page, inbox: Path) -> Iterator[Server]:
    server = Server(project, CODE, {"WATCHED": str(inbox), "PAGE": page.url, "PAGE_TOKEN": "t0ken-0123456789"})
    server.start()
    yield server
    server.stop()


def run_key(run: dict[str, Any]) -> str:
    return next(tag["value"] for tag in run["tags"] if tag["key"] == "dagster/run_key")


def launched_by_conditions(server: Server) -> dict[str, int]:
    """How often each asset was launched by its automation condition, once all of them were."""
    runs = server.runs({"dagster/from_automation_condition": "true"})
    assets = [asset["path"][-1] for run in runs for asset in run["assetSelection"]]
    return {asset: assets.count(asset) for asset in assets} if len(set(assets)) == 2 else {}


@pytest.mark.slow
def test_everything_is_launched_once_by_the_daemons_also_over_their_restart(
    server: Server, page: Page, inbox: Path
) -> None:
    (of_page,) = server.succeeded("page", 1)
    server.until("a first tick of the failure sensor", lambda: server.ticks("failures"))
    (inbox / "good.csv").write_text("x")
    (inbox / "bad.csv").write_text("x")
    of_files = server.succeeded("files", 2)
    (of_watermark,) = server.succeeded("watermark", 1)
    of_automation = server.until("runs of automation conditions", lambda: launched_by_conditions(server))
    failure = server.until("a failure that is told", lambda: (inbox / ".failures").exists() and (inbox / ".failures"))
    server.until("fresh assets", lambda: server.freshness("dlt_watched_issues") == "HEALTHY")
    scheduled = server.until(
        "a tick of the schedule",
        lambda: [t for t in server.ask(SCHEDULE)["scheduleState"]["ticks"] if t["status"] == "SUCCESS" and t["runIds"]],
    )

    assert (run_key(of_page), of_page["status"]) == ('"A"|1', "SUCCESS")
    assert sorted(run["status"] for run in of_files) == ["FAILURE", "SUCCESS"]
    assert run_key(of_watermark) == "1|1"
    assert of_automation == {"report": 1, "dlt_once_settings": 1}
    assert failure.read_text() == "dropped extract ConnectionError True bad.csv\n"
    assert scheduled
    server.until("a stale asset", lambda: server.freshness("dlt_once_settings") == "DEGRADED")
    assert server.freshness("dlt_watched_issues") == "HEALTHY"

    cursors = {name: server.cursor(name) for name in ("page", "files", "watermark")}
    server.stop()
    server.start()
    restarted = time.time()
    for name in ("page", "files", "watermark", "failures"):
        server.until(
            f"ticks of {name} after the restart",
            lambda name=name: sum(tick["timestamp"] > restarted for tick in server.ticks(name)) >= 2,
        )

    assert {name: server.cursor(name) for name in cursors} == cursors
    assert [len(server.runs_of(name)) for name in ("page", "files", "watermark")] == [1, 2, 1]
    assert launched_by_conditions(server) == {"report": 1, "dlt_once_settings": 1}
    assert failure.read_text().count("\n") == 1

    page.text = "B"
    keys = {run_key(run) for run in server.succeeded("page", 2)}

    assert keys == {'"A"|1', '"B"|2'}
    failed = [
        (name, " ".join(error["message"] for error in (tick["error"], *tick["error"]["causes"])))
        for name in ("page", "files", "watermark")
        for tick in server.ticks(name)
        if tick["status"] == "FAILURE"
    ]
    before_the_first_load = [told for told in failed if told[0] == "watermark" and NOT_LOADED_YET in told[1]]
    assert failed == before_the_first_load
    kept = json.dumps([server.runs(), cursors])
    assert "t0ken" not in kept  # secrets are in no tag, no run config and no cursor
