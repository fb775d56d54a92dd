"""The tutorial's "Update and deduplicate your data" and "Using pagination helper": edits replace what they edit.

Both scripts promise the same, so every test runs on both.
"""

from __future__ import annotations

import pytest

import dlt_orchestrate as dlt

DATASET = "github_data_merge"


@pytest.fixture(params=["github_issues_merge.py", "github_issues_paginate.py"], ids=["by hand", "paginate"])
def script(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def stored(warehouse):
    return warehouse("github_issues_merge")


def newest_update(sample_api) -> str:
    return max(issue["updated_at"] for issue in sample_api.repository.issues(state="open"))


def test_the_first_run_reads_every_page_since_the_initial_value(
    run_tutorial, sample_api, stored, issue_facts, script
) -> None:
    printed = run_tutorial(script).stdout

    assert [request.query["since"] for request in sample_api.requests] == ["1970-01-01T00:00:00Z"] * 3
    assert stored.issues(DATASET) == issue_facts(sample_api.repository.issues(state="open"))
    assert "- issues: 96 row(s)" in printed
    assert stored.cursor(DATASET, "get_issues", "updated_at")["last_value"] == newest_update(sample_api)


def test_an_edited_issue_takes_the_place_of_the_old_one(run_tutorial, sample_api, stored, issue_facts, script) -> None:
    run_tutorial(script)
    since = newest_update(sample_api)
    old = next(issue for issue in sample_api.repository.issues(state="open") if len(issue["labels"]) > 1)
    sample_api.touch(old["number"], title="Now with a lid", labels=old["labels"][:1])

    printed = run_tutorial(script).stdout

    assert [request.query["since"] for request in sample_api.requests] == [since]
    assert "- issues: 1 row(s)" in printed
    issues = sample_api.repository.issues(state="open")
    assert stored.issues(DATASET) == issue_facts(issues)
    assert stored.count(f"{DATASET}.issues__labels") == sum(len(issue["labels"]) for issue in issues)
    assert stored.cursor(DATASET, "get_issues", "updated_at")["last_value"] == newest_update(sample_api)


def test_new_issues_are_added(run_tutorial, sample_api, stored, issue_facts, script) -> None:
    run_tutorial(script)
    sample_api.add(3)

    run_tutorial(script)

    assert stored.issues(DATASET) == issue_facts(sample_api.repository.issues(state="open"))


def test_an_edit_in_the_same_second_as_the_cursor_is_not_lost(run_tutorial, sample_api, stored, script) -> None:
    edited = sample_api.touch(1, title="first edit")
    run_tutorial(script)
    sample_api.touch(1, title="second edit", updated_at=edited["updated_at"])

    run_tutorial(script)

    assert stored.rows(f"select title from {DATASET}.issues where number = 1") == [("second edit",)]


def test_a_run_with_nothing_new_loads_nothing(run_tutorial, sample_api, stored, script) -> None:
    run_tutorial(script)
    before = stored.rows(f"select number, _dlt_load_id from {DATASET}.issues order by all")

    printed = run_tutorial(script).stdout

    assert len(sample_api.requests) == 1
    assert "No data found to normalize" in printed
    assert stored.rows(f"select number, _dlt_load_id from {DATASET}.issues order by all") == before


def test_one_script_goes_on_where_the_other_ended(run_tutorial, sample_api, stored, issue_facts) -> None:
    run_tutorial("github_issues_merge.py")
    sample_api.add()

    run_tutorial("github_issues_paginate.py")

    assert len(sample_api.requests) == 1
    assert stored.issues(DATASET) == issue_facts(sample_api.repository.issues(state="open"))


def test_of_two_rows_with_one_key_in_a_load_the_later_stays(project, warehouse) -> None:
    @dlt.resource(write_disposition="merge", primary_key="id")
    def pots():
        yield [{"id": 1, "name": "first", "parts": [1, 2]}, {"id": 2, "name": "other", "parts": [3]}]
        yield [{"id": 1, "name": "later", "parts": [4]}]

    dlt.pipeline(pipeline_name="twice", destination="duckdb", dataset_name="bare").run(pots)

    stored = warehouse("twice")
    assert stored.rows("select id, name from bare.pots order by id") == [(1, "later"), (2, "other")]
    assert stored.rows("select value from bare.pots__parts order by value") == [(3,), (4,)]
