"""The benchmarks run: workloads load what they say, processes are counted whole, tables tell what was measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import duckdb
import pytest
from postgres_server import fresh_database

from benchmarks import figures, session
from benchmarks.__main__ import FROM, HERE, TO, pages
from benchmarks.measure import Cost, ProcessError, measure
from benchmarks.session import Measured
from benchmarks.workload import COMPARED, Task, Workload
from benchmarks.workloads import NAMES, module

ROOT = Path(__file__).parents[2]
OWN_TOOLS = [
    pytest.param(name, tool, marks=[pytest.mark.slow] if name.startswith("dagster") else [])
    for name in NAMES
    for tool in module(name).WORKLOAD.tools
    if not tool.startswith("dlt")
]
MB = 2**20


@pytest.fixture(scope="module")
def servers():
    """The address of the server that a workload needs."""
    with ExitStack() as stack:

        @cache
        def url(kind: str) -> str:
            match kind:
                case "records":
                    return stack.enter_context(session.server())
                case "postgres":
                    return stack.enter_context(fresh_database())
                case _:
                    return ""

        yield url


def load(name: str, tool: str, folder: Path, servers: Callable[[str], str]) -> int:
    """Run a tool in this process, on a small number of records."""
    workload = module(name)
    task = Task(tool, workload.WORKLOAD.small, folder, servers(workload.WORKLOAD.server))
    if hasattr(workload, f"prepare_{tool}"):
        getattr(workload, f"prepare_{tool}")(task)
    return getattr(workload, tool)(task)


@pytest.mark.parametrize(("name", "tool"), OWN_TOOLS)
def test_a_workload_loads_what_it_says(name, tool, tmp_path, monkeypatch, servers) -> None:
    monkeypatch.chdir(tmp_path)

    rows = load(name, tool, tmp_path, servers)

    assert rows == session.expected_rows(module(name), tool, module(name).WORKLOAD.small)


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("flat", {"data.records": "records"}),
        ("nested", {f"data.records{of}": f"records{of}" for of in ("", "__labels", "__assignees")}),
        ("nested_bytes", {f"data.records{of}": f"records{of}" for of in ("", "__labels", "__assignees")}),
        ("upsert", {"data.records": "records"}),
        ("upsert_nested", {"data.records": "records", "data.records__items": "records__items"}),
        ("arrow", {"data.records": "records"}),
        ("sql_table", {"data.records": "records"}),
    ],
)
def test_the_limit_loads_the_same_values(name, tables, tmp_path, monkeypatch, servers) -> None:
    monkeypatch.chdir(tmp_path)
    for tool in ("ours", "limit"):
        (tmp_path / tool).mkdir()
        load(name, tool, tmp_path / tool, servers)

    ours, limit = (duckdb.connect(str(tmp_path / tool / "bench.duckdb")) for tool in ("ours", "limit"))
    for table_of_ours, table_of_limit in tables.items():
        assert values(ours, table_of_ours) == values(limit, table_of_limit)
    ours.close()
    limit.close()


def values(connection: duckdb.DuckDBPyConnection, table: str) -> dict[str, list[str]]:
    """Sorted texts of the values of each column that is no system column and has values."""
    relation = connection.sql(f"FROM {table}")
    columns = {
        name: sorted(str(value) for value in column if value is not None)
        for name, column in zip(relation.columns, zip(*relation.fetchall(), strict=True), strict=True)
        if not name.startswith("_dlt") and name not in ("record_id", "position")
    }
    signs = str.maketrans({"+": "x", "-": "_"})
    return {name.translate(signs): found for name, found in columns.items() if found}


def test_a_measured_process_counts_with_its_children() -> None:
    child = "import time; held = b'x' * 100_000_000\nwhile time.process_time() < 0.3: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print(7)"

    costs = [json.loads(measured_apart(program)) for program in ("print(7)", parent)]

    assert [cost["printed"] for cost in costs] == ["7\n", "7\n"]
    assert costs[1]["cpu_seconds"] - 0.3 >= 0
    assert costs[1]["peak_bytes"] - costs[0]["peak_bytes"] > 80_000_000


def measured_apart(program: str) -> str:
    """Measure from a small process, since a process begins as large as the one that starts it."""
    script = f"""
import json, sys
from pathlib import Path
from benchmarks.measure import measure

