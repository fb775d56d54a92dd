"""Checks: in the step of the load, and for themselves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import (
    DataFreshness,
    DltResource,
    FewRejects,
    NotNull,
    RowCountAnomaly,
    build_data_freshness_checks,
    build_not_null_checks,
    build_primary_key_checks,
    build_reject_checks,
    build_row_count_anomaly_checks,
    build_schema_contract_checks,
    dlt_assets,
    ingest_assets,
)
from dlt_orchestrate.errors import DeclarationError

SALES = dg.AssetKey("dlt_shop_sales")
NOW = datetime(2026, 1, 10, tzinfo=UTC)


class Sales:
    """A source of sales, whose records a test may change."""

    def __init__(self, rows: int = 3, **hints: Any) -> None:
        self.hints = {"primary_key": "id", **hints}
        self.records: list[dict[str, Any]] = []
        self.sell(rows)

    def sell(self, rows: int) -> None:
        """Replace the records by others."""
        start = self.records[-1]["id"] + 1 if self.records else 0
        self.records = [{"id": start + n, "at": "2026-01-09T00:00:00Z", "total": 1.5} for n in range(rows)]

    def source(self) -> dlt.Source:
        @dlt.resource(**self.hints)
        def sales(at: Any = dlt.sources.incremental("at", primary_key=())) -> Any:
            yield [dict(record) for record in self.records]

        @dlt.source(name="shop", section="shop")
        def shop() -> Any:
            return [sales]

        return shop()


def run(assets: Any, instance: dg.DagsterInstance, **more: Any) -> dg.ExecuteInProcessResult:
    return dg.materialize(assets, instance=instance, raise_on_error=False, **more)


def checked(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def numbers(evaluation: Any) -> dict[str, Any]:
    return {name: entry.value for name, entry in evaluation.metadata.items()}


def test_the_checks_of_an_asset_stand_beside_it_and_pass_on_a_good_load(warehouse, instance) -> None:
    names = ["schema_contract", "row_count_anomaly", "primary_key_unique", "not_null", "few_rejects"]
    checks = [*names, DataFreshness(now=lambda: NOW)]
    [assets] = ingest_assets(Sales().source(), warehouse, checks=checks)

    result = run([assets], instance)

    assert {key.name for key in assets.check_keys} == {*names, "data_freshness"}
    assert {name: found.passed for name, found in checked(result).items()} == dict.fromkeys(
        [*names, "data_freshness"], True
    )
    assert numbers(checked(result)["primary_key_unique"]) == {"rows": 3, "repeated": 0}


def test_a_broken_contract_leaves_no_row_and_blocks_what_is_downstream(warehouse, instance, query) -> None:
    sales = Sales(schema_contract={"columns": "freeze"})

    @dg.asset(deps=[SALES])
    def report() -> None:
        """Downstream, in the same run."""

    assets = [*ingest_assets(sales.source(), warehouse, checks=["schema_contract"]), report]
    assert run(assets, instance).success
    sales.sell(2)
    sales.records[0]["coupon"] = "tea"

    result = run(assets, instance)

    broken = checked(result)["schema_contract"]
    assert not result.success
    assert (broken.passed, broken.severity, broken.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert "coupon" in broken.description
    assert query("select count(*) from raw.sales") == [(3,)]
    assert len(instance.fetch_materializations(report.key, limit=9).records) == 1


def test_a_table_that_may_evolve_warns_of_new_columns_and_blocks_nothing(warehouse, instance) -> None:
    sales = Sales()

    @dg.asset(deps=[SALES])
    def report() -> None:
        """Downstream, in the same run."""

    assets = [*ingest_assets(sales.source(), warehouse, checks=["schema_contract"]), report]
    first = run(assets, instance)
    sales.sell(2)
    sales.records[0]["coupon"] = "tea"

    second = run(assets, instance)

    warning = checked(second)["schema_contract"]
    assert checked(first)["schema_contract"].passed
    assert (warning.passed, warning.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "sales.coupon: text" in warning.description
    assert second.success
    assert len(instance.fetch_materializations(report.key, limit=9).records) == 2


def test_an_unusual_number_of_rows_is_told_once_there_is_a_history(warehouse, instance) -> None:
    sales = Sales()
    assets = ingest_assets(sales.source(), warehouse, checks=[RowCountAnomaly(k=3, min_history=4)])
    found = []
    for rows in (10, 11, 9, 10, 12, 40, 0):
        sales.sell(rows) if rows else sales.records.clear()
        found.append(checked(run(assets, instance))["row_count_anomaly"])

    assert [one.passed for one in found] == [True, True, True, True, True, False, False]
    assert found[3].description == "3 earlier loads: too few to tell, 4 are needed."
    assert found[5].description == "40 rows; between 7 and 13 are usual."
    assert found[5].severity == dg.AssetCheckSeverity.WARN


def test_great_numbers_of_rows_can_be_read(warehouse, instance) -> None:
    for _ in range(5):
        instance.report_runless_asset_event(dg.AssetMaterialization(SALES, metadata={"rows_loaded": 1_234_567}))

    result = run(ingest_assets(Sales().source(), warehouse, checks=["row_count_anomaly"]), instance)

    said = checked(result)["row_count_anomaly"].description
    assert said == "3 rows; between 1,234,562 and 1,234,572 are usual."


def test_rows_that_share_a_key_are_an_error(warehouse, instance) -> None:
    sales = Sales()
    assets = ingest_assets(sales.source(), warehouse, checks=["primary_key_unique"])
    run(assets, instance)

    again = checked(run(assets, instance))["primary_key_unique"]

    assert (again.passed, again.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert again.description == "3 rows with the primary key (id) of another one."
    assert numbers(again) == {"rows": 6, "repeated": 3}


@pytest.mark.parametrize("key", [["id"], ["id", "at"]])
def test_a_table_of_versions_has_each_key_once_at_a_time(warehouse, instance, key) -> None:
    sales = Sales(write_disposition={"disposition": "merge", "strategy": "scd2"}, primary_key=key)
    shop = dlt.resource(lambda: iter([list(sales.records)]), name="sales", **sales.hints)

    @dlt.source(name="shop", section="shop")
    def versions() -> Any:
        return [shop]

    assets = ingest_assets(versions(), warehouse, checks=["primary_key_unique"])
    run(assets, instance)
    sales.records[0]["total"] = 9.0

    assert numbers(checked(run(assets, instance))["primary_key_unique"]) == {"rows": 3, "repeated": 0}


def test_nulls_are_counted_where_there_must_be_none(warehouse, instance) -> None:
    sales = Sales()
    sales.records[1]["total"] = None
    assets = ingest_assets(sales.source(), warehouse, checks=[NotNull(("total", "id", "colour"))])

    found = checked(run(assets, instance))["not_null"]

    assert (found.passed, found.description) == (False, "total: 1 null; colour: no column")
    assert numbers(found) == {"columns": 3, "nulls": 1}


@pytest.mark.parametrize(("days", "passes"), [(2, True), (0.5, False)])
def test_data_is_fresh_by_its_cursor_and_not_by_its_run(warehouse, instance, days, passes) -> None:
    fresh = DataFreshness(max_lag=timedelta(days=days), now=lambda: NOW)

    found = checked(run(ingest_assets(Sales().source(), warehouse, checks=[fresh]), instance))["data_freshness"]

    assert found.passed is passes
    assert numbers(found) == {"lag_seconds": 86400.0, "allowed_seconds": days * 86400}
    assert passes or found.description.endswith(", 1 d 0 h ago; 12 h 0 min are allowed.")


@pytest.mark.parametrize(("allowed", "passes"), [(0, False), (1, True)])
def test_rejects_are_counted_against_what_is_allowed(warehouse, instance, allowed, passes) -> None:
    sales = Sales(write_disposition="merge")
    sales.records[0]["id"] = None
    assets = ingest_assets(sales.source(), warehouse, checks=[FewRejects(allowed)])

    found = checked(run(assets, instance))["few_rejects"]

    assert (found.passed, numbers(found)["rows_rejected"]) == (passes, 1)
    assert passes or found.description.startswith("1 row rejected: ")


def test_checks_for_themselves_look_at_the_table_and_the_latest_load(warehouse, instance) -> None:
    sales = Sales()
    assets = ingest_assets(sales.source(), warehouse)
    run(assets, instance)
    sales.records.append({"id": 1, "at": "2026-01-09T00:00:00Z", "total": None, "coupon": "tea"})
    run(assets, instance)
    checks = [
        *build_schema_contract_checks(assets),
        *build_row_count_anomaly_checks(assets, k=0.5, min_history=1),
        *build_primary_key_checks(assets),
        *build_not_null_checks(assets, columns=["total"]),
        *build_data_freshness_checks(assets, max_lag=timedelta(days=365_000)),
        *build_reject_checks(assets),
    ]

    result = run(checks, instance, selection=dg.AssetSelection.all_asset_checks())

    assert {name: found.passed for name, found in checked(result).items()} == {
        "schema_contract": False, "row_count_anomaly": False, "primary_key_unique": False, "not_null": False,
        "data_freshness": True, "few_rejects": True,
    }  # fmt: skip
    assert checked(result)["row_count_anomaly"].description == "4 rows; between 2.5 and 3.5 are usual."


def test_checks_for_themselves_know_the_tables_of_a_decorated_op(warehouse, instance) -> None:
    @dlt_assets(dlt_source=Sales().source(), dlt_pipeline=warehouse)
    def shop(context: dg.AssetExecutionContext, dlt: DltResource) -> Any:
        yield from dlt.run(context)

    run([shop], instance, resources={"dlt": DltResource()})
    checks = build_primary_key_checks([shop])

    found = checked(run(checks, instance, selection=dg.AssetSelection.all_asset_checks()))["primary_key_unique"]

    assert numbers(found) == {"rows": 3, "repeated": 0}


def test_checks_of_what_was_never_loaded_say_so(warehouse, instance) -> None:
    [check] = build_primary_key_checks(ingest_assets(Sales().source(), warehouse))

    found = checked(run([check], instance, selection=dg.AssetSelection.all_asset_checks()))["primary_key_unique"]

    assert (found.passed, found.description) == (True, "Nothing has been materialized yet.")


def test_an_unknown_check_is_refused_with_the_known_ones(warehouse) -> None:
    with pytest.raises(DeclarationError, match=r"'freshness' is not known\. Did you mean 'data_freshness'\?"):
        ingest_assets(Sales().source(), warehouse, checks=["freshness"])
    with pytest.raises(DeclarationError, match="'not_null' is there twice"):
        ingest_assets(Sales().source(), warehouse, checks=["not_null", NotNull(("id",))])

    @dg.multi_asset(specs=[dg.AssetSpec("other")])
    def other() -> None:
        """Not made by this package."""

    with pytest.raises(DeclarationError, match="'other' was not made with ingest_assets"):
        build_primary_key_checks([other])
