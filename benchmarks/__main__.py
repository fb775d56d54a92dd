"""Run benchmarks: `python -m benchmarks [WORKLOAD ...] [--records N] [--runs N] [--tools ours,limit] [--small]`."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.workloads import WORKLOADS, Workload

TOOLS = ("ours", "dlt_tuned", "dlt_default", "limit")
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Measured:
    """One process: CPU seconds (user and system, waited-for children included) and peak resident memory."""

    cpu_seconds: float
    peak_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(WORKLOADS)}; all by default")
    parser.add_argument("--records", type=int, help="number of records instead of each workload's own")
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each tool, taken in turn (default 3)")
    parser.add_argument("--tools", default=",".join(TOOLS), help=f"of {', '.join(TOOLS)}; all by default")
    parser.add_argument("--small", action="store_true", help="few records, one run: only proves that the scripts run")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.workloads) - WORKLOADS.keys())
    if unknown:
        parser.error(f"unknown workload {unknown[0]!r}; known are {', '.join(WORKLOADS)}")
    tools = [tool for tool in TOOLS if tool in chosen.tools.split(",") and _is_installed(tool)]
    print(_machine(), end="\n\n")
    for name in chosen.workloads or WORKLOADS:
        workload = WORKLOADS[name]
        records = chosen.records or (workload.small_records if chosen.small else workload.default_records)
        _report(workload, records, tools, 1 if chosen.small else chosen.runs)


def _report(workload: Workload, records: int, tools: list[str], runs: int) -> None:
    """Measure the tools in turn, so that a slow minute of the machine hits all of them, and print the medians."""
    results: dict[str, list[Measured]] = {tool: [] for tool in tools}
    for _ in range(runs):
        for tool in tools:
            results[tool].append(_measure(tool, workload, records))
    ours = _median(results["ours"]) if "ours" in results else None
    print(f"### {workload.name}: {records:,} records ({workload.title}); median of {runs} interleaved run(s)\n")
    print("| tool | CPU s | CPU s min-max | peak MB | CPU of the tool / ours |")
    print("|---|---|---|---|---|")
    for tool, measured in results.items():
        seconds = [one.cpu_seconds for one in measured]
        ratio = f"{_median(measured) / ours:.2f}" if ours else "-"
        peak = max(one.peak_bytes for one in measured) / 2**20
        print(f"| {tool} | {_median(measured):.2f} | {min(seconds):.2f}-{max(seconds):.2f} | {peak:.0f} | {ratio} |")
    print()


def _median(measured: list[Measured]) -> float:
    return statistics.median(one.cpu_seconds for one in measured)


def _measure(tool: str, workload: Workload, records: int) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", f"benchmarks.tools.{tool}", workload.name, str(records), folder]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": ""}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        loaded = process.stdout.read().split()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or not loaded or int(loaded[-1]) != records:
        sys.exit(f"{tool} on {workload.name}: exit code {process.returncode}, rows {loaded}, expected {records}")
    return Measured(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _is_installed(tool: str) -> bool:
    if not tool.startswith("dlt"):
        return True
    try:
        importlib.metadata.version("dlt")
    except importlib.metadata.PackageNotFoundError:
        print(f"{tool} is left out: dlt is not installed (extra `bench`)", file=sys.stderr)
        return False
    return True


def _machine() -> str:
    names = ("dlt-orchestrate", "dlt", "duckdb", "pyarrow")
    versions = []
    for name in names:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        + ", ".join(versions)
    )


if __name__ == "__main__":
    main()
