"""Arguments that the caller leaves out come from the configuration."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from dlt_orchestrate.config.inject import Placeholder, bind_with_config
from dlt_orchestrate.config.redaction import Secret, redact
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.values import TSecretStrValue, config, secrets
from dlt_orchestrate.errors import (
    ConfigFieldMissingError,
    ConfigValueCoercionError,
    InvalidArgumentsError,
    ValueNotSecretError,
)

if TYPE_CHECKING:
    from somewhere import OnlyForTypeCheckers  # type: ignore[import-not-found]

MakeResolver = Callable[..., Resolver]

SOURCE = ("sources", "github_mod", "github_source")


def github_source(access_token: str = secrets.value, repo_name: str = config.value, n=5) -> dict[str, Any]:
    return {"access_token": access_token, "repo_name": repo_name, "n": n}


def call(function: Callable[..., Any], resolver: Resolver, *args: Any, placeholders: bool = False, **kwargs: Any) -> Any:
    bound = bind_with_config(
        function,
        args,
        kwargs,
        resolver=resolver,
        sections=SOURCE,
        owner=f"Source {getattr(function, '__name__', 'it')!r}",
        placeholders=placeholders,
    )
    return function(*bound.args, **bound.kwargs)


def test_markers_and_plain_defaults_are_filled_and_converted(configured: MakeResolver) -> None:
    resolver = configured(
        secrets="[mypipe]\naccess_token = 'ghp_filled'",
        config="[mypipe]\nrepo_name = 'dlt-hub/dlt'",
        environ={"SOURCES__GITHUB_SOURCE__N": "17"},
    ).for_pipeline("mypipe")

    assert call(github_source, resolver) == {"access_token": "ghp_filled", "repo_name": "dlt-hub/dlt", "n": 17}


def test_what_is_not_configured_keeps_its_default(configured: MakeResolver) -> None:
    resolver = configured(environ={"ACCESS_TOKEN": "ghp_a", "REPO_NAME": "b"})

    assert call(github_source, resolver)["n"] == 5


def test_an_explicit_argument_beats_everything_but_none_for_a_marker_asks_for_the_value(
    configured: MakeResolver,
) -> None:
    resolver = configured(environ={"ACCESS_TOKEN": "ghp_environment", "REPO_NAME": "environment", "N": "17"})

    assert call(github_source, resolver, None, repo_name="mine", n=None) == {
        "access_token": "ghp_environment",
        "repo_name": "mine",
        "n": None,
    }


def test_a_marker_may_be_passed_as_an_argument(configured: MakeResolver) -> None:
    def source(token, mode="fast"):
        return token, mode

    resolver = configured(secrets="token = 'ghp_passed'\nmode = 'slow'", config="")

    assert call(source, resolver, secrets.value, mode=config.value) == ("ghp_passed", "slow")
    with pytest.raises(ValueNotSecretError):
        call(source, configured(secrets="", config="token = 'a'"), secrets.value)


def test_config_values_may_stand_among_the_secrets_which_are_asked_first(configured: MakeResolver) -> None:
    resolver = configured(secrets="repo_name = 'secrets'\naccess_token = 'ghp_b'", config="repo_name = 'config'")

    assert call(github_source, resolver)["repo_name"] == "secrets"


def test_a_secret_in_the_config_file_is_an_error(configured: MakeResolver) -> None:
    with pytest.raises(ValueNotSecretError, match=r"'access_token' was found in config\.toml under access_token"):
        call(github_source, configured(config="access_token = 'ghp_c'\nrepo_name = 'a'"))


def test_all_missing_values_are_reported_at_once_with_every_key_and_file(configured: MakeResolver, tmp_path: Any) -> None:
    resolver = configured(config="unrelated = 1").for_pipeline("mypipe")

    with pytest.raises(ConfigFieldMissingError) as caught:
        call(github_source, resolver)

    folder = str(tmp_path)
    assert str(caught.value).replace(folder, "…") == (
        """\
