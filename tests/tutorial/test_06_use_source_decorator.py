"""The tutorial's "Use source decorator" and "Dynamic resources": several resources load in one go."""

from __future__ import annotations

import pytest


def comment_facts(stored) -> list[tuple]:
    return stored.rows("select id, body, path, line, reactions__heart from github_data.comments order by id")


def expected_comments(sample_api) -> list[tuple]:
    return [
        (comment["id"], comment["body"], comment["path"], comment["line"], comment["reactions"]["heart"])
        for comment in sample_api.repository.comments()
    ]


@pytest.mark.parametrize("name", ["github_with_source", "github_dynamic_source"])
def test_a_source_loads_its_resources_in_one_go(run_tutorial, sample_api, warehouse, issue_facts, name) -> None:
    printed = run_tutorial(f"{name}.py").stdout

    stored = warehouse(name)
    assert stored.tables("github_data") == {"issues", "issues__labels", "issues__assignees", "comments"}
    assert stored.issues("github_data") == issue_facts(sample_api.repository.issues(state="open"))
    assert comment_facts(stored) == expected_comments(sample_api)
    assert "- comments: 60 row(s)" in printed
    assert "- issues: 96 row(s)" in printed
    assert "1 load package(s) were loaded" in printed
    assert stored.rows("select schema_name, status from github_data._dlt_loads") == [("github_source", 0)]


@pytest.mark.parametrize("name", ["github_with_source", "github_dynamic_source"])
def test_a_second_run_duplicates_nothing(run_tutorial, sample_api, warehouse, issue_facts, name) -> None:
    run_tutorial(f"{name}.py")
    sample_api.touch(2, title="Steeped too long", labels=[])
    sample_api.add()

    run_tutorial(f"{name}.py")

    stored = warehouse(name)
    assert stored.issues("github_data") == issue_facts(sample_api.repository.issues(state="open"))
    assert comment_facts(stored) == expected_comments(sample_api)


def test_each_resource_has_a_cursor_of_its_own(run_tutorial, sample_api, warehouse) -> None:
    run_tutorial("github_with_source.py")

    stored, repository = warehouse("github_with_source"), sample_api.repository
    for resource, records in (("get_issues", repository.issues(state="open")), ("get_comments", repository.comments())):
        newest = max(record["updated_at"] for record in records)
        assert stored.cursor("github_data", resource, "updated_at")["last_value"] == newest


def test_resources_without_a_cursor_read_everything_again(run_tutorial, sample_api) -> None:
    run_tutorial("github_dynamic_source.py")
    first = {(request.path, request.query.get("page")) for request in sample_api.requests}

    run_tutorial("github_dynamic_source.py")

    assert {(request.path, request.query.get("page")) for request in sample_api.requests} == first
    assert len(first) == 5