printed, cost = measure([sys.executable, "-c", {program!r}], folder=Path(), environment={{}})
print(json.dumps(vars(cost) | {{"printed": printed}}))
"""
    return subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_a_measured_process_that_fails_says_why() -> None:
    with pytest.raises(ProcessError, match=r"ended with 1:\n(?s:.*)ZeroDivisionError"):
        measure([sys.executable, "-c", "1 / 0"], folder=ROOT, environment={})


def measured(tool: str, records: int, *seconds: float, peak_mb: int = 100) -> Measured:
    return Measured(tool, records, [Cost(one, one / 2, peak_mb * MB) for one in seconds])


def test_tables_show_medians_beside_what_was_promised() -> None:
    found = figures.Figures(
        "a machine",
        "2026-11-23",
        (
            measured("ours", 1_000_000, 9, 8, 7, peak_mb=220),
            measured("dlt_tuned", 1_000_000, 24),
            measured("dlt_default", 5_000, 3),
            measured("dlt_default", 20_000, 6),
            measured("limit", 1_000_000, 7.5),
        ),
    )

    table = figures.comparison({"flat": found})

    assert table.splitlines()[2] == (
        "| 1,000,000 flat records of ten fields | 8.00 s | 24 s | ≈ 202 s | 7.50 s "
        "| **3.00** (≥ 4) | 25 (≥ 20) | 1.07 (≤ 1.3) | 220, 100, 100, 100 |"
    )


def test_elapsed_time_stands_beside_what_waiting_takes_alone() -> None:
    found = figures.Figures("a machine", "2026-11-23", tuple(measured(tool, 500, 16.0) for tool in ("ours", "limit")))

    rows = figures.comparison({"rest_children": found}).splitlines()[3:5]

    assert rows == [
        "| the same, elapsed time | 8.00 s | - | - | 8.00 s | - | - | 1.00 (≤ 1.5) |  |",
        "| the same; limit: waiting alone | 8.00 s | - | - | 6.02 s | - | - | 1.33 (≤ 1.5) |  |",
    ]


def test_tables_show_other_tools_beside_ours() -> None:
    found = figures.Figures(
        "a machine",
        "2026-11-23",
        (
            measured("ours", 1_000_000, 4, peak_mb=390),
            measured("dlt_connectorx", 1_000_000, 7),
            measured("dlt_pyarrow", 1_000_000, 8),
            measured("limit", 1_000_000, 2),
        ),
    )

    table = figures.among_others({"sql_table": found})

    assert table.splitlines()[2:] == [
        "| 1,000,000 rows of twelve columns from PostgreSQL | ours | 4.00 s |  | 390 (≤ 1,024) |",
        "|  | dlt_connectorx | 7.00 s | 1.75 (≥ 1.4) times ours | 100 |",
        "|  | dlt_pyarrow | 8.00 s | **2.00** (≥ 3) times ours | 100 |",
        "|  | limit | 2.00 s | ours is **2.00** (≤ 1.15) times this | 100 |",
    ]


def test_figures_outlive_their_file(tmp_path) -> None:
    found = {"dirty": figures.measured_now("a machine", [measured("clean", 10, 1.0), measured("dirty", 10, 1.4, 1.2)])}

    figures.write(tmp_path / "figures.json", found)

    assert figures.read(tmp_path / "figures.json") == found
    assert "1.30 s, 1.30 (≤ 1.5) times the 1.00 s of clean ones" in figures.tables(found)


@pytest.mark.skipif(not (HERE / "figures.json").exists(), reason="no figures are kept")
def test_the_pages_show_what_was_measured() -> None:
    for page, told in pages(figures.read(HERE / "figures.json")).items():
        assert page.read_text(encoding="utf-8").partition(FROM)[2].partition(TO)[0] == told + "\n", page


def test_the_command_measures_whole_processes_and_keeps_the_figures(tmp_path) -> None:
    command = ["-m", "benchmarks", "nested_bytes", "nothing_new", "--small", "--tools", "ours,limit", "--json", "kept.json"]

    done = subprocess.run(
        [sys.executable, *command[:-1], str(tmp_path / "kept.json")], cwd=ROOT, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert {name: [one["tool"] for one in entry["measured"]] for name, entry in kept.items()} == {
        "nested_bytes": ["ours", "limit"],
        "nothing_new": ["ours", "limit"],
    }
    row = r"^\| an incremental run with nothing new \| \d\.\d\d s \| - \| - \| \d\.\d\d s \|"
    assert re.search(row, done.stdout, re.MULTILINE)


def test_every_workload_says_what_its_tools_are() -> None:
    workloads: dict[str, Workload] = {name: module(name).WORKLOAD for name in NAMES}

    for name, workload in workloads.items():
        for tool in workload.tools:
            assert hasattr(module(name), "with_dlt" if tool.startswith("dlt") else tool), f"{name}: {tool}"
    assert [name for name, workload in workloads.items() if workload.tools != COMPARED] == [
        "sql_table",
        "dirty",
        "scale_rows",
        "scale_columns",
    ]
