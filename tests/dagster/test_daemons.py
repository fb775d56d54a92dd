"""Dagster's daemons and web server on a persistent instance: ticks, their cursors over a restart, automation, freshness."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

ROOT = Path(__file__).parents[2]
CODE = Path(__file__).parent / "scripts" / "automated.py"
PATIENCE_SECONDS = 240

SETTINGS = """
telemetry: {enabled: false}
nux: {enabled: false}
freshness: {enabled: true}
"""

SENSOR = """
query($name: String!) {
  sensorOrError(sensorSelector: {
    repositoryName: "__repository__", repositoryLocationName: "automated.py", sensorName: $name
  }) {
    ... on Sensor { sensorState {
      typeSpecificData { ... on SensorData { lastCursor lastRunKey } }
      ticks(limit: 200) { status timestamp skipReason runIds error { message } }
    } }
  }
}
"""

RUNS = """
{ runsOrError(limit: 200) { ... on Runs { results {
  runId status assetSelection { path } tags { key value } runConfigYaml
} } } }
"""

SCHEDULE = """
{ scheduleOrError(scheduleSelector: {
    repositoryName: "__repository__", repositoryLocationName: "automated.py", scheduleName: "minutely"
  }) { ... on Schedule { scheduleState { ticks(limit: 10) { status runIds } } } } }
"""

FRESHNESS = """
{ assetNodes(assetKeys: [{path: ["dlt_watched_issues"]}]) {
  owners { ... on TeamAssetOwner { team } } freshnessStatusInfo { freshnessStatus }
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


class Server:
    """`dagster dev` on loopback, with a home that outlives it."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.home, self.environment = home, environment
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dagster", "dev", "-f", str(CODE), "-h", "127.0.0.1", "-p", str(self.port)],
                cwd=self.home,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def stop(self) -> None:
        """End it and all that it has started, whatever becomes of them."""
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process = None

    def ask(self, query: str, **variables: str) -> Any:
        """The answer of the web server; None while there is none."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                answered = json.load(answer)
        except OSError:
            return None
        assert "errors" not in answered, answered
        return next(iter(answered["data"].values()))

    def ticks(self, sensor: str) -> list[dict[str, Any]]:
        found = self.ask(SENSOR, name=sensor)
        return found["sensorState"]["ticks"] if found and "sensorState" in found else []

    def cursor(self, sensor: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(
            self.ask(SENSOR, name=sensor)["sensorState"]["typeSpecificData"]["lastCursor"]
        )
        return document

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """The runs with these tags; `sensor` stands for the name of a sensor."""
        wanted = {name.replace("sensor", "dagster/sensor_name"): value for name, value in tags.items()}
        found = (self.ask(RUNS) or {}).get("results", [])
        return [run for run in found if wanted.items() <= {tag["key"]: tag["value"] for tag in run["tags"]}.items()]

    def until(self, what: str, reached: Callable[[], Any]) -> Any:
        """Ask again until something is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if answer := reached():
                return answer
            time.sleep(0.5)
        raise AssertionError(f"{what}: not within {PATIENCE_SECONDS} s.\n{(self.home / 'log').read_text()[-5_000:]}")

    def succeeded(self, sensor: str, count: int) -> list[dict[str, Any]]:
        """The runs of a sensor, once there are so many and all are finished."""

        def all_done() -> list[dict[str, Any]]:
            runs = self.runs(sensor=sensor)
            return runs if len(runs) >= count and all(run["status"] in ("SUCCESS", "FAILURE") for run in runs) else []

        return self.until(f"{count} runs of {sensor}", all_done)


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
    (project / "dagster.yaml").write_text(SETTINGS)
    server = Server(
        project,
        {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "PYTHONPATH": str(ROOT),
            "DAGSTER_HOME": str(project),
            "WATCHED": str(inbox),
            "PAGE": page.url,
            "PAGE_TOKEN": "t0ken-0123456789",
        },
    )
    server.start()
    yield server
    server.stop()


def run_key(run: dict[str, Any]) -> str:
    return next(tag["value"] for tag in run["tags"] if tag["key"] == "dagster/run_key")


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
    of_automation = server.until(
        "a run for the report", lambda: server.runs(**{"dagster/from_automation_condition": "true"})
    )
    failure = server.until("a failure that is told", lambda: (inbox / ".failures").exists() and (inbox / ".failures"))
    fresh = server.until(
        "a state of freshness",
        lambda: (found := server.ask(FRESHNESS)) and found[0]["freshnessStatusInfo"] and found[0],
    )
    scheduled = server.until(
        "a tick of the schedule",
        lambda: [t for t in server.ask(SCHEDULE)["scheduleState"]["ticks"] if t["status"] == "SUCCESS" and t["runIds"]],
    )

    assert (run_key(of_page), of_page["status"]) == ('"A"|1', "SUCCESS")
    assert sorted(run["status"] for run in of_files) == ["FAILURE", "SUCCESS"]
    assert run_key(of_watermark) == "1|1"
    assert of_automation[0]["assetSelection"] == [{"path": ["report"]}]
    assert failure.read_text() == "dropped extract ConnectionError True bad.csv\n"
    assert fresh == {"owners": [{"team": "data"}], "freshnessStatusInfo": {"freshnessStatus": "HEALTHY"}}
    assert scheduled

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
    assert [len(server.runs(sensor=name)) for name in ("page", "files", "watermark")] == [1, 2, 1]
    assert failure.read_text().count("\n") == 1

    page.text = "B"
    keys = {run_key(run) for run in server.succeeded("page", 2)}

    assert keys == {'"A"|1', '"B"|2'}
    assert not [
        tick for name in ("page", "files", "watermark") for tick in server.ticks(name) if tick["status"] == "FAILURE"
    ]
    kept = json.dumps([server.runs(), cursors])
    assert "t0ken" not in kept  # secrets are in no tag, no run config and no cursor
