"""Measure and tell: `python -m benchmarks [WORKLOAD ...]`; see benchmarks/README.md."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks import figures
from benchmarks.measure import ProcessError
from benchmarks.session import measure_workload
from benchmarks.workload import Workload
from benchmarks.workloads import NAMES, module

HERE = Path(__file__).parent
FROM, TO = "<!-- figures -->\n", "<!-- /figures -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="How fast and how large, beside other tools.")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(NAMES)}; all by default")
    parser.add_argument("--records", type=int, help="number of records, instead of each workload's own")
    parser.add_argument("--runs", type=int, help="counted runs of each tool, instead of each workload's own number")
    parser.add_argument("--tools", help="of ours, dlt_tuned, dlt_default, limit; those of the workload by default")
    parser.add_argument("--small", action="store_true", help="few records, one run: only proves that the scripts run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures there, beside those of other workloads")
    parser.add_argument("--report", type=Path, metavar="FILE", help="measure nothing, tell what the file holds")
    parser.add_argument("--readme", action="store_true", help="put the tables into README.md and benchmarks/README.md, too")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.workloads) - set(NAMES))
    if unknown:
        parser.error(f"unknown workload {unknown[0]!r}; known are {', '.join(NAMES)}")
    found = figures.read(chosen.report) if chosen.report else _measure(chosen)
    print(figures.tables(found))
    if chosen.readme:
        for page, told in pages(found).items():
            before, _, rest = page.read_text(encoding="utf-8").partition(FROM)
            page.write_text(f"{before}{FROM}{told}\n{TO}{rest.partition(TO)[2]}", encoding="utf-8")


def pages(found: Mapping[str, figures.Figures]) -> dict[Path, str]:
    """The pages that show figures, each with what it shows."""
    return {HERE / "README.md": figures.tables(found), HERE.parent / "README.md": figures.headline(found)}


def _measure(chosen: argparse.Namespace) -> dict[str, figures.Figures]:
    kept = figures.read(chosen.json) if chosen.json else {}
    machine = _machine()
    found = {}
    for name in chosen.workloads or NAMES:
        workload: Workload = module(name).WORKLOAD
        try:
            measured = measure_workload(
                name,
                records=chosen.records or (workload.small if chosen.small else None),
                runs=chosen.runs or (1 if chosen.small else workload.runs),
                tools=_tools(workload, chosen.tools),
                tell=lambda line: print(line, file=sys.stderr, flush=True),
            )
        except ProcessError as error:
            sys.exit(str(error))
        found[name] = figures.measured_now(machine, measured)
        if chosen.json:
            figures.write(chosen.json, kept | found)
    return found


def _tools(workload: Workload, asked: str | None) -> list[str]:
    """The tools to measure; those of dlt only if it is installed. A workload that is ours alone has its own."""
    tools = list(workload.tools)
    if asked and "limit" in tools:
        tools = [tool for tool in tools if tool in asked.split(",")]
    return tools if _version("dlt") else [tool for tool in tools if not tool.startswith("dlt")]


def _machine() -> str:
    names = ("dlt", "dagster", "duckdb", "pyarrow")
    versions = ", ".join(f"{name} {version}" for name in names if (version := _version(name)))
    system = f"{platform.system()} {platform.machine()}"
    return f"{system}, {os.cpu_count()} CPUs, Python {platform.python_version()}, {versions}"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
