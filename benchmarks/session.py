"""One workload, measured: tools in turn, so that a slow minute of the machine hits all of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from benchmarks.measure import Cost, ProcessError, measure
from benchmarks.workload import Task, Workload
from benchmarks.workloads import module

ROOT = Path(__file__).parent.parent
# Compiled modules are kept, as they are where a package is installed.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "", "DAGSTER_DISABLE_TELEMETRY": "1"}


@dataclass
class Measured:
    """A tool with a number of records, and what each of its runs took."""

    tool: str
    records: int
    costs: list[Cost] = field(default_factory=list)


def measure_workload(
    name: str, *, records: int | None, runs: int, tools: Sequence[str], tell: Callable[[str], None]
) -> list[Measured]:
    """Measure the tools on a workload, at its own sizes or one that is asked for.

    Args:
        tell: Is told of every run.

    Raises:
        ProcessError: A tool failed, or loaded another number of rows than there are.
    """
    workload: Workload = module(name).WORKLOAD
    measured = [
        Measured(tool, size)
        for count in ([records] if records else workload.sizes or [workload.records])
        for tool in tools
        for size in _sizes(workload, tool, count)
    ]
    with tempfile.TemporaryDirectory() as scratch, _server_of(workload) as url:
        place = Place(name, Path(scratch), url)
        for run in range(runs):
            for one in measured:
                if run == 0 or not _is_extrapolated(workload, one):
                    cost = place.measure(one.tool, one.records)
                    tell(f"{name}: {one.tool}, {one.records:,} records, run {run + 1}: {cost.cpu_seconds:.2f} s")
                    one.costs.append(cost)
    return measured


def _sizes(workload: Workload, tool: str, records: int) -> list[int]:
    """Two small sizes for dlt as it comes, where all records would take it too long."""
    most = workload.default_records
    return [most // 4, most] if tool == "dlt_default" and most and most < records else [records]


def _is_extrapolated(workload: Workload, one: Measured) -> bool:
    """Whether a run is one of dlt's small ones; one of each is enough."""
    most = workload.default_records
    return one.tool == "dlt_default" and most is not None and one.records in (most // 4, most)


class Place:
    """Where a workload is measured: a folder for each run, filled beforehand if the workload says how.

    Attributes:
        url: Of the server, if there is one.
    """

    def __init__(self, workload: str, scratch: Path, url: str) -> None:
        self._workload = workload
        self._module = module(workload)
        self._scratch = scratch
        self.url = url

    def measure(self, tool: str, records: int) -> Cost:
        function = "with_dlt" if tool.startswith("dlt") else tool
        folder = self._scratch / "run"
        prepared = self._prepared(function, records)
        if prepared is None:
            folder.mkdir()
        else:
            shutil.copytree(prepared, folder)
        try:
            return self._run(function, Task(tool, records, folder, self.url), expected_rows(self._module, tool, records))
        finally:
            shutil.rmtree(folder)

    def _prepared(self, function: str, records: int) -> Path | None:
        """The folder that runs start from; made once."""
        preparation = f"prepare_{function}"
        if not hasattr(self._module, preparation):
            return None
        folder = self._scratch / f"{function}_{records}"
        if not folder.exists():
            folder.mkdir()
            self._run(preparation, Task("prepared", records, folder, self.url), expected=None)
        return folder

    def _run(self, function: str, task: Task, expected: int | None) -> Cost:
        arguments = [self._workload, function, task.tool, str(task.records), str(task.folder), task.url]
        printed, cost = measure([sys.executable, "-m", "benchmarks.one", *arguments], folder=ROOT, environment=ENVIRONMENT)
        rows = printed.split()[-1:]
        if expected is not None and rows != [str(expected)]:
            raise ProcessError(f"{task.tool} on {self._workload} loaded {rows} rows of {expected}.")
        return cost


def expected_rows(workload: ModuleType, tool: str, records: int) -> int:
    """How many rows there must be after a run; as many as records, unless the workload says otherwise."""
    if hasattr(workload, "expected_rows"):
        return int(workload.expected_rows(Task(tool, records, Path())))
    return records


def _server_of(workload: Workload) -> AbstractContextManager[str]:
    match workload.server:
        case "records":
            return server()
        case "postgres":
            return server(str(ROOT / "tests" / "postgres_server.py"))
        case _:
            return nullcontext("")


@contextmanager
def server(*program: str) -> Iterator[str]:
    """A server in a process of its own, whose work is not measured; its address.

    Args:
        program: Arguments of Python; the server for records by default.
    """
    command = [sys.executable, *(program or ("-m", "benchmarks.server"))]
    with subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise ProcessError("The server did not start; what it said stands above.")
            yield url
        finally:
            process.stdin.close()
