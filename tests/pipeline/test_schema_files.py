"""Schemas as YAML files: exported after a load, imported before one."""

from __future__ import annotations

import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import ColumnTypeConflictError, PipelineStepFailed, SchemaFileError

ROWS = [{"id": 1, "unitPrice": "1.50", "lines": [{"sku": "7"}]}]


def pipeline(**settings: Any) -> dlt.Pipeline:
    settings = {"import_schema_path": "imported", "export_schema_path": "exported", **settings}
    return dlt.pipeline("shop", destination="duckdb", dataset_name="mydata", **settings)


def orders(rows: list = ROWS, **hints: Any) -> Any:
    return dlt.resource(rows, name="orders", **hints)


def write_import(project: Path, tables: dict, name: str = "shop") -> Path:
    folder = project / "imported"
    folder.mkdir(exist_ok=True)
    path = folder / "shop.schema.yaml"
    path.write_text(yaml.safe_dump({"name": name, "version": 1, "tables": tables}), encoding="utf-8")
    return path


def types(loaded: dlt.Pipeline, table: str) -> dict[str, str]:
    return {name: str(column.type) for name, column in loaded.default_schema.tables[table].columns.items()}


# --- export ------------------------------------------------------------------------------------------------------


def test_the_stored_schema_is_exported_after_a_load(project: Path) -> None:
    loaded = pipeline(import_schema_path=None)

    loaded.run(orders())

    text = (project / "exported" / "shop.schema.yaml").read_text(encoding="utf-8")
    assert text == loaded.default_schema.to_pretty_yaml()
    document = yaml.safe_load(text)
    assert (document["name"], document["version"], document["engine_version"]) == ("shop", 1, 11)
    assert document["tables"]["orders"]["columns"]["unit_price"] == {"data_type": "text", "nullable": True}
    assert document["tables"]["orders__lines"]["parent"] == "orders"
    assert {path.name for path in project.iterdir()} == {"exported", "shop.duckdb"}


def test_a_file_is_written_again_only_when_the_schema_changed(project: Path) -> None:
    pipeline().run(orders())
    path = project / "exported" / "shop.schema.yaml"
    before = path.stat().st_ino

    pipeline().run(orders())
    assert path.stat().st_ino == before
    pipeline().run(orders([{"id": 2, "new": True}]))

    assert "new" in yaml.safe_load(path.read_text())["tables"]["orders"]["columns"]
    assert yaml.safe_load(path.read_text())["previous_hashes"]
    assert [found.name for found in path.parent.iterdir()] == ["shop.schema.yaml"]


def test_a_failed_load_exports_nothing(project: Path) -> None:
    with pytest.raises(PipelineStepFailed):
        pipeline().run(orders([{"id": 1}, {"id": 2}], columns={"id": {"data_type": "bigint"}}, schema_contract="freeze"))

    assert list((project / "exported").iterdir()) == []


