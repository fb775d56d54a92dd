"""`config explain MODULE:FUNCTION`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

MODULE = """
import dlt_orchestrate as dlt
from dlt_orchestrate.sources.rest_api import rest_api_source


@dlt.source(name="weather")
def weather_source(city: str = dlt.config.value, api_key: str = dlt.secrets.value, days: int = 7):
    @dlt.resource
    def alerts(region: str = dlt.config.value):
        yield []

    return alerts


@dlt.resource
def stations(country: str = "NL"):
    yield []


@dlt.source(name="broken")
def broken_source(size: int = dlt.config.value):
    raise RuntimeError("no resources without a server")


def plain(colour: str = "red"):
    yield []


there = weather_source("Gouda")


@dlt.transformer(data_from=stations)
def readings(station, unit: str = "celsius"):
    yield []


blog = rest_api_source(
    {
        "client": {
            "base_url": {"env": "BLOG_URL"},
            "auth": {"type": "bearer", "token": {"secret": "BLOG_TOKEN"}},
            "headers": {"X-Team": dlt.config.value},
        },
        "resources": ["posts", {"name": "comments", "endpoint": "posts/{resources.posts.id}/comments"}],
    },
    name="blog",
)

NUMBER = 7
"""


@pytest.fixture
def module(project: Path, monkeypatch: pytest.MonkeyPatch):
    """The module `my_sources` in the project folder, with some configuration."""
    (project / "my_sources.py").write_text(MODULE)
    (project / ".dlt").mkdir()
    (project / ".dlt" / "config.toml").write_text('[sources.my_sources]\ncity = "Delft"\n')
    (project / ".dlt" / "secrets.toml").write_text('[sources.my_sources.weather]\napi_key = "k-9876543210"\n')
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    sys.modules.pop("my_sources", None)


def test_a_source_is_explained_with_its_resources(tool, module, project) -> None:
    told = tool("config", "explain", "my_sources:weather_source")

    assert told.exit_code == 0
    assert (
        told.output
        == f"""\
Source 'weather', sections sources.my_sources.weather

  city = 'Delft'
    from   config.toml, key sources.my_sources.city
    tried  Environment Variables: SOURCES__MY_SOURCES__WEATHER__CITY
           Environment Variables: SOURCES__MY_SOURCES__CITY
           Environment Variables: SOURCES__WEATHER__CITY
           Environment Variables: SOURCES__CITY
           Environment Variables: CITY
           secrets.toml: sources.my_sources.weather.city
           secrets.toml: sources.my_sources.city
           secrets.toml: sources.weather.city
           secrets.toml: sources.city
           secrets.toml: city
           config.toml: sources.my_sources.weather.city
           config.toml: sources.my_sources.city

  api_key = ***
    from   secrets.toml, key sources.my_sources.weather.api_key
    tried  Environment Variables: SOURCES__MY_SOURCES__WEATHER__API_KEY
           Environment Variables: SOURCES__MY_SOURCES__API_KEY
           Environment Variables: SOURCES__WEATHER__API_KEY
           Environment Variables: SOURCES__API_KEY
           Environment Variables: API_KEY
           secrets.toml: sources.my_sources.weather.api_key

{told.output[told.output.index("  days = 7") :]}"""
    )
    assert "  days = 7\n    from   default\n" in told.output
    assert "Resource 'alerts', sections sources.my_sources.alerts\n\n  region = missing\n" in told.output
    assert f"Files read: {project}/.dlt/secrets.toml, {project}/.dlt/config.toml\n" in told.output


def test_keys_with_the_name_of_the_pipeline_go_first(tool, module, monkeypatch) -> None:
    monkeypatch.setenv("FORECAST__SOURCES__MY_SOURCES__CITY", "Utrecht")

    assert "city = 'Delft'" in tool("config", "explain", "my_sources:weather_source").output
    told = tool("config", "explain", "my_sources:weather_source", "--pipeline", "forecast").output
    assert "city = 'Utrecht'\n    from   Environment Variables, key FORECAST__SOURCES__MY_SOURCES__CITY\n" in told


def test_resources_and_plain_functions_are_explained(tool, module) -> None:
    assert "Resource 'stations'" in tool("config", "explain", "my_sources:stations").output
    assert "country = 'NL'" in tool("config", "explain", "my_sources:stations").output
    assert "colour = 'red'" in tool("config", "explain", "my_sources:plain").output


def test_what_the_code_passes_is_told_as_such_and_the_row_of_a_parent_is_no_value(tool, module) -> None:
    assert "  city = 'Gouda'\n    from   code\n\n" in tool("config", "explain", "my_sources:there").output
    told = tool("config", "explain", "my_sources:readings").output
    assert "unit = 'celsius'" in told
    assert "station" not in told.replace("my_sources", "")


def test_a_declared_api_is_explained_by_the_values_that_it_names(tool, module, monkeypatch) -> None:
    monkeypatch.setenv("BLOG_TOKEN", "t-1234567890")
    monkeypatch.setenv("SOURCES__REST_API__BLOG__CLIENT__HEADERS__X-TEAM", "tea")

    told = tool("config", "explain", "my_sources:blog")

    assert told.exit_code == 0
    assert told.output.startswith(
        """\
