"""A small run is a small effort, and what costs more than usual is told."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import dlt_orchestrate as dlt

PACKAGE = str(Path(dlt.__file__).parent)


def test_a_second_run_of_two_rows_makes_few_calls(project: Path) -> None:
    pipeline = dlt.pipeline("small", destination="duckdb", dataset_name="d")
    rows = [{"id": 1, "name": "Alice"}, {"id": 2, "name": "Bob"}]
    pipeline.run(rows, table_name="users")
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            calls[frame.f_code.co_qualname] += 1

    sys.setprofile(count)
    try:
        pipeline.run(rows, table_name="users")
    finally:
        sys.setprofile(None)
    assert pipeline.dataset()("SELECT count(*) FROM users").fetchall() == [(4,)]
    assert 100 < calls.total() <= 5_000, calls.most_common(10)


SMALL_LOAD = """
import builtins, sys
compiled, run = [], builtins.exec
def counted(source, *scopes):
    if isinstance(source, str) and "\\n def __" in source:  # a method in it; newer Pythons run a text without any
        compiled.append(source)
    return run(source, *scopes)
builtins.exec = counted
import duckdb, pyarrow
compiled.clear()
before = set(sys.modules)
import dlt_orchestrate as dlt
dlt.pipeline("small", destination="duckdb").run([{"id": 1, "name": "Alice"}, {"id": 2, "name": None}], table_name="users")
print([name for name in sys.argv[1:] if name in sys.modules and name not in before])
print(len([name for name in sys.modules if name.startswith("dlt_orchestrate")]), len(compiled))
"""

HEAVY = (
    "asyncio",
    "dagster",
    "difflib",
    "fsspec",
    "msgspec",
    "multiprocessing",
    "pandas",
    "pyarrow.compute",
    "pyarrow.dataset",
    "pydantic",
    "requests",
    "sqlalchemy",
    "tomllib",
    "urllib3",
    "yaml",
)


def test_a_small_load_imports_nothing_that_costs_more_than_itself(run_script: Any) -> None:
    heavy, counts = run_script(SMALL_LOAD, *HEAVY).stdout.splitlines()[-2:]
    modules, compiled = map(int, counts.split())

    assert heavy == "[]"
    assert 100 < modules <= 160
    assert compiled <= 15  # methods of dataclasses, for a hundred classes


def test_the_trace_tells_what_was_not_on_the_fast_path() -> None:
    pipeline = dlt.pipeline("told", destination="memory")

    pipeline.run([{"id": n, "value": n} for n in range(50)], table_name="plain")
    assert pipeline.last_trace.last_normalize_info.refusals == {}

    pipeline.run([{"id": n, "value": 2**70} for n in range(50)], table_name="wide")
    info = pipeline.last_trace.last_normalize_info
    assert info.refusals == {"column: int": 1}
    assert "Not on the fast path:\n- column: int: 1 time(s)" in str(info)
