"""Measured figures: kept as JSON, and told as tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure import Cost
from benchmarks.session import Measured
from benchmarks.workload import COMPARED, Bars, Workload
from benchmarks.workloads import NAMES, dirty, module

MB = 2**20


@dataclass(frozen=True)
class Figures:
    """What was measured of one workload.

    Attributes:
        machine: On what, with which versions.
        at: When.
    """

    machine: str
    at: str
    measured: tuple[Measured, ...]

    def of(self, tool: str) -> list[Measured]:
        """The sizes at which a tool was measured, the smallest first."""
        return sorted((one for one in self.measured if one.tool == tool), key=lambda one: one.records)

    @property
    def records(self) -> int:
        return max(one.records for one in self.measured)

    @property
    def runs(self) -> int:
        return max(len(one.costs) for one in self.measured)


# --- as JSON ---------------------------------------------------------------------------------------------------


def read(file: Path) -> dict[str, Figures]:
    """Figures by workload; none if there is no such file."""
    if not file.exists():
        return {}
    return {name: _figures(entry) for name, entry in json.loads(file.read_text(encoding="utf-8")).items()}


def write(file: Path, figures: Mapping[str, Figures]) -> None:
    entries = {name: asdict(figures[name]) for name in NAMES if name in figures}
    file.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def _figures(entry: dict[str, Any]) -> Figures:
    measured = (Measured(one["tool"], one["records"], [Cost(**cost) for cost in one["costs"]]) for one in entry["measured"])
    return Figures(entry["machine"], entry["at"], tuple(measured))


def measured_now(machine: str, measured: Iterable[Measured]) -> Figures:
    return Figures(machine, f"{datetime.now(UTC):%Y-%m-%d}", tuple(measured))


# --- as tables -------------------------------------------------------------------------------------------------


def tables(figures: Mapping[str, Figures]) -> str:
    """Everything there is, as Markdown."""
    parts = [comparison(figures), among_others(figures), _scale(figures), _dirty(figures), _where(figures.values())]
    return "\n\n".join(part for part in parts if part)


def headline(figures: Mapping[str, Figures]) -> str:
    """The comparison in short: CPU time, and how many times ours dlt takes."""
    rows = []
    for name in (name for name in NAMES if name in figures and module(name).WORKLOAD.tools == COMPARED):
        found = figures[name]
        ours, *theirs, limit = (_seconds(found, tool, "cpu_seconds") for tool in COMPARED)
        times = [f"{_duration(one)} ({_ratio(one, ours)} ×)" for one in theirs]
        times[1] = _as_extrapolated(times[1], found)
        rows.append([_title(module(name).WORKLOAD, found), _duration(ours), *times, _duration(limit)])
    heads = ["CPU time of", "ours", "dlt tuned", "dlt default", "limit"]
    note = "≈: extrapolated in a line from two smaller numbers of records."
    return f"{_markdown(heads, rows)}\n\n{note} {_where(figures.values())}"


def comparison(figures: Mapping[str, Figures]) -> str:
    """A row for each workload that tools compete on, with what was promised beside what was measured."""
    rows = []
    for name in NAMES:
        workload: Workload = module(name).WORKLOAD
        if name in figures and workload.tools == COMPARED:
            rows.append(_compared(workload, figures[name]))
            if workload.bars.wall is not None:
                rows.append(_compared_wall(workload, figures[name]))
            if hasattr(module(name), "latency_seconds"):
                rows.append(_compared_latency(name, figures[name]))
    if not rows:
        return ""
    heads = ["CPU time of", "ours", "dlt tuned", "dlt default", "limit", "tuned / ours", "default / ours", "ours / limit"]
    return _markdown([*heads, "peak MB"], rows) + (
        "\n\nIn brackets: at least so many times faster than dlt; the limit we aim for. **Bold**: not reached. "
        "Peak MB in the order of the tools. ≈: extrapolated in a line from two smaller numbers of records."
    )


def _compared(workload: Workload, figures: Figures) -> list[str]:
    seconds = {tool: _seconds(figures, tool, "cpu_seconds") for tool in COMPARED}
    return [_title(workload, figures), *_cells(seconds, workload.bars, figures), _peaks(workload.bars, figures)]


def _compared_wall(workload: Workload, figures: Figures) -> list[str]:
    seconds = {tool: _seconds(figures, tool, "wall_seconds") for tool in COMPARED}
    return ["the same, elapsed time", *_cells(seconds, Bars(limit=workload.bars.wall), figures), ""]


def _compared_latency(name: str, figures: Figures) -> list[str]:
    workload: Workload = module(name).WORKLOAD
    seconds = {tool: _seconds(figures, tool, "wall_seconds") for tool in COMPARED}
    seconds["limit"] = module(name).latency_seconds(figures.records)
    return ["the same; limit: waiting alone", *_cells(seconds, Bars(limit=workload.bars.latency), figures), ""]


def _cells(seconds: Mapping[str, float | None], bars: Bars, figures: Figures) -> list[str]:
    ours, tuned, default, limit = (seconds[tool] for tool in COMPARED)
    return [
        _duration(ours),
        _duration(tuned),
        _as_extrapolated(_duration(default), figures),
        _duration(limit),
        _ratio(tuned, ours, at_least=bars.tuned),
        _ratio(default, ours, at_least=bars.default),
        _ratio(ours, limit, at_most=bars.limit),
    ]


def _as_extrapolated(shown: str, figures: Figures) -> str:
    """Marks what dlt as it comes would take, where it was measured at two smaller sizes."""
    return f"≈ {shown}" if len(figures.of("dlt_default")) > 1 else shown


def _peaks(bars: Bars, figures: Figures) -> str:
    at_most = {"ours": bars.peak_mb}
    return ", ".join(_told_peak(of[-1], at_most.get(tool)) if (of := figures.of(tool)) else "-" for tool in COMPARED)


def _told_peak(one: Measured, at_most: int | None) -> str:
    shown = f"{_peak_mb(one):,.0f}"
    if at_most is None:
        return shown
    shown += f" (≤ {at_most:,})"
    return f"**{shown}**" if _peak_mb(one) > at_most else shown


def among_others(figures: Mapping[str, Figures]) -> str:
    """A row for each tool of the workloads that other tools than the usual ones compete on."""
    rows = []
    for name in NAMES:
        workload: Workload = module(name).WORKLOAD
        if name in figures and workload.bars.others:
            rows += _among_others(workload, figures[name])
    heads = ["CPU time of", "tool", "CPU", "beside ours", "peak MB"]
    return _markdown(heads, rows) if rows else ""


def _among_others(workload: Workload, figures: Figures) -> Iterator[list[str]]:
    ours = _seconds(figures, "ours", "cpu_seconds")
    title = _title(workload, figures)
    for tool in (tool for tool in workload.tools if figures.of(tool)):
        seconds = _seconds(figures, tool, "cpu_seconds")
        match tool:
            case "ours":
                beside = ""
            case "limit":
                beside = f"ours is {_ratio(ours, seconds, at_most=workload.bars.limit)} times this"
            case _:
                beside = f"{_ratio(seconds, ours, at_least=workload.bars.others.get(tool))} times ours"
        peak = _told_peak(figures.of(tool)[-1], workload.bars.peak_mb if tool == "ours" else None)
        yield [title, tool, _duration(seconds), beside, peak]
        title = ""


def _scale(figures: Mapping[str, Figures]) -> str:
    rows = []
    if "scale_rows" in figures:
        rows += [_scaled(one, one.records, fields=10) for one in figures["scale_rows"].of("ours")]
    if "scale_columns" in figures:
        for one in figures["scale_columns"].measured:
            fields = int(one.tool.rpartition("_")[2])
            rows.append(_scaled(one, one.records // fields, fields))
    heads = ["how it scales", "CPU", "µs a record", "µs a value", "peak MB"]
    return _markdown(heads, rows) if rows else ""


def _scaled(one: Measured, records: int, fields: int) -> list[str]:
    seconds = _median(one, "cpu_seconds")
    micros = seconds * 1e6 / records
    return [
        f"{records:,} records of {fields:,} fields",
        _duration(seconds),
        f"{micros:,.1f}",
        f"{micros / fields:.2f}",
        f"{_peak_mb(one):,.0f}",
    ]


def _dirty(figures: Mapping[str, Figures]) -> str:
    if "dirty" not in figures:
        return ""
    found = figures["dirty"]
    clean, irregular = (_seconds(found, tool, "cpu_seconds") for tool in ("clean", "dirty"))
    times = _ratio(irregular, clean, at_most=dirty.AT_MOST)
    return f"{_title(dirty.WORKLOAD, found)}: {_duration(irregular)}, {times} times the {_duration(clean)} of clean ones."


def _where(figures: Iterable[Figures]) -> str:
    """When and on what; most of them were measured together."""
    runs: dict[str, list[int]] = {}
    for one in figures:
        runs.setdefault(f"Measured {one.at} on {one.machine}.", []).append(one.runs)
    least_to_most = {line: dict.fromkeys((min(counts), max(counts))) for line, counts in runs.items()}
    return "\n".join(f"{line} Runs of each tool: {' to '.join(map(str, of))}." for line, of in least_to_most.items())


def _title(workload: Workload, figures: Figures) -> str:
    return workload.title.format(records=f"{figures.records:,}")


def _seconds(figures: Figures, tool: str, kind: str) -> float | None:
    """The median; of a tool that was measured at smaller sizes only, extrapolated to that of the others."""
    sizes = figures.of(tool)
    if not sizes:
        return None
    *smaller, largest = sizes
    seconds = _median(largest, kind)
    if smaller and figures.records > largest.records:
        slope = max(0.0, seconds - _median(smaller[0], kind)) / (largest.records - smaller[0].records)
        return seconds + slope * (figures.records - largest.records)
    return seconds


def _median(one: Measured, kind: str) -> float:
    return statistics.median(getattr(cost, kind) for cost in one.costs)


def _peak_mb(one: Measured) -> float:
    return max(cost.peak_bytes for cost in one.costs) / MB


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:,.0f} s"


def _ratio(
    larger: float | None, smaller: float | None, *, at_least: float | None = None, at_most: float | None = None
) -> str:
    """How many times the one is the other, with what was promised."""
    if larger is None or not smaller:
        return "-"
    ratio = larger / smaller
    shown = f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"
    if at_least is not None:
        return f"{shown} (≥ {at_least:g})" if ratio >= at_least else f"**{shown}** (≥ {at_least:g})"
    if at_most is not None:
        return f"{shown} (≤ {at_most:g})" if ratio <= at_most else f"**{shown}** (≤ {at_most:g})"
    return shown


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
