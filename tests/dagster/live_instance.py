"""Dagster's web server and daemons on an instance of a test's own, started on loopback."""

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

from operator_of_dagster import ENDED, Operator

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 600

SETTINGS = f"""
telemetry: {{enabled: false}}
nux: {{enabled: false}}
freshness: {{enabled: true}}
code_servers: {{local_startup_timeout: {PATIENCE_SECONDS}}}
"""


class LiveInstance(Operator):
    """`dagster dev` on loopback over one file of definitions, with a home that outlives it."""

    def __init__(self, home: Path, code: Path, environment: Mapping[str, str], settings: str = SETTINGS) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.home, self.code, self.location = home, code, code.name
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "PYTHONPATH": str(ROOT),
            "DAGSTER_HOME": str(home),
            # On a busy machine launching a run takes longer than Dagster's minute, and then it counts as failed.
            "DAGSTER_GRPC_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
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
        self.until("an answer of the web server", lambda: self.ask("{ version }"))

    def stop(self) -> None:
        """End it and all that it has started, whatever becomes of them."""
        if self.process is None:
            return
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(timeout=180)  # Dagster gives each of its processes a minute
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process = None

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer of the web server; None while there is none."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
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
            time.sleep(1)
        raise AssertionError(f"{what}: not within {PATIENCE_SECONDS} s.\n{(self.home / 'log').read_text()[-5_000:]}")

    def ended(self, run_id: str) -> dict[str, Any]:
        """The run, once it has ended."""

        def once() -> dict[str, Any] | None:
            run = self.run(run_id)
            return run if run and run["status"] in ENDED else None

        found: dict[str, Any] = self.until(f"the end of run {run_id}", once)
        return found

    def backfill(self, assets: Collection[str], partitions: Sequence[str]) -> str:
        """Launch a backfill and wait for its end; its status."""
        identity = self.launch_backfill(assets, partitions)

        def status() -> str | None:
            found = self.backfill_status(identity)
            return None if found in ("REQUESTED", "CANCELING", "FAILING") else found

        ended: str = self.until("the end of the backfill", status)
        return ended
