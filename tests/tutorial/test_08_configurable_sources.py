"""The tutorial's "Configurable sources": the same source loads any repository, by configuration only."""

from __future__ import annotations

from pathlib import Path

import pytest

PIPELINE = "github_with_source_secrets"
SCRIPT = "github_configurable.py"


@pytest.fixture(autouse=True)
def _secrets(project: Path) -> None:
    home = Path.home() / ".dlt"
    home.mkdir()
    (home / "secrets.toml").write_text(f'[{PIPELINE}]\naccess_token = "sample-token"\n')


def configure(project: Path, repo_name: str) -> None:
    folder = project / ".dlt"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(f'[{PIPELINE}]\nrepo_name = "{repo_name}"\n')


@pytest.mark.parametrize("repo_name", ["acme/teahouse", "acme/bakery"])
def test_the_repository_comes_from_the_configuration(
    run_tutorial, sample_api, project, warehouse, issue_facts, repo_name
) -> None:
    configure(project, repo_name)

    run_tutorial(SCRIPT)

    stored, repository = warehouse(PIPELINE), sample_api.repositories[repo_name]
    assert {request.path.removeprefix(f"/repos/{repo_name}/") for request in sample_api.requests} == {
        "issues",
        "comments",
        "traffic/clones",
    }
    assert stored.issues("github_data") == issue_facts(repository.issues(state="open"))
    assert stored.count("github_data.comments") == 60
    assert stored.rows("select sum(uniques)::bigint from github_data.traffic_clones") == [(repository.clones()["uniques"],)]


def test_the_environment_wins_over_the_configuration(run_tutorial, sample_api, project) -> None:
    configure(project, "acme/nowhere")

    run_tutorial(SCRIPT, env={"GITHUB_WITH_SOURCE_SECRETS__REPO_NAME": "acme/bakery"})

    assert all(request.path.startswith("/repos/acme/bakery/") for request in sample_api.requests)


def test_a_missing_value_is_named_with_the_keys_that_were_tried(run_tutorial, sample_api) -> None:
    ended = run_tutorial(SCRIPT, check=False)

    assert ended.returncode != 0
    assert "'repo_name'" in ended.stderr
    assert ", GITHUB_WITH_SOURCE_SECRETS__REPO_NAME)" in ended.stderr
    assert "'access_token'" not in ended.stderr
    assert not sample_api.requests


def test_an_unknown_repository_is_an_error_that_names_its_address(run_tutorial, sample_api, project) -> None:
    configure(project, "acme/nowhere")

    ended = run_tutorial(SCRIPT, check=False)

    assert ended.returncode != 0
    assert f"{sample_api.url}/repos/acme/nowhere/issues" in ended.stderr
    assert "404" in ended.stderr
    assert "sample-token" not in ended.stderr