Source 'github_source': missing 2 value(s): 'access_token', 'repo_name'
for 'access_token' the following (provider, key) were tried in order:
  (Environment Variables, MYPIPE__SOURCES__GITHUB_MOD__GITHUB_SOURCE__ACCESS_TOKEN)
  (Environment Variables, MYPIPE__SOURCES__GITHUB_MOD__ACCESS_TOKEN)
  (Environment Variables, MYPIPE__SOURCES__GITHUB_SOURCE__ACCESS_TOKEN)
  (Environment Variables, MYPIPE__SOURCES__ACCESS_TOKEN)
  (Environment Variables, MYPIPE__ACCESS_TOKEN)
  (Environment Variables, SOURCES__GITHUB_MOD__GITHUB_SOURCE__ACCESS_TOKEN)
  (Environment Variables, SOURCES__GITHUB_MOD__ACCESS_TOKEN)
  (Environment Variables, SOURCES__GITHUB_SOURCE__ACCESS_TOKEN)
  (Environment Variables, SOURCES__ACCESS_TOKEN)
  (Environment Variables, ACCESS_TOKEN)
for 'repo_name' the following (provider, key) were tried in order:
  (Environment Variables, MYPIPE__SOURCES__GITHUB_MOD__GITHUB_SOURCE__REPO_NAME)
  (Environment Variables, MYPIPE__SOURCES__GITHUB_MOD__REPO_NAME)
  (Environment Variables, MYPIPE__SOURCES__GITHUB_SOURCE__REPO_NAME)
  (Environment Variables, MYPIPE__SOURCES__REPO_NAME)
  (Environment Variables, MYPIPE__REPO_NAME)
  (config.toml, mypipe.sources.github_mod.github_source.repo_name)
  (config.toml, mypipe.sources.github_mod.repo_name)
  (config.toml, mypipe.sources.github_source.repo_name)
  (config.toml, mypipe.sources.repo_name)
  (config.toml, mypipe.repo_name)
  (Environment Variables, SOURCES__GITHUB_MOD__GITHUB_SOURCE__REPO_NAME)
  (Environment Variables, SOURCES__GITHUB_MOD__REPO_NAME)
  (Environment Variables, SOURCES__GITHUB_SOURCE__REPO_NAME)
  (Environment Variables, SOURCES__REPO_NAME)
  (Environment Variables, REPO_NAME)
  (config.toml, sources.github_mod.github_source.repo_name)
  (config.toml, sources.github_mod.repo_name)
  (config.toml, sources.github_source.repo_name)
  (config.toml, sources.repo_name)
  (config.toml, repo_name)
