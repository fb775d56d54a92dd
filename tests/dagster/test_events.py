"""What each load tells Dagster, and when."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets
from dlt_orchestrate.dagster.events import lag_seconds
from dlt_orchestrate.errors import UnknownResourceError

ORDERS, VISITS = dg.AssetKey("dlt_shop_orders"), dg.AssetKey("dlt_shop_visits")
LINES = dg.AssetKey("dlt_shop_orders__lines")


def metadata(event: Any) -> dict[str, Any]:
    return {name: entry.value for name, entry in event.metadata.items()}


def told(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    [event] = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return metadata(event.materialization)


def test_each_resource_of_one_op_is_told_when_it_commits_and_not_at_the_end(project, instance) -> None:
    is_told = threading.Event()

    @dlt.resource
    def first() -> Iterator[Any]:
        yield {"id": 1}

    @dlt.resource
    def second() -> Iterator[Any]:
        if instance.get_latest_materialization_event(dg.AssetKey("dlt_shop_first")) is not None:
            is_told.set()
        yield {"id": 2}

    @dlt.source(name="shop", section="shop")
    def shop() -> Any:
        return [first, second]

    pipeline = dlt.pipeline("warehouse", destination="duckdb", dataset_name="raw")
    [assets] = ingest_assets(shop(), pipeline, isolation="source")

    assert dg.materialize([assets], instance=instance).success
    assert is_told.is_set()


def test_numbers_are_numbers_and_zero_is_one(shop, warehouse, instance) -> None:
    assets = ingest_assets(shop.source(), warehouse)
    first, second = (told(dg.materialize(assets, instance=instance, selection=[ORDERS]), ORDERS) for _ in range(2))

    numbers = {name for name, value in first.items() if isinstance(value, int | float) and not isinstance(value, bool)}

    assert numbers >= {
        "rows_loaded", "rows_inserted", "rows_updated", "rows_deleted", "rows_rejected", "pages", "bytes",
        "dagster/row_count", "extract_seconds", "normalize_seconds", "load_seconds", "cursor/updated_at/lag_seconds",
        "nested/orders__lines/rows_loaded",
    }  # fmt: skip
    assert first["bytes"] > 0
    assert (second["rows_loaded"], second["bytes"], second["dagster/row_count"]) == (0, 0, 2)
    assert second["cursor/updated_at/lag_seconds"] >= first["cursor/updated_at/lag_seconds"] > 0
    assert {type(value) for load in (first, second) for name, value in load.items() if name.endswith("_seconds")} == {float}


@pytest.mark.parametrize(
    ("newest", "lag"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), 3600.0),
        (datetime(2026, 1, 1), 3600.0),
        ("2026-01-01T00:30:00+00:30", 3600.0),
        ("2026-01-01", 3600.0),
        (datetime(2026, 1, 1).date(), 3600.0),
        (17, None),
        ("first", None),
        (None, None),
    ],
)
def test_a_cursor_of_moments_lags_behind_and_others_do_not(newest, lag) -> None:
    assert lag_seconds(newest, datetime(2026, 1, 1, 1, tzinfo=UTC)) == lag


def test_a_column_that_is_new_is_told(shop, warehouse, instance) -> None:
    assets = ingest_assets(shop.source(), warehouse)
    first = told(dg.materialize(assets, instance=instance, selection=[ORDERS]), ORDERS)
    shop.orders.append({"id": 3, "updated_at": "2026-01-03T00:00:00Z", "total": 1, "coupon": "tea", "lines": []})

    second = told(dg.materialize(assets, instance=instance, selection=[ORDERS]), ORDERS)

    assert "new_columns" not in first
    assert second["new_columns"] == "orders.coupon: text"


@pytest.mark.parametrize(
    ("on_empty", "materializations", "observations"), [("materialize", 2, 0), ("observe", 1, 1), ("skip", 1, 0)]
)
def test_a_load_that_finds_nothing_is_told_as_asked_for(
    shop, warehouse, instance, on_empty, materializations, observations
) -> None:
    @dg.asset(deps=[ORDERS])
    def report() -> None:
        """Downstream, in the same run."""

    assets = [*ingest_assets(shop.source().with_resources("orders"), warehouse, on_empty=on_empty), report]

    runs = [dg.materialize(assets, instance=instance) for _ in range(2)]

    assert all(run.success for run in runs)
    assert len(instance.fetch_materializations(ORDERS, limit=9).records) == materializations
    observed = instance.fetch_observations(ORDERS, limit=9).records
    assert len(observed) == observations
    assert [metadata(record.asset_observation)["rows_loaded"] for record in observed] == [0] * observations
    assert len(instance.fetch_materializations(report.key, limit=9).records) == materializations


def test_rows_are_shown_only_if_asked_for_and_masked_where_asked_for(shop, warehouse, instance) -> None:
    shop.orders[0]["email"] = "ada@example.org | x"
    hidden = dg.materialize(ingest_assets(shop.source(), warehouse), instance=instance, selection=[VISITS])
    shown = dg.materialize(
        ingest_assets(shop.source(), warehouse, preview_rows=1, preview_masked=["total"]),
        instance=instance,
        selection=[ORDERS],
    )

    assert "preview" not in told(hidden, VISITS)
    header, _, row = told(shown, ORDERS)["preview"].splitlines()
    assert header == "| id | updated_at | total | email |"
    assert row.startswith("| 1 | 2026-01-0")
    assert row.endswith(r"| *** | ada@example.org \| x |")


def test_a_nested_table_may_be_an_asset_below_its_parent(shop, warehouse, instance) -> None:
    [orders, *_] = ingest_assets(shop.source(), warehouse, group_name="shop", nested={"orders": ["lines"]})
    spec = next(spec for spec in orders.specs if spec.key == LINES)

    result = dg.materialize([orders], instance=instance)

    assert (spec.deps, spec.group_name) == ([dg.AssetDep(ORDERS)], "shop")
    assert spec.metadata["dagster/table_name"] == "warehouse.raw.orders__lines"
    seen = told(result, LINES)
    assert (seen["rows_loaded"], seen["dagster/row_count"]) == (3, 3)
    assert seen["dagster/table_name"] == "warehouse.raw.orders__lines"
    assert {column.name for column in seen["dagster/column_schema"].columns} >= {"sku", "_dlt_parent_id"}
    assert seen["dagster/column_lineage"].deps_by_column["_dlt_parent_id"] == [dg.TableColumnDep(ORDERS, "_dlt_id")]
    assert told(result, ORDERS)["load_id"] == seen["load_id"]


def test_a_nested_table_alone_loads_its_resource_which_is_told_too(shop, warehouse, instance) -> None:
    [assets] = ingest_assets(shop.source(), warehouse, isolation="source", nested={"orders": ["lines"]})

    result = dg.materialize([assets], instance=instance, selection=[LINES])

    assert result.success
    assert shop.extractions == ["orders"]
    assert told(result, LINES)["rows_loaded"] == 3
    assert instance.get_latest_materialization_event(ORDERS) is not None


def test_partitions_of_a_nested_table_are_told_with_those_of_its_resource(shop, warehouse, instance) -> None:
    days = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01")
    [assets] = ingest_assets(
        shop.source().with_resources("orders"),
        warehouse,
        isolation="source",
        nested={"orders": ["lines"]},
        partitions_def=days,
    )

    assert dg.materialize([assets], instance=instance, selection=[LINES], partition_key="2026-01-01").success

    for key in (ORDERS, LINES):
        assert instance.get_materialized_partitions(key) == {"2026-01-01"}
    latest = instance.get_latest_materialization_event(ORDERS).asset_materialization
    assert metadata(latest)["dagster/partition_row_count"] == 1


def test_a_nested_table_of_an_unknown_resource_is_refused(shop, warehouse) -> None:
    with pytest.raises(UnknownResourceError, match="'invoices'"):
        ingest_assets(shop.source(), warehouse, nested={"invoices": ["lines"]})


def test_downstream_sees_a_new_data_version_only_when_something_came(shop, warehouse, instance) -> None:
    assets = ingest_assets(shop.source().with_resources("orders"), warehouse)

    def version() -> str:
        dg.materialize(assets, instance=instance)
        event = instance.get_latest_materialization_event(ORDERS)
        return event.asset_materialization.tags["dagster/data_version"]

    first, same = version(), version()
    shop.orders[0] = {**shop.orders[0], "updated_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}

    assert first == same != version()
