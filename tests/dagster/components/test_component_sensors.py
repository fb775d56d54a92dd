"""Sensors, partitions and checks of single resources, and the system that is read, as YAML says them."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from component_yard import Yard
from pytest_httpserver import HTTPServer

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")

MINIMAL = """
source: .source:shop
destination: {type: duckdb, path: data/raw.duckdb}
dataset: raw
"""

ORDERS, CUSTOMERS = dg.AssetKey("dlt_shop_orders"), dg.AssetKey("dlt_shop_customers")

KEYS = """
import sqlite3

import dlt_orchestrate as dlt


def connect():
    return sqlite3.connect(PATH)


@dlt.source
def shop():
    @dlt.resource
    def orders():
        yield {"id": 1}

    @dlt.resource
    def files():
        yield {"file": dlt.current.partition_key()}

    return [orders, files]
"""


@pytest.fixture
def persistent(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance in a folder, which contexts of sensors can open again."""
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        yield instance


def sensors(yard: Yard) -> tuple[dg.Definitions, list[dg.SensorDefinition]]:
    defs = yard.load()
    return defs, [sensor for sensor in defs.sensors or () if isinstance(sensor, dg.SensorDefinition)]


def tick(defs: dg.Definitions, sensor: dg.SensorDefinition, instance: dg.DagsterInstance, cursor: str | None = None):
    ref = instance.get_ref() if instance.is_persistent else None
    with dg.build_sensor_context(instance, cursor, definitions=defs, instance_ref=ref) as context:
        return sensor.evaluate_tick(context)


