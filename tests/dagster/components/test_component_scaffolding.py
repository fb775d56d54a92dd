"""What `dg` makes of the components: it lists them, scaffolds files that load at once, and checks them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import dagster as dg
import duckdb
import pytest
import tomli
import yaml
from component_yard import Yard

import dlt_orchestrate.dagster
from dlt_orchestrate.dagster import (
    DiscoveredIngestComponent,
    FilesystemComponent,
    IngestCollectionComponent,
    IngestComponent,
    RestApiComponent,
)

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")

ROOT = Path(__file__).parents[3]
COMPONENTS = (
    IngestComponent,
    IngestCollectionComponent,
    DiscoveredIngestComponent,
    FilesystemComponent,
    RestApiComponent,
)


def test_dg_finds_the_components_by_an_entry_point() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]

    module = project["entry-points"]["dagster_dg_cli.registry_modules"]["dlt_orchestrate"]

    assert module == dlt_orchestrate.dagster.__name__
    assert all(getattr(dlt_orchestrate.dagster, one.__name__) is one for one in COMPONENTS)


@pytest.mark.parametrize("component", [IngestComponent, IngestCollectionComponent])
def test_what_is_scaffolded_loads_at_once(yard: Yard, run: Any, component: type[dg.Component]) -> None:
    yard.sandbox.scaffold_component(component, defs_path="my-shop", scaffold_params={"schedule": "0 6 * * *"})

    definitions = yard.load()
    assets = list(definitions.assets or ())
    result = run(assets)

    assert [asset.op.name for asset in assets] == ["my_shop__items"]
    assert [schedule.cron_schedule for schedule in definitions.schedules or ()] == ["0 6 * * *"]
    assert result.success
    (materialization,) = result.asset_materializations_for_node("my_shop__items")
    assert materialization.metadata["dagster/row_count"].value == 1
    assert (yard.root / "data" / "my_shop.duckdb").exists()


def test_what_is_scaffolded_is_read_by_sql_without_naming_the_file_of_duckdb(yard: Yard, run: Any) -> None:
    yard.sandbox.scaffold_component(IngestComponent, defs_path="shop", scaffold_params={})

    assert run(list(yard.load().assets or ())).success

    with duckdb.connect(yard.root / "data" / "shop.duckdb", read_only=True) as warehouse:
        assert warehouse.execute("SELECT name FROM shop_data.items").fetchall() == [("first",)]


def test_a_scaffold_for_a_source_that_is_there_writes_no_other(yard: Yard) -> None:
    params = {"source": "definitions.github:github_source", "destination": "postgres", "dataset": "raw"}

    folder = yard.sandbox.scaffold_component(IngestComponent, defs_path="github", scaffold_params=params)

    assert [path.name for path in folder.iterdir()] == ["defs.yaml"]
    written = yaml.safe_load((folder / "defs.yaml").read_text())["attributes"]
    assert written["source"] == "definitions.github:github_source"
    assert written["destination"] == {"type": "postgres", "credentials": {"secret": "POSTGRES_URL"}}
    assert list(yard.specs()) == ["dlt_github_issues", "dlt_github_comments", "dlt_github_traffic_clones"]


def test_a_scaffold_for_a_rest_api_names_its_secret_and_loads_at_once(yard: Yard) -> None:
    params = {"base_url": "https://blog.example/api", "resources": "posts,authors", "token": "BLOG_TOKEN"}

    folder = yard.sandbox.scaffold_component(RestApiComponent, defs_path="my-blog", scaffold_params=params)

    assert [path.name for path in folder.iterdir()] == ["defs.yaml"]
    assert yaml.safe_load((folder / "defs.yaml").read_text())["attributes"]["api"]["client"] == {
        "base_url": "https://blog.example/api",
        "auth": {"type": "bearer", "token": {"secret": "BLOG_TOKEN"}},
    }
    assert list(yard.specs()) == ["dlt_my_blog_posts", "dlt_my_blog_authors"]


LOAD = """
import json, sys

