"""Folders with configuration, as a project and a user have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlt_orchestrate.config.resolver import CONFIG_IN_MEMORY, SECRETS_IN_MEMORY, Resolver

MakeResolver = Callable[..., Resolver]


@pytest.fixture
def configured(tmp_path: Path) -> MakeResolver:
    """Write TOML files for the project and the user's home, and look values up in them and in the variables given."""

    def make(
        *,
        secrets: str | None = None,
        config: str | None = None,
        home_secrets: str | None = None,
        home_config: str | None = None,
        environ: dict[str, str] | None = None,
    ) -> Resolver:
        files = {
            tmp_path / "project/.dlt/secrets.toml": secrets,
            tmp_path / "project/.dlt/config.toml": config,
            tmp_path / "home/.dlt/secrets.toml": home_secrets,
            tmp_path / "home/.dlt/config.toml": home_config,
        }
        for path, text in files.items():
            if text is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return Resolver.from_environment(tmp_path / "project", tmp_path / "home", environ or {})

    return make


@pytest.fixture(autouse=True)
def nothing_set_in_memory() -> Iterator[None]:
    yield
    for memory in (SECRETS_IN_MEMORY, CONFIG_IN_MEMORY):
        memory.clear()
