"""The tutorial's "Load only new data": the cursor stays in the destination, and later runs read only what is new."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import dlt_orchestrate as dlt

SCRIPT = "github_issues_incremental.py"
DATASET = "github_data_append"


@pytest.fixture
def stored(warehouse):
    return warehouse("github_issues_incremental")


def test_the_first_run_loads_every_page(run_tutorial, sample_api, stored, issue_facts) -> None:
    printed = run_tutorial(SCRIPT).stdout

    issues = sample_api.repository.issues(state="open")
    assert [request.query.get("page") for request in sample_api.requests] == [None, "2", "3"]
    assert stored.issues(DATASET) == issue_facts(issues)
    assert "Normalized data for the following tables:" in printed
    assert "- issues: 96 row(s)" in printed
    assert f"- issues__labels: {sum(len(issue['labels']) for issue in issues)} row(s)" in printed
    assert f"into dataset {DATASET}" in printed.partition("------")[2]


def test_the_cursor_is_kept_beside_the_data(run_tutorial, sample_api, stored) -> None:
    run_tutorial(SCRIPT)

    newest = sample_api.repository.issues(state="open")[0]["created_at"]
    cursor = stored.cursor(DATASET, "get_issues", "created_at")
    assert (cursor["initial_value"], cursor["last_value"]) == ("1970-01-01T00:00:00Z", newest)


def test_a_run_with_nothing_new_asks_once_and_loads_nothing(run_tutorial, sample_api, stored, issue_facts) -> None:
    run_tutorial(SCRIPT)
    loads = stored.count(f"{DATASET}._dlt_loads")

    printed = run_tutorial(SCRIPT).stdout

    assert len(sample_api.requests) == 1
    assert "No data found to normalize" in printed
    assert "0 load package(s) were loaded to destination duckdb" in printed
    assert stored.issues(DATASET) == issue_facts(sample_api.repository.issues(state="open"))
    assert stored.count(f"{DATASET}._dlt_loads") == loads


def test_only_new_issues_are_added(run_tutorial, sample_api, stored, issue_facts) -> None:
    run_tutorial(SCRIPT)
    before = stored.issues(DATASET)
    sample_api.touch(1, title="An edit of an old issue is not seen here")
    added = sample_api.add(2)

    printed = run_tutorial(SCRIPT).stdout

    assert len(sample_api.requests) == 1
    assert "- issues: 2 row(s)" in printed
    assert stored.issues(DATASET) == before + issue_facts(added)
    assert stored.cursor(DATASET, "get_issues", "created_at")["last_value"] == added[-1]["created_at"]


def test_an_issue_of_the_same_second_as_the_cursor_is_not_missed(run_tutorial, sample_api, stored) -> None:
    (first,) = sample_api.add()
    run_tutorial(SCRIPT)
    (second,) = sample_api.add()
    sample_api.touch(second["number"], created_at=first["created_at"])

    run_tutorial(SCRIPT)

    query = f"select number from {DATASET}.issues where number >= ? order by number"
    assert stored.rows(query, first["number"]) == [(first["number"],), (second["number"],)]


def test_a_fresh_machine_goes_on_from_the_cursor(run_tutorial, sample_api, stored, project, issue_facts) -> None:
    run_tutorial(SCRIPT)
    for path in (*Path.home().iterdir(), *project.iterdir()):
        if path != stored.path:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    sample_api.add()

    run_tutorial(SCRIPT)

    assert len(sample_api.requests) == 1
    assert stored.issues(DATASET) == issue_facts(sample_api.repository.issues(state="open"))


def test_the_tool_tells_the_cursor(run_tutorial, run_cli) -> None:
    run_tutorial(SCRIPT)

    told = run_cli("pipeline", "-v", "github_issues_incremental", "info").stdout

    assert all(word in told for word in ("github_issues_incremental", "get_issues", "issues__labels", "created_at"))


def pages():
    yield [{"id": 1}, {"id": 2}]
    yield [{"id": 3}]
    yield {"id": 4}


@pytest.mark.parametrize("data", [pages, pages()], ids=["function", "generator"])
def test_a_generator_can_be_loaded_as_it_is(project, warehouse, data) -> None:
    pipeline = dlt.pipeline(pipeline_name="streamed", destination="duckdb", dataset_name="bare")

    pipeline.run(data, table_name="items")

    assert warehouse("streamed").rows("select id from bare.items order by id") == [(1,), (2,), (3,), (4,)]


def test_the_resource_is_named_after_its_function(project, warehouse) -> None:
    @dlt.resource
    def teapots():
        yield {"id": 1}

    dlt.pipeline(pipeline_name="named", destination="duckdb", dataset_name="bare").run(teapots)

    assert warehouse("named").tables("bare") == {"teapots"}


def test_the_last_value_moves_while_pages_are_yielded(project) -> None:
    seen = []

    @dlt.resource
    def steps(at=dlt.sources.incremental("at", initial_value=1)):
        seen.append((at.start_value, at.last_value, at.start_out_of_range))
        yield [{"at": at.start_value + 4}]
        seen.append((at.start_value, at.last_value, at.start_out_of_range))
        yield [{"at": 0}]
        seen.append((at.start_value, at.last_value, at.start_out_of_range))

    pipeline = dlt.pipeline(pipeline_name="moving", destination="duckdb", dataset_name="bare")
    pipeline.run(steps)
    pipeline.run(steps)

    assert seen == [(1, 1, False), (1, 5, False), (1, 5, True), (5, 5, False), (5, 9, False), (5, 9, True)]
