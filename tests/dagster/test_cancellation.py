"""A run of Dagster that is cancelled ends at once: nothing is committed, no scratch stays."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import interrupted_job
import pytest

SECONDS_TO_STOP = 30
"""Ten for the step; the rest is Dagster's own, on a busy machine."""
HERE = Path(__file__).parent


@pytest.mark.parametrize("executor", ["in process", pytest.param("multiprocess", marks=pytest.mark.slow)])
def test_a_cancelled_run_stops_its_steps_wherever_they_wait(executor, project, httpserver) -> None:
    httpserver.expect_request("/busy").respond_with_data("", 503, {"Retry-After": "1000"})
    process = subprocess.Popen(
        [sys.executable, interrupted_job.__file__, str(project), httpserver.url_for("/busy"), executor],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not httpserver.log:  # one resource is told to come back later, and the other waits with it
            assert process.poll() is None, process.stderr and process.stderr.read()
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS_TO_STOP)
    finally:
        process.kill()
        process.communicate()

    with interrupted_job.instance(str(project)) as records:
        [record] = records.get_runs()
        entries = records.all_logs(record.run_id)
    [failure] = [entry.dagster_event for entry in entries if entry.dagster_event and entry.dagster_event.is_step_failure]
    assert record.status.value in ("CANCELED", "FAILURE")
    assert "DagsterExecutionInterruptedError" in failure.step_failure_data.error.to_string()
    assert list(project.rglob("run-*")) == []
    assert not (project / "shop.duckdb").exists()
