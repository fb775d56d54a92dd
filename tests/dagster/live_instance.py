"""Dagster's web server and daemons on an instance of a test's own, started on loopback and asked through GraphQL."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 240
ENDED = ("SUCCESS", "FAILURE", "CANCELED")

SETTINGS = """
telemetry: {enabled: false}
nux: {enabled: false}
freshness: {enabled: true}
"""

_LAUNCH = """
mutation($of: ExecutionParams!) { launchRun(executionParams: $of) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
} }
"""
_AGAIN = """
mutation($of: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $of) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
} }
"""
_TERMINATE = "mutation($run: String!) { terminateRun(runId: $run) { __typename } }"
_BACKFILL = """
mutation($of: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $of) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
} }
"""
_BACKFILL_STATUS = (
    "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"
)
_RUN = """
query($run: ID!) { runOrError(runId: $run) { ... on Run {
  runId status stats { ... on RunStatsSnapshot { stepsSucceeded stepsFailed } }
  stepStats { stepKey status } stepKeysToExecute
} } }
"""
_RUNS = """
{ runsOrError(limit: 200) { ... on Runs { results {
  runId status assetSelection { path } tags { key value } runConfigYaml
} } } }
"""
_MATERIALIZATIONS = """
query($path: [String!]!) { assetOrError(assetKey: {path: $path}) { ... on Asset { assetMaterializations(limit: 500) {
  partition runId metadataEntries {
    label ... on IntMetadataEntry { intValue } ... on BoolMetadataEntry { boolValue }
  }
} } } }
"""


class LiveInstance:
    """`dagster dev` on loopback over one file of definitions, with a home that outlives it."""

    def __init__(self, home: Path, code: Path, environment: Mapping[str, str], settings: str = SETTINGS) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.home, self.code = home, code
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "PYTHONPATH": str(ROOT),
            "DAGSTER_HOME": str(home),
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").write_text(settings)

    def start(self) -> None:
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dagster", "dev", "-f", str(self.code), "-h", "127.0.0.1", "-p", str(self.port)],
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

    # --- asking --------------------------------------------------------------------------------------------------

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer of the web server; None while there is none."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                answered = json.load(answer)
        except urllib.error.HTTPError as refusal:
            raise AssertionError(refusal.read().decode()) from None
        except OSError:
            return None
        assert "errors" not in answered, answered
        return next(iter(answered["data"].values()))

    def until(self, what: str, reached: Callable[[], Any]) -> Any:
        """Ask again until something is so."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if answer := reached():
                return answer
            time.sleep(0.5)
        raise AssertionError(f"{what}: not within {PATIENCE_SECONDS} s.\n{(self.home / 'log').read_text()[-5_000:]}")

    def runs(self, tags: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """The runs with these tags, newest first."""
        found = (self.ask(_RUNS) or {}).get("results", [])
        wanted = (tags or {}).items()
        return [run for run in found if wanted <= {tag["key"]: tag["value"] for tag in run["tags"]}.items()]

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(_RUN, run=run_id)
        return found

    def ended(self, run_id: str) -> dict[str, Any]:
        """The run, once it has ended."""

        def once() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run and run["status"] in ENDED else None

        found: dict[str, Any] = self.until(f"the end of run {run_id}", once)
        return found

    def materializations(self, *path: str) -> list[dict[str, Any]]:
        """Partition and metadata of each, newest first; those that are whole numbers or yes and no."""
        found = self.ask(_MATERIALIZATIONS, path=path)["assetMaterializations"]
        return [
            {"partition": one["partition"], "run": one["runId"]}
            | {
                entry["label"]: entry.get("intValue", entry.get("boolValue"))
                for entry in one["metadataEntries"]
                if "intValue" in entry or "boolValue" in entry
            }
            for one in found
        ]

    # --- launching -----------------------------------------------------------------------------------------------

    def launch(self, *assets: str, tags: Mapping[str, str] | None = None) -> str:
        """Launch a run of assets as the launchpad does; its id."""
        self.until("an answer of the web server", lambda: self.ask("{ version }"))
        selector = {
            "repositoryLocationName": self.code.name,
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": asset.split("/")} for asset in assets],
        }
        given = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        launched = self.ask(
            _LAUNCH, of={"selector": selector, "mode": "default", "executionMetadata": {"tags": given}, "runConfigData": {}}
        )
        return _launched(launched)

    def launch_from_failure(self, run_id: str) -> str:
        """Launch the re-execution of a run from its failure; its id."""
        return _launched(self.ask(_AGAIN, of={"parentRunId": run_id, "strategy": "FROM_FAILURE"}))

    def terminate(self, run_id: str) -> None:
        assert self.ask(_TERMINATE, run=run_id)["__typename"] == "TerminateRunSuccess"

    def backfill(self, assets: Collection[str], partitions: Sequence[str]) -> str:
        """Launch a backfill and wait for its end; its status."""
        self.until("an answer of the web server", lambda: self.ask("{ version }"))
        of = {"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": list(partitions)}
        launched = self.ask(_BACKFILL, of=of)
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        identity = launched["backfillId"]

        def status() -> str | None:
            found: str = self.ask(_BACKFILL_STATUS, id=identity)["status"]
            return None if found in ("REQUESTED", "CANCELING", "FAILING") else found

        ended: str = self.until("the end of the backfill", status)
        return ended


def _launched(answer: Mapping[str, Any]) -> str:
    assert answer["__typename"] == "LaunchRunSuccess", answer
    run_id: str = answer["run"]["runId"]
    return run_id