Source 'blog', sections sources.rest_api.blog

  client.base_url = missing
    tried  Environment Variables: BLOG_URL
           secrets.toml: BLOG_URL
           config.toml: BLOG_URL

  client.auth.token = ***
    from   Environment Variables, key BLOG_TOKEN
    tried  Environment Variables: BLOG_TOKEN

  client.headers.X-Team = 'tea'
    from   Environment Variables, key SOURCES__REST_API__BLOG__CLIENT__HEADERS__X-TEAM
"""
    )
    assert "Resource 'comments', sections sources.rest_api.comments\n\n  It takes nothing" in told.output
    assert "t-1234567890" not in told.output


def test_a_component_is_explained_by_the_values_that_its_file_names(tool, module, monkeypatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "pw-1234567890")
    Path("defs.yaml").write_text("""
type: dlt_orchestrate.dagster.SqlDatabaseComponent
attributes:
  credentials: {drivername: postgresql, host: "{{ env.SHOP_HOST }}", password: {secret: SHOP_PASSWORD}}
  tables: {orders: {primary_key: "{{ context.project_root }}"}}
  destination: {type: postgres, credentials: {secret: sources.my_sources.weather.api_key}}
---
type: acme.Other
""")

    told = tool("config", "explain", "defs.yaml")

    assert told.exit_code == 0
    assert told.output.startswith(
        """\
Component 'SqlDatabaseComponent' in defs.yaml

  credentials.host = missing
    tried  Environment Variables: SHOP_HOST
           secrets.toml: SHOP_HOST
           config.toml: SHOP_HOST

  credentials.password = ***
    from   Environment Variables, key SHOP_PASSWORD
    tried  Environment Variables: SHOP_PASSWORD

  destination.credentials = ***
    from   secrets.toml, key sources.my_sources.weather.api_key
"""
    )
    assert "Component 'Other' in defs.yaml\n\n  It takes nothing from the configuration.\n" in told.output
    assert "pw-1234567890" not in told.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "Error: File 'defs.yaml' cannot be read: No such file or directory.\n"),
        (
            "attributes:\n  credentials: {password: s3cret-1: x}",
            "Error: File 'defs.yaml' cannot be read: expected ',' or '}', but got ':', in line 2, column 35.\n",
        ),
        ("key: *s3cret-1", "Error: File 'defs.yaml' cannot be read: found undefined alias, in line 1, column 6.\n"),
        ("title: shop", "Error: File 'defs.yaml' is none of a component: it has no 'type'.\n"),
    ],
)
def test_a_file_that_is_none_of_a_component_is_told(tool, module, text, message) -> None:
    if text is not None:
        Path("defs.yaml").write_text(text)

    failed = tool("config", "explain", "defs.yaml")

    assert failed.exit_code == 1
    assert failed.stderr == message


def test_a_source_that_fails_without_values_is_explained_without_its_resources(tool, module) -> None:
    told = tool("config", "explain", "my_sources:broken_source")

    assert told.exit_code == 0
    assert "size = missing" in told.stdout
    assert told.stderr == "Its resources are not explained: the source's function failed with RuntimeError.\n\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:f", "Error: Module 'no_such_module' cannot be imported: there is no module 'no_such_module'."),
        ("my_sources:nothing", "Error: Module 'my_sources' has no 'nothing'."),
        ("my_sources:NUMBER", "Error: 'my_sources:NUMBER' is a int; expected a source, a resource or a function."),
    ],
)
def test_what_cannot_be_explained_is_told(tool, module, name, message) -> None:
    failed = tool("config", "explain", name)

    assert failed.exit_code == 1
    assert failed.stderr.startswith(message)


def test_the_tool_finds_modules_of_the_current_folder(run_cli, module) -> None:
    assert "city = 'Delft'" in run_cli("config", "explain", "my_sources:weather_source").stdout
