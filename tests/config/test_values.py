"""`dlt.secrets` and `dlt.config` as objects."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from dlt_orchestrate.config.redaction import redact
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.values import config, secrets
from dlt_orchestrate.errors import ConfigFieldMissingError, ConfigValueCoercionError, ValueNotSecretError


@pytest.fixture(autouse=True)
def folder(project: Path) -> Path:
    (project / ".dlt").mkdir()
    (project / ".dlt/secrets.toml").write_text("[sources.github]\naccess_token = 'ghp_from_file'\npin = '1234'")
    (project / ".dlt/config.toml").write_text("[sources.github]\nrepo_name = 'dlt-hub/dlt'")
    return project


def test_single_values_are_read_by_their_dotted_key() -> None:
    assert secrets["sources.github.access_token"] == "ghp_from_file"
    assert secrets.get("sources.github.pin", int) == 1234
    assert config["sources.github.repo_name"] == "dlt-hub/dlt"
    assert "sources.github.repo_name" in config
    assert redact("token ghp_from_file") == "token ***"


def test_a_missing_value_is_an_error_by_index_and_none_by_get(folder: Path) -> None:
    assert secrets.get("sources.gitlab.access_token") is None
    assert config.get("sources.gitlab.pages", int) is None

    with pytest.raises(ConfigFieldMissingError) as caught:
        secrets["sources.gitlab.access_token"]

    assert caught.value.tried == {
        "sources.gitlab.access_token": (
            ("Environment Variables", "SOURCES__GITLAB__ACCESS_TOKEN"),
            ("secrets.toml", "sources.gitlab.access_token"),
        )
    }
    assert str(folder / ".dlt/secrets.toml") in str(caught.value)


def test_a_secret_in_the_config_file_and_a_value_of_another_type_are_errors() -> None:
    with pytest.raises(ValueNotSecretError):
        secrets["sources.github.repo_name"]
    with pytest.raises(ConfigValueCoercionError):
        config.get("sources.github.repo_name", int)


def test_a_value_set_in_code_beats_files_yields_to_the_environment_and_is_not_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / ".dlt/secrets.toml").read_text()

    secrets["sources.github.access_token"] = "ghp_set_in_code"

    assert secrets["sources.github.access_token"] == "ghp_set_in_code"
    found = Resolver.from_environment().lookup("access_token", ("sources", "github"), str, is_secret=True)
    assert found is not None
    assert (found.value, found.provider) == ("ghp_set_in_code", "dlt.secrets")
    assert (folder / ".dlt/secrets.toml").read_text() == before
    monkeypatch.setenv("SOURCES__GITHUB__ACCESS_TOKEN", "ghp_of_environment")
    assert secrets["sources.github.access_token"] == "ghp_of_environment"


def test_a_value_set_in_code_can_be_forgotten() -> None:
    config["sources.github.repo_name"] = "mine"
    config["pages"] = {"size": 10}

    del config["sources.github.repo_name"]

    assert config["sources.github.repo_name"] == "dlt-hub/dlt"
    assert config["pages.size"] == 10
    with pytest.raises(KeyError):
        del config["sources.github.repo_name"]


def test_markers_and_values_print_as_users_write_them() -> None:
    assert repr([secrets.value, config.value, secrets, config]) == (
        "[dlt.secrets.value, dlt.config.value, dlt.secrets, dlt.config]"
    )
    assert repr(copy.deepcopy(secrets.value)) == "dlt.secrets.value"
