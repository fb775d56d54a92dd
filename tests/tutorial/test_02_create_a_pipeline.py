"""The tutorial's "Create a pipeline": nested JSON of an API becomes a table and its child tables."""

from __future__ import annotations


def test_an_answer_of_the_api_becomes_a_table_with_child_tables(run_tutorial, sample_api, warehouse, issue_facts) -> None:
    printed = run_tutorial("github_issues.py").stdout

    first_page = sample_api.repository.issues(state="open")[:30]
    stored = warehouse("github_issues")
    assert [request.path for request in sample_api.requests] == ["/repos/acme/teahouse/issues"]
    assert "1 load package(s) were loaded to destination duckdb and into dataset github_data" in printed
    assert stored.tables("github_data") == {"issues", "issues__labels", "issues__assignees"}
    assert stored.issues("github_data") == issue_facts(first_page)


def test_values_keep_their_types_and_fields_that_are_null_everywhere_make_no_column(run_tutorial, warehouse) -> None:
    run_tutorial("github_issues.py")

    columns = warehouse("github_issues").columns("github_data", "issues")
    expected = {
        "id": "BIGINT",
        "title": "VARCHAR",
        "locked": "BOOLEAN",
        "created_at": "TIMESTAMP WITH TIME ZONE",
        "user__site_admin": "BOOLEAN",
        "milestone__due_on": "TIMESTAMP WITH TIME ZONE",
        "reactions__x1": "BIGINT",
        "reactions___1": "BIGINT",
    }
    assert expected == {name: columns.get(name) for name in expected}
    assert {"closed_at", "state_reason", "milestone"}.isdisjoint(columns)


def test_elements_of_a_list_keep_their_order_and_know_their_parent(run_tutorial, sample_api, warehouse) -> None:
    run_tutorial("github_issues.py")

    rows = warehouse("github_issues").rows("""
        select i.number, a._dlt_list_idx, a.login
        from github_data.issues__assignees a join github_data.issues i on i._dlt_id = a._dlt_parent_id order by all
    """)
    issues = sorted(sample_api.repository.issues(state="open")[:30], key=lambda issue: issue["number"])
    assert rows == [
        (issue["number"], index, user["login"]) for issue in issues for index, user in enumerate(issue["assignees"])
    ]
