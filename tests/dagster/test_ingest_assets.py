"""Assets made by the factory, materialized in process into a real DuckDB file."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dlt_orchestrate.config.values import config
from dlt_orchestrate.dagster import DltTranslator, ResourceTranslatorData, ingest_assets
from dlt_orchestrate.declare.resource import resource
from dlt_orchestrate.declare.source import source
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.sources.filesystem import filesystem, folder_source, read_csv

ORDERS = dg.AssetKey("dlt_shop_orders")
VISITS = dg.AssetKey("dlt_shop_visits")
AUDIT = dg.AssetKey("dlt_shop_internal_audit")


@dg.success_hook
def notify(context: dg.HookContext) -> None:
    """Something to attach."""


def materialize(assets: Any, instance: dg.DagsterInstance, *names: str, **arguments: Any) -> dg.ExecuteInProcessResult:
    selection = dg.AssetSelection.assets(*names) if names else None
    return dg.materialize(assets, instance=instance, selection=selection, raise_on_error=False, **arguments)


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


def data_version(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> str | None:
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return (event.materialization.tags or {}).get("dagster/data_version")


def failures(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    return {str(e.step_key): e.step_failure_data for e in result.all_events if e.is_step_failure}


def materialized(result: dg.ExecuteInProcessResult) -> set[dg.AssetKey | None]:
    return {event.asset_key for event in result.get_asset_materialization_events()}


def test_each_resource_becomes_the_asset_of_an_op_of_its_own(shop, warehouse) -> None:
    assets = ingest_assets(shop.source(), warehouse, group_name="shop")

    assert {a.op.name: a.key for a in assets} == {
        "shop__orders": ORDERS,
        "shop__visits": VISITS,
        "shop__internal_audit": AUDIT,
    }
    assert shop.extractions == []


def test_a_spec_tells_what_the_declaration_knows(shop, warehouse, project) -> None:
    [orders, *_] = ingest_assets(
        shop.source(), warehouse, group_name="shop", owners=["team:data"], tags={"domain": "sales"}
    )

    spec = orders.get_asset_spec()

    assert spec.description == "Orders that changed since the last load."
    assert (spec.group_name, spec.owners, spec.kinds) == ("shop", ["team:data"], {"dlt", "duckdb"})
    assert spec.tags["domain"] == "sales"
    assert spec.metadata["dlt_orchestrate/source"] == "shop"
    assert spec.metadata["dlt_orchestrate/resource"] == "orders"
    assert spec.metadata["dagster/table_name"] == "warehouse.raw.orders"
    assert not (project / "warehouse.duckdb").exists()


def test_a_spec_links_to_the_function_of_its_resource(shop, warehouse) -> None:
    [orders, *_] = ingest_assets(shop.source(), warehouse)

    [reference] = orders.get_asset_spec().metadata["dagster/code_references"].code_references

    line = Path(reference.file_path).read_text().splitlines()[reference.line_number - 1]
    assert Path(reference.file_path).name == "conftest.py"
    assert line.strip().startswith('@resource(primary_key="id"')
    assert reference.label == "Shop.source.orders"


def test_a_spec_links_to_what_was_written_and_not_into_the_ready_made_source(project, warehouse) -> None:
    @source(name="drive")
    def drive() -> Any:
        return (filesystem(str(project), file_glob="*.csv") | read_csv()).with_name("orders")

    [written] = ingest_assets(drive(), warehouse)
    [ready_made] = ingest_assets(folder_source(str(project), tables={"orders": "*.csv"}), warehouse, name="folder")

    [reference] = written.get_asset_spec().metadata["dagster/code_references"].code_references
    assert reference.label.endswith("drive")
    assert "dagster/code_references" not in ready_made.get_asset_spec().metadata


def code_version(source: Any, warehouse: Any) -> str | None:
    [first, *_] = ingest_assets(source, warehouse)
    return first.get_asset_spec().code_version


def test_the_code_version_changes_with_the_declaration_only(shop, warehouse) -> None:
    hinted, piped, limited = (shop.source() for _ in range(3))
    hinted.orders.apply_hints(write_disposition="append")
    piped.orders.add_map(lambda order: order | {"total": 0})
    limited.orders.add_limit(1)

    unchanged, *changed = (code_version(declared, warehouse) for declared in (shop.source(), hinted, piped, limited))

    assert code_version(shop.source(), warehouse) == unchanged
    assert len({unchanged, *changed}) == 4


def test_the_code_version_changes_with_the_function(warehouse) -> None:
    def teas() -> Any:
        yield {"sku": "tea"}

    def cups() -> Any:
        yield {"sku": "cup"}

    versions = [
        code_version(source(lambda goods=goods: [resource(goods, name="goods")], name="shop")(), warehouse)
        for goods in (teas, teas, cups)
    ]

    assert versions[0] == versions[1] != versions[2]


def test_the_code_version_changes_with_the_arguments_that_a_step_is_bound_to(shop, warehouse) -> None:
    def costs(order: Any, least: int) -> bool:
        return bool(order["total"] >= least)

    cheap, same, dear = (shop.source() for _ in range(3))
    for declared, least in ((cheap, 1), (same, 1), (dear, 100)):
        declared.orders.add_filter(partial(costs, least=least))

    versions = [code_version(declared, warehouse) for declared in (cheap, same, dear)]

    assert versions[0] == versions[1] != versions[2]


def test_what_dagster_may_be_told_of_assets_and_ops_reaches_them(shop, warehouse) -> None:
    condition = dg.AutomationCondition.on_cron("@daily")
    freshness = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=1))
    patience = dg.RetryPolicy(max_retries=2)

    [orders, *_] = ingest_assets(
        shop.source(),
        warehouse,
        name="sales",
        pool="shop_api",
        op_tags={"cost": "low"},
        retry_policy=patience,
        hooks={notify},
        automation_condition=condition,
        freshness_policy=freshness,
    )

    spec = orders.get_asset_spec()
    assert (orders.op.name, orders.op.pool, orders.op.tags["cost"]) == ("sales__orders", "shop_api", "low")
    assert (orders.op.retry_policy, orders.hook_defs) == (patience, {notify})
    assert (spec.automation_condition, spec.freshness_policy) == (condition, freshness)


def test_the_op_of_one_resource_may_be_told_otherwise(shop, warehouse) -> None:
    patience = dg.RetryPolicy(max_retries=9)
    otherwise = {"retry_policy": patience, "pool": "slow_api", "op_tags": {"cost": "high"}, "hooks": {notify}}

    orders, visits, _ = ingest_assets(
        shop.source(),
        warehouse,
        pool="shop_api",
        op_tags={"cost": "low", "team": "sales"},
        op_overrides={"visits": otherwise},
    )

    assert (orders.op.retry_policy, orders.op.pool, orders.hook_defs) == (None, "shop_api", set())
    assert (visits.op.retry_policy, visits.op.pool, visits.hook_defs) == (patience, "slow_api", {notify})
    assert (orders.op.tags, visits.op.tags) == ({"cost": "low", "team": "sales"}, {"cost": "high", "team": "sales"})


def test_a_setting_that_ops_do_not_have_is_refused_with_the_one_that_was_meant(shop, warehouse) -> None:
    with pytest.raises(DeclarationError, match=r"'shop__visits'.* 'retry_polcy'.*Did you mean 'retry_policy'\?"):
        ingest_assets(shop.source(), warehouse, op_overrides={"visits": {"retry_polcy": dg.RetryPolicy()}})


def test_the_event_tells_what_was_loaded(shop, warehouse, instance, project) -> None:
    result = materialize(ingest_assets(shop.source(), warehouse), instance, "dlt_shop_orders")

    seen = metadata(result, ORDERS)
    columns = {column.name: column for column in seen["dagster/column_schema"].columns}

    assert result.success
    assert {name: seen[name] for name in seen if name.startswith("rows_")} == {
        "rows_loaded": 2, "rows_inserted": 2, "rows_updated": 0, "rows_deleted": 0, "rows_rejected": 0,
    }  # fmt: skip
    assert (seen["dagster/row_count"], seen["nested/orders__lines/row_count"]) == (2, 3)
    assert seen["dagster/table_name"] == "warehouse.raw.orders"
    assert seen["dagster/uri"].endswith("warehouse.duckdb")
    assert seen["cursor/updated_at/after"] == "2026-01-02T00:00:00Z"
    assert {"extract_seconds", "normalize_seconds", "load_seconds"} <= seen.keys()
    assert (columns["id"].type, columns["total"].type) == ("BIGINT", "DOUBLE")
    assert set(columns["updated_at"].tags) == {"cursor"}
    assert (columns["id"].constraints.nullable, "primary_key" in columns["id"].tags) == (False, True)
    assert seen["load_id"] == data_version(result, ORDERS)
    assert seen["repeated"] is False


def test_the_next_materialization_in_the_same_process_loads_what_changed(shop, warehouse, instance, query) -> None:
    assets = ingest_assets(shop.source(), warehouse)
    first = materialize(assets, instance, "dlt_shop_orders")
    shop.orders[1] = {**shop.orders[1], "total": 8.0, "updated_at": "2026-01-03T00:00:00Z"}
    second = materialize(assets, instance, "dlt_shop_orders")

    seen = metadata(second, ORDERS)

    assert (seen["rows_loaded"], seen["rows_updated"], seen["dagster/row_count"]) == (1, 1, 2)
    assert seen["cursor/updated_at/before"] == "2026-01-02T00:00:00Z"
    assert seen["cursor/updated_at/after"] == "2026-01-03T00:00:00Z"
    assert data_version(first, ORDERS) != data_version(second, ORDERS)
    assert query("select id, total from raw.orders order by id") == [(1, 10.5), (2, 8.0)]


def test_nothing_new_leaves_the_data_version_as_it_was(shop, warehouse, instance) -> None:
    assets = ingest_assets(shop.source(), warehouse)
    first = materialize(assets, instance, "dlt_shop_orders")
    second = materialize(assets, instance, "dlt_shop_orders")

    assert second.success
    assert metadata(second, ORDERS)["rows_loaded"] == 0
    assert metadata(second, ORDERS)["dagster/row_count"] == 2
    assert data_version(first, ORDERS) == data_version(second, ORDERS)


def test_a_failing_resource_leaves_its_siblings_and_what_is_downstream_of_them(shop, warehouse, instance) -> None:
    @dg.asset(deps=[ORDERS])
    def report() -> None:
        """Downstream of a resource that succeeds."""

    shop.failures = [KeyError("no such field")]

    result = materialize(
        [*ingest_assets(shop.source(), warehouse), report], instance, "dlt_shop_orders", "dlt_shop_visits", "report"
    )

    [failure] = failures(result).values()
    assert not result.success
    assert materialized(result) == {ORDERS, dg.AssetKey("report")}
    assert failure.user_failure_data is not None
    assert "'warehouse'" in (failure.user_failure_data.description or "")
    assert "'visits'" in (failure.user_failure_data.description or "")
    assert "no such field" in (failure.user_failure_data.description or "")
    facts = {name: entry.value for name, entry in failure.user_failure_data.metadata.items()}
    assert facts == {
        "pipeline": "warehouse", "resource": "visits", "phase": "extract", "error": "KeyError", "retryable": True,
    }  # fmt: skip


def test_a_missing_secret_fails_only_the_step_that_needs_it_and_is_named(shop, warehouse, instance) -> None:
    result = materialize(ingest_assets(shop.source(), warehouse), instance)

    [(step, failure)] = failures(result).items()
    assert step == "shop__internal_audit"
    assert materialized(result) == {ORDERS, VISITS}
    assert failure.user_failure_data is not None
    assert "audit_token" in (failure.user_failure_data.description or "")
    assert failure.user_failure_data.metadata["missing"].value == "audit_token"
    assert "internal/audit" not in shop.extractions


def test_a_secret_that_is_there_is_used_and_shown_nowhere(shop, warehouse, instance, monkeypatch, caplog) -> None:
    monkeypatch.setenv("SOURCES__SHOP__AUDIT_TOKEN", "hunter-2-and-more")

    result = materialize(ingest_assets(shop.source(), warehouse), instance)

    assert result.success
    assert metadata(result, AUDIT)["rows_loaded"] == 1
    assert "hunter-2" not in repr(result.all_events) + caplog.text


def test_a_step_is_retried_after_a_failure_of_the_source(shop, warehouse, instance) -> None:
    shop.failures = [ConnectionError("down")]

    result = materialize(
        ingest_assets(shop.source(), warehouse, retry_policy=dg.RetryPolicy(max_retries=1)), instance, "dlt_shop_visits"
    )

    assert result.success
    assert metadata(result, VISITS)["rows_loaded"] == 2
    assert shop.extractions == ["visits", "visits"]


def test_a_step_is_not_retried_when_only_a_person_can_help(shop, warehouse, instance) -> None:
    result = materialize(
        ingest_assets(shop.source(), warehouse, retry_policy=dg.RetryPolicy(max_retries=3)),
        instance,
        "dlt_shop_internal_audit",
    )

    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert failures(result)["shop__internal_audit"].user_failure_data.metadata["retryable"].value is False


def test_a_step_that_died_after_its_commit_reports_that_load_again(shop, warehouse, instance, query) -> None:
    assets = ingest_assets(shop.source(), warehouse)
    first = materialize(assets, instance, "dlt_shop_visits")
    shop.visits.append({"page": "/new"})

    again = materialize(
        assets,
        instance,
        "dlt_shop_visits",
        tags={
            "dagster/parent_run_id": first.run_id,
            "dagster/root_run_id": first.run_id,
            "dagster/is_resume_retry": "true",
        },
    )

    seen = metadata(again, VISITS)
    assert (seen["repeated"], seen["rows_loaded"], seen["dagster/row_count"]) == (True, 2, 2)
    assert data_version(first, VISITS) == data_version(again, VISITS)
    assert shop.extractions == ["visits"]
    assert query("select count(*) from raw.visits") == [(2,)]


def test_a_retry_after_the_commit_went_through_loads_nothing_twice(shop, warehouse, instance, query, monkeypatch) -> None:
    monkeypatch.setenv("DLT_ORCHESTRATE_FAULT", "commit.after_commit:raise")
    assets = ingest_assets(shop.source(), warehouse, retry_policy=dg.RetryPolicy(max_retries=1))

    result = materialize(assets, instance, "dlt_shop_visits")

    assert result.success
    assert [event.step_key for event in result.all_events if event.is_step_up_for_retry] == ["shop__visits"]
    assert (metadata(result, VISITS)["repeated"], metadata(result, VISITS)["rows_loaded"]) == (True, 2)
    assert shop.extractions == ["visits"]
    assert query("select count(*) from raw.visits") == [(2,)]


def test_a_source_may_say_itself_how_it_fails(shop, warehouse, instance) -> None:
    shop.failures = [dg.Failure("the shop is closed", metadata={"until": "09:00"}, allow_retries=False)]
    assets = ingest_assets(shop.source(), warehouse, retry_policy=dg.RetryPolicy(max_retries=3))

    result = materialize(assets, instance, "dlt_shop_visits")

    failure = failures(result)["shop__visits"].user_failure_data
    assert (failure.description, failure.metadata["until"].value) == ("the shop is closed", "09:00")
    assert shop.extractions == ["visits"]


def test_a_source_that_lacks_its_configuration_fails_in_the_step_and_names_it(warehouse, instance) -> None:
    @source(name="tables")
    def tables(region: str = config.value) -> Any:
        return [resource([{"region": region}], name="stores")]

    result = materialize(ingest_assets(tables, warehouse), instance)

    failure = failures(result)["tables__stores"].user_failure_data
    assert failure.description.startswith("Pipeline 'warehouse', step 'evaluate', resource 'stores' failed.")
    assert failure.metadata["missing"].value == "region"


def test_a_secret_in_the_message_of_an_exception_is_masked(shop, warehouse, instance, monkeypatch, caplog) -> None:
    monkeypatch.setenv("SOURCES__SHOP__AUDIT_TOKEN", "hunter-2-and-more")
    materialize(ingest_assets(shop.source(), warehouse), instance, "dlt_shop_internal_audit")
    shop.failures = [ValueError("refused: hunter-2-and-more")]

    result = materialize(ingest_assets(shop.source(), warehouse), instance, "dlt_shop_visits")

    assert "refused: ***" in failures(result)["shop__visits"].user_failure_data.description
    assert "hunter-2" not in repr(result.all_events) + caplog.text


def test_rejected_rows_are_counted_and_their_cause_is_shown(shop, warehouse, instance) -> None:
    shop.orders.append({"updated_at": "2026-01-03T00:00:00Z", "total": 1.0, "lines": []})

    result = materialize(ingest_assets(shop.source(), warehouse), instance, "dlt_shop_orders")

    seen = metadata(result, ORDERS)
    assert (seen["rows_loaded"], seen["rows_rejected"]) == (2, 1)
    assert "id" in seen["reject_causes"]


def test_one_op_for_all_resources_commits_each_alone(shop, warehouse, instance) -> None:
    shop.failures = [KeyError("no such field")]
    [assets] = ingest_assets(shop.source(), warehouse, isolation="source")

    result = materialize([assets], instance, "dlt_shop_orders", "dlt_shop_visits")

    [failure] = failures(result).values()
    assert assets.op.name == "shop"
    assert materialized(result) == {ORDERS}
    assert failure.user_failure_data.metadata["resource"].value == "visits"


def test_a_selection_is_found_by_the_resource_and_not_by_the_key(shop, warehouse, instance) -> None:
    class Prefixed(DltTranslator):
        def get_asset_spec(self, data: ResourceTranslatorData) -> dg.AssetSpec:
            spec = super().get_asset_spec(data)
            return spec.replace_attributes(key=dg.AssetKey(["raw", *spec.key.path]))

    [assets] = ingest_assets(shop.source(), warehouse, isolation="source", translator=Prefixed())

    result = dg.materialize([assets], instance=instance, selection=[dg.AssetKey(["raw", "dlt_shop_visits"])])

    assert materialized(result) == {dg.AssetKey(["raw", "dlt_shop_visits"])}
    assert shop.extractions == ["visits"]


def test_resources_that_are_named_are_not_evaluated_before_the_step(shop, warehouse, instance) -> None:
    calls = []

    @source(name="shop")
    def counted() -> Any:
        calls.append("called")
        return list(shop.source().resources.values())

    assets = ingest_assets(counted, warehouse, resources=["visits"])
    calls_while_loading = len(calls)
    result = materialize(assets, instance)

    assert calls_while_loading == 0
    assert result.success
    assert materialized(result) == {VISITS}


def test_a_source_that_cannot_be_evaluated_while_definitions_load_must_name_its_resources(warehouse) -> None:
    @source(name="tables")
    def tables(names: str = config.value) -> Any:
        first, second = names.split(",")
        return [resource([{"id": 1}], name=first), resource([{"id": 1}], name=second)]

    with pytest.raises(DeclarationError, match=r"'tables'.*resources=\["):
        ingest_assets(tables, warehouse)

    assert [a.key.path for a in ingest_assets(tables, warehouse, resources=["orders"])] == [["dlt_tables_orders"]]


def test_what_lists_the_files_of_a_table_is_no_asset_though_a_sibling_is_called_so() -> None:
    @source
    def files() -> Any:
        for name in ("filesystem", "orders"):
            yield (filesystem("in") | read_csv()).with_name(name)

    assets = ingest_assets(files, Pipeline("files", destination="duckdb", dataset_name="data"))

    assert [list(spec.deps) for asset in assets for spec in asset.specs] == [[], []]
