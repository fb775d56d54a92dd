"""What a workload declares, and what its functions are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

COMPARED = ("ours", "dlt_tuned", "dlt_default", "limit")


@dataclass(frozen=True)
class Bars:
    """What we promise of a workload, and what we aim for.

    Attributes:
        tuned, default: At least so many times the CPU time that is ours must dlt take.
        others: The same by tool, where others than these compete.
        limit: Ours is to be at most so many times the limit.
        wall: The same for elapsed time.
        latency: The same for elapsed time beside what waiting for the answers takes alone.
        peak_mb: Most memory.
    """

    tuned: float | None = None
    default: float | None = None
    others: Mapping[str, float] = field(default_factory=dict)
    limit: float | None = None
    wall: float | None = None
    latency: float | None = None
    peak_mb: int | None = None


@dataclass(frozen=True)
class Workload:
    """One thing to load.

    Its module has a function for each tool (`with_dlt` for both of dlt's), which takes a `Task` and returns how many rows
    the root table has then. A function `prepare_<tool>` beside it fills the folder before, and is not measured. A function
    `latency_seconds` tells what waiting for the answers takes alone: no tool can do with less.

    Attributes:
        title: What is loaded, with `{records}` where their number belongs.
        records: Their number.
        small: A number that only proves that the scripts run.
        default_records: How many of them dlt as it comes has to load; its time for all of them is extrapolated.
        tools: Names of the functions.
        sizes: Numbers of records to compare, instead of one.
        runs: Counted runs, unless the command line says otherwise.
        server: Where the records come from, if not from the process itself.
    """

    title: str
    records: int
    small: int
    bars: Bars = Bars()
    default_records: int | None = None
    tools: tuple[str, ...] = COMPARED
    sizes: tuple[int, ...] = ()
    runs: int = 3
    server: Literal["", "records", "postgres"] = ""


@dataclass(frozen=True)
class Task:
    """What one process has to do.

    Attributes:
        tool: Name of the tool.
        records: How many records it is about.
        folder: Empty, or as `prepare_...` left it.
        url: Where the server is; empty if none is needed.
    """

    tool: str
    records: int
    folder: Path
    url: str = ""

    @property
    def database(self) -> Path:
        """The DuckDB file to load into."""
        return self.folder / "bench.duckdb"

    @property
    def is_tuned(self) -> bool:
        """Whether dlt runs in its best configuration."""
        return self.tool in ("dlt_tuned", "prepared")
