"""The tutorial's "Handle secrets": a token reaches the API from an argument, the environment or secrets.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

PIPELINE = "github_with_source_secrets"
SECRETS = f'[{PIPELINE}]\naccess_token = "sample-token"\n'


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def clone_rows(stored) -> list[tuple]:
    return stored.rows("""
        select strftime("timestamp" at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ'), "count", uniques
        from github_data.traffic_clones order by all
    """)


def expected_clones(sample_api) -> list[tuple]:
    return [(day["timestamp"], day["count"], day["uniques"]) for day in sample_api.repository.clones()["clones"]]


def authorized_paths(sample_api) -> set[str]:
    return {request.path.rpartition("teahouse/")[2] for request in sample_api.requests if request.authorized}


def test_the_token_can_be_an_argument(run_tutorial, sample_api, warehouse, issue_facts) -> None:
    run_tutorial("github_explicit_token.py")

    stored = warehouse(PIPELINE)
    assert clone_rows(stored) == expected_clones(sample_api)
    assert stored.issues("github_data") == issue_facts(sample_api.repository.issues(state="open"))
    assert authorized_paths(sample_api) == {"issues", "comments", "traffic/clones"}


def test_an_argument_overrides_the_files(run_tutorial, sample_api) -> None:
    write(Path.home() / ".dlt/secrets.toml", SECRETS.replace("sample-token", "not the token"))

    run_tutorial("github_explicit_token.py")

    assert authorized_paths(sample_api) == {"issues", "comments", "traffic/clones"}


def test_the_token_is_found_in_the_secrets_of_the_home_folder(run_tutorial, sample_api, warehouse, issue_facts) -> None:
    write(Path.home() / ".dlt/secrets.toml", SECRETS)

    run_tutorial("github_secrets.py")

    stored = warehouse(PIPELINE)
    assert clone_rows(stored) == expected_clones(sample_api)
    assert stored.issues("github_data") == issue_facts(sample_api.repository.issues(state="open"))
    assert stored.count("github_data.comments") == 60


def test_rows_without_the_declared_key_are_not_doubled_by_a_second_run(run_tutorial, sample_api, warehouse) -> None:
    write(Path.home() / ".dlt/secrets.toml", SECRETS)

    run_tutorial("github_secrets.py")
    run_tutorial("github_secrets.py")

    stored = warehouse(PIPELINE)
    assert clone_rows(stored) == expected_clones(sample_api)
    assert "id" not in stored.columns("github_data", "traffic_clones")
    assert (stored.count("github_data.issues"), stored.count("github_data.comments")) == (96, 60)


def test_the_project_folder_wins_over_the_home_folder(run_tutorial, sample_api, project) -> None:
    write(Path.home() / ".dlt/secrets.toml", SECRETS.replace("sample-token", "not the token"))
    write(project / ".dlt/secrets.toml", SECRETS)

    run_tutorial("github_secrets.py")

    assert authorized_paths(sample_api) == {"issues", "comments", "traffic/clones"}


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_WITH_SOURCE_SECRETS__SOURCES__GITHUB_SECRETS__GITHUB_SOURCE__ACCESS_TOKEN",
        "GITHUB_WITH_SOURCE_SECRETS__ACCESS_TOKEN",
    ],
)
def test_the_environment_wins_over_the_files(run_tutorial, sample_api, project, name) -> None:
    write(project / ".dlt/secrets.toml", SECRETS.replace("sample-token", "not the token"))

    run_tutorial("github_secrets.py", env={name: "sample-token"})

    assert authorized_paths(sample_api) == {"issues", "comments", "traffic/clones"}


def test_a_key_without_sections_is_enough(run_tutorial, sample_api) -> None:
    run_tutorial("github_secrets.py", env={"ACCESS_TOKEN": "sample-token"})

    assert authorized_paths(sample_api) == {"issues", "comments", "traffic/clones"}


def test_a_missing_token_is_an_error_that_lists_every_key_tried(run_tutorial, sample_api, project) -> None:
    write(project / ".dlt/secrets.toml", '[other]\naccess_token = "of-another-pipeline"\n')

    ended = run_tutorial("github_secrets.py", check=False)

    assert ended.returncode != 0
    for key in (
        "GITHUB_WITH_SOURCE_SECRETS__SOURCES__GITHUB_SECRETS__GITHUB_SOURCE__ACCESS_TOKEN",
        "GITHUB_WITH_SOURCE_SECRETS__ACCESS_TOKEN",
        "SOURCES__GITHUB_SECRETS__GITHUB_SOURCE__ACCESS_TOKEN",
        "ACCESS_TOKEN",
        "github_with_source_secrets.sources.github_secrets.github_source.access_token",
        "github_with_source_secrets.access_token",
        "access_token",
    ):
        assert f", {key})" in ended.stderr, key
    assert "'access_token'" in ended.stderr
    assert "of-another-pipeline" not in ended.stderr
    assert not sample_api.requests


def test_a_secret_does_not_belong_into_the_open_configuration(run_tutorial, project) -> None:
    write(project / ".dlt/config.toml", SECRETS)

    ended = run_tutorial("github_secrets.py", check=False)

    assert ended.returncode != 0
    assert "config.toml" in ended.stderr
    assert "sample-token" not in ended.stderr


def test_a_wrong_token_is_named_as_refused_and_never_shown(run_tutorial) -> None:
    ended = run_tutorial("github_secrets.py", env={"ACCESS_TOKEN": "ghp_wrong_and_private"}, check=False)

    assert ended.returncode != 0
    assert "401" in ended.stderr
    assert "ghp_wrong_and_private" not in ended.stdout + ended.stderr


def test_a_resource_that_is_refused_keeps_none_of_its_siblings_back(
    run_script, run_tutorial, sample_api, warehouse, issue_facts
) -> None:
    script = (Path(__file__).parent / "scripts/github_explicit_token.py").read_text()

    anonymous = script.replace('access_token="sample-token"', "access_token=None")
    ended = run_script(anonymous, env={"GITHUB_API": sample_api.url}, check=False)

    stored = warehouse(PIPELINE)
    assert ended.returncode != 0
    assert "'traffic/clones'" in ended.stderr
    assert "401" in ended.stderr
    assert stored.issues("github_data") == issue_facts(sample_api.repository.issues(state="open"))
    assert stored.count("github_data.comments") == 60
    assert "traffic_clones" not in stored.tables("github_data")

    run_tutorial("github_explicit_token.py")
    assert clone_rows(stored) == expected_clones(sample_api)