def test_an_address_is_asked_with_the_secret_of_the_environment(
    yard: Yard, instance: dg.DagsterInstance, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/issues", headers={"Authorization": "Bearer st_1234"}).respond_with_data("new")
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    yard.ingest(
        MINIMAL
        + "sensors:\n"
        + f"""
  - type: http
    url: {httpserver.url_for("/issues")}
    headers: {{Authorization: "Bearer {{{{ env.SHOP_TOKEN }}}}"}}
    resources: [orders]
    interval_seconds: 300
    is_running: true
"""
    )
    defs, [sensor] = sensors(yard)
    monkeypatch.setenv("SHOP_TOKEN", "st_1234")

    asked = tick(defs, sensor, instance)

    assert (sensor.name, sensor.minimum_interval_seconds) == ("shop_http_sensor", 300)
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert [sensor.asset_selection.resolve(defs.resolve_asset_graph()) for _ in asked.run_requests] == [{ORDERS}]


def test_each_file_becomes_a_partition_where_the_load_has_dynamic_ones(yard: Yard, persistent: dg.DagsterInstance) -> None:
    source = KEYS.replace("    return [orders, files]", "    return [files]")
    yard.ingest(
        MINIMAL
        + """
partitions: {type: dynamic, name: dropped}
sensors:
  - {type: files, bucket_url: drop, file_glob: "*.csv", min_age_seconds: 0, name: dropped_files}
""",
        source=source,
    )
    (yard.root / "drop").mkdir()
    (yard.root / "drop" / "a.csv").write_text("x")
    defs, [sensor] = sensors(yard)

    first = tick(defs, sensor, persistent)
    second = tick(defs, sensor, persistent, first.cursor)
    requests = [*first.run_requests, *second.run_requests]

    assert sensor.name == "dropped_files"
    assert [request.partition_key for request in requests] == ["a.csv"]


def test_the_partitions_of_one_resource_get_the_files_of_a_sensor_that_launches_it(
    yard: Yard, persistent: dg.DagsterInstance
) -> None:
    yard.ingest(
        MINIMAL
        + """
sensors:
  - {type: files, bucket_url: drop, min_age_seconds: 0, resources: [files]}
  - {type: files, bucket_url: drop, min_age_seconds: 0, resources: [orders]}
resources: {files: {partitions: {type: dynamic, name: of_files}}}
""",
        source=KEYS,
    )
    (yard.root / "drop").mkdir()
    (yard.root / "drop" / "a.csv").write_text("x")
    defs, [of_files, of_orders] = sensors(yard)

    by_file, in_one = tick(defs, of_files, persistent), tick(defs, of_orders, persistent)

    assert [request.partition_key for request in by_file.run_requests] == ["a.csv"]
    assert [added.partitions_def_name for added in by_file.dynamic_partitions_requests] == ["of_files"]
    assert [request.partition_key for request in in_one.run_requests] == [None]


def test_a_sensor_that_launches_assets_of_different_partitions_is_refused(yard: Yard) -> None:
    yard.ingest(
        MINIMAL
        + """
sensors: [{type: files, bucket_url: drop}]
resources:
  files: {partitions: {type: dynamic, name: of_files}}
  orders: {partitions: {type: dynamic, name: of_orders}}
""",
        source=KEYS.replace('yield {"id": 1}', 'yield {"id": dlt.current.partition_key()}'),
    )

    assert "sensors.0: the assets that it launches are partitioned differently" in yard.complaint()


def test_a_sensor_for_a_resource_launches_its_nested_tables_along_with_it(
    yard: Yard, instance: dg.DagsterInstance, run
) -> None:
    yard.ingest(
        MINIMAL
        + """
sensors: [{type: files, bucket_url: drop, min_age_seconds: 0, resources: [orders]}]
resources: {orders: {nested: [lines]}}
"""
    )
    (yard.root / "drop").mkdir()
    (yard.root / "drop" / "a.csv").write_text("x")
    defs, [sensor] = sensors(yard)

    assert len(tick(defs, sensor, instance).run_requests) == 1
    launched = sensor.asset_selection.resolve(defs.resolve_asset_graph())
    assert launched == {ORDERS, dg.AssetKey("dlt_shop_orders__lines")}
    assert run([a for a in defs.assets or () if isinstance(a, dg.AssetsDefinition)], selection=list(launched)).success


def test_a_watermark_is_asked_of_the_dataset_or_where_a_function_connects_to(
    yard: Yard, instance: dg.DagsterInstance, run, tmp_path: Path
) -> None:
    yard.ingest(
        MINIMAL
        + """
sensors:
  - {type: watermark, query: "select count(*) from orders"}
  - {type: watermark, query: "select 7", connect: ".source:connect"}
""",
        source=KEYS.replace("PATH", repr(str(tmp_path / "other.db"))).replace("return [orders, files]", "return [orders]"),
    )
    defs, [of_dataset, elsewhere] = sensors(yard)
    assert run([a for a in defs.assets or () if isinstance(a, dg.AssetsDefinition)]).success

    asked = [tick(defs, sensor, instance) for sensor in (of_dataset, elsewhere)]

    assert [of_dataset.name, elsewhere.name] == ["shop_watermark_sensor_1", "shop_watermark_sensor_2"]
    assert [len(found.run_requests) for found in asked] == [1, 1]


@pytest.mark.parametrize(
    ("sensor", "complaint"),
    [
        ("{type: http}", "sensors of type http need 'url'"),
        ("{type: files, bucket_url: drop, url: x}", "sensors of type files have no 'url'"),
        ("{type: http, url: x, resources: [oders]}", "Did you mean 'orders'?"),
        ("{type: htp, url: x}", "'http', 'files' or 'watermark'"),
    ],
)
def test_what_a_sensor_lacks_is_said_with_its_place(yard: Yard, sensor: str, complaint: str) -> None:
    yard.ingest(MINIMAL + f"sensors: [{sensor}]\n")

    said = yard.complaint()

    assert complaint in said
    assert "sensors" in said


def test_one_resource_has_partitions_and_checks_of_its_own(yard: Yard) -> None:
    yard.ingest(
        MINIMAL
        + """
checks: [schema_contract, few_rejects]
resources:
  orders:
    partitions: {type: daily, start_date: 2026-01-01, end_date: 2026-02-01}
    checks: [primary_key_unique, {few_rejects: {rows: 10}}]
"""
    )
    orders, customers = yard.assets()

    assert orders.partitions_def == dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01")
    assert orders.backfill_policy == dg.BackfillPolicy.single_run()
    assert customers.partitions_def is None
    assert customers.backfill_policy is None
    names = {asset.key: sorted(spec.name for spec in asset.check_specs) for asset in (orders, customers)}
    assert names == {
        ORDERS: ["few_rejects", "primary_key_unique", "schema_contract"],
        CUSTOMERS: ["few_rejects", "schema_contract"],
    }


def test_resources_that_share_a_step_share_their_partitions(yard: Yard) -> None:
    yard.ingest(
        MINIMAL
        + """
isolation: source
resources:
  orders: {partitions: {type: daily, start_date: 2026-01-01}}
"""
    )

    assert "'orders' and 'customers' in one step, and they are partitioned differently" in yard.complaint()


@pytest.mark.parametrize(
    ("told", "key", "kinds"),
    [("true", "source/shop", {"api"}), ("{key: erp/shop, kinds: [sap], url: 'https://erp.example'}", "erp/shop", {"sap"})],
)
def test_the_system_that_is_read_is_an_asset_above(yard: Yard, told: str, key: str, kinds: set[str]) -> None:
    yard.ingest(MINIMAL + f"upstream: {told}\n")

    graph = yard.load().resolve_asset_graph()

    system = graph.get(dg.AssetKey.from_user_string(key))
    assert system.is_external
    assert system.kinds == kinds
    assert system.child_keys == {ORDERS, CUSTOMERS}


@pytest.mark.parametrize(("told", "group"), [("true", "sales"), ("{group_name: systems}", "systems")])
def test_the_system_that_is_read_stands_in_the_group_of_its_assets_unless_it_has_one(
    yard: Yard, told: str, group: str
) -> None:
    yard.ingest(MINIMAL + f"group: sales\nupstream: {told}\n")

    graph = yard.load().resolve_asset_graph()

    assert graph.get(dg.AssetKey(["source", "shop"])).group_name == group
    assert graph.get(ORDERS).group_name == "sales"