Files read: …/project/.dlt/config.toml
Files looked for and not found: …/project/.dlt/secrets.toml, …/home/.dlt/secrets.toml, …/home/.dlt/config.toml
Set one of the keys above, or pass the value as an argument."""
    )
    assert caught.value.fields == ("access_token", "repo_name")


def test_a_value_that_may_be_none_is_never_missing(configured: MakeResolver) -> None:
    def source(token: str | None = secrets.value, proxy: str | None = config.value):
        return token, proxy

    assert call(source, configured(environ={"TOKEN": "ghp_d"})) == ("ghp_d", None)


def test_a_required_argument_is_filled_if_configured_and_else_named(configured: MakeResolver) -> None:
    def source(org, repo): ...

    with pytest.raises(InvalidArgumentsError) as caught:
        call(source, configured(environ={"ORG": "dlt-hub"}))

    assert str(caught.value) == (
        "Source 'source' cannot be called: missing required argument 'repo'. "
        "Pass it, or give the parameter the default dlt.secrets.value or dlt.config.value."
    )
    assert caught.value.missing == ("repo",)


@pytest.mark.parametrize("placeholders", [False, True])
def test_arguments_that_no_call_would_take_are_refused(configured: MakeResolver, placeholders: bool) -> None:
    with pytest.raises(InvalidArgumentsError, match="got an unexpected keyword argument 'repo'"):
        call(github_source, configured(), repo="a", placeholders=placeholders)


def test_declarations_callables_and_variadic_parameters_are_left_alone(configured: MakeResolver) -> None:
    class Declaration:
        __dlt_declaration__ = True

    cursor = Declaration()

    def resource(*args, since=cursor, clean=str.strip, helper=object, **kwargs):
        return args, since, clean, helper, kwargs

    environ = dict.fromkeys(["SINCE", "CLEAN", "HELPER", "ARGS", "KWARGS"], "configured")
    assert call(resource, configured(environ=environ), 1, k=2) == ((1,), cursor, str.strip, object, {"k": 2})


def test_a_parameter_without_annotation_takes_the_type_of_its_default(configured: MakeResolver) -> None:
    def source(pages=5, dry=False, labels=("a",), query=None):
        return pages, dry, labels, query

    environ = {"PAGES": "7", "DRY": "true", "LABELS": '["x", "y"]', "QUERY": "17"}
    assert call(source, configured(environ=environ)) == (7, True, ("x", "y"), "17")
    with pytest.raises(ConfigValueCoercionError, match="is not a valid int"):
        call(source, configured(environ={"PAGES": "many"}))


def test_postponed_annotations_are_resolved_where_their_names_exist(configured: MakeResolver) -> None:
    def source(
        labels: list[str] = config.value,
        token: TSecretStrValue = "",
        key: Secret = secrets.value,
        other: OnlyForTypeCheckers = config.value,
    ):
        return labels, token, key, other

    environ = {"LABELS": '["bug"]', "TOKEN": "ghp_e", "KEY": "ghp_f", "OTHER": "as it is"}
    assert call(source, configured(environ=environ)) == (["bug"], "ghp_e", Secret("ghp_f"), "as it is")
    with pytest.raises(ValueNotSecretError):
        call(source, configured(config="token = 'ghp_g'", environ=environ | {"TOKEN": ""} and {"LABELS": "[]"}))


def test_wrapped_functions_methods_and_partials_are_read_like_functions(configured: MakeResolver) -> None:
    class Api:
        def issues(self, per_page: int = config.value):
            return per_page

    @functools.wraps(github_source)
    def wrapper(*args, **kwargs):
        return github_source(*args, **kwargs)

    resolver = configured(environ={"PER_PAGE": "50", "ACCESS_TOKEN": "ghp_h", "REPO_NAME": "r"})
    assert call(Api().issues, resolver) == 50
    assert call(functools.partial(Api.issues, Api()), resolver) == 50
    assert call(wrapper, resolver) == {"access_token": "ghp_h", "repo_name": "r", "n": 5}


def test_at_definition_time_what_is_missing_becomes_an_empty_value_of_its_type(configured: MakeResolver) -> None:
    def source(org, token=secrets.value, repo: str = config.value, n: int = config.value, tags: list[str] = config.value,
               since: Secret = secrets.value, pages: int = 3):  # fmt: skip
        return org, token, repo, n, tags, since, pages

    resolver = configured(environ={"REPO": "dlt", "PAGES": "not a number"})
    org, token, repo, n, tags, since, pages = call(source, resolver, placeholders=True)

    assert (org, token, repo, n, tags, since, pages) == ("", "", "dlt", 0, [], Secret(""), 3)
    assert isinstance(token, Placeholder)


def test_injected_and_passed_secrets_are_known_to_the_redactor(configured: MakeResolver) -> None:
    def source(dsn: str = secrets.value, api_key=None, password: str = ""): ...

    environ = {"DSN": "postgresql://loader:injected-dsn-pw@db/main", "API_KEY": "injected-by-name"}
    call(source, configured(environ=environ), password="passed-by-hand")

    assert redact("injected-dsn-pw injected-by-name passed-by-hand shown") == "*** *** *** shown"


def test_an_injection_takes_few_calls(configured: MakeResolver) -> None:
    call(github_source, configured(environ={"ACCESS_TOKEN": "ghp_counted", "REPO_NAME": "r"}))
    resolver = configured(secrets="unrelated = 1", config="[mypipe]\nrepo_name = 'r'\naccess_token = 1")
    resolver = resolver.for_pipeline("other").with_values({"access_token": "ghp_counted"})
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        with contextlib.suppress(ConfigFieldMissingError):
            bind_with_config(github_source, (), {"repo_name": "r"}, resolver=resolver, sections=SOURCE, owner="it")
    finally:
        sys.setprofile(before)

    assert calls < 600
