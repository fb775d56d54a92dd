"""Takes the pictures of Dagster's UI that the pages of docs/ show: `make pictures`. Needs chromium.

It starts `dagster dev` over `definitions/` and a shop, on loopback and in a folder of its own, makes some history as a user
would, and looks at the pages in a browser without a window.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from dlt_orchestrate.testing.sample_api import SampleApi

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
IMAGES = ROOT / "docs" / "images"
GITHUB, SHOP = "dlt_orchestrate", "shop"
PATIENCE_SECONDS = 900

SETTINGS = f"""
telemetry: {{enabled: false}}
nux: {{enabled: false}}
freshness: {{enabled: true}}
code_servers: {{local_startup_timeout: {PATIENCE_SECONDS}}}
"""

WORKSPACE = f"""
load_from:
  - python_module: {{module_name: definitions, working_directory: "{ROOT}", location_name: {GITHUB}}}
  - python_file: {{relative_path: "{HERE}/shop.py", working_directory: "{ROOT}", location_name: {SHOP}}}
"""

LAUNCH = """
mutation($selector: JobOrPipelineSelector!, $tags: [ExecutionTag!], $config: RunConfigData) {
  launchRun(executionParams: {
    selector: $selector, mode: "default", executionMetadata: {tags: $tags}, runConfigData: $config
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""

BACKFILL = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}
"""

RUNS = "{ runsOrError(limit: 100) { ... on Runs { results { runId status } } } }"

START = """
mutation($selector: %sSelector!) { start%s(%sSelector: $selector) { __typename ... on PythonError { message } } }
"""


@dataclass(frozen=True)
class Picture:
    """One page of the UI, what is clicked first, and how much of it is kept: all of the window, or its upper part."""

    name: str
    path: str
    width: int = 1400
    height: int = 900
    clicks: Sequence[str] = ()
    kept_height: int | None = None


PLACE = """
(() => {
  const found = [...document.querySelectorAll("button, a, [role=tab], div, span")]
    .filter(found => found.innerText && found.innerText.trim() === %s).pop();
  if (!found) return null;
  const box = found.getBoundingClientRect();
  return JSON.stringify({x: box.x + box.width / 2, y: box.y + box.height / 2});
})()
"""
"""Where the innermost thing with that text is seen."""

STATE = """
JSON.stringify([
  document.querySelectorAll("[class*=pinner], [class*=keleton]").length > 0 || document.body.innerText.length < 200
    || document.body.innerText.includes("Loading"),
  location.href + performance.getEntriesByType("resource").length + document.body.innerText.replace(/[0-9]+/g, "")
])
"""
"""Whether a page is still at it, and what it looks like without its clocks."""


def main(only: Sequence[str]) -> None:
    """Make some history and take the pictures, or only those that are named."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("There is no chromium; on Debian: apt-get install chromium")
    with (
        tempfile.TemporaryDirectory(prefix="pictures-") as folder,
        SampleApi() as api,
        dagster_dev(Path(folder), api) as ui,
    ):
        look_at(ui, make_history(ui, api), browser, Path(folder), only)


def look_at(ui: Ui, ids: tuple[str, str, str], program: str, folder: Path, only: Sequence[str]) -> None:
    """Take the pictures of an instance."""
    browser = Browser(program, folder / "browser")
    try:
        for picture in pictures_of(*ids):
            if not only or picture.name in only:
                target = IMAGES / f"{picture.name}.png"
                browser.take(f"http://127.0.0.1:{ui.port}{picture.path}", picture, target)
                sys.stdout.write(f"{target.name}: {target.stat().st_size // 1000} kB\n")
    finally:
        browser.close()


def make_history(ui: Ui, api: SampleApi) -> tuple[str, str, str]:
    """Load, change, load again; the ids of a run of all assets, of one that failed, and of a backfill."""
    days = [f"2026-01-{day:02}" for day in range(1, 29)]
    ui.launch(SHOP, ["dlt_tea_shop_orders", "dlt_tea_shop_orders__lines"], {"dagster/partition": "2026-01-30"})
    backfill = ui.backfill(["dlt_tea_shop_orders", "dlt_tea_shop_orders__lines"], days)
    loads = ["dlt_github_issues", "dlt_github_comments", "dlt_github_traffic_clones", "contributors"]
    run = ui.launch(GITHUB, loads)
    for touched in ((7, 42, 3), (), (7, 1, 2, 3, 4, 5, 6, 8), (9,)):
        for number in touched:
            api.touch(number)
        api.add(len(touched))
        run = ui.launch(GITHUB, loads)
    for counted in (40, 44, 40, 42):
        ui.launch(SHOP, ["dlt_warehouse_stock"], settings={"counted": counted})
    failed = ui.launch(
        SHOP,
        ["dlt_warehouse_stock", "dlt_warehouse_suppliers", "dlt_warehouse_movements"],
        settings={"counted": 400, "pages": 12, "page_seconds": 2},
    )
    ui.start("Schedule", GITHUB, "github_hourly")
    ui.start("Sensor", GITHUB, "github_issues_changed")
    return run, failed, backfill


def pictures_of(run: str, failed: str, backfill: str) -> Iterator[Picture]:
    """The pages that are worth a look."""
    issues, orders, stock = "/assets/dlt_github_issues", "/assets/dlt_tea_shop_orders", "/assets/dlt_warehouse_stock"
    code = f"/locations/{GITHUB}"
    yield Picture("asset", f"{issues}?view=overview", height=1000)
    yield Picture("plots", f"{stock}?view=overview", height=1650, clicks=["Plots"])
    yield Picture("checks", f"{stock}?view=checks&checkDetail=row_count_anomaly", height=700)
    yield Picture("lineage", f"{code}/asset-groups/github", height=850)
    yield Picture("partitions", f"{orders}?view=partitions&partition=2026-01-05", height=900)
    yield Picture("run", f"/runs/{run}", height=900)
    yield Picture("failed-run", f"/runs/{failed}?logs=step%3Awarehouse__suppliers", height=900, kept_height=700)
    yield Picture("backfill", f"/runs/b/{backfill}", height=900, kept_height=400)
    yield Picture("timeline", "/overview/activity/timeline", height=900, kept_height=400, clicks=["1hr"])
    yield Picture("automation", "/automation", height=900, kept_height=400)
    yield Picture("launchpad", f"{code}/jobs/github_hourly_job/playground", height=900, clicks=["refresh"])
    yield Picture("catalog", "/assets", height=850)


@dataclass
class Ui:
    """Dagster's web server, asked as its pages ask it."""

    port: int
    shop_settings: Path

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as refusal:
            sys.exit(refusal.read().decode())
        if "errors" in found:
            sys.exit(str(found["errors"]))
        return found["data"]

    def launch(
        self,
        location: str,
        assets: Sequence[str],
        tags: dict[str, str] | None = None,
        *,
        settings: dict[str, Any] | None = None,
    ) -> str:
        """Launch a run and wait for its end."""
        self.shop_settings.write_text(json.dumps(settings or {}))
        found = self.ask(
            LAUNCH,
            selector={
                "repositoryName": "__repository__",
                "repositoryLocationName": location,
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [{"path": key.split("/")} for key in assets],
            },
            tags=[{"key": key, "value": value} for key, value in (tags or {}).items()],
            config={},
        )["launchRun"]
        if found["__typename"] != "LaunchRunSuccess":
            sys.exit(f"{assets}: {found}")
        run: str = found["run"]["runId"]
        self.settle()
        return run

    def backfill(self, assets: Sequence[str], partitions: Sequence[str]) -> str:
        """Launch a backfill and wait for the end of its runs."""
        found = self.ask(
            BACKFILL,
            params={
                "assetSelection": [{"path": [key]} for key in assets],
                "partitionNames": list(partitions),
                "title": "January",
            },
        )["launchPartitionBackfill"]
        if found["__typename"] != "LaunchBackfillSuccess":
            sys.exit(str(found))
        known = len(self.ask(RUNS)["runsOrError"]["results"])
        wait_until(lambda: len(self.ask(RUNS)["runsOrError"]["results"]) > known, "the backfill has launched a run")
        self.settle()
        return str(found["backfillId"])

    def start(self, kind: str, location: str, name: str) -> None:
        """Switch a schedule or a sensor on."""
        selector = {"repositoryName": "__repository__", "repositoryLocationName": location, f"{kind.lower()}Name": name}
        self.ask(START % (kind, kind if kind == "Sensor" else "Schedule", kind.lower()), selector=selector)

    def settle(self) -> None:
        """Wait until no run is left that goes on."""

        def is_quiet() -> bool:
            runs = self.ask(RUNS)["runsOrError"]["results"]
            return bool(runs) and all(run["status"] in ("SUCCESS", "FAILURE", "CANCELED") for run in runs)

        wait_until(is_quiet, "all runs have ended")


def wait_until(holds: Any, what: str) -> None:
    """Ask every second."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"It took more than {PATIENCE_SECONDS} s until {what}.")
        time.sleep(1)


@contextmanager
def dagster_dev(folder: Path, api: SampleApi) -> Iterator[Ui]:
    """Run Dagster over both code locations, as `make dev` does."""
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(SETTINGS)
    (folder / "workspace.yaml").write_text(WORKSPACE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ui = Ui(port, folder / "shop.json")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DAGSTER_HOME": str(home),
        "DAGSTER_GRPC_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
        "DESTINATION__DUCKDB__CREDENTIALS": str(folder / "warehouse.duckdb"),
        "SOURCES__GITHUB__BASE_URL": api.url,
        "SOURCES__GITHUB__REPO_NAME": api.repository.name,
        "SOURCES__GITHUB__ACCESS_TOKEN": api.token,
        "SHOP_SETTINGS": str(ui.shop_settings),
    }
    command = ["dagster", "dev", "--workspace", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "dagster.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until(lambda: is_up(ui), "Dagster was up")
        yield ui
    finally:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def is_up(ui: Ui) -> bool:
    """Whether the web server knows both code locations."""
    try:
        entries = ui.ask("{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }")
    except OSError:
        return False
    return [entry["loadStatus"] for entry in entries["workspaceOrError"]["locationEntries"]] == ["LOADED", "LOADED"]


class Browser:
    """Chromium without a window, told what to do over its debugging port."""

    def __init__(self, program: str, folder: Path) -> None:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
        port = ["--remote-debugging-port=0", f"--user-data-dir={folder}"]
        self._process = subprocess.Popen(
            [program, *flags, *port, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        told = folder / "DevToolsActivePort"
        wait_until(lambda: told.exists() and len(told.read_text().split()) == 2, "the browser was up")
        with urllib.request.urlopen(f"http://127.0.0.1:{told.read_text().split()[0]}/json/list") as answer:
            [page] = [found for found in json.load(answer) if found["type"] == "page"]
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(page["webSocketDebuggerUrl"], max_size=None))
        self._calls = 0

    def call(self, method: str, **arguments: Any) -> Any:
        """Tell the page to do something, as https://chromedevtools.github.io/devtools-protocol/ says."""
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": arguments}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE_SECONDS))
            if answer.get("id") == self._calls:
                return answer["result"]

    def take(self, address: str, picture: Picture, target: Path) -> None:
        """Look at a page until it stands still, and keep what is seen."""
        size = {"width": picture.width, "height": picture.height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Page.navigate", url=address)
        self._let_settle()
        for text in picture.clicks:
            self._click(text)
            self._let_settle()
        kept = {"x": 0, "y": 0, "width": picture.width, "height": picture.kept_height or picture.height, "scale": 1}
        seen = self.call("Page.captureScreenshot", format="png", clip=kept)
        target.write_bytes(base64.b64decode(seen["data"]))

    def close(self) -> None:
        """End it."""
        self._open.close()
        self._process.terminate()
        self._process.wait(timeout=30)

    def _click(self, text: str) -> None:
        seen = self.call("Runtime.evaluate", expression=PLACE % json.dumps(text))["result"].get("value")
        if seen is None:
            sys.exit(f"There is no {text!r} on the page to click.")
        for event in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=event, button="left", clickCount=1, **json.loads(seen))

    def _let_settle(self) -> None:
        """Wait until the text of the page, but for its clocks, stands still for three seconds; three minutes at most."""
        before, same = "", 0
        for _ in range(180):
            time.sleep(1)
            seen = self.call("Runtime.evaluate", expression=STATE)
            is_busy, now = json.loads(seen["result"].get("value") or '[true, ""]')
            same, before = (same + 1 if now == before and not is_busy else 0), now
            if same >= 3:
                return


if __name__ == "__main__":
    main(sys.argv[1:])
