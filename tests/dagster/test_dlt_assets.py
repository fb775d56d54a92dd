"""The decorator: what dagster-dlt's users write, unchanged but for the import."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from dlt_orchestrate.dagster import (
    DltResource,
    FewRejects,
    build_ingest_asset_specs,
    build_source_spec,
    dlt_assets,
)

VISITS = dg.AssetKey("dlt_shop_visits")
ORDERS = dg.AssetKey("dlt_shop_orders")


def keys(result: dg.ExecuteInProcessResult) -> list[dg.AssetKey | None]:
    return [event.asset_key for event in result.get_asset_materialization_events()]


@pytest.fixture
def shop_assets(shop, warehouse) -> dg.AssetsDefinition:
    @dlt_assets(dlt_source=shop.source(), dlt_pipeline=warehouse, name="shop", group_name="sales")
    def shop_assets(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context=context).fetch_row_count()

    return shop_assets


def test_the_op_loads_every_resource(shop_assets, instance, monkeypatch) -> None:
    monkeypatch.setenv("SOURCES__SHOP__AUDIT_TOKEN", "a token")

    result = dg.materialize([shop_assets], resources={"dlt": DltResource()}, instance=instance)

    assert set(keys(result)) == {ORDERS, VISITS, dg.AssetKey("dlt_shop_internal_audit")}
    assert shop_assets.op.name == "shop"
    assert shop_assets.group_names_by_key[ORDERS] == "sales"


def test_a_subset_loads_that_subset(shop_assets, shop, instance) -> None:
    result = dg.materialize([shop_assets], resources={"dlt": DltResource()}, instance=instance, selection=[VISITS])

    assert keys(result) == [VISITS]
    assert shop.extractions == ["visits"]


def test_the_same_definition_runs_any_number_of_times(shop_assets, instance, query) -> None:
    for _ in range(3):
        dg.materialize([shop_assets], resources={"dlt": DltResource()}, instance=instance, selection=[VISITS, ORDERS])

    assert query("select (select count(*) from raw.visits), (select count(*) from raw.orders)") == [(6, 2)]


def test_the_resource_may_say_where_the_rows_go(shop_assets, warehouse, instance, query, monkeypatch) -> None:
    monkeypatch.setenv("STAGING_DATASET", "staging")

    result = dg.materialize(
        [shop_assets],
        resources={"dlt": DltResource(dataset_name=dg.EnvVar("STAGING_DATASET"))},
        instance=instance,
        selection=[VISITS],
    )

    [event] = result.get_asset_materialization_events()
    assert event.materialization.metadata["dagster/table_name"].value == "warehouse.staging.visits"
    assert query("select count(*) from staging.visits") == [(2,)]
    assert warehouse.dataset_name == "raw"


def test_two_loads_in_one_body_are_two_loads(shop, warehouse, instance, query) -> None:
    @dlt_assets(dlt_source=shop.source(), dlt_pipeline=warehouse)
    def twice(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        list(dlt.run(context))
        yield from dlt.run(context)

    dg.materialize([twice], resources={"dlt": DltResource()}, instance=instance, selection=[VISITS])

    assert query("select count(*) from raw.visits") == [(4,)]


def test_an_op_of_your_own_passes_source_and_pipeline(shop, warehouse, instance) -> None:
    @dg.multi_asset(specs=build_ingest_asset_specs(shop.source(), warehouse), can_subset=True)
    def own(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context, dlt_source=shop.source(), dlt_pipeline=warehouse)

    result = dg.materialize([own], resources={"dlt": DltResource()}, instance=instance, selection=[VISITS])

    assert keys(result) == [VISITS]


def test_an_op_that_passes_nothing_is_told_what_to_pass(shop, warehouse, instance) -> None:
    @dg.multi_asset(specs=build_ingest_asset_specs(shop.source(), warehouse), can_subset=True)
    def own(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context)

    result = dg.materialize(
        [own], resources={"dlt": DltResource()}, instance=instance, selection=[VISITS], raise_on_error=False
    )

    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert "Pass dlt_source=" in str(failure.error)


def test_a_partition_is_loaded_from_a_source_that_is_bound_to_it(shop, warehouse, instance, query) -> None:
    days = dg.DailyPartitionsDefinition("2026-01-01")

    @dlt_assets(dlt_source=shop.source(), dlt_pipeline=warehouse, partitions_def=days)
    def unbound(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context)

    @dlt_assets(dlt_source=shop.source(), dlt_pipeline=warehouse, partitions_def=days)
    def bound(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context, dlt_source=shop.source())

    results = [
        dg.materialize(
            [assets],
            resources={"dlt": DltResource()},
            instance=instance,
            selection=[VISITS],
            partition_key="2026-01-02",
            raise_on_error=False,
        )
        for assets in (unbound, bound)
    ]

    assert [result.success for result in results] == [False, True]
    assert query("select count(*) from raw.visits") == [(2,)]


def test_what_the_factory_can_be_told_of_assets_the_decorator_can_be_told_too(shop, warehouse, instance) -> None:
    system = build_source_spec(shop.source())

    @dlt_assets(
        dlt_source=shop.source(),
        dlt_pipeline=warehouse,
        checks=["primary_key_unique", FewRejects(rows=2)],
        nested={"orders": ["lines"]},
        owners=["team:sales"],
        tags={"domain": "sales"},
        hints={"visits": {"group": "web"}},
        automation_condition=dg.AutomationCondition.eager(),
        freshness_policy=dg.FreshnessPolicy.time_window(timedelta(days=1)),
        preview_rows=1,
        upstream=system,
    )
    def shop_assets(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context=context)

    lines = dg.AssetKey("dlt_shop_orders__lines")
    result = dg.materialize([shop_assets], resources={"dlt": DltResource()}, instance=instance, selection=[ORDERS, lines])

    told = {event.asset_key: event.materialization.metadata for event in result.get_asset_materialization_events()}
    assert told.keys() == {ORDERS, lines}
    assert told[lines]["rows_loaded"].value == 3
    assert "preview" in told[ORDERS]
    assert {(found.check_name, found.passed) for found in result.get_asset_check_evaluations()} == {
        ("primary_key_unique", True), ("few_rejects", True)
    }  # fmt: skip
    orders, visits = (next(spec for spec in shop_assets.specs if spec.key == key) for key in (ORDERS, VISITS))
    assert (orders.owners, orders.tags["domain"], visits.group_name) == (["team:sales"], "sales", "web")
    assert orders.automation_condition is not None
    assert orders.freshness_policy is not None
    assert [dep.asset_key for dep in orders.deps] == [system.key]


def test_a_decorated_load_that_finds_nothing_may_be_an_observation(shop, warehouse, instance) -> None:
    @dlt_assets(dlt_source=shop.source(), dlt_pipeline=warehouse, on_empty="observe")
    def shop_assets(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context=context)

    loads = [
        dg.materialize([shop_assets], resources={"dlt": DltResource()}, instance=instance, selection=[ORDERS])
        for _ in range(2)
    ]

    assert [keys(load) for load in loads] == [[ORDERS], []]
    assert len(instance.fetch_observations(ORDERS, limit=5).records) == 1


def test_an_op_without_assets_tells_what_it_has_loaded(shop, warehouse, instance, query) -> None:
    shop.failures.append(ConnectionError("the shop is closed"))

    @dg.op(out=dg.Out(dg.Nothing))
    def load(context: dg.OpExecutionContext, dlt: DltResource) -> Iterator[Any]:
        source = shop.source().with_resources("orders", "visits")
        yield from dlt.run(context, dlt_source=source, dlt_pipeline=warehouse)

    @dg.job(resource_defs={"dlt": DltResource()})
    def loading() -> None:
        load()

    first = loading.execute_in_process(instance=instance, raise_on_error=False)
    second = loading.execute_in_process(instance=instance)

    [failed] = first.get_step_failure_events()
    told = {event.asset_key: event.materialization.metadata for event in second.get_asset_materialization_events()}
    assert keys(first) == [ORDERS]
    assert failed.step_failure_data.user_failure_data.metadata["resource"].value == "visits"
    assert (told[ORDERS]["rows_loaded"].value, told[VISITS]["rows_loaded"].value) == (0, 2)
    assert query("select count(*) from raw.orders") == [(2,)]
