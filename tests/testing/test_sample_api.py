"""The sample API behaves as GitHub's does, so what works against it can be tried on the real one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import requests

from dlt_orchestrate.testing.sample_api import SampleApi, ServedRequest, records


def follow(url: str, **params: object) -> list[dict]:
    """Read all pages by their Link headers."""
    found = []
    response = requests.get(url, params=params, timeout=10)
    while True:
        response.raise_for_status()
        found += response.json()
        if "next" not in response.links:
            return found
        response = requests.get(response.links["next"]["url"], timeout=10)


@pytest.fixture
def issues_url(sample_api: SampleApi) -> str:
    return f"{sample_api.url}/repos/acme/teahouse/issues"


def test_the_records_are_the_same_every_time() -> None:
    assert records.issue("acme/teahouse", 7) == records.issue("acme/teahouse", 7)
    assert records.issue("acme/teahouse", 7) != records.issue("acme/bakery", 7)


def test_each_repository_has_an_id_of_its_own() -> None:
    with SampleApi(issues=1, comments=1) as api:
        ids = [repository.describe()["id"] for repository in api.repositories.values()]

    assert len(set(ids)) == len(ids) > 1
    assert min(ids) > 2**31


def test_the_records_have_the_shapes_that_make_loading_hard() -> None:
    issues = [records.issue("acme/teahouse", number) for number in range(1, 121)]

    assert {type(issue["milestone"]) for issue in issues} == {dict, type(None)}
    assert {type(issue["closed_at"]) for issue in issues} == {str, type(None)}
    assert {len(issue["labels"]) for issue in issues} == {0, 1, 2, 3}
    assert {len(issue["assignees"]) for issue in issues} == {0, 1, 2}
    assert {"+1", "-1"} <= issues[0]["reactions"].keys()
    assert not all(issue["user"]["login"].isascii() for issue in issues)
    assert any("pull_request" in issue for issue in issues)
    assert not all("pull_request" in issue for issue in issues)
    assert len({issue["updated_at"] for issue in issues}) < len(issues), "some are updated in the same second"
    assert all(issue["created_at"] <= issue["updated_at"] for issue in issues)


def test_pages_are_linked_and_hold_every_open_issue_once_newest_first(sample_api: SampleApi, issues_url: str) -> None:
    found = follow(issues_url, per_page=100)

    assert found == sample_api.repository.issues(state="open")
    assert [issue["created_at"] for issue in found] == sorted((issue["created_at"] for issue in found), reverse=True)
    assert len(found) == 96
    assert [request.query.get("page") for request in sample_api.requests] == [None, "2", "3"]


def test_a_page_holds_30_records_unless_told(issues_url: str) -> None:
    assert len(requests.get(issues_url, timeout=10).json()) == 30
    assert len(requests.get(issues_url, params={"per_page": 7}, timeout=10).json()) == 7


def test_state_sort_direction_and_since_select(sample_api: SampleApi, issues_url: str) -> None:
    everything = follow(issues_url, state="all", sort="updated", direction="asc")
    since = everything[100]["updated_at"]

    changed = follow(issues_url, state="all", sort="updated", direction="asc", since=since)

    assert len(everything) == 120
    assert [issue["updated_at"] for issue in everything] == sorted(issue["updated_at"] for issue in everything)
    assert changed == [issue for issue in everything if issue["updated_at"] >= since]
    assert {issue["state"] for issue in follow(issues_url, state="closed")} == {"closed"}


@pytest.mark.parametrize("query", ["since=yesterday", "since=2026-01-01", "sort=age", "page=0", "per_page=many"])
def test_a_malformed_parameter_is_refused(issues_url: str, query: str) -> None:
    assert requests.get(f"{issues_url}?{query}", timeout=10).status_code == 422


def test_an_unchanged_answer_is_304_and_a_changed_one_is_not(sample_api: SampleApi, issues_url: str) -> None:
    etag = requests.get(issues_url, timeout=10).headers["ETag"]

    unchanged = requests.get(issues_url, headers={"If-None-Match": etag}, timeout=10)
    sample_api.add()
    changed = requests.get(issues_url, headers={"If-None-Match": etag}, timeout=10)

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert changed.status_code == 200
    assert [request.status for request in sample_api.requests] == [200, 304, 200]


def test_clones_need_the_token(sample_api: SampleApi) -> None:
    url = f"{sample_api.url}/repos/acme/teahouse/traffic/clones"

    without = requests.get(url, timeout=10)
    wrong = requests.get(url, headers={"Authorization": "Bearer other"}, timeout=10)
    right = requests.get(url, headers={"Authorization": "Bearer sample-token"}, timeout=10)

    assert (without.status_code, wrong.status_code, right.status_code) == (401, 401, 200)
    clones = right.json()
    assert clones["count"] == sum(day["count"] for day in clones["clones"])
    assert clones["clones"][0].keys() == {"timestamp", "count", "uniques"}


@pytest.mark.parametrize("path", ["", "/repos/acme", "/repos/acme/nothing/issues", "/repos/acme/teahouse/stars"])
def test_an_unknown_path_is_404(sample_api: SampleApi, path: str) -> None:
    assert requests.get(sample_api.url + path, timeout=10).status_code == 404


def test_edits_move_past_everything_else(sample_api: SampleApi, issues_url: str) -> None:
    edited = sample_api.touch(12, title="Chipped pot", labels=[])
    added = sample_api.add(2)
    removed = sample_api.remove(13)

    newest = requests.get(issues_url, params={"sort": "updated", "state": "all"}, timeout=10).json()[:3]

    assert newest == [added[1], added[0], edited]
    assert edited["title"] == "Chipped pot"
    assert removed["number"] not in {issue["number"] for issue in follow(issues_url, state="all")}
    with pytest.raises(LookupError, match="no issue 13"):
        sample_api.touch(13)


def test_an_organization_lists_its_repositories(sample_api: SampleApi) -> None:
    (first, second) = follow(f"{sample_api.url}/orgs/acme/repos", per_page=1)

    assert (first["full_name"], second["full_name"]) == ("acme/teahouse", "acme/bakery")


def test_the_repository_describes_itself(sample_api: SampleApi) -> None:
    described = requests.get(f"{sample_api.url}/repos/acme/bakery", timeout=10).json()

    assert (described["full_name"], described["open_issues_count"]) == ("acme/bakery", 96)


def test_past_its_rate_limit_it_refuses_until_the_minute_is_over() -> None:
    now = [1_000_000.0]
    with SampleApi(rate_limit=2, clock=lambda: now[0]) as api:
        url = f"{api.url}/repos/acme/teahouse"
        answers = [requests.get(url, timeout=10) for _ in range(3)]
        now[0] += 60
        later = requests.get(url, timeout=10)

    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert answers[2].headers["X-RateLimit-Remaining"] == "0"
    assert (answers[2].headers["X-RateLimit-Reset"], answers[2].headers["Retry-After"]) == ("1000060", "60")
    assert later.status_code == 200


def test_it_closes_kept_alive_connections_when_it_stops() -> None:
    with requests.Session() as session:
        with SampleApi() as api:
            session.get(f"{api.url}/repos/acme/teahouse", timeout=10)
        with pytest.raises(requests.ConnectionError):
            session.get(f"{api.url}/repos/acme/teahouse", timeout=10)


def test_another_process_can_run_and_control_it() -> None:
    command = [sys.executable, "-m", "dlt_orchestrate.testing.sample_api", "--port", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[3].rstrip(",")
            edited = requests.post(f"{url}/_control/touch", json={"number": 3, "title": "Cold"}, timeout=10).json()
            added = requests.post(f"{url}/_control/add", data=json.dumps({"count": 2}), timeout=10).json()
            removed = requests.post(f"{url}/_control/remove", json={"number": 4}, timeout=10).json()
            gone = requests.post(f"{url}/_control/remove", json={"number": 4}, timeout=10)
            wrong = requests.post(f"{url}/_control/add", json={"many": 4}, timeout=10)
            listed = requests.get(f"{url}/repos/acme/teahouse/issues", params={"per_page": 2}, timeout=10).json()
            asked = requests.get(f"{url}/_control/requests", timeout=10).json()
        finally:
            process.send_signal(signal.SIGTERM)

    assert process.returncode == 0
    assert (edited["title"], removed["number"]) == ("Cold", 4)
    assert listed == added[::-1]
    assert (gone.status_code, wrong.status_code) == (404, 422)
    assert asked == [
        vars(ServedRequest("GET", "/repos/acme/teahouse/issues", {"per_page": "2"}, status=200, authorized=False))
    ]
