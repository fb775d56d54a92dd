"""Real processes at one destination: one commits, the other is told who won; one that sleeps too long has lost."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import CommitConflictError, DestinationLockedError, PipelineStepFailed
from soak import loads
from soak.loads import Load
from soak.places import DATASET, PLACES
from soak.processes import Processes, Started


@pytest.fixture(scope="module")
def processes() -> Processes:
    return Processes()


@pytest.fixture(params=list(PLACES))
def load(request, tmp_path: Path, processes) -> Iterator[Load]:
    """A load of version 3, into a place that holds version 2."""
    place = PLACES[request.param](tmp_path)
    load = Load(place, tmp_path / "disk", 15, "append", 3)
    assert processes.run(loads.run_all_before, load).error is None
    yield load
    place.remove()


def until(happened) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


@contextmanager
def prepared(processes: Processes, load: Load, *names: str, resources: Any = None) -> Iterator[list[Started]]:
    """Processes that have extracted the load, each on a disk of its own, and wait for the word to commit."""
    started = [
        processes.start(
            loads.prepare_and_commit,
            replace(load, folder=load.folder.parent / name),
            name,
            *([resources[name]] if resources else []),
        )
        for name in names
    ]
    try:
        until(lambda: all((load.folder.parent / f"{name}.prepared").exists() for name in names))
        yield started
    finally:
        for process in started:
            process.signal(signal.SIGKILL)


def go(load: Load) -> None:
    (load.folder.parent / "go").touch()


def test_of_two_loads_of_one_resource_one_commits_and_the_other_is_told_who_won(load, processes) -> None:
    with prepared(processes, load, "one", "two") as racing:
        go(load)
        outcomes = [process.end().value for process in racing]

    [won] = [load_id for load_id, error in outcomes if error is None]
    [lost] = [error for _, error in outcomes if error is not None]
    assert isinstance(lost, CommitConflictError)
    assert (lost.winner_load_id, lost.winner_host, lost.found) == (won, socket.gethostname(), lost.planned_on + 1)
    assert datetime.now(UTC) - lost.committed_at < timedelta(minutes=5)
    assert f"load {won} from host {socket.gethostname()} committed 3 at 2" in str(lost)
    assert processes.run(loads.look, load, load.allowed()[1:]).value == (3, 0)


def test_a_process_that_wakes_too_late_changes_nothing(load, processes) -> None:
    with prepared(processes, load, "zombie") as [zombie]:
        zombie.signal(signal.SIGSTOP)
        assert processes.run(loads.run, load).error is None
        go(load)
        zombie.signal(signal.SIGCONT)
        load_id, error = zombie.end().value

    assert load_id == ""
    assert isinstance(error, CommitConflictError)
    assert processes.run(loads.look, load, load.allowed()[1:]).value == (3, 0)


def test_different_resources_of_one_pipeline_commit_side_by_side(load, processes) -> None:
    resources = {"one": ("orders",), "two": ("visits",)}
    with prepared(processes, load, "one", "two", resources=resources) as both:
        go(load)
        outcomes = [process.end().value for process in both]

    assert [error for _, error in outcomes] == [None, None]
    assert processes.run(loads.look, load, load.allowed()[1:]).value == (4, 0)


def load_with_little_patience(file: Path) -> BaseException | None:
    pipeline = dlt.pipeline(
        "shop", destination=dlt.destinations.duckdb(file, lock_timeout_seconds=0.2), dataset_name=DATASET
    )
    try:
        pipeline.run([{"id": 1}], table_name="others")
    except PipelineStepFailed as error:
        return error.__cause__
    return None


def test_a_stopped_process_that_holds_a_duckdb_file_is_named_and_holds_up_nobody_for_ever(tmp_path, processes) -> None:
    load = Load(PLACES["duckdb"](tmp_path), tmp_path / "disk", 15, "append", 1)
    holder = processes.start(loads.run, load, "commit.before_commit:sleep")
    until((tmp_path / "shop.duckdb").exists)
    holder.signal(signal.SIGSTOP)

    error = processes.run(load_with_little_patience, tmp_path / "shop.duckdb").value
    holder.signal(signal.SIGKILL)
    holder.signal(signal.SIGCONT)
    holder.end()
    afterwards = processes.run(loads.rerun_and_look, load, load.allowed()[1:])

    assert isinstance(error, DestinationLockedError)
    assert f"PID {holder.pid}" in str(error)
    assert afterwards.error is None
