"""Dagster's daemons and GraphQL in this process, a tick at a time, on an instance with a folder of its own.

They are those of `dagster dev`, without its processes and its waiting. Runs are executed where they are launched.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.controller import create_daemon_of_type
from dagster._daemon.daemon import SpanMarker
from dagster._utils.error import SerializableErrorInfo
from dagster_graphql.schema import create_schema
from operator_of_dagster import Operator

SETTINGS = {
    "telemetry": {"enabled": False},
    "freshness": {"enabled": True},
    "concurrency": {"pools": {"default_limit": 1, "granularity": "run"}},
    **{part: {"use_threads": False} for part in ("sensors", "schedules", "backfills", "auto_materialize")},
    "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "QueuedRunCoordinator"},
    "run_launcher": {"module": "dagster._core.launcher.sync_in_memory_run_launcher", "class": "SyncInMemoryRunLauncher"},
}


class Daemons(Operator):
    """The daemons over one file of definitions."""

    def __init__(self, context: WorkspaceProcessContext, location: str) -> None:
        self.context, self.instance, self.location = context, context.instance, location
        self._schema = create_schema()

    def tick(self, *daemons: str) -> None:
        """One round of each daemon, by its name; what goes wrong in it fails the test."""
        no_waiting = threading.Event()
        no_waiting.set()
        for name in daemons:
            with create_daemon_of_type(name, self.instance) as daemon:
                for event in daemon.core_loop(self.context, no_waiting):
                    assert not isinstance(event, SerializableErrorInfo), event.to_string()
                    if event is SpanMarker.END_SPAN:
                        break

    def ask(self, query: str, **variables: Any) -> Any:
        context = self.context.create_request_context()
        answered = asyncio.run(self._schema.execute_async(query, context_value=context, variable_values=variables))
        assert not answered.errors, answered.errors
        return next(iter(answered.data.values()))


@contextmanager
def daemons_of(code: Path, home: Path, settings: Mapping[str, Any] | None = None) -> Iterator[Daemons]:
    """Daemons over the definitions in a file, on the instance in a folder."""
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump({**SETTINGS, **(settings or {})}))
    origin = InProcessCodeLocationOrigin(LoadableTargetOrigin(python_file=str(code)), location_name=code.name)
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as context,
    ):
        yield Daemons(context, code.name)
