from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import dlt_orchestrate as dlt

HERE = ("--destination", "warehouse.duckdb")


def test_a_stored_schema_is_printed_in_every_form(tool, loaded: dlt.Pipeline) -> None:
    printed = {form: tool("schema", "warehouse", "--format", form).output for form in "yaml json mermaid dot dbml".split()}

    assert yaml.safe_load(printed["yaml"])["name"] == json.loads(printed["json"])["name"] == "shop"
    assert printed["yaml"] == loaded.default_schema.to_pretty_yaml()
    assert printed["mermaid"].startswith('erDiagram\n    "orders" {\n        bigint id PK\n')
    assert '"orders__lines":"_dlt_parent_id" -> "orders":"_dlt_id";' in printed["dot"]
    assert 'Ref: "orders__lines"."_dlt_parent_id" > "orders"."_dlt_id"' in printed["dbml"]
    assert tool("schema", "warehouse").output == printed["yaml"]


def test_a_file_is_converted(tool, loaded: dlt.Pipeline, project: Path) -> None:
    (project / "shop.schema.yaml").write_text(loaded.default_schema.to_pretty_yaml())
    (project / "shop.json").write_text(loaded.default_schema.to_pretty_json())

    for name in ("shop.schema.yaml", "shop.json"):
        assert tool("schema", name, "--format", "mermaid").output == loaded.default_schema.to_mermaid()


def test_of_several_sources_one_is_named(tool, loaded: dlt.Pipeline) -> None:
    loaded.run([{"id": 1}], table_name="extra")

    unclear = tool("schema", "warehouse")
    assert unclear.exit_code == 1
    assert "has loaded several sources. Name one of these with --source: 'shop', 'warehouse'" in unclear.output
    assert "extra" in tool("schema", "warehouse", "--source", "warehouse", *HERE).output
    assert "has not loaded a source 'zoo'" in tool("schema", "warehouse", "--source", "zoo").output


@pytest.mark.parametrize(("name", "problem"), [("none.yaml", "No such file"), ("bad.json", "it has no 'name'")])
def test_a_file_without_a_schema_is_told(tool, project: Path, name: str, problem: str) -> None:
    (project / "bad.json").write_text("{}")

    done = tool("schema", name)

    assert done.exit_code == 1
    assert f"Error: Schema file {name} cannot be used: {problem}" in done.output
