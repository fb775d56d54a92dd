"""A dataset that dlt made under any of its naming conventions goes on without a new table or column."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

import dlt_orchestrate as dlt

ORDERS = [
    {
        "Id": 1,
        "userName": "Ada",
        "naïve": "x",
        "a-b": 1.5,
        "1x": True,
        "tail_": 9,
        "": "e",
        "Zahl": 1,
        "obj": {"innerKey": 1, "b c": 2},
        "orderLines": [{"Sku": "s", "sub List": [1, 2]}],
    },
    {"Id": 2, "userName": "Bob", "Zahl": "zwei"},
]

# Of the root's columns, in their order below.
TYPES = "bigint text text double bool bigint text bigint bigint bigint text"

# What dlt 1.31 made in DuckDB of pipeline "Shop Ö", dataset "Shop Data" and resource "My Orders" with the records above:
# dataset, tables (parents first), the root's columns without those of the system, and the column of the order lines.
MADE = {
    "snake_case": (
        "shop_data",
        ["my_orders", "my_orders__order_lines", "my_orders__order_lines__sub_list"],
        "id user_name na_ve a_b _1x tailx _empty zahl obj__inner_key obj__b_c zahl__v_text".split(),
        "sku",
    ),
    "direct": (
        "Shop Data",
        ["My Orders", "My Orders▶orderLines", "My Orders▶orderLines▶sub List"],
        ["Id", "userName", "naïve", "a-b", "1x", "tail_", "_empty", "Zahl", "obj▶innerKey", "obj▶b c", "Zahl▶v_text"],
        "Sku",
    ),
    "duck_case": (
        "Shop Data",
        ["My Orders", "My Orders__orderLines", "My Orders__orderLines__sub List"],
        ["Id", "userName", "naïve", "a-b", "1x", "tail_", "_empty", "Zahl", "obj__innerKey", "obj__b c", "Zahl__v_text"],
        "Sku",
    ),
    "sql_ci_v1": (
        "shop_data",
        ["my_orders", "my_orders__orderlines", "my_orders__orderlines__sub_list"],
        "id username na_ve a_b _1x tail _empty zahl obj__innerkey obj__b_c zahl__v_text".split(),
        "sku",
    ),
    "sql_cs_v1": (
        "Shop_Data",
        ["My_Orders", "My_Orders__orderLines", "My_Orders__orderLines__sub_List"],
        "Id userName na_ve a_b _1x tail _empty Zahl obj__innerKey obj__b_c Zahl__v_text".split(),
        "Sku",
    ),
}
SOURCE = "shopx"
"""The schema name that dlt made of the pipeline's name."""

SQL_TYPES = {"bigint": "BIGINT", "text": "VARCHAR", "double": "DOUBLE", "bool": "BOOLEAN"}

SYSTEM_TABLES = """
CREATE TABLE {dataset}._dlt_version (
  version BIGINT NOT NULL, engine_version BIGINT NOT NULL, inserted_at TIMESTAMPTZ NOT NULL, schema_name VARCHAR NOT NULL,
  version_hash VARCHAR NOT NULL, schema VARCHAR NOT NULL);
CREATE TABLE {dataset}._dlt_loads (
  load_id VARCHAR NOT NULL, schema_name VARCHAR, status BIGINT NOT NULL, inserted_at TIMESTAMPTZ NOT NULL,
  schema_version_hash VARCHAR);
CREATE TABLE {dataset}._dlt_pipeline_state (
  version BIGINT NOT NULL, engine_version BIGINT NOT NULL, pipeline_name VARCHAR NOT NULL, state VARCHAR NOT NULL,
  created_at TIMESTAMPTZ NOT NULL, version_hash VARCHAR, _dlt_load_id VARCHAR NOT NULL, _dlt_id VARCHAR NOT NULL);
INSERT INTO {dataset}._dlt_loads VALUES ('1700000000.5', 'shopx', 0, now(), 'made by hand');
"""


