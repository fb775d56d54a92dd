"""A name that a command does not know is told, with the one that was probably meant: it is not taken for nothing found."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("pipline warehouse info", "No such command 'pipline'. Did you mean 'pipeline'?"),
        ("pipeline warehouse rejects --resource ordrs", "no resource 'ordrs'. Did you mean 'orders'? It has: 'orders', "),
        ("pipeline warehouse rejects --resource cows", "Source 'shop' has no resource 'cows'. It has: 'orders', 'visits'."),
        ("pipeline warehouse rejects --load 17.5", "has no load '17.5' in dataset 'raw'. `dlt-orchestrate pipeline "),
        ("pipeline warehouse rejects --dataset rww", "nothing into dataset 'rww'. Did you mean 'raw'?"),
        ("pipeline warehouse state --destination duckbd", "There is no destination 'duckbd', and no file of that "),
        ("pipeline warehose info", "warehose.duckdb cannot be used: the file does not exist. Did you mean 'warehouse'?"),
        ("pipeline warehose info --destination warehouse.duckdb", "it has loaded nothing. Did you mean 'warehouse'?"),
        ("pipeline warehouse drop ordrs --yes", "has no resource 'ordrs'. Did you mean 'orders'?"),
        ("pipeline warehouse drop orders --source shp --yes", "no source 'shp' in the dataset. Did you mean 'shop'?"),
        ("schema warehouse --source shp", "has not loaded a source 'shp'. Did you mean 'shop'? Name one of these"),
        ("config explain shop_to_show:shp", "Module 'shop_to_show' has no 'shp'. Did you mean 'shop'?"),
        ("config explain dlt_orchestrate.sources.rest_apis:x", "Did you mean 'dlt_orchestrate.sources.rest_api'?"),
        ("pipeline warehouse show --no-open --output no_folder/page.html", "cannot be used: No such file or directory."),
        ("rest-api check no_file.yaml", "its configuration cannot be read: No such file or directory."),
    ],
)  # fmt: skip
def test_a_name_that_is_not_known_is_told(tool, loaded, command, told) -> None:
    failed = tool(*command.split())

    assert failed.exit_code in (1, 2)
    assert told in failed.output


def test_windows_that_were_loaded_are_told_where_none_is_dropped(tool, loaded) -> None:
    dropped = tool("pipeline", "warehouse", "drop", "orders", "--window", "2026-01-01", "2026-01-02", "--yes")

    assert dropped.output == "There is nothing to take away.\nWindows that were loaded: none.\n"


def test_the_path_of_the_page_is_told_without_detours(tool, loaded, project: Path) -> None:
    (project / "pages").mkdir()

    shown = tool("pipeline", "warehouse", "show", "--no-open", "--output", "pages/../page.html")

    assert shown.output.splitlines()[-1].endswith(f": {(project / 'page.html').resolve()}")
