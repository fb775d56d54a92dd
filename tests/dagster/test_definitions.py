"""The code location in `definitions/`: loaded as Dagster loads it, and run against the sample API."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

import definitions
from definitions.shop_database import make_shop
from dlt_orchestrate.testing.sample_api import SampleApi

ROOT = Path(__file__).parents[2]

LOAD = """
import json, sys

opened = []
WATCHED = {"socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}
PROBE = ("socket.bind", "('::1', 0)")  # urllib3 looks once whether this machine speaks IPv6

def watch(event, args):
    if event in WATCHED and (event, str(args[1])) != PROBE:
        opened.append([event, str(args[1:])])

sys.addaudithook(watch)

import definitions

heavy = [name for name in ("duckdb", "pyarrow", "pandas") if name in sys.modules]
repository = definitions.defs.get_repository_def()
print(json.dumps({
    "assets": sorted(key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()),
    "schedules": [schedule.name for schedule in repository.schedule_defs],
    "sensors": [sensor.name for sensor in repository.sensor_defs],
    "executor": definitions.defs.executor.name,
    "opened": opened,
    "heavy": heavy,
}))
"""

RUN = """
import json
import definitions

result = definitions.defs.resolve_implicit_global_asset_job_def().execute_in_process(raise_on_error=False)
print(json.dumps({
    "rows": {
        event.asset_key.to_user_string(): event.materialization.metadata["dagster/row_count"].value
        for event in result.get_asset_materialization_events()
    },
    "failures": {
        event.step_key: event.step_failure_data.user_failure_data.metadata["missing"].value
        for event in result.all_events if event.is_step_failure
    },
}))
"""


def python(script: str, folder: Path, **environment: str) -> Any:
    """Run a script with nothing in its environment but `environment`; give the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def settings(sample_api: SampleApi) -> dict[str, str]:
    return {"SOURCES__GITHUB__BASE_URL": sample_api.url, "SOURCES__GITHUB__REPO_NAME": "acme/teahouse"}


def test_the_code_location_loads_without_configuration_secrets_network_and_files(tmp_path: Path) -> None:
    loaded = python(LOAD, tmp_path)

    assert loaded["assets"] == [
        "contributors",
        "dlt_github_comments",
        "dlt_github_issues",
        "dlt_github_traffic_clones",
        "dlt_inbox_order_events",
        "dlt_inbox_orders",
        "dlt_organization_comments",
        "dlt_organization_repositories",
        "dlt_shop_customers",
        "dlt_shop_orders",
        "source/github",
    ]
    assert loaded["schedules"] == ["github_hourly"]
    assert loaded["sensors"] == ["default_automation_condition_sensor", "github_issues_changed", "inbox_files"]
    assert loaded["executor"] == "in_process"
    assert loaded["opened"] == []
    assert list(tmp_path.iterdir()) == []


def test_loading_the_code_location_imports_no_engine(tmp_path: Path) -> None:
    assert python(LOAD, tmp_path)["heavy"] == []


def test_without_secrets_only_what_needs_them_fails_and_says_what_is_missing(
    tmp_path: Path, settings: dict[str, str]
) -> None:
    ran = python(RUN, tmp_path, **settings)

    assert ran["rows"] == {
        "dlt_github_issues": 120,
        "dlt_github_comments": 60,
        "dlt_organization_repositories": 2,
        "dlt_organization_comments": 120,
        "contributors": 10,
        "dlt_inbox_orders": 4,
        "dlt_inbox_order_events": 3,
    }
    missing = {"shop__orders": "credentials", "shop__customers": "credentials"}
    assert ran["failures"] == {"github__traffic_clones": "access_token", **missing}


def test_with_all_secrets_everything_is_loaded(tmp_path: Path, settings: dict[str, str], sample_api: SampleApi) -> None:
    make_shop(tmp_path / "shop.sqlite")
    settings |= {"SOURCES__GITHUB__ACCESS_TOKEN": sample_api.token, "SOURCES__SHOP__CREDENTIALS": "sqlite:///shop.sqlite"}

    ran = python(RUN, tmp_path, **settings)

    assert ran["failures"] == {}
    assert ran["rows"]["dlt_github_traffic_clones"] == len(sample_api.repository.clones()["clones"])
    assert (ran["rows"]["dlt_shop_orders"], ran["rows"]["dlt_shop_customers"]) == (3, 2)
    assert (tmp_path / "github.duckdb").exists()
    with duckdb.connect(str(tmp_path / "inbox.duckdb")) as connection:
        orders = connection.execute("SELECT id, zip, total, voucher FROM inbox_data.orders WHERE id IN (1001, 1003)")
        assert sorted(orders.fetchall()) == [(1001, "01067", 18.5, None), (1003, "20095", 220.0, "TEA20")]


def test_the_shop_of_the_pictures_has_no_asset_of_the_definitions() -> None:
    """Both are loaded side by side, and of two assets with one key Dagster takes either."""
    shop = runpy.run_path(str(ROOT / "docs" / "pictures" / "shop.py"))["defs"]

    keys = [set(defs.resolve_asset_graph().get_all_asset_keys()) for defs in (shop, definitions.defs)]

    assert keys[0] & keys[1] == set()