def tables_of(convention: str) -> dict[str, dict[str, str]]:
    """The types of every column by table."""
    _, names, columns, of_lines = MADE[convention]
    nested = {"_dlt_parent_id": "text", "_dlt_list_idx": "bigint", "_dlt_id": "text"}
    return dict(
        zip(
            names,
            (
                dict(zip(columns, TYPES.split(), strict=True)) | {"_dlt_load_id": "text", "_dlt_id": "text"},
                {of_lines: "text"} | nested,
                {"value": "bigint"} | nested,
            ),
            strict=True,
        )
    )


def schema_document(convention: str) -> str:
    tables = {}
    parent = None
    for table, columns in tables_of(convention).items():
        described = {
            name: {"name": name, "data_type": kind, "nullable": not name.startswith("_dlt_")}
            | ({"variant": True} if name.endswith("v_text") else {})
            for name, kind in columns.items()
        }
        link = {"parent": parent} if parent else {"resource": "My Orders", "write_disposition": "append"}
        tables[table] = {"name": table, "columns": described} | link
        parent = table
    return json.dumps(
        {
            "version": 2,
            "version_hash": "made by hand",
            "engine_version": 11,
            "name": SOURCE,
            "tables": tables,
            "settings": {},
            "normalizers": {"names": convention, "json": {"module": "dlt.common.normalizers.json.relational"}},
            "previous_hashes": [],
        }
    )


@pytest.fixture
def made_by_dlt(project: Path, convention: str) -> Path:
    file = project / "shop.duckdb"
    dataset = f'"{MADE[convention][0]}"'
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"CREATE SCHEMA {dataset}")
        for statement in SYSTEM_TABLES.format(dataset=dataset).split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute(
            f"INSERT INTO {dataset}._dlt_version VALUES (2, 11, now(), 'shopx', 'made by hand', ?)",
            [schema_document(convention)],
        )
        for table, columns in tables_of(convention).items():
            definitions = ", ".join(
                f'"{name}" {SQL_TYPES[kind]}{" NOT NULL" if name.startswith("_dlt_") else ""}'
                for name, kind in columns.items()
            )
            connection.execute(f'CREATE TABLE {dataset}."{table}" ({definitions})')
    return file


def found_in(file: Path, dataset: str) -> dict[str, list[str]]:
    with duckdb.connect(str(file)) as connection:
        return dict(
            connection.execute(
                "SELECT table_name, list(column_name ORDER BY column_index) FROM duckdb_columns() WHERE schema_name = ? "
                "AND table_name NOT LIKE '\\_dlt%' ESCAPE '\\' GROUP BY ALL",
                [dataset],
            ).fetchall()
        )


def expect_the_same_tables(file: Path, pipeline: dlt.Pipeline, convention: str) -> None:
    dataset, (root, lines, below), names, _ = MADE[convention]
    before = found_in(file, dataset)

    for _ in range(2):
        report = pipeline.run(ORDERS, table_name="My Orders").resources["My Orders"]

    assert found_in(file, dataset) == before
    assert (report.table, report.warnings) == (root, ())
    assert pipeline.dataset().row_counts() == {root: 4, lines: 2, below: 4}
    rows = pipeline.dataset()[root].select(*names).fetchall()
    assert sorted(set(rows)) == [
        (1, "Ada", "x", 1.5, True, 9, "e", 1, 1, 2, None),
        (2, "Bob", *[None] * 8, "zwei"),
    ]
    assert pipeline.schemas[SOURCE].naming == convention


@pytest.mark.parametrize("convention", MADE)
def test_a_dataset_that_dlt_made_goes_on_under_the_same_setting(
    convention: str, made_by_dlt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA__NAMING", convention)
    pipeline = dlt.pipeline("Shop Ö", destination=dlt.destinations.duckdb(made_by_dlt), dataset_name="Shop Data")

    assert pipeline.dataset_name == MADE[convention][0]
    assert not pipeline.first_run
    expect_the_same_tables(made_by_dlt, pipeline, convention)


@pytest.mark.parametrize("convention", ["snake_case", "sql_ci_v1", "sql_cs_v1"])
def test_a_dataset_that_dlt_made_goes_on_by_the_stored_convention(convention: str, made_by_dlt: Path) -> None:
    dataset = MADE[convention][0]

    pipeline = dlt.pipeline(SOURCE, destination=dlt.destinations.duckdb(made_by_dlt), dataset_name=dataset)

    expect_the_same_tables(made_by_dlt, pipeline, convention)
