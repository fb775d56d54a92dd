"""What `config explain` shows."""

from __future__ import annotations

from collections.abc import Callable

from dlt_orchestrate.config.explain import explain
from dlt_orchestrate.config.fields import Field
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.values import config, secrets

MakeResolver = Callable[..., Resolver]


def source(token: str = secrets.value, repo: str = config.value, n: int = 5, pages: int = 1, password="pw-default"): ...


def test_every_field_is_explained_without_showing_secrets(configured: MakeResolver) -> None:
    resolver = configured(secrets="token = 'ghp_explained'", environ={"SOURCES__N": "7", "PAGES": "many"})

    token, repo, n, pages, password = explain(source, resolver, ("sources",))

    assert (token.value, token.provider, token.key, token.is_secret) == ("***", "secrets.toml", "token", True)
    assert token.tried == (
        ("Environment Variables", "SOURCES__TOKEN"),
        ("Environment Variables", "TOKEN"),
        ("secrets.toml", "sources.token"),
        ("secrets.toml", "token"),
    )
    assert (repo.value, repo.provider, repo.problem) == (None, None, "missing")
    assert len(repo.tried) == 4
    assert (n.value, n.provider, n.key) == ("7", "Environment Variables", "SOURCES__N")
    assert n.tried == (("Environment Variables", "SOURCES__N"),)
    assert "under PAGES is not a valid int" in pages.problem
    assert (password.value, password.provider) == ("***", "default")


def test_single_fields_can_be_explained(configured: MakeResolver) -> None:
    resolver = configured(config="[destination.duckdb]\ncredentials = 'file.duckdb'").for_pipeline("mypipe")

    (row,) = explain([Field("credentials", str | None)], resolver, ("destination", "duckdb"))

    assert (row.value, row.key) == ("'file.duckdb'", "destination.duckdb.credentials")
