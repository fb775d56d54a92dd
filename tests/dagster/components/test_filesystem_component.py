"""`FilesystemComponent`: from files in a folder or bucket to rows, by YAML."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from component_yard import Yard

from dlt_orchestrate.dagster import FilesystemComponent

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")

COMPONENT = "FilesystemComponent"
TWO_TABLES = """
bucket_url: inbox
tables:
  orders: {file_glob: "orders/*.csv", options: {sep: ";"}, primary_key: id, write_disposition: merge}
  events: "events/**/*.jsonl"
pipeline: shop
destination: {type: duckdb, path: data/shop.duckdb}
dataset: raw
"""


def rows(yard: Yard, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(yard.root / "data" / "shop.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def drop(yard: Yard, name: str, content: str, at: int = 1_700_000_000) -> None:
    path = yard.root / "inbox" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (at, at))


def test_each_pattern_is_an_asset_and_each_version_of_a_file_is_loaded_once(yard: Yard, run: Any) -> None:
    yard.ingest(TWO_TABLES, COMPONENT)
    drop(yard, "orders/1.csv", "id;name\n1;tea\n2;cup\n")
    drop(yard, "events/2026/1.jsonl", '{"at": 1}\n')

    assets = yard.assets()
    assert [asset.op.name for asset in assets] == ["shop__orders", "shop__events"]
    assert run(assets).success

    drop(yard, "orders/2.csv", "id;name\n2;mug\n")
    assert run(assets).success
    assert rows(yard, "SELECT id, name FROM raw.orders ORDER BY id") == [(1, "tea"), (2, "mug")]
    assert rows(yard, 'SELECT "at" FROM raw.events') == [(1,)]


def test_a_sensor_launches_a_run_when_files_have_come(yard: Yard, instance: dg.DagsterInstance) -> None:
    yard.ingest(TWO_TABLES + "sensors: [{type: files, interval_seconds: 70, min_age_seconds: 0}]\n", COMPONENT)
    defs = yard.load()
    sensors = {sensor.name: sensor for sensor in defs.sensors or ()}
    drop(yard, "orders/1.csv", "id;name\n1;tea\n")

    assert sorted(sensors) == ["shop__events_files", "shop__orders_files"]
    assert sensors["shop__orders_files"].minimum_interval_seconds == 70
    with dg.build_sensor_context(instance, definitions=defs) as context:
        (request,) = sensors["shop__orders_files"].evaluate_tick(context).run_requests
    with dg.build_sensor_context(instance, definitions=defs) as context:
        skipped = sensors["shop__events_files"].evaluate_tick(context)
    assert request.tags["dlt_orchestrate/files"] == "orders/1.csv"
    assert not skipped.run_requests


def test_each_file_may_be_a_partition_that_replaces_its_own_rows(yard: Yard, tmp_path: Path) -> None:
    yard.ingest(
        """
        bucket_url: inbox
        tables: {orders: "*.csv"}
        pipeline: shop
        destination: {type: duckdb, path: data/shop.duckdb}
        dataset: raw
        partitions: {type: dynamic, name: order_files}
        sensors: [{type: files, min_age_seconds: 0}]
        """,
        COMPONENT,
    )
    drop(yard, "a.csv", "id\n1\n")
    drop(yard, "b.csv", "id\n2\n")
    defs = yard.load()
    (sensor,), assets = defs.sensors or (), list(defs.assets or ())
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        with dg.build_sensor_context(instance, definitions=defs, instance_ref=instance.get_ref()) as context:
            result = sensor.evaluate_tick(context)
        for request in result.dynamic_partitions_requests or ():
            instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        keys = [request.partition_key for request in result.run_requests]

        assert keys == ["a.csv", "b.csv"]
        for key in (*keys, "a.csv"):
            assert dg.materialize(assets, instance=instance, partition_key=key).success
        assert rows(yard, "SELECT id FROM raw.orders ORDER BY id") == [(1,), (2,)]

        drop(yard, "a.csv", "id\n10\n11\n")
        assert dg.materialize(assets, instance=instance, partition_key="a.csv").success
        assert rows(yard, "SELECT id FROM raw.orders ORDER BY id") == [(2,), (10,), (11,)]


def test_the_credentials_are_read_in_the_step(yard: Yard, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.ingest(
        TWO_TABLES.replace(
            "bucket_url: inbox", "bucket_url: s3://inbox-of-nobody\ncredentials: {aws_access_key_id: {secret: S3_KEY}}"
        ),
        COMPONENT,
    )

    assets = yard.assets()
    result = run(assets)

    failed = {event.step_key: event.step_failure_data.user_failure_data for event in result.get_step_failure_events()}
    assert {step: found.metadata["missing"].value for step, found in failed.items()} == {
        "shop__events": "S3_KEY",
        "shop__orders": "S3_KEY",
    }


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ('tables: {orders: {file_globb: "*.csv"}}', "there is no key 'file_globb'"),
        ('tables: {orders: {file_glob: "*.xml"}}', "does not tell their format. Give format: one of csv,"),
        ('tables: {orders: {file_glob: "*.csv", options: {seperator: ";"}}}', "seperator"),
        ('tables: {orders: "*.csv"}\nsensors: [{type: files, file_glob: "*"}]', "'file_glob' without 'bucket_url'"),
        ('tables: {orders: "*.csv"}\nsensors: [{type: files, resources: [oders]}]', "Did you mean 'orders'?"),
        ('tables: {orders: "*.csv"}\nsensors: true', "'sensors' is a list, such as"),
        ('tables: {orders: "*.csv"}\nbucket_ulr: x', "'bucket_ulr' is no key here. Did you mean 'bucket_url'?"),
    ],
)
def test_wrong_keys_are_told_while_definitions_load(yard: Yard, wrong: str, told: str) -> None:
    yard.ingest(f"bucket_url: inbox\n{wrong}\ndestination: {{type: duckdb, path: x.duckdb}}\n", COMPONENT)

    assert told in yard.complaint()


def test_what_is_scaffolded_loads_at_once(yard: Yard, run: Any) -> None:
    yard.sandbox.scaffold_component(FilesystemComponent, defs_path="shop", scaffold_params={"bucket_url": "inbox"})
    drop(yard, "2026/a.csv", "id\n1\n")

    defs = yard.load()
    assets = list(defs.assets or ())

    assert [sensor.name for sensor in defs.sensors or ()] == ["shop__shop_files"]
    assert run(assets).success
    assert rows(yard, "SELECT id FROM shop_data.shop") == [(1,)]