opened = []
WATCHED = {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
PROBE = ("socket.bind", "('::1', 0)")  # urllib3 looks once whether this machine speaks IPv6
sys.addaudithook(lambda event, args: event in WATCHED and (event, str(args[1])) != PROBE and opened.append(event))

from acme.definitions import defs

repository = defs().get_repository_def()
print(json.dumps({
    "assets": sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()),
    "opened": opened,
    "heavy": [name for name in ("duckdb", "pyarrow", "pandas") if name in sys.modules],
}))
"""


def write_project(folder: Path) -> Path:
    """A project as `dg` has them: without an environment of its own."""
    package = folder / "src" / "acme"
    (package / "defs").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(
        dedent(
            """
            [project]
            name = "acme"
            version = "0.1.0"

            [tool.dg]
            directory_type = "project"

            [tool.dg.project]
            root_module = "acme"
            code_location_name = "acme"
            """
        )
    )
    (package / "definitions.py").write_text(
        dedent(
            """
            from pathlib import Path

            from dagster import definitions, load_from_defs_folder


            @definitions
            def defs():
                return load_from_defs_folder(path_within_project=Path(__file__).parent)
            """
        )
    )
    return folder


def called(*command: str, folder: Path, **environment: str) -> str:
    """The output of a command in a project, with nothing of this process's environment but paths."""
    paths = [str(folder / "src"), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    (folder / "home").mkdir(exist_ok=True)
    (folder / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    done = subprocess.run(
        command,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "DAGSTER_HOME": str(folder / "home"),
            "COLUMNS": "200",
            "PYTHONPATH": os.pathsep.join(paths),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_definitions_load_without_network_secrets_and_heavy_libraries(tmp_path: Path) -> None:
    folder = write_project(tmp_path)
    defs = folder / "src" / "acme" / "defs" / "github"
    defs.mkdir()
    (defs / "defs.yaml").write_text(
        dedent(
            """
            type: dlt_orchestrate.dagster.IngestComponent
            attributes:
              source: definitions.github:github_source
              args: {repo_name: acme/teahouse, access_token: {secret: TEAHOUSE_TOKEN}}
              destination: {type: duckdb, path: "{{ env.DATA_FOLDER }}/github.duckdb"}
              schedule: "0 * * * *"
            """
        )
    )

    loaded = json.loads(called(sys.executable, "-W", "ignore", "-c", LOAD, folder=folder).splitlines()[-1])

    assert loaded == {
        "assets": ["dlt_github_comments", "dlt_github_issues", "dlt_github_traffic_clones"],
        "opened": [],
        "heavy": [],
    }


@pytest.mark.slow
def test_dg_lists_scaffolds_checks_refreshes_and_materializes(tmp_path: Path) -> None:
    folder = write_project(tmp_path)
    dg_cli = str(Path(sys.executable).with_name("dg"))

    listed = called(dg_cli, "list", "components", folder=folder)
    for component in COMPONENTS:
        assert f"dlt_orchestrate.dagster.{component.__name__}" in listed

    for component in COMPONENTS:
        path = component.__name__.removesuffix("Component").lower()
        called(dg_cli, "scaffold", "defs", f"dlt_orchestrate.dagster.{component.__name__}", path, folder=folder)
    assert "validated successfully" in called(dg_cli, "check", "yaml", folder=folder)
    assert "loaded successfully" in called(dg_cli, "check", "defs", folder=folder)

    called(dg_cli, "utils", "refresh-defs-state", folder=folder)
    shown = called(dg_cli, "list", "defs", "--json", folder=folder)
    without_network = ("dlt_ingest_items", "dlt_ingestcollection_items", "dlt_discoveredingest_items")
    for key in (*without_network, "dlt_restapi_items"):
        assert f'"asset_key": "{key}"' in shown

    selected = ("--select", ",".join(without_network))
    called(sys.executable, "-m", "dagster", "asset", "materialize", "-m", "acme.definitions", *selected, folder=folder)
    assert sorted(path.name for path in (folder / "data").glob("*.duckdb")) == [
        "discoveredingest.duckdb",
        "ingest.duckdb",
        "ingestcollection.duckdb",
    ]
