"""One code location on every executor: a worker is killed in a backfill, and in the end each day is there, once.

The executors of Celery and Dask are not among what the other tests need: `make executors` installs them, and runs this.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import pytest
import shop_location
from postgres_server import fresh_database, rows
from shop_location import KEYS, records_of

from dlt_orchestrate.faults import FAULT_VARIABLE

HERE = Path(__file__).parent
PATIENCE_SECONDS = 900
FIRST_LOAD_ENDS = "commit.after_commit:kill:1"
"""A process is killed when its first commit is done, and Dagster has not heard of it."""

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def shop_database(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty database, and an instance of Dagster whose tables are made."""
    home = project / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])))
    with dg.DagsterInstance.get() as instance:
        instance.get_runs(limit=1)
        instance.fetch_materializations(shop_location.by_day[0].key, limit=1)
    with fresh_database() as url:
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
        yield url


@pytest.fixture
def start(project: Path) -> Iterator[Start]:
    """Start a process with all that it will start itself; what is left of it ends with the test."""
    with ExitStack() as stack:

        def started(*command: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
            log = stack.enter_context((project / "processes.log").open("a"))
            process = subprocess.Popen(
                command,
                cwd=project,
                env={**os.environ, **(env or {})},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            stack.callback(kill, process)
            return process

        yield started


@pytest.fixture
def celery(
    start: Start, shop_database: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> list[subprocess.Popen[bytes]]:
    """Two workers of Celery on a Redis of their own; each process of the first is killed at its third commit."""
    need("dagster_celery", "make executors")
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("Redis is not installed: apt-get install -y redis-server")
    port = free_port()
    broker = f"redis://127.0.0.1:{port}/0"
    server = start(redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(project))
    monkeypatch.setenv("SHOP_EXECUTOR", "celery")
    monkeypatch.setenv("SHOP_BROKER", broker)
    # The tool of dagster-celery starts `celery` from the PATH, and reads nothing that is not nested like this.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    settings = project / "celery.yaml"
    settings.write_text(f"execution: {{config: {{broker: '{broker}', backend: '{broker}'}}}}\n")
    until(lambda: is_listening(port), server)
    workers = [
        start(
            *(str(Path(sys.executable).with_name("dagster-celery")), "worker", "start", "-A", "dagster_celery.app"),
            *("-y", str(settings), "-n", name, "--", "--concurrency", "1", "--without-gossip", "--without-mingle"),
            *("--logfile", str(project / f"{name}.log")),
            env={FAULT_VARIABLE: fault},
        )
        for name, fault in (("unlucky", "commit.after_commit:kill:3"), ("lucky", ""))
    ]
    for name, worker in zip(("unlucky", "lucky"), workers, strict=True):
        log = project / f"{name}.log"
        until(lambda log=log: log.exists() and " ready." in log.read_text(), worker)
    return workers


@pytest.fixture
def dask(start: Start, shop_database: str, monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Two workers of Dask and their scheduler; the first worker is killed at its third commit."""
    need("dagster_dask", "make executors")
    from distributed import Client

    port = free_port()
    scheduler = f"tcp://127.0.0.1:{port}"
    tool = str(Path(sys.executable).with_name("dask"))
    monkeypatch.setenv("SHOP_EXECUTOR", "dask")
    monkeypatch.setenv("SHOP_SCHEDULER", scheduler)
    server = start(tool, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    until(lambda: is_listening(port), server)
    workers = [
        start(
            *(tool, "worker", scheduler, "--no-nanny", "--no-dashboard", "--host", "127.0.0.1", "--nthreads", "1"),
            env={FAULT_VARIABLE: fault},
        )
        for fault in ("commit.after_commit:kill:3", "")
    ]
    with Client(scheduler) as client:
        client.wait_for_workers(2, timeout=PATIENCE_SECONDS)
    return workers


# --- the promises ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["in_process", "spawn", "forkserver"])
def test_a_step_that_is_killed_after_its_commit_is_not_loaded_twice(
    executor: str, shop_database: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_EXECUTOR", executor)
    unlucky, *others = KEYS

    drivers = [
        launch(start, "days", unlucky, env={FAULT_VARIABLE: FIRST_LOAD_ENDS}),
        launch(start, "days", *others[::2]),
        launch(start, "days", *others[1::2]),
        launch(start, "rest"),
    ]
    wait_for(drivers)
    failed = runs_that_failed()
    wait_for([launch(start, "again", *failed)])

    assert len(failed) == 1
    expect_all_of_it_once(shop_database)
    assert loads_that_were_repeated()


@pytest.mark.slow
def test_a_worker_of_celery_that_is_killed_leaves_each_day_loaded_once(
    celery: list[subprocess.Popen[bytes]], shop_database: str, start: Start
) -> None:
    unlucky_worker, _ = celery

    wait_for([launch(start, "days", *KEYS[part::3]) for part in range(3)])
    failed = runs_that_failed()
    kill(unlucky_worker)
    wait_for([launch(start, "rest"), launch(start, "again", *failed)])

    assert failed
    expect_all_of_it_once(shop_database)
    assert loads_that_were_repeated()
    assert len(workers_of_steps("Celery worker")) == 2


@pytest.mark.slow
def test_a_worker_of_dask_that_is_killed_leaves_each_day_loaded_once(
    dask: list[subprocess.Popen[bytes]], shop_database: str, start: Start
) -> None:
    unlucky_worker, lucky_worker = dask

    wait_for([launch(start, "days", *KEYS[part::3]) for part in range(3)])
    failed = runs_that_failed()
    wait_for([launch(start, "rest"), *([launch(start, "again", *failed)] if failed else [])])

    assert unlucky_worker.wait() == -signal.SIGKILL
    assert lucky_worker.poll() is None
    expect_all_of_it_once(shop_database)
    assert loads_that_were_repeated()


# --- what a run leaves -----------------------------------------------------------------------------------------------


def expect_all_of_it_once(url: str) -> None:
    """Every day has its rows and no other, in one commit for each resource and day; the rest is there, too."""
    expected = sorted((record["id"], record["at"]) for key in KEYS for record in records_of(key))
    for table in ("orders", "visits"):
        text = "to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
        assert rows(url, f"SELECT id, {text} FROM raw.{table} ORDER BY id") == expected
    assert rows(url, "SELECT count(*) FROM raw.customers") == [(7,)]
    assert rows(url, "SELECT sku FROM raw.products ORDER BY sku") == [("cup",), ("tea",)]
    commits = Counter(
        rows(url, "SELECT resource_name, left(window_start, 10) FROM raw._dlt_commits WHERE window_start IS NOT NULL")
    )
    assert commits == Counter((name, key) for name in ("orders", "visits") for key in KEYS)
    assert rows(url, "SELECT count(*) FROM raw._dlt_loads") == [(2 * len(KEYS) + 2,)]
    with dg.DagsterInstance.get() as instance:
        for asset in shop_location.by_day:
            assert instance.get_materialized_partitions(asset.key) == set(KEYS)


def loads_that_were_repeated() -> list[str]:
    """The partitions whose load was found, and not made again."""
    with dg.DagsterInstance.get() as instance:
        materializations = [
            record.event_log_entry.dagster_event.event_specific_data.materialization
            for asset in shop_location.by_day
            for record in instance.fetch_materializations(asset.key, limit=100).records
        ]
    return [m.partition for m in materializations if m.metadata["repeated"].value]


def runs_that_failed() -> list[str]:
    """The runs without success; one whose process has died is marked as failed, as Dagster's monitoring of runs does."""
    with dg.DagsterInstance.get() as instance:
        runs = instance.get_runs()
        for run in runs:
            if not run.is_finished:
                instance.report_run_failed(run)
        return [run.run_id for run in runs if not run.is_success]


def workers_of_steps(name: str) -> set[str]:
    """The workers that have reported that they execute a step."""
    with dg.DagsterInstance.get() as instance:
        return {
            event.dagster_event.engine_event_data.metadata[name].value
            for run in instance.get_runs()
            for event in instance.all_logs(run.run_id, dg.DagsterEventType.ENGINE_EVENT)
            if name in event.dagster_event.engine_event_data.metadata
        }


# --- processes -------------------------------------------------------------------------------------------------------


def launch(start: Start, *what: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """A process that executes runs and waits for their steps, wherever these are executed."""
    return start(sys.executable, str(HERE / "shop_runs.py"), *what, env=env)


def wait_for(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.wait(timeout=PATIENCE_SECONDS)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def need(module: str, install: str) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed: {install}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(is_so: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for another process to be ready."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert process.poll() is None, f"{process.args} has ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{process.args} was not ready in time"
        time.sleep(0.1)
