"""What users of dagster-dlt complained about, one test for each complaint that can be had again: none of it happens here.

Numbers are those of issues and pull requests of dagster-io/dagster, unless dlt is named.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate import faults
from dlt_orchestrate.dagster import DltResource, DltTranslator, dlt_assets, ingest_assets

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01")


def a_source(*resources: Any) -> dlt.Source:
    @dlt.source(name="shop", section="shop")
    def shop() -> Any:
        return list(resources)

    return shop()


def decorated(source: dlt.Source, pipeline: dlt.Pipeline, **arguments: Any) -> dg.AssetsDefinition:
    @dlt_assets(dlt_source=source, dlt_pipeline=pipeline, name="shop", **arguments)
    def shop(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context=context).fetch_row_count()

    return shop


def run(assets: Any, instance: dg.DagsterInstance, *names: str, **more: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        assets if isinstance(assets, list) else [assets],
        instance=instance,
        resources={"dlt": DltResource()},
        selection=list(names) or None,
        raise_on_error=False,
        **more,
    )


def rows_loaded(result: dg.ExecuteInProcessResult) -> dict[str, int]:
    return {
        event.asset_key.path[-1]: event.materialization.metadata["rows_loaded"].value
        for event in result.get_asset_materialization_events()
    }


def keep(row: Any, name: str, **hints: Any) -> Any:
    return dlt.resource(lambda: iter([row]), name=name, **hints)


def test_21022_two_runs_on_one_pipeline_do_not_disturb_each_other(warehouse, instance, query) -> None:
    visits = ingest_assets(a_source(keep({"id": 7}, "visits")), warehouse)

    @dlt.resource
    def orders() -> Iterator[Any]:
        yield {"id": 1}
        assert run(visits, instance).success  # another run begins and ends while this one is under way
        yield {"id": 2}

    first = run(ingest_assets(a_source(orders), warehouse), instance)

    assert rows_loaded(first) == {"dlt_shop_orders": 2}
    assert query("select (select count(*) from raw.orders), (select count(*) from raw.visits)") == [(2, 1)]


def test_21022_of_two_runs_of_one_resource_one_wins_and_the_other_says_so(warehouse, instance, query) -> None:
    def orders(meanwhile: Any = None) -> Any:
        @dlt.resource(name="orders")
        def found(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
            if meanwhile is not None:
                assert run(meanwhile, instance).success
            yield {"id": 1, "at": 1}

        return ingest_assets(a_source(found), warehouse)

    loser = run(orders(meanwhile=orders()), instance)

    [failure] = [event.step_failure_data.user_failure_data for event in loser.all_events if event.is_step_failure]
    assert failure.metadata["error"].value == "CommitConflictError"
    assert query("select count(*) from raw.orders") == [(1,)]


def test_26848_and_26895_definitions_that_load_again_touch_no_file_and_disturb_no_run_under_way(
    project, warehouse, instance, query
) -> None:
    def files() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in project.parent.rglob("*") if path.is_file()}

    def load_the_code_location() -> None:
        for name in ("shop", "other"):
            pipeline = dlt.pipeline("warehouse", destination="duckdb", dataset_name="raw")
            assets = ingest_assets(a_source(keep({"id": 1}, "visits"), keep({"id": 1}, "orders")), pipeline, name=name)
            dg.Definitions(assets=assets).get_repository_def().load_all_definitions()

    touched: list[str] = []

    @dlt.resource
    def orders() -> Iterator[Any]:
        for number in range(3):
            yield {"id": number}
            before = files()
            load_the_code_location()
            after = files()
            touched.extend(path for path in before | after if before.get(path) != after.get(path))

    visits = ingest_assets(a_source(keep({"id": 7}, "visits")), warehouse)
    result = run([*ingest_assets(a_source(orders), warehouse, name="first"), *visits], instance)

    assert result.success
    assert touched == []
    assert query("select (select count(*) from raw.orders), (select count(*) from raw.visits)") == [(3, 1)]


def test_21090_a_child_table_is_an_asset_and_a_resource_with_two_underscores_is_no_child(warehouse, instance) -> None:
    source = a_source(keep({"id": 1, "lines": [{"sku": "tea"}]}, "orders"), keep({"id": 2}, "orders__archive"))

    result = run(ingest_assets(source, warehouse, nested={"orders": ["lines"]}), instance)

    assert rows_loaded(result) == {"dlt_shop_orders": 1, "dlt_shop_orders__lines": 1, "dlt_shop_orders__archive": 1}
    [orders] = [e for e in result.get_asset_materialization_events() if e.asset_key.path == ["dlt_shop_orders"]]
    assert not [name for name in orders.materialization.metadata if "archive" in name]


def test_23760_dependencies_and_automation_may_differ_from_resource_to_resource(warehouse) -> None:
    class Ours(DltTranslator):
        def get_asset_spec(self, data: Any) -> dg.AssetSpec:
            spec = super().get_asset_spec(data)
            if data.resource_name == "orders":
                return spec.replace_attributes(
                    deps=["catalogue"], automation_condition=dg.AutomationCondition.on_cron("@daily")
                )
            return spec

    orders, visits = ingest_assets(
        a_source(keep({}, "orders"), keep({}, "visits")),
        warehouse,
        translator=Ours(),
        automation_condition=dg.AutomationCondition.eager(),
    )

    assert orders.get_asset_spec().deps == [dg.AssetDep("catalogue")]
    assert orders.get_asset_spec().automation_condition == dg.AutomationCondition.on_cron("@daily")
    assert visits.get_asset_spec().automation_condition == dg.AutomationCondition.eager()


@pytest.mark.parametrize("isolation", ["resource", "source"])
def test_25711_a_key_prefix_and_a_subset_load_that_subset(warehouse, instance, query, isolation) -> None:
    class Prefixed(DltTranslator):
        def get_asset_spec(self, data: Any) -> dg.AssetSpec:
            return super().get_asset_spec(data).replace_attributes(key=dg.AssetKey(["raw", data.resource_name]))

    source = a_source(keep({"id": 1}, "orders"), keep({"id": 2}, "visits"))
    assets = ingest_assets(source, warehouse, translator=Prefixed(), isolation=isolation)

    assert rows_loaded(run(assets, instance, "raw/visits")) == {"visits": 1}
    assert rows_loaded(run(assets, instance)) == {"orders": 1, "visits": 1}
    assert query("select (select count(*) from raw.orders), (select count(*) from raw.visits)") == [(1, 2)]


def test_33572_a_source_that_yields_nothing_is_no_failure(warehouse, instance) -> None:
    assets = decorated(a_source(dlt.resource(lambda: iter([]), name="orders")), warehouse)

    assert [rows_loaded(run(assets, instance)) for _ in range(2)] == [{"dlt_shop_orders": 0}] * 2


def test_34158_and_24222_rows_are_counted_also_when_there_is_nothing_new(warehouse, instance) -> None:
    @dlt.resource
    def orders(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
        yield {"id": 1, "at": 1}

    assets = decorated(a_source(orders), warehouse)

    results = [run(assets, instance) for _ in range(2)]

    assert [rows_loaded(result) for result in results] == [{"dlt_shop_orders": 1}, {"dlt_shop_orders": 0}]
    [event] = results[1].get_asset_materialization_events()
    assert event.materialization.metadata["dagster/row_count"].value == 1


@pytest.mark.parametrize("fault", ["extract.after_page", "commit.before_operation", "commit.before_commit"])
def test_33620_and_21856_a_run_that_failed_has_left_nothing_for_the_next_one(
    warehouse, instance, query, monkeypatch, fault
) -> None:
    assets = ingest_assets(a_source(keep({"id": 1}, "orders"), keep({"id": 2}, "visits")), warehouse)
    monkeypatch.setattr(faults, "passed", Counter())  # which counts on from test to test
    monkeypatch.setenv("DLT_ORCHESTRATE_FAULT", f"{fault}:raise")
    failed = run(assets, instance, "dlt_shop_orders")
    monkeypatch.delenv("DLT_ORCHESTRATE_FAULT")

    other, again = run(assets, instance, "dlt_shop_visits"), run(assets, instance, "dlt_shop_orders")

    assert (failed.success, other.success, again.success) == (False, True, True)
    assert rows_loaded(failed) == {}
    assert query("select (select count(*) from raw.orders), (select count(*) from raw.visits)") == [(1, 1)]


def test_25720_and_fact_6_a_range_in_one_run_counts_each_day(warehouse, instance) -> None:
    @dlt.resource
    def orders(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
        yield [{"id": n, "at": f"2026-01-0{n % 4 + 1}T00:00:00Z"} for n in range(7)]

    assets = decorated(a_source(orders), warehouse, partitions_def=DAYS)
    ends = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-01-04"}

    result = run(assets, instance, tags=ends)

    counts = {e.partition: e.materialization.metadata for e in result.get_asset_materialization_events()}
    assert [metadata["dagster/partition_row_count"].value for metadata in counts.values()] == [2, 2, 2, 1]
    assert [metadata["rows_loaded"].value for metadata in counts.values()] == [2, 2, 2, 1]


def test_30339_and_29731_definitions_load_without_the_secrets_and_the_step_names_the_missing_one(
    warehouse, instance
) -> None:
    @dlt.resource
    def orders(shop_token: str = dlt.secrets.value) -> Iterator[Any]:
        yield {"length": len(shop_token)}

    assets = decorated(a_source(orders), warehouse)

    [failure] = [e.step_failure_data.user_failure_data for e in run(assets, instance).all_events if e.is_step_failure]
    assert failure.metadata["missing"].value == "shop_token"


def test_dlt_1768_configuration_is_read_when_the_step_runs(warehouse, instance, monkeypatch, query) -> None:
    @dlt.resource
    def orders(region: str = dlt.config.value) -> Iterator[Any]:
        yield {"region": region}

    assets = decorated(a_source(orders), warehouse)
    for region in ("eu", "us"):
        monkeypatch.setenv("SOURCES__SHOP__REGION", region)
        run(assets, instance)

    assert query("select region from raw.orders order by 1") == [("eu",), ("us",)]


def test_34052_and_dlt_4253_a_definition_runs_twice_in_one_process_and_keeps_its_types(warehouse, instance) -> None:
    assets = decorated(a_source(keep({"id": 1, "name": "tea"}, "orders")), warehouse)

    schemas = []
    for _ in range(3):
        [event] = run(assets, instance).get_asset_materialization_events()
        columns = event.materialization.metadata["dagster/column_schema"].value.columns
        schemas.append({column.name: column.type for column in columns if not column.name.startswith("_dlt")})

    assert schemas == [{"id": "BIGINT", "name": "VARCHAR"}] * 3


def test_33573_a_name_with_two_underscores_has_schema_and_counts(warehouse, instance) -> None:
    [event] = run(
        decorated(a_source(keep({"id": 1}, "crm__accounts")), warehouse), instance
    ).get_asset_materialization_events()

    assert event.materialization.metadata["rows_loaded"].value == 1
    assert "id" in {column.name for column in event.materialization.metadata["dagster/column_schema"].value.columns}


def test_25733_every_run_goes_on_from_where_the_one_before_ended(warehouse, instance) -> None:
    starts: list[Any] = []

    @dlt.resource
    def orders(at: Any = dlt.sources.incremental("at", initial_value=0)) -> Iterator[Any]:
        starts.append(at.last_value)
        yield {"at": at.last_value + 1}

    assets = decorated(a_source(orders), warehouse)
    for _ in range(3):
        assert run(assets, instance).success

    assert starts == [0, 1, 2]


def test_a_partition_that_is_older_than_the_cursor_loads_its_rows(warehouse, instance) -> None:
    @dlt.resource
    def orders(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
        yield [{"id": n, "at": f"2026-01-0{n}T00:00:00Z"} for n in (2, 5)]

    assets = decorated(a_source(orders), warehouse, partitions_def=DAYS)

    found = [rows_loaded(run(assets, instance, partition_key=f"2026-01-0{day}")) for day in (5, 2)]

    assert found == [{"dlt_shop_orders": 1}, {"dlt_shop_orders": 1}]


def test_a_source_that_is_bound_to_a_partition_without_an_end_is_bounded_all_the_same(warehouse, instance, query) -> None:
    def bound(initial: str | None = None) -> dlt.Source:
        @dlt.resource
        def orders(at: Any = dlt.sources.incremental("at", initial_value=initial)) -> Iterator[Any]:
            yield [{"id": n, "at": f"2026-01-0{n}T00:00:00Z"} for n in (2, 5)]

        return a_source(orders)

    @dlt_assets(dlt_source=bound(), dlt_pipeline=warehouse, partitions_def=DAYS)
    def shop(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context, dlt_source=bound(f"{context.partition_key}T00:00:00Z"))

    for day in ("2026-01-05", "2026-01-02"):
        assert run(shop, instance, partition_key=day).success

    assert query("select id from raw.orders order by id") == [(2,), (5,)]


def test_partitions_without_a_bound_do_not_load_everything_each(warehouse, instance, query) -> None:
    assets = decorated(a_source(keep({"id": 1}, "orders")), warehouse, partitions_def=DAYS)

    result = run(assets, instance, partition_key="2026-01-02")

    [failure] = [event.step_failure_data.user_failure_data for event in result.all_events if event.is_step_failure]
    assert "does not bound it" in failure.description
    assert failure.metadata["retryable"].value is False


def test_the_source_function_does_not_run_while_definitions_load_if_its_resources_are_named(warehouse) -> None:
    calls: list[str] = []

    @dlt.source(name="shop", section="shop")
    def shop() -> Any:
        calls.append("called")
        return [keep({}, "orders")]

    ingest_assets(shop, warehouse, resources=["orders"])

    assert calls == []


def test_a_resource_that_a_source_makes_of_a_running_generator_runs_again(warehouse, instance, query) -> None:
    def rows() -> Iterator[Any]:
        yield {"id": 1}

    @dlt.source(name="shop", section="shop")
    def shop() -> Iterator[Any]:
        yield dlt.resource(rows(), name="orders")

    assets = decorated(shop(), warehouse)

    assert [run(assets, instance).success for _ in range(2)] == [True, True]
    assert query("select count(*) from raw.orders") == [(2,)]


def test_fact_7_a_failing_resource_keeps_nothing_downstream_of_its_siblings_from_running(warehouse, instance) -> None:
    @dlt.resource
    def broken() -> Iterator[Any]:
        raise KeyError("no such field")
        yield

    @dg.asset(deps=["dlt_shop_orders"])
    def report() -> None:
        """Downstream of a resource that succeeds."""

    result = run([*ingest_assets(a_source(keep({"id": 1}, "orders"), broken), warehouse), report], instance)

    assert {event.asset_key.path[-1] for event in result.get_asset_materialization_events()} == {
        "dlt_shop_orders",
        "report",
    }
    assert [event.step_key for event in result.all_events if event.is_step_failure] == ["shop__broken"]
