"""What `make demo` runs."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
from dagster import AssetKey, DagsterInstance

DEMO = "import runpy; runpy.run_module('definitions.demo', run_name='__main__', alter_sys=True)"
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2])}

READ_FROM_GITHUB = ("dlt_github_issues", "dlt_organization_repositories")


def test_the_demo_loads_twice_and_the_second_time_only_what_has_changed(run_script, run_cli) -> None:
    shown = run_script(DEMO, "--folder", "kept", env=ENVIRONMENT)

    assert shown.stderr == ""
    first, second = re.findall(r"^  issues +(\d+) +(\d+) +(\d+) +(\d+)  \S+$", shown.stdout, re.MULTILINE)
    assert first == ("120", "120", "0", "120")
    assert second == ("3", "1", "2", "121")
    assert "121 rows in the table issues, 121 issues at the API." in shown.stdout
    assert "  3 requests:" in shown.stdout
    declared = re.findall(
        r"^  comments +(\d+) +(\d+) +(\d+) +(\d+)  \S+$", shown.stdout.partition("\n5. ")[2], re.MULTILINE
    )
    assert declared == [("120", "120", "0", "120"), ("0", "0", "0", "120")]
    assert len(re.findall(r"^  contributors +10 +10 +0 +10  none: made of issues", shown.stdout, re.MULTILINE)) == 2
    with duckdb.connect("kept/github.duckdb") as connection:
        titles = "SELECT title FROM github_data.issues WHERE number IN (7, 42) ORDER BY number"
        assert [title for (title,) in connection.execute(titles).fetchall()] == [
            "Boil the kettle, but only half full",
            "Sort the menu 菜单 by colour",
        ]
    with DagsterInstance.from_config("kept/dagster_home") as instance:
        loaded = [instance.get_latest_materialization_event(AssetKey(name)) for name in READ_FROM_GITHUB]
    # Without it `make dev` shows what was just loaded as out of sync.
    assert all("dagster/input_data_version/source/github" in event.asset_materialization.tags for event in loaded)
    told = run_cli("pipeline", "github", "info", "--destination", "kept/github.duckdb").stdout
    assert "github  issues    updated_at" in told


def test_a_repository_is_named_with_its_owner(run_script) -> None:
    failed = run_script(DEMO, "--repo", "../../elsewhere", env=ENVIRONMENT, check=False)

    assert failed.returncode == 2
    assert "expected OWNER/NAME" in failed.stderr
