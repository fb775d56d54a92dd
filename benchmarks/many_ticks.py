"""What the daemons of Dagster take for a tick over many assets of ours, and what a run of all of them writes.

`python -m benchmarks.many_ticks RESOURCES [DAYS]`. The daemons tick in this process, on an instance with SQLite in a folder
that is thrown away; without DAYS all assets are then loaded in one run. Prints CPU seconds, and events with their bytes.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SETTINGS = """
telemetry: {enabled: false}
freshness: {enabled: true}
sensors: {use_threads: false}
schedules: {use_threads: false}
backfills: {use_threads: false}
auto_materialize: {use_threads: false}
"""
DAEMONS = ("SCHEDULER", "SENSOR", "ASSET", "FRESHNESS_DAEMON", "BACKFILL", "QUEUED_RUN_COORDINATOR")


def main(resources: int, days: int = 0) -> None:
    """Tick twice with each daemon, since the first tick also fills caches; then load everything once."""
    os.environ["MANY_RESOURCES"], os.environ["MANY_DAYS"] = str(resources), str(days)
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, _workspace(Path(folder)) as context:
        os.chdir(folder)
        for name in DAEMONS:
            print(f"{name:<24}" + "".join(f"{seconds:8.2f} s" for seconds in (_tick(context, name), _tick(context, name))))
        if not days:
            _run_all(context.instance)


def _tick(context: Any, name: str) -> float:
    """CPU seconds of one round of a daemon."""
    from dagster._daemon.controller import create_daemon_of_type
    from dagster._daemon.daemon import SpanMarker

    no_waiting = threading.Event()
    no_waiting.set()
    time.sleep(1)  # the least interval of the sensor of conditions
    started = time.process_time()
    with create_daemon_of_type(name, context.instance) as daemon:
        next(event for event in daemon.core_loop(context, no_waiting) if event is SpanMarker.END_SPAN)
    return time.process_time() - started


def _run_all(instance: Any) -> None:
    from benchmarks.many_location import defs

    started = time.process_time()
    result = defs.get_implicit_global_asset_job_def().execute_in_process(instance=instance)
    seconds = time.process_time() - started
    assert result.success
    log = next(Path(instance.root_directory).rglob(f"{result.run_id}.db"))
    with sqlite3.connect(log) as connection:
        ((events, size),) = connection.execute("SELECT count(*), sum(length(event)) FROM event_logs")
    print(f"{'one run of all':<24}{seconds:8.2f} s{events:10} events{size / 1e6:8.2f} MB")


@contextmanager
def _workspace(home: Path) -> Iterator[Any]:
    import dagster
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget

    (home / "dagster.yaml").write_text(SETTINGS)
    origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="benchmarks.many_location"), location_name="many")
    started = time.process_time()
    with (
        dagster.DagsterInstance.from_config(str(home)) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as context,
    ):
        print(f"{'code location':<24}{time.process_time() - started:8.2f} s")
        yield context


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
