"""`FilesystemComponent`: from files in a folder or bucket to rows, by YAML."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
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


BY_FILE = """
bucket_url: inbox
tables:
  orders: {file_glob: "orders/*.csv", primary_key: id, write_disposition: merge}
  events: "events/*.jsonl"
pipeline: shop
destination: {type: duckdb, path: data/shop.duckdb}
dataset: raw
sensors: [{type: files, min_age_seconds: 0}]
"""


class Watched:
    """A location whose file sensors are evaluated, and the runs they ask for carried out, on an instance that lasts."""

    def __init__(self, yard: Yard, instance: dg.DagsterInstance) -> None:
        self.defs, self.instance = yard.load(), instance
        self.assets = [asset for asset in self.defs.assets or () if isinstance(asset, dg.AssetsDefinition)]
        self.cursors: dict[str, str | None] = {}

    def tick(self) -> list[tuple[str, str | None, bool]]:
        """Steps, partition and success of the runs that all sensors ask for."""
        found = []
        for sensor in sorted(self.defs.sensors or (), key=lambda one: one.name):
            with dg.build_sensor_context(
                self.instance,
                cursor=self.cursors.get(sensor.name),
                definitions=self.defs,
                instance_ref=self.instance.get_ref(),
            ) as context:
                result = sensor.evaluate_tick(context)
            self.cursors[sensor.name] = result.cursor
            for added in result.dynamic_partitions_requests or ():
                self.instance.add_dynamic_partitions(added.partitions_def_name, list(added.partition_keys))
            for request in result.run_requests or ():
                selected = list(sensor.asset_selection.resolve(self.assets))
                ran = dg.materialize(
                    self.assets,
                    instance=self.instance,
                    selection=selected,
                    partition_key=request.partition_key,
                    raise_on_error=False,
                )
                steps = sorted({event.step_key or "" for event in ran.get_step_success_events()})
                found.append((",".join(steps), request.partition_key, ran.success))
        return found


@pytest.fixture
def lasting(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance that keeps dynamic partitions, which ticks that ask for them need."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def test_each_table_has_a_set_of_partitions_of_its_own_and_its_sensor_launches_it_alone(
    yard: Yard, lasting: dg.DagsterInstance
) -> None:
    yard.ingest(BY_FILE + "partitions: {type: dynamic, name: inbox}\n", COMPONENT)
    drop(yard, "orders/a.csv", "id,name\n1,tea\n2,cup\n")
    drop(yard, "orders/b.csv", "id,name\n3,mug\n")
    drop(yard, "events/1.jsonl", '{"at": 1}\n')
    watched = Watched(yard, lasting)

    assert watched.tick() == [
        ("shop__events", "events/1.jsonl", True),
        ("shop__orders", "orders/a.csv", True),
        ("shop__orders", "orders/b.csv", True),
    ]
    assert lasting.get_dynamic_partitions("inbox__orders") == ["orders/a.csv", "orders/b.csv"]
    assert lasting.get_dynamic_partitions("inbox__events") == ["events/1.jsonl"]
    graph = watched.defs.resolve_asset_graph()
    keys = {key.to_user_string(): key for key in graph.get_all_asset_keys()}
    assert lasting.get_materialized_partitions(keys["dlt_shop_orders"]) == {"orders/a.csv", "orders/b.csv"}
    assert lasting.get_materialized_partitions(keys["dlt_shop_events"]) == {"events/1.jsonl"}

    drop(yard, "orders/a.csv", "id,name\n2,pot\n", at=1_700_000_100)
    assert watched.tick() == [("shop__orders", "orders/a.csv", True)]
    assert rows(yard, "SELECT id, name FROM raw.orders ORDER BY id") == [(2, "pot"), (3, "mug")]
    assert rows(yard, 'SELECT "at" FROM raw.events') == [(1,)]


def test_one_table_may_have_partitions_under_a_name_of_its_own(yard: Yard, lasting: dg.DagsterInstance) -> None:
    yard.ingest(BY_FILE + "resources: {orders: {partitions: {type: dynamic, name: order_files}}}\n", COMPONENT)
    drop(yard, "orders/a.csv", "id,name\n1,tea\n")
    drop(yard, "orders/b.csv", "id,name\n2,cup\n")
    drop(yard, "events/1.jsonl", '{"at": 1}\n')
    watched = Watched(yard, lasting)

    assert watched.tick() == [
        ("shop__events", None, True),
        ("shop__orders", "orders/a.csv", True),
        ("shop__orders", "orders/b.csv", True),
    ]
    assert lasting.get_dynamic_partitions("order_files") == ["orders/a.csv", "orders/b.csv"]
    assert rows(yard, "SELECT id FROM raw.orders ORDER BY id") == [(1,), (2,)]
    assert rows(yard, 'SELECT "at" FROM raw.events') == [(1,)]


def test_tables_of_the_same_files_may_share_a_set_and_a_step(yard: Yard, lasting: dg.DagsterInstance) -> None:
    yard.ingest(
        """
        bucket_url: inbox
        tables:
          orders: {file_glob: "*.csv", options: {usecols: [id]}}
          names: {file_glob: "*.csv", options: {usecols: [name]}}
        isolation: source
        resources:
          orders: {partitions: &files {type: dynamic, name: both}}
          names: {partitions: *files}
        pipeline: shop
        destination: {type: duckdb, path: data/shop.duckdb}
        dataset: raw
        """,
        COMPONENT,
    )
    drop(yard, "a.csv", "id,name\n1,tea\n")
    lasting.add_dynamic_partitions("both", ["a.csv"])

    for _ in range(2):
        assert dg.materialize(yard.assets(), instance=lasting, partition_key="a.csv").success
    assert rows(yard, "SELECT id FROM raw.orders") == [(1,)]
    assert rows(yard, "SELECT name FROM raw.names") == [("tea",)]


def test_the_file_of_a_partition_is_loaded_however_young_it_is(yard: Yard, lasting: dg.DagsterInstance) -> None:
    yard.ingest(BY_FILE + "partitions: {type: dynamic, name: inbox}\nmin_age_seconds: 3600\n", COMPONENT)
    drop(yard, "orders/a.csv", "id,name\n1,tea\n", at=int(time.time()))
    lasting.add_dynamic_partitions("inbox__orders", ["orders/a.csv"])

    (asset,) = [asset for asset in yard.assets() if asset.op.name == "shop__orders"]
    assert dg.materialize([asset], instance=lasting, partition_key="orders/a.csv").success

    assert rows(yard, "SELECT id, name FROM raw.orders") == [(1, "tea")]


@pytest.mark.parametrize(
    ("partitions", "told"),
    [
        ("partitions: {type: daily, start_date: 2026-01-01}", "partitions: a file belongs to no window of time"),
        ('partitions: {type: static, keys: ["orders/a.csv"]}', "give {type: dynamic, name: inbox_files}"),
        ("partitions: \"{{ dg.StaticPartitionsDefinition(['a']) }}\"", "partitions: a file belongs to no window of time"),
        ("resources: {events: {partitions: {type: monthly, start_date: 2026-01-01}}}", "resources.events.partitions: a fi"),
        (
            "resources: {orders: {partitions: &p {type: dynamic, name: both}}, events: {partitions: *p}}",
            "resources.events.partitions: 'both' holds the files 'orders/*.csv' of table 'orders', and those of 'events' "
            "are 'events/*.jsonl'. Give each a name of its own.",
        ),
        ("isolation: source\npartitions: {type: dynamic, name: inbox}", "they are partitioned differently"),
        (
            'schedule: "@daily"\npartitions: {type: dynamic, name: inbox}',
            "schedule: its tables have partitions of different sets, and a run is about one. Leave files that are "
            "partitions to a sensor, which loads each as it comes: sensors: [{type: files}].",
        ),
    ],
)
def test_partitions_that_files_cannot_have_are_refused_while_definitions_load(
    yard: Yard, partitions: str, told: str
) -> None:
    yard.ingest(BY_FILE + partitions + "\n", COMPONENT)

    assert told in yard.complaint()


def test_a_table_that_is_not_selected_has_no_sensor(yard: Yard, lasting: dg.DagsterInstance) -> None:
    yard.ingest(BY_FILE + "partitions: {type: dynamic, name: inbox}\nselect: [orders]\n", COMPONENT)
    drop(yard, "orders/a.csv", "id,name\n1,tea\n")
    drop(yard, "events/1.jsonl", '{"at": 1}\n')

    assert Watched(yard, lasting).tick() == [("shop__orders", "orders/a.csv", True)]


def test_templates_in_tables_are_carried_out(yard: Yard, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDER", "orders")
    yard.ingest(TWO_TABLES.replace('"orders/*.csv"', "\"{{ env('FOLDER', 'none') }}/*.csv\""), COMPONENT)
    drop(yard, "orders/1.csv", "id;name\n1;tea\n")

    assert run([asset for asset in yard.assets() if asset.op.name == "shop__orders"]).success
    assert rows(yard, "SELECT id, name FROM raw.orders") == [(1, "tea")]


def test_all_wrong_keys_of_tables_are_told_at_once_each_with_its_place_and_line(yard: Yard) -> None:
    yard.ingest(
        """
        bucket_url: inbox
        tables:
          orders: {glob: "*.csv"}
          events:
            file_glob: "*.jsonl"
            load_onc: name
            write_disposition: merg
          lines: {file_glob: "*.csv", options: {seperator: ";", hedder: 1}}
          visits: {file_glob: "*.csv", columns: {at: {data_typ: date}}}
          stock: {file_glob: "*.csv", write_disposition: replace, load_once: name}
          prices: {file_glob: "*.csv", format: cvs}
          shops: "shops/*"
          names: null
        destination: {type: duckdb, path: x.duckdb}
        """,
        COMPONENT,
    )

    found = yard.complaint()

    for place, line, problem in (
        ("orders.glob", 5, "'glob' is no key here. Did you mean 'file_glob'?"),
        ("orders.file_glob", 5, "Field required"),
        ("events.load_onc", 8, "'load_onc' is no key here. Did you mean 'load_once'?"),
        ("events.write_disposition", 9, "there is no write disposition 'merg'."),
        ("lines.options.seperator", 10, "read_csv has no option 'seperator'. Did you mean 'sep'?"),
        ("lines.options.hedder", 10, "read_csv has no option 'hedder'. Did you mean 'header'?"),
        ("visits.columns", 11, "column 'at': there is no column hint 'data_typ'. Did you mean 'data_type'?"),
        ("stock.load_once", 12, "load_once='name' leaves out what was loaded before"),
        ("prices.format", 13, "Input should be 'csv', 'csv_duckdb'"),
        ("shops.format", 14, "the pattern 'shops/*' does not tell their format. Give format: one of csv,"),
        ("names", 15, "None names no files. Give a pattern, such as 'orders/*.csv'"),
    ):
        told = re.search(rf"tables\.{re.escape(place)} at \S+defs\.yaml:(\d+)\W[\s\S]*?\n {{2,4}}\b([^\n]*)", found)
        assert told is not None, (place, found)
        assert problem in found, found
        assert int(told[1]) == line, (place, found)


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
        ('tables: {orders: {file_globb: "*.csv"}}', "'file_globb' is no key here. Did you mean 'file_glob'?"),
        ("tables: {}", "attributes.tables at"),
        ("tables: {orders: \"{{ env('STAGE', 'dev') }}/*\"}", "Files 'orders': the pattern 'dev/*' does not tell"),
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
