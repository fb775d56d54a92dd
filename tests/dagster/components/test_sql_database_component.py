"""`SqlDatabaseComponent`: the tables of a database as assets; the database is asked at a refresh and in the steps only."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from component_yard import Yard

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import SqlDatabaseComponent, build_sql_watermark_sensor, ingest_assets
from dlt_orchestrate.errors import ConfigFieldMissingError, DatabaseReadError, SourceNotEvaluatedError
from dlt_orchestrate.sources.sql_database import find_key_ranges, sql_database, sql_table

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning", "ignore::dagster.PreviewWarning")

SHOP = """
CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at TEXT NOT NULL, total NUMERIC(10, 2));
INSERT INTO orders VALUES (1, '2026-01-01T10:00:00Z', 12.5), (2, '2026-01-02T10:00:00Z', 7);
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO customers VALUES (1, 'Ada');
CREATE TABLE tmp_export (id INTEGER);
"""

ATTRIBUTES = """
credentials: {secret: SHOP_DB}
exclude: [tmp_*]
write_disposition: merge
tables:
  orders:
    incremental: {cursor_path: placed_at, initial_value: "2026-01-02T00:00:00Z"}
sensors: [{type: watermark, interval_seconds: 90}]
pipeline: shop
destination: {type: duckdb, path: data/shop.duckdb}
dataset: raw
"""


def in_shop(*statements: str) -> None:
    with closing(sqlite3.connect("shop.db")) as connection:
        for statement in statements:
            connection.executescript(statement)
        connection.commit()


def refresh(yard: Yard, folder: Path) -> None:
    """What `dg utils refresh-defs-state` does to one component."""
    with yard.sandbox.build_component_tree() as tree:
        component = tree.load_component(folder)
        assert isinstance(component, SqlDatabaseComponent)
        asyncio.run(component.refresh_state(yard.root))


def rows_of(result: dg.ExecuteInProcessResult) -> dict[str, int]:
    return {
        event.asset_key.to_user_string(): event.materialization.metadata["dagster/row_count"].value
        for event in result.get_asset_materialization_events()
    }


def test_tables_that_a_refresh_has_found_are_assets_with_their_keys_and_sensor(
    yard: Yard, run: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_shop(SHOP)
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{project}/shop.db")
    folder = yard.ingest(ATTRIBUTES, "SqlDatabaseComponent", notes="")
    assert yard.assets() == []

    refresh(yard, folder)
    monkeypatch.delenv("SHOP_DB")
    loaded = yard.load()
    assets = [asset for asset in loaded.assets or () if isinstance(asset, dg.AssetsDefinition)]

    assert sorted(key.to_user_string() for asset in assets for key in asset.keys) == [
        "dlt_shop_customers",
        "dlt_shop_orders",
    ]
    assert [sensor.name for sensor in loaded.sensors or ()] == ["shop__orders_watermark"]
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{project}/shop.db")
    result = run(assets)
    assert result.success
    assert rows_of(result) == {"dlt_shop_customers": 1, "dlt_shop_orders": 1}
    in_shop("UPDATE customers SET name = 'Grace'")
    assert rows_of(run(assets)) == {"dlt_shop_customers": 1, "dlt_shop_orders": 1}


def test_a_cursor_of_moments_begins_with_the_moment_of_the_yaml_also_where_the_database_holds_them_as_texts(
    yard: Yard, run: Any, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_shop(SHOP.replace("placed_at TEXT", "placed_at DATETIME").replace("T10:00:00Z", " 10:00:00"))
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{project}/shop.db")
    attributes = ATTRIBUTES.replace('"2026-01-02T00:00:00Z"', '"2026-01-02", lag: 60')
    refresh(yard, yard.ingest(attributes, "SqlDatabaseComponent", notes=""))
    assets = [asset for asset in yard.load().assets or () if isinstance(asset, dg.AssetsDefinition)]

    assert rows_of(run(assets)) == {"dlt_shop_customers": 1, "dlt_shop_orders": 1}
    in_shop("INSERT INTO orders VALUES (3, '2026-01-03 10:00:00', 1)")
    assert rows_of(run(assets)) == {"dlt_shop_customers": 1, "dlt_shop_orders": 2}


def test_a_pattern_gives_each_of_its_tables_a_watermark_sensor_also_where_they_share_a_step(
    yard: Yard, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_shop(SHOP, "CREATE TABLE orders_old (id INTEGER PRIMARY KEY, placed_at TEXT NOT NULL)")
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{project}/shop.db")
    attributes = ATTRIBUTES.replace("  orders:", "  orders*:") + "isolation: source\n"
    refresh(yard, yard.ingest(attributes, "SqlDatabaseComponent", notes=""))

    sensors = yard.load().sensors or ()

    assert sorted(sensor.name for sensor in sensors) == ["shop__orders_old_watermark", "shop__orders_watermark"]


def test_a_sensor_looks_at_the_tables_that_it_names_only(
    yard: Yard, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_shop(SHOP, "CREATE TABLE orders_old (id INTEGER PRIMARY KEY, placed_at TEXT NOT NULL)")
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{project}/shop.db")
    attributes = ATTRIBUTES.replace("  orders:", "  orders*:").replace("90}", "90, resources: [orders_*], name: old}")
    refresh(yard, yard.ingest(attributes, "SqlDatabaseComponent", notes=""))

    (sensor,) = yard.load().sensors or ()

    assert (sensor.name, sensor.minimum_interval_seconds) == ("old__orders_old_watermark", 90)


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        (
            ATTRIBUTES.replace("    incremental", "    primary_key: id  # incremental"),
            "sensors.0 needs 'incremental' of a table",
        ),
        (ATTRIBUTES.replace("90}", "90, resources: [customers]}"), "sensors.0 needs 'incremental' of 'customers'"),
        (ATTRIBUTES.replace("90}", "90, resources: [cust*]}"), "sensors.0 needs 'incremental' of 'cust*'"),
        (ATTRIBUTES.replace("90}", "90, resources: [orders, ordrs]}"), "of 'ordrs' in 'tables'"),
        (ATTRIBUTES.replace("90}", "90, resources: [orders, ordrs]}"), "Did you mean 'orders'?"),
        (ATTRIBUTES.replace("90}", "90, connect: x.y:z}"), "'connect' without 'query'"),
        (ATTRIBUTES.replace("watermark, ", "files, "), "sensors of type files need 'bucket_url'"),
        (ATTRIBUTES.replace("    incremental", "    watermark: true\n    incremental"), "'watermark' is no key here"),
    ],
)
def test_a_sensor_without_anything_to_look_at_is_refused(yard: Yard, attributes: str, told: str) -> None:
    yard.ingest(attributes, "SqlDatabaseComponent", notes="")

    assert told in yard.complaint()


@pytest.mark.parametrize(
    ("credentials", "told"),
    [
        ("{drivername: sqlite, databse: shop.db}", "no field 'databse' for sqlite. Did you mean 'database'?"),
        ("{drivername: {env: KIND}, databse: shop.db}", "no field 'databse'. Did you mean 'database'?"),
        ("{secrt: SHOP_DB}", "'secrt' is no key here. Did you mean 'secret'?"),
    ],
)
def test_a_field_of_credentials_that_is_none_is_told_while_definitions_load(
    yard: Yard, credentials: str, told: str
) -> None:
    yard.ingest(ATTRIBUTES.replace("{secret: SHOP_DB}", credentials), "SqlDatabaseComponent", notes="")

    complaint = yard.complaint()

    assert told in complaint
    assert "credentials" in complaint


def test_patterns_of_a_sensor_mean_tables_with_a_cursor(yard: Yard) -> None:
    in_shop(SHOP)
    attributes = ATTRIBUTES.replace("90}", "90, resources: ['*ers']}").replace(
        "{secret: SHOP_DB}", f"sqlite:///{Path.cwd()}/shop.db"
    )
    refresh(yard, yard.ingest(attributes, "SqlDatabaseComponent", notes=""))

    assert [sensor.name for sensor in yard.load().sensors or ()] == ["shop__orders_watermark"]


@pytest.mark.parametrize(
    ("sensors", "told"),
    [
        (
            "[{type: watermark, resources: [orders, ordxyzq]}]",
            "sensors.0.resources.1: the load has no resource 'ordxyzq'. Known are customers, orders.",
        ),
        (
            "[{type: watermark, resources: [orders, ordrs]}]",
            "sensors.0.resources.1: the load has no resource 'ordrs'. Did you mean 'orders'?",
        ),
        (
            "[{type: watermark, resources: [ord*, ordrs*]}]",
            "sensors.0.resources.1: the load has no resource 'ordrs*'. Did you mean 'orders'?",
        ),
        (
            "[{type: watermark}, {type: watermark, resources: [orders], interval_seconds: 5}]",
            "sensors.1: its sensor is called 'shop__orders_watermark', as one of sensors.0 is. "
            "Give one of them another 'name'.",
        ),
        (
            "[{type: http, url: x, name: news}, {type: http, url: y, name: news}]",
            "sensors.1: its sensor is called 'news', as one of sensors.0 is. Give one of them another 'name'.",
        ),
    ],
)
def test_a_sensor_of_tables_that_are_not_there_or_that_another_one_has_is_told(yard: Yard, sensors: str, told: str) -> None:
    in_shop(SHOP)
    attributes = ATTRIBUTES.replace("  orders:", "  ord*:").replace("{secret: SHOP_DB}", f"sqlite:///{Path.cwd()}/shop.db")
    attributes = attributes.replace("[{type: watermark, interval_seconds: 90}]", sensors)
    refresh(yard, yard.ingest(attributes, "SqlDatabaseComponent", notes=""))

    assert yard.complaint() == told


def test_an_http_sensor_launches_the_tables_of_a_pattern(yard: Yard) -> None:
    in_shop(SHOP)
    sensors = "[{type: http, url: 'http://127.0.0.1/x', resources: [ord*]}]"
    attributes = ATTRIBUTES.replace("[{type: watermark, interval_seconds: 90}]", sensors)
    attributes = attributes.replace("{secret: SHOP_DB}", f"sqlite:///{Path.cwd()}/shop.db")
    refresh(yard, yard.ingest(attributes, "SqlDatabaseComponent", notes=""))

    loaded = yard.load()
    (sensor,) = loaded.sensors or ()

    assert isinstance(sensor, dg.SensorDefinition)
    assert sensor.asset_selection is not None
    assert sensor.asset_selection.resolve(loaded.resolve_asset_graph()) == {dg.AssetKey("dlt_shop_orders")}


@pytest.mark.parametrize("address", ["sqlite:///data/shop.db", "duckdb:///data/shop.db"])
def test_a_relative_path_lies_in_the_folder_of_the_project_whatever_folder_dagster_was_started_in(
    yard: Yard, run: Any, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    (yard.root / "data").mkdir()
    if address.startswith("sqlite"):
        in_shop(SHOP)
        Path("shop.db").rename(yard.root / "data" / "shop.db")
    else:
        with closing(duckdb.connect(yard.root / "data" / "shop.db")) as connection:
            connection.execute(SHOP)
    monkeypatch.setenv("SHOP_DB", address)
    attributes = ATTRIBUTES.replace("shop.duckdb", "copy.duckdb")
    refresh(yard, yard.ingest(attributes, "SqlDatabaseComponent", notes=""))

    defs = yard.load()
    result = run([asset for asset in defs.assets or () if isinstance(asset, dg.AssetsDefinition)])
    (sensor,) = defs.sensors or ()
    assert isinstance(sensor, dg.SensorDefinition)
    with dg.build_sensor_context(instance, definitions=defs) as context:
        tick = sensor.evaluate_tick(context)

    assert not Path("data").exists()
    assert rows_of(result) == {"dlt_shop_customers": 1, "dlt_shop_orders": 1}
    assert [request.run_key is not None for request in tick.run_requests or ()] == [True]


def test_what_a_refresh_misses_is_told_with_the_component_and_its_file(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_DB", raising=False)
    folder = yard.ingest(ATTRIBUTES, "SqlDatabaseComponent", notes="")
    file = (folder / "defs.yaml").relative_to(yard.root)

    with pytest.raises(ConfigFieldMissingError) as missing:
        refresh(yard, folder)
    monkeypatch.setenv("SHOP_DB", "sqlite:///absent.db")
    with pytest.raises(DatabaseReadError) as absent:
        refresh(yard, folder)

    assert str(missing.value).startswith(f"SqlDatabaseComponent[shop] in {file}: missing 1 value(s): 'SHOP_DB'")
    assert "(Environment Variables, SHOP_DB)" in str(missing.value)
    assert f"a relative one begins in the project's folder, {yard.root}." in str(absent.value)
    assert absent.value.__notes__ == [f"Component SqlDatabaseComponent[shop] in {file} has discovered nothing."]


def test_what_is_declared_of_tables_that_are_not_there_is_told_with_what_was_meant(yard: Yard) -> None:
    in_shop(SHOP)
    attributes = ATTRIBUTES.replace("{secret: SHOP_DB}", f"sqlite:///{Path.cwd()}/shop.db")
    refresh(yard, yard.ingest(attributes, "SqlDatabaseComponent", notes=""))
    yard.ingest(f"{attributes}resources: {{custmers: {{tags: {{a: b}}}}}}\n", "SqlDatabaseComponent", notes="")
    of_resources = yard.complaint()
    yard.ingest(attributes.replace("  orders:", "  odrers: {}\n  orders:"), "SqlDatabaseComponent", notes="")

    assert of_resources.endswith("has no resource 'custmers'. Did you mean 'customers'?")
    assert "tables.odrers means none of the tables that were found. Did you mean 'orders'?" in yard.complaint()


def test_two_databases_of_a_project_have_assets_and_state_of_their_own(
    yard: Yard, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_shop(SHOP)
    with closing(sqlite3.connect("crm.db")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, placed_at TEXT NOT NULL)")
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{project}/shop.db")
    monkeypatch.setenv("CRM_DB", f"sqlite:///{project}/crm.db")
    shop = yard.ingest(ATTRIBUTES, "SqlDatabaseComponent", notes="")
    text = (shop / "defs.yaml").read_text()
    crm = yard.write("crm", text.replace("SHOP_DB", "CRM_DB"))

    refresh(yard, shop)
    refresh(yard, crm)

    assert sorted(yard.specs()) == ["dlt_crm_orders", "dlt_shop_customers", "dlt_shop_orders"]


def test_what_is_wrong_in_the_file_is_told_with_its_path(yard: Yard) -> None:
    yard.ingest(ATTRIBUTES.replace("cursor_path", "cursor"), "SqlDatabaseComponent", notes="")

    complaint = yard.complaint()

    assert "cursor_path" in complaint
    assert "orders" in complaint


def test_a_write_disposition_that_there_is_not_is_told_with_its_line_and_one_with_a_template_is_read(yard: Yard) -> None:
    attributes = ATTRIBUTES.replace("write_disposition: merge", "write_disposition: mrege")
    yard.ingest(
        attributes.replace("  orders:", "  orders:\n    write_disposition: upsert"), "SqlDatabaseComponent", notes=""
    )

    complaint = yard.complaint()

    told = re.findall(r"attributes\.(\S+) at \S+defs\.yaml:(\d+)\W\s+Value error, (.*?) \[type", complaint)
    assert told == [
        (
            "tables.orders.write_disposition",
            "8",
            "there is no write disposition 'upsert'. Known are append, replace, merge.",
        ),
        ("write_disposition", "5", "there is no write disposition 'mrege'. Did you mean 'merge'?"),
    ]

    template = "write_disposition: \"{{ env('SHOP_DISPOSITION', 'merge') }}\""
    yard.ingest(ATTRIBUTES.replace("write_disposition: merge", template), "SqlDatabaseComponent", notes="")
    assert yard.assets() == []


def test_a_value_that_the_column_of_a_cursor_cannot_hold_is_told_with_its_path(
    yard: Yard, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_shop(SHOP.replace("placed_at TEXT", "placed_at DATETIME"))
    monkeypatch.setenv("SHOP_DB", f"sqlite:///{project}/shop.db")
    attributes = ATTRIBUTES.replace('"2026-01-02T00:00:00Z"', "yesterday")
    refresh(yard, yard.ingest(attributes, "SqlDatabaseComponent", notes=""))

    assert yard.complaint().startswith(
        "tables.orders.incremental.initial_value: table 'orders': 'yesterday' is no timestamp. Write a moment in ISO 8601, "
        "such as 2026-01-31 or 2026-01-31T08:00:00Z"
    )


def test_named_tables_become_assets_without_a_database(project: Path) -> None:
    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="raw")

    assets = ingest_assets(sql_database(table_names=["orders", "customers"]), pipeline)

    assert [key.to_user_string() for asset in assets for key in asset.keys] == [
        "dlt_sql_database_orders",
        "dlt_sql_database_customers",
    ]
    with pytest.raises(SourceNotEvaluatedError) as caught:
        ingest_assets(sql_database(table_names=["order*"]), pipeline)
    assert "failed with DeclarationError: " in str(caught.value)
    assert "let SqlDatabaseComponent find them" in str(caught.value)
    with pytest.raises(SourceNotEvaluatedError, match=r"Did you mean 'merge'\? Configuration that is missing"):
        ingest_assets(sql_database(table_names=["orders"], write_disposition="mrege"), pipeline)


def test_a_watermark_sensor_launches_a_run_when_the_greatest_value_has_moved(
    project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_shop(SHOP)
    monkeypatch.setenv("SOURCES__SQL_DATABASE__CREDENTIALS", "sqlite:///shop.db")
    sensor = build_sql_watermark_sensor([dg.AssetKey("orders")], name="moved", table="orders", column="placed_at")

    def tick(cursor: str | None) -> Any:
        return sensor(dg.build_sensor_context(instance=instance, cursor=cursor))

    first = tick(None)
    same = tick(first.cursor)
    in_shop("INSERT INTO orders VALUES (3, '2026-01-03T10:00:00Z', 1)")
    moved = tick(first.cursor)

    assert len(first.run_requests) == 1
    assert "still 2026-01-02T10:00:00Z" in str(getattr(same, "skip_message", same))
    assert len(moved.run_requests) == 1


def test_ranges_of_a_key_are_partitions_that_load_their_rows_alone(project: Path, run: Any) -> None:
    in_shop("CREATE TABLE events (id INTEGER PRIMARY KEY, kind TEXT)")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)"
    in_shop(f"{numbers} INSERT INTO events SELECT i, 'x' FROM n")
    keys = find_key_ranges("sqlite:///shop.db", "events", "id", 10)

    @dlt.source
    def shop() -> Any:
        return sql_table("sqlite:///shop.db", "events", split_by="id")

    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="raw")
    assets = ingest_assets(shop, pipeline, partitions_def=dg.StaticPartitionsDefinition(keys))
    for key in (keys[1], keys[2], keys[1]):
        assert run(assets, partition_key=key).success

    assert keys == ["0..10", "10..20", "20..30"]
    found = pipeline.dataset().query("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM events").fetchall()
    assert found == [(16, 16, 10, 25)]
