"""Which place wins: the order of passes, providers and sections."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.errors import ConfigFileError, ValueNotSecretError

MakeResolver = Callable[..., Resolver]

SOURCE = ("sources", "github_mod", "github_source")

# Strongest first; each as (variable or file, key).
ORDER = [
    ("env", "MYPIPE__SOURCES__GITHUB_MOD__GITHUB_SOURCE__ACCESS_TOKEN"),
    ("env", "MYPIPE__SOURCES__GITHUB_MOD__ACCESS_TOKEN"),
    ("env", "MYPIPE__SOURCES__GITHUB_SOURCE__ACCESS_TOKEN"),
    ("env", "MYPIPE__SOURCES__ACCESS_TOKEN"),
    ("env", "MYPIPE__ACCESS_TOKEN"),
    ("secrets.toml", "mypipe.sources.github_mod.github_source.access_token"),
    ("secrets.toml", "mypipe.sources.github_mod.access_token"),
    ("secrets.toml", "mypipe.sources.github_source.access_token"),
    ("secrets.toml", "mypipe.sources.access_token"),
    ("secrets.toml", "mypipe.access_token"),
    ("config.toml", "mypipe.sources.github_mod.github_source.access_token"),
    ("config.toml", "mypipe.access_token"),
    ("env", "SOURCES__GITHUB_MOD__GITHUB_SOURCE__ACCESS_TOKEN"),
    ("env", "SOURCES__GITHUB_MOD__ACCESS_TOKEN"),
    ("env", "SOURCES__GITHUB_SOURCE__ACCESS_TOKEN"),
    ("env", "SOURCES__ACCESS_TOKEN"),
    ("env", "ACCESS_TOKEN"),
    ("secrets.toml", "sources.github_mod.github_source.access_token"),
    ("secrets.toml", "sources.github_mod.access_token"),
    ("secrets.toml", "sources.github_source.access_token"),
    ("secrets.toml", "sources.access_token"),
    ("secrets.toml", "access_token"),
    ("config.toml", "sources.github_mod.github_source.access_token"),
    ("config.toml", "sources.github_mod.access_token"),
    ("config.toml", "sources.github_source.access_token"),
    ("config.toml", "sources.access_token"),
    ("config.toml", "access_token"),
]


@pytest.mark.parametrize(("stronger", "weaker"), list(itertools.pairwise(ORDER)), ids=str)
def test_the_stronger_place_wins(configured: MakeResolver, stronger: tuple[str, str], weaker: tuple[str, str]) -> None:
    values = {stronger: "strong", weaker: "weak"}
    resolver = configured(
        environ={key: value for (place, key), value in values.items() if place == "env"},
        secrets="\n".join(f"{key} = '{value}'" for (place, key), value in values.items() if place == "secrets.toml"),
        config="\n".join(f"{key} = '{value}'" for (place, key), value in values.items() if place == "config.toml"),
    ).for_pipeline("mypipe")

    found = resolver.lookup("access_token", SOURCE, str)

    assert found is not None
    place = "Environment Variables" if stronger[0] == "env" else stronger[0]
    assert (found.value, found.provider, found.key) == ("strong", place, stronger[1])


def test_every_key_is_tried_in_the_order_in_which_it_would_win(configured: MakeResolver) -> None:
    resolver = configured(secrets="other = 1", config="other = 1").for_pipeline("mypipe")

    tried = resolver.tried("access_token", SOURCE)

    assert len(tried) == 30
    strongest_first = [("Environment Variables" if place == "env" else place, key) for place, key in ORDER]
    assert [pair for pair in tried if pair in strongest_first] == strongest_first


def test_without_a_pipeline_keys_with_its_name_are_not_tried(configured: MakeResolver) -> None:
    resolver = configured(environ={"MYPIPE__TOKEN": "theirs"})

    assert resolver.lookup("token", SOURCE) is None
    assert resolver.tried("token", ("sources",)) == (
        ("Environment Variables", "SOURCES__TOKEN"),
        ("Environment Variables", "TOKEN"),
    )


def test_the_destination_is_looked_up_for_the_pipeline_then_for_all_then_without_sections(
    configured: MakeResolver,
) -> None:
    resolver = configured(secrets="[destination.duckdb.credentials]\ndatabase = 'file.duckdb'").for_pipeline("mypipe")

    assert [key for _, key in resolver.tried("credentials", ("destination", "duckdb"))] == [
        "MYPIPE__DESTINATION__DUCKDB__CREDENTIALS",
        "MYPIPE__DESTINATION__CREDENTIALS",
        "MYPIPE__CREDENTIALS",
        "mypipe.destination.duckdb.credentials",
        "mypipe.destination.credentials",
        "mypipe.credentials",
        "DESTINATION__DUCKDB__CREDENTIALS",
        "DESTINATION__CREDENTIALS",
        "CREDENTIALS",
        "destination.duckdb.credentials",
        "destination.credentials",
        "credentials",
    ]
    part = resolver.lookup("credentials.database", ("destination", "duckdb"), str)
    whole = resolver.lookup("credentials", ("destination", "duckdb"))
    assert part is not None
    assert whole is not None
    assert (part.value, whole.value) == ("file.duckdb", {"database": "file.duckdb"})


def test_variables_below_a_field_are_its_table_where_it_takes_one(configured: MakeResolver) -> None:
    below = "SOURCES__FILES__CREDENTIALS"
    resolver = configured(environ={f"{below}__KEY": "k", f"{below}__CLIENT__REGION_NAME": "eu"})

    found = resolver.lookup("credentials", ("sources", "files"), dict[str, Any] | str | None, is_secret=True)

    assert found is not None
    assert found.value == {"key": "k", "client": {"region_name": "eu"}}
    assert resolver.lookup("credentials", ("sources", "files"), str) is None


def test_a_section_that_bears_the_name_of_a_field_is_not_its_value(configured: MakeResolver) -> None:
    resolver = configured(config="[github]\nrepo = 'a'")

    assert resolver.lookup("github", (), str | None) is None
    table = resolver.lookup("github", (), dict[str, str])
    assert table is not None
    assert table.value == {"repo": "a"}


def test_project_files_are_laid_over_the_files_in_the_home_folder(configured: MakeResolver) -> None:
    resolver = configured(
        secrets="[github]\ntoken = 'of the project'",
        home_secrets="[github]\ntoken = 'of the user'\nuser = 'octocat'",
        home_config="page_size = 7",
    )

    assert [
        found.value for field in ("github.token", "github.user", "page_size") if (found := resolver.read(field)) is not None
    ] == ["of the project", "octocat", 7]
    assert [Path(path).parts[-3:] for path in resolver.files_absent] == [("project", ".dlt", "config.toml")]
    assert [Path(path).parts[-3:] for path in resolver.files_read] == [
        ("project", ".dlt", "secrets.toml"),
        ("home", ".dlt", "secrets.toml"),
        ("home", ".dlt", "config.toml"),
    ]


def test_the_data_folder_variable_moves_the_users_files(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config.toml").write_text("n = 3")

    resolver = Resolver.from_environment(tmp_path, tmp_path / "home", {"DLT_DATA_DIR": str(elsewhere)})

    found = resolver.lookup("n")
    assert found is not None
    assert found.value == 3


def test_files_are_parsed_once_and_variables_read_when_asked_for(configured: MakeResolver, tmp_path: Path) -> None:
    environ: dict[str, str] = {"UNRELATED": "x"}
    resolver = configured(config="n = 1", environ=environ)
    assert resolver.lookup("n").value == 1  # type: ignore[union-attr]

    (tmp_path / "project/.dlt/config.toml").write_text("n = 2")
    assert resolver.lookup("n").value == 1  # type: ignore[union-attr]

    environ["N"] = "3"
    assert resolver.lookup("n", (), int).value == 3  # type: ignore[union-attr]


def test_values_from_a_dagster_resource_beat_files_and_environment_whatever_their_keys(
    configured: MakeResolver,
) -> None:
    resolver = configured(environ={"MYPIPE__SOURCES__GITHUB_MOD__GITHUB_SOURCE__TOKEN": "from the environment"})

    with_values = resolver.with_values({"token": "from the resource"}).for_pipeline("mypipe")
    found = with_values.lookup("token", SOURCE, str, is_secret=True)

    assert found is not None
    assert (found.value, found.provider, found.key) == ("from the resource", "dagster resource", "token")
    nested = resolver.with_values({"sources": {"token": "a"}, "sources.github_mod.token": "b"}, name="launchpad")
    assert nested.lookup("token", SOURCE).value == "b"  # type: ignore[union-attr]


def test_values_given_by_callers_are_not_changed_by_later_ones(configured: MakeResolver) -> None:
    given = {"sources": {"github": {"n": 1}}}

    configured().with_values({**given, "sources.github.m": 2})

    assert given == {"sources": {"github": {"n": 1}}}


def test_a_secret_in_the_config_file_is_an_error_that_shows_no_value(configured: MakeResolver) -> None:
    resolver = configured(config="[sources]\naccess_token = 'ghp_in_the_wrong_place'")

    with pytest.raises(ValueNotSecretError) as caught:
        resolver.lookup("access_token", SOURCE, str, is_secret=True)

    assert str(caught.value) == (
        "The secret 'access_token' was found in config.toml under sources.access_token, a place that is not kept secret. "
        "Move it to secrets.toml or to an environment variable."
    )


def test_a_key_where_a_secret_must_not_stand_is_not_suggested(configured: MakeResolver) -> None:
    resolver = configured(secrets="other = 1", config="other = 1")

    assert {provider for provider, _ in resolver.tried("token", SOURCE, is_secret=True)} == {
        "Environment Variables",
        "secrets.toml",
    }


@pytest.mark.parametrize("variable", ["PATH", "HOME", "USER", "HOSTNAME", "COLUMNS"])
def test_a_variable_of_the_system_is_not_taken_for_a_value(configured: MakeResolver, variable: str) -> None:
    resolver = configured(environ={variable: "set by the system"})

    assert resolver.lookup(variable.lower(), SOURCE) is None
    assert variable not in {key for _, key in resolver.tried(variable.lower(), SOURCE)}


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"token = 'ghp_1234'\nbroken\n", "line 2"), (b"token = '\xff'", "it is not UTF-8 text")],
)
def test_a_broken_file_is_named_without_its_content(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt/secrets.toml").write_bytes(content)

    with pytest.raises(ConfigFileError, match=problem) as caught:
        Resolver.from_environment(tmp_path, tmp_path / "home", {}).lookup("token")

    assert caught.value.path == str(tmp_path / ".dlt/secrets.toml")
    assert "ghp_1234" not in str(caught.value)
    assert caught.value.__context__ is None


def test_an_empty_variable_is_no_secret_but_may_be_a_value(configured: MakeResolver) -> None:
    resolver = configured(secrets="token = 'ghp_of_file'", environ={"TOKEN": ""})

    assert resolver.lookup("token", (), str, is_secret=True).value == "ghp_of_file"  # type: ignore[union-attr]
    assert resolver.lookup("token", (), str).value == ""  # type: ignore[union-attr]
