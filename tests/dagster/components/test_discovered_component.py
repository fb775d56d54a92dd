"""`DiscoveredIngestComponent`: what there is to load is asked for at a refresh, and never while definitions load."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from component_yard import Yard
from dagster.components.utils.project_paths import get_local_state_path

from dlt_orchestrate.dagster import DiscoveredIngestComponent
from dlt_orchestrate.errors import ComponentError, ConfigFieldMissingError

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")

TABLES = """
import os
from pathlib import Path

import dlt_orchestrate as dlt


def discover(password):
    assert password == "pw_0123456789"
    asked = Path("asked")
    asked.write_text(asked.read_text() + "x" if asked.exists() else "x")
    return [{"name": "orders", "primary_key": "id"}, "customers"]


def wrong():
    return [1]


@dlt.source
def shop(discovered, password):
    for table in discovered:
        key = table.get("primary_key")
        yield dlt.resource(
            [{"id": 1}], name=table["name"], primary_key=key, write_disposition="merge" if key else "append"
        )
"""

ATTRIBUTES = """
source: .source:shop
args: {password: {secret: SHOP_PASSWORD}}
discover: .source:discover
discover_args: {password: {secret: SHOP_PASSWORD}}
destination: {type: duckdb, path: data/shop.duckdb}
"""


def refresh(yard: Yard, folder: Path) -> str:
    """What `dg utils refresh-defs-state` does to one component."""
    with yard.sandbox.build_component_tree() as tree:
        component = tree.load_component(folder)
        assert isinstance(component, DiscoveredIngestComponent)
        asyncio.run(component.refresh_state(yard.root))
        return component.defs_state_config.key


def test_without_state_there_are_no_assets_and_it_is_said_what_to_do(
    yard: Yard, caplog: pytest.LogCaptureFixture, project: Path
) -> None:
    yard.ingest(ATTRIBUTES, "DiscoveredIngestComponent", source=TABLES)

    with caplog.at_level(logging.WARNING, "dlt_orchestrate"):
        assets = [*yard.assets(), *yard.assets()]

    assert assets == []
    assert [record.getMessage() for record in caplog.records] == [
        "DiscoveredIngestComponent[.source:shop]: nothing has been discovered yet, so there are no assets. "
        "Run `dg utils refresh-defs-state`."
    ]
    assert not (project / "asked").exists()


def test_a_refresh_discovers_and_loading_definitions_asks_nobody(
    yard: Yard, run: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = yard.ingest(ATTRIBUTES, "DiscoveredIngestComponent", source=TABLES)
    monkeypatch.setenv("SHOP_PASSWORD", "pw_0123456789")

    key = refresh(yard, folder)
    monkeypatch.delenv("SHOP_PASSWORD")
    assets = yard.assets()
    monkeypatch.setenv("SHOP_PASSWORD", "pw_0123456789")
    result = run(assets)

    assert [asset.op.name for asset in assets] == ["shop__orders", "shop__customers"]
    assert result.success
    assert (project / "asked").read_text() == "x"
    state = get_local_state_path(key, yard.root).read_text()
    assert json.loads(state) == {
        "version": 1,
        "resources": [{"name": "orders", "primary_key": "id"}, {"name": "customers"}],
    }


def test_a_refresh_without_its_secret_names_it(yard: Yard) -> None:
    folder = yard.ingest(ATTRIBUTES, "DiscoveredIngestComponent", source=TABLES)

    with pytest.raises(ConfigFieldMissingError) as caught:
        refresh(yard, folder)

    assert caught.value.fields == ("SHOP_PASSWORD",)


def test_a_function_that_gives_no_names_is_refused(yard: Yard) -> None:
    wrong = ATTRIBUTES.replace(":discover\n", ":wrong\n").replace(
        "discover_args: {password: {secret: SHOP_PASSWORD}}\n", ""
    )
    folder = yard.ingest(wrong, "DiscoveredIngestComponent", source=TABLES)

    with pytest.raises(ComponentError, match="discover: the function gave a int, and should give names"):
        refresh(yard, folder)


def test_state_of_another_version_is_refused(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = yard.ingest(ATTRIBUTES, "DiscoveredIngestComponent", source=TABLES)
    monkeypatch.setenv("SHOP_PASSWORD", "pw_0123456789")
    key = refresh(yard, folder)
    get_local_state_path(key, yard.root).write_text('{"version": 2, "resources": []}')

    assert "has version 2, and 1 is read. Run `dg utils refresh-defs-state`." in yard.complaint()
