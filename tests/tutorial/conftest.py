"""What the tutorial's tests share: its scripts run as a reader runs them, and a look into the files they leave.

A script runs in a process of its own. All but one run of each script fork it from a process that has imported what
scripts import, which takes longer than to run them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import duckdb
import pytest
from forked_script import run_forked

from dlt_orchestrate.testing.sample_api import SampleApi
from soak.processes import Processes

SCRIPTS = Path(__file__).parent / "scripts"

_ISSUE_FACTS = """
    select i.number, i.title, i.body, i.user__login, i.state, i.reactions__x1, i.reactions___1, i.milestone__title,
        strftime(i.created_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ'),
        strftime(i.updated_at at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ'),
        coalesce(
            (select list(l.name order by l._dlt_list_idx) from {dataset}.issues__labels l
             where l._dlt_parent_id = i._dlt_id),
            []
        )
    from {dataset}.issues i
    order by i.number
"""


class Warehouse:
    """Looks into a DuckDB file that a script has left; opens it for each question only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What a query answers."""
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(query, parameters).fetchall()

    def count(self, table: str) -> int:
        """How many rows a table holds; its name includes the dataset."""
        return self.rows(f"select count(*) from {table}")[0][0]

    def tables(self, dataset: str) -> set[str]:
        """The tables of a dataset, without those the pipeline keeps its books in."""
        query = "select table_name from information_schema.tables where table_schema = ?"
        return {name for (name,) in self.rows(query, dataset) if not name.startswith("_dlt_")}

    def columns(self, dataset: str, table: str) -> dict[str, str]:
        """The columns of a table with their types, without those of the pipeline."""
        query = """
            select column_name, data_type from information_schema.columns
            where table_schema = ? and table_name = ? order by ordinal_position
        """
        return {name: kind for name, kind in self.rows(query, dataset, table) if not name.startswith("_dlt_")}

    def cursor(self, dataset: str, resource: str, cursor_path: str) -> dict[str, Any]:
        """The incremental state of a resource in the newest state the dataset holds."""
        newest = f"select state from {dataset}._dlt_pipeline_state order by version desc limit 1"
        state = json.loads(zlib.decompress(base64.b64decode(self.rows(newest)[0][0])))
        (source,) = (each for each in state["sources"].values() if resource in each["resources"])
        return source["resources"][resource]["incremental"][cursor_path]

    def issues(self, dataset: str) -> list[tuple[Any, ...]]:
        """The facts of every issue, in the shape of `issue_facts`."""
        return [(*facts, tuple(labels)) for *facts, labels in self.rows(_ISSUE_FACTS.format(dataset=dataset))]


@pytest.fixture
def warehouse(project: Path) -> Callable[[str], Warehouse]:
    """Look into the DuckDB file of a pipeline: `warehouse("quick_start")`."""
    return lambda pipeline_name: Warehouse(project / f"{pipeline_name}.duckdb")


@pytest.fixture
def run_tutorial(
    run_script: Callable[..., CompletedProcess[str]], project: Path, sample_api: SampleApi
) -> Callable[..., CompletedProcess[str]]:
    """Run one of the tutorial's scripts against the sample API, whose list of requests begins anew."""

    def run(name: str, *, env: dict[str, str] | None = None, check: bool = True) -> CompletedProcess[str]:
        sample_api.forget_requests()
        settings = {"GITHUB_API": sample_api.url, **(env or {})}
        if name in _started:
            return _forked(name, project, settings, check=check)
        _started.add(name)
        return run_script(SCRIPTS / name, env=settings, check=check)

    return run


_started: set[str] = set()
"""Scripts that have run in a process that Python started for them."""


def _forked(name: str, project: Path, settings: dict[str, str], *, check: bool) -> CompletedProcess[str]:
    shutil.copy(SCRIPTS / name, project)
    outputs = [project.parent / "stdout", project.parent / "stderr"]
    for output in outputs:
        output.unlink(missing_ok=True)
    ended = Processes().run(run_forked, name, project, {**os.environ, **settings}, outputs)
    assert ended.status == 0, ended
    stdout, stderr = (output.read_text(encoding="utf-8") for output in outputs)
    if check and ended.value != 0:
        pytest.fail(f"{name} ended with {ended.value}\n{stdout}\n{stderr}", pytrace=False)
    return CompletedProcess([name], ended.value, stdout, stderr)


@pytest.fixture
def issue_facts() -> Callable[[Iterable[dict[str, Any]]], list[tuple[Any, ...]]]:
    """Turn records of the API into what `Warehouse.issues` finds when each was loaded once and nothing was lost."""

    def facts(record: dict[str, Any]) -> tuple[Any, ...]:
        return (
            *(record[name] for name in ("number", "title", "body")),
            record["user"]["login"],
            record["state"],
            record["reactions"]["+1"],
            record["reactions"]["-1"],
            (record["milestone"] or {}).get("title"),
            record["created_at"],
            record["updated_at"],
            tuple(label["name"] for label in record["labels"]),
        )

    return lambda records: sorted(map(facts, records))
