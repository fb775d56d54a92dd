"""The tutorial's "Quick start": a list of dictionaries becomes a table, and the command line tool finds it again."""

from __future__ import annotations

import re

import dlt_orchestrate as dlt
from dlt_orchestrate.version import __version__


def test_the_tool_tells_its_version(run_cli) -> None:
    assert __version__ in run_cli("--version").stdout


def test_a_pipeline_loads_nothing_until_it_runs(project) -> None:
    pipeline = dlt.pipeline(pipeline_name="quick_start", destination="duckdb", dataset_name="mydata")

    assert (pipeline.pipeline_name, pipeline.dataset_name) == ("quick_start", "mydata")
    assert not list(project.iterdir())


def test_a_list_of_dictionaries_becomes_a_table(run_tutorial, warehouse) -> None:
    run_tutorial("quick_start_pipeline.py")

    stored = warehouse("quick_start")
    assert stored.tables("mydata") == {"users"}
    assert stored.columns("mydata", "users") == {"id": "BIGINT", "name": "VARCHAR"}
    assert stored.rows("select id, name from mydata.users order by id") == [(1, "Alice"), (2, "Bob")]


def test_every_row_belongs_to_a_completed_load(run_tutorial, warehouse) -> None:
    run_tutorial("quick_start_pipeline.py")

    rows = warehouse("quick_start").rows("""
        select l.status, count(*), count(distinct u._dlt_id)
        from mydata.users u join mydata._dlt_loads l on l.load_id = u._dlt_load_id group by all
    """)
    assert rows == [(0, 2, 2)]


def test_the_load_info_says_what_was_loaded_and_where(run_tutorial, project, warehouse) -> None:
    ended = run_tutorial("quick_start_pipeline.py")

    printed = ended.stdout.splitlines()
    (load_id,) = warehouse("quick_start").rows("select load_id from mydata._dlt_loads")[0]
    assert re.fullmatch(r"Pipeline quick_start (load step finished|completed) in \d+\.\d+ seconds", printed[0])
    assert printed[1:] == [
        "1 load package(s) were loaded to destination duckdb and into dataset mydata",
        f"The duckdb destination used duckdb:///{project}/quick_start.duckdb location to store data",
        f"Load package {load_id} is LOADED and contains no failed jobs",
    ]
    assert ended.stderr == "", "there is nothing to warn of"


def test_the_tool_tells_what_it_knows_of_the_pipeline(run_tutorial, run_cli) -> None:
    run_tutorial("quick_start_pipeline.py")

    told = run_cli("pipeline", "quick_start", "info").stdout

    assert all(word in told for word in ("quick_start", "duckdb", "mydata", "users"))


def test_the_tool_shows_the_rows(run_tutorial, run_cli) -> None:
    run_tutorial("quick_start_pipeline.py")

    shown = run_cli("pipeline", "quick_start", "show").stdout

    assert all(word in shown for word in ("users", "Alice", "Bob"))