def test_what_was_loaded_stays_loaded_if_its_schema_cannot_be_exported(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def rows():
        yield {"id": 1}
        (project / "exported" / "shop.schema.yaml").mkdir()

    with caplog.at_level(logging.WARNING, "dlt_orchestrate"):
        info = pipeline().run(orders(rows))

    assert info.resources["orders"].rows_loaded == 1
    assert "shop.schema.yaml was not written" in caplog.text


# --- import ------------------------------------------------------------------------------------------------------


def test_the_first_run_writes_what_is_declared_for_people_to_edit(project: Path) -> None:
    declared = {"primary_key": "id", "write_disposition": "merge", "columns": {"unitPrice": {"data_type": "text"}}}

    pipeline().run(orders(**declared))

    document = yaml.safe_load((project / "imported" / "shop.schema.yaml").read_text())
    assert document["tables"]["orders"]["columns"] == {
        "unit_price": {"data_type": "text", "nullable": True},
        "id": {"nullable": False, "primary_key": True},
    }
    assert "orders__lines" not in document["tables"]


def test_an_edited_file_decides_types_before_what_is_inferred(project: Path) -> None:
    price = {"data_type": "decimal", "precision": 10, "scale": 2, "description": "without tax"}
    write_import(
        project,
        {
            "orders": {"columns": {"unit_price": price, "later": {"data_type": "date"}}},
            "orders__lines": {"columns": {"sku": {"data_type": "bigint"}}, "parent": "orders"},
        },
    )

    loaded = pipeline()
    loaded.run(orders())

    assert loaded.dataset().orders.select("unit_price").fetchall() == [(Decimal("1.50"),)]
    assert loaded.dataset()["orders__lines"].select("sku").fetchall() == [(7,)]
    found = types(loaded, "orders")
    assert (found["unit_price"], found["later"]) == ("decimal(10,2)", "date")
    assert loaded.default_schema.tables["orders"].columns["unit_price"].description == "without tax"


def test_what_is_declared_goes_before_the_file(project: Path) -> None:
    write_import(project, {"orders": {"columns": {"unit_price": {"data_type": "double", "description": "kept"}}}})

    loaded = pipeline()
    loaded.run(orders(columns={"unitPrice": {"data_type": "text"}}))

    column = loaded.default_schema.tables["orders"].columns["unit_price"]
    assert (str(column.type), column.description) == ("text", "kept")


def test_a_file_keeps_values_whole_and_refuses_nulls(project: Path) -> None:
    columns = {"lines": {"data_type": "json"}, "id": {"nullable": False}}
    write_import(project, {"orders": {"columns": columns}})

    info = pipeline().run(orders([*ROWS, {"lines": []}]))

    assert types(pipeline(), "orders")["lines"] == "json"
    assert list(pipeline().default_schema.tables) == ["orders"]
    assert (info.resources["orders"].rows_loaded, info.resources["orders"].rows_rejected) == (1, 1)


def test_the_keys_of_a_file_count_where_none_is_declared(project: Path) -> None:
    write_import(project, {"orders": {"columns": {"id": {"primary_key": True}}}})
    for _ in range(2):
        pipeline().run(orders(write_disposition="merge"))

    assert pipeline().dataset().orders.select("id").fetchall() == [(1,)]

    pipeline().run(orders([{"id": 1, "ref": 5}, {"id": 2, "ref": 5}], primary_key="ref", write_disposition="merge"))

    assert len(pipeline().dataset().orders.select("id").fetchall()) == 2


def test_a_file_knows_tables_that_records_choose(project: Path) -> None:
    write_import(project, {"orders_tea": {"columns": {"id": {"data_type": "double"}}}})

    loaded = pipeline()
    loaded.run(orders([{"id": 1, "kind": "tea"}, {"id": 2, "kind": "cup"}], table_name=lambda row: f"orders_{row['kind']}"))

    assert (types(loaded, "orders_tea")["id"], types(loaded, "orders_cup")["id"]) == ("double", "bigint")


def test_a_stored_type_is_altered_only_if_that_is_exact(project: Path) -> None:
    loaded = pipeline(import_schema_path=None)
    loaded.run(orders([{"id": 1, "name": "x"}]))

    write_import(project, {"orders": {"columns": {"id": {"data_type": "double"}}}})
    pipeline().run(orders([{"id": 2}]))
    assert types(loaded, "orders")["id"] == "double"

    write_import(project, {"orders": {"columns": {"name": {"data_type": "bigint"}}}})
    with pytest.raises(PipelineStepFailed) as caught:
        pipeline().run(orders([{"id": 3}]))

    assert isinstance(caught.value.exception, ColumnTypeConflictError)
    assert loaded.dataset().orders.select("id").fetchall() == [(1.0,), (2.0,)]


def test_an_exported_schema_can_be_imported(project: Path) -> None:
    pipeline().run(orders([{"id": 1, "x": 1}, {"id": 2, "x": "a", "tags": [1, "b"]}]))
    (project / "exported" / "shop.schema.yaml").replace(project / "imported" / "shop.schema.yaml")

    other = pipeline(export_schema_path=None)
    other.run(orders([{"id": 3, "x": "b"}]), dataset_name="other")

    assert types(other, "orders")["x__v_text"] == "text"
    assert other.dataset().orders.select("x", "x__v_text").fetchall() == [(None, "b")]


def test_files_that_hold_no_schema_of_the_source_stop_a_run_before_it_begins(project: Path) -> None:
    path = write_import(project, {}, name="other")
    asked = []

    def rows():
        asked.append(1)
        yield {"id": 1}

    for text, message in [
        (path.read_text(), "it is the schema of 'other', and 'shop' is loaded"),
        ("name: [", "it is no YAML"),
        ("just a text", "it does not have the shape of a schema"),
        ("version: 1", "it has no 'name'"),
        (
            "name: shop\ntables: {t: {columns: {no: {data_type: text}}}}",
            "a column of table 't' is False, a bool; put it in",
        ),
        ("name: shop\ntables: {t: {columns: {a: {data_type: int}}}}", "has the data type 'int', which there is not"),
    ]:
        path.write_text(text)
        with pytest.raises(SchemaFileError, match=message) as caught:
            pipeline().run(orders(rows))
        assert caught.value.path == str(path)

    assert (asked, pipeline().first_run) == ([], True)


def test_a_folder_that_cannot_be_made_stops_a_run_before_it_begins(project: Path) -> None:
    (project / "file").write_text("")

    with pytest.raises(SchemaFileError, match="the folder cannot be made"):
        pipeline(export_schema_path="file/below").run(orders())

    assert pipeline().first_run
