"""The tutorial's "Append or replace your data": a second run adds a copy, or takes the place of the first."""

from __future__ import annotations


def test_a_second_run_appends_a_second_copy(run_tutorial, sample_api, warehouse, issue_facts) -> None:
    run_tutorial("github_issues.py")
    run_tutorial("github_issues.py")

    page = issue_facts(sample_api.repository.issues(state="open")[:30])
    stored = warehouse("github_issues")
    assert stored.issues("github_data") == sorted(page * 2)
    assert stored.rows("select count(distinct _dlt_load_id) from github_data.issues") == [(2,)]
    assert stored.rows("select count(*) - count(distinct _dlt_id) from github_data.issues") == [(0,)]


def test_replace_leaves_one_copy_children_included(run_tutorial, sample_api, warehouse, issue_facts) -> None:
    run_tutorial("github_issues_replace.py")
    run_tutorial("github_issues_replace.py")

    page = sample_api.repository.issues(state="open")[:30]
    stored = warehouse("github_issues")
    assert stored.issues("github_data") == issue_facts(page)
    assert stored.count("github_data.issues__labels") == sum(len(issue["labels"]) for issue in page)
    assert stored.count("github_data.issues__assignees") == sum(len(issue["assignees"]) for issue in page)


def test_replace_removes_what_was_appended_before(run_tutorial, sample_api, warehouse, issue_facts) -> None:
    run_tutorial("github_issues.py")
    run_tutorial("github_issues.py")
    removed = sample_api.remove(sample_api.repository.issues(state="open")[0]["number"])

    run_tutorial("github_issues_replace.py")

    page = sample_api.repository.issues(state="open")[:30]
    assert removed["number"] not in {issue["number"] for issue in page}
    assert warehouse("github_issues").issues("github_data") == issue_facts(page)


def test_new_fields_become_new_columns_and_tables(run_tutorial, sample_api, warehouse) -> None:
    run_tutorial("github_issues.py")
    newest = sample_api.repository.issues(state="open")[0]["number"]
    before = warehouse("github_issues").columns("github_data", "issues")

    sample_api.touch(newest, severity={"level": 3, "seen_at": "2026-03-01T10:00:00Z"}, watchers=["ada-brew", "ivo"])
    run_tutorial("github_issues.py")

    stored = warehouse("github_issues")
    after = stored.columns("github_data", "issues")
    assert list(after.items())[: len(before)] == list(before.items())
    assert after["severity__level"] == "BIGINT"
    assert after["severity__seen_at"] == "TIMESTAMP WITH TIME ZONE"
    assert stored.rows("select number, severity__level from github_data.issues where severity__level is not null") == [
        (newest, 3)
    ]
    assert stored.rows("select value from github_data.issues__watchers order by _dlt_list_idx") == [
        ("ada-brew",),
        ("ivo",),
    ]
