"""Partitions: each is loaded whole, whatever was loaded before, and counted for itself."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import DataFreshness, DltResource, NotNull, dlt_assets, ingest_assets
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.sources.filesystem import folder_source

SALES = dg.AssetKey("dlt_shop_sales")
DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01")


class Till:
    """A source of sales, whose records a test may change."""

    def __init__(self, *moments: str) -> None:
        self.sales: list[dict[str, Any]] = [{"id": n, "at": moment} for n, moment in enumerate(moments)]
        self.asked: list[tuple[Any, Any]] = []
        """The bounds that the cursor had, run by run."""
        self.fails_from: str | None = None

    def source(self, **hints: Any) -> dlt.Source:
        """`sales` with a cursor; `days` without, which asks for its window."""

        @dlt.resource(**hints)
        def sales(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
            self.asked.append((at.start_value, at.end_value))
            yield [dict(sale) for sale in self.sales]

        @dlt.resource
        def days() -> Iterator[Any]:
            window = dlt.current.window()
            self.asked.append((window.start, window.end))
            if self.fails_from is not None and window.start >= self.fails_from:
                raise ConnectionError("the till is closed")
            yield {"day": window.start, "sales": sum(window.start[:10] == sale["at"][:10] for sale in self.sales)}

        @dlt.source(name="shop", section="shop")
        def shop() -> Any:
            return [sales, days]

        return shop()


def run(assets: Any, instance: dg.DagsterInstance, key: str | tuple[str, str], *names: str, **more: Any) -> Any:
    """Materialize a partition, or a range of them in one run."""
    tags = {}
    if isinstance(key, tuple):
        tags = {"dagster/asset_partition_range_start": key[0], "dagster/asset_partition_range_end": key[1]}
    return dg.materialize(
        assets,
        instance=instance,
        selection=list(names) or None,
        partition_key=None if tags else key,
        tags=tags,
        raise_on_error=False,
        **more,
    )


def told(result: dg.ExecuteInProcessResult, key: dg.AssetKey = SALES) -> dict[str | None, dict[str, Any]]:
    """Metadata by partition."""
    return {
        event.partition: {name: entry.value for name, entry in event.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key == key
    }


def sales_of(till: Till, pipeline: dlt.Pipeline, definition: dg.PartitionsDefinition = DAYS, **hints: Any) -> Any:
    return ingest_assets(till.source(**hints).with_resources("sales"), pipeline, partitions_def=definition)


def test_an_older_partition_is_loaded_whole_after_a_newer_one(warehouse, instance, query) -> None:
    till = Till("2026-01-02T08:00:00Z", "2026-01-05T08:00:00Z")
    assets = sales_of(till, warehouse)

    newer, older = (run(assets, instance, day) for day in ("2026-01-05", "2026-01-02"))

    assert (newer.success, older.success) == (True, True)
    assert told(newer)["2026-01-05"]["rows_loaded"] == told(older)["2026-01-02"]["rows_loaded"] == 1
    assert till.asked == [
        ("2026-01-05T00:00:00+00:00", "2026-01-06T00:00:00+00:00"),
        ("2026-01-02T00:00:00+00:00", "2026-01-03T00:00:00+00:00"),
    ]
    assert query("select count(*) from raw.sales") == [(2,)]


@pytest.mark.parametrize("disposition", ["append", "replace", "merge"])
def test_materializing_a_partition_again_replaces_it(warehouse, instance, query, disposition) -> None:
    till = Till("2026-01-02T08:00:00Z", "2026-01-02T09:00:00Z", "2026-01-03T08:00:00Z")
    assets = sales_of(till, warehouse, write_disposition=disposition, primary_key="id")
    for day in ("2026-01-02", "2026-01-03", "2026-01-02"):
        run(assets, instance, day)

    till.sales[1]["at"] = "2026-01-02T10:00:00Z"
    again = told(run(assets, instance, "2026-01-02"))["2026-01-02"]

    assert (again["rows_loaded"], again["dagster/partition_row_count"], again["dagster/row_count"]) == (2, 2, 3)
    assert query("select id, hour(\"at\" at time zone 'UTC') from raw.sales order by id") == [(0, 8), (1, 10), (2, 8)]


def test_the_shared_cursor_is_neither_read_nor_moved(warehouse, instance) -> None:
    till = Till("2026-01-02T08:00:00Z", "2026-01-05T08:00:00Z")
    warehouse.run(till.source().with_resources("sales"))
    before = warehouse.state

    run(sales_of(till, warehouse), instance, "2026-01-02")

    assert warehouse.state == before
    assert warehouse.dataset()["sales"].count() == 2


def test_a_range_in_one_run_is_one_extraction_and_counts_each_partition(warehouse, instance) -> None:
    moments = ["2026-01-01T00:00:00Z", "2026-01-01T23:59:59Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"]
    till = Till(*moments, "2026-01-05T00:00:00Z")
    assets = sales_of(till, warehouse)
    run(assets, instance, "2026-01-03")

    result = told(run(assets, instance, ("2026-01-01", "2026-01-04")))

    assert till.asked[1:] == [("2026-01-01T00:00:00+00:00", "2026-01-05T00:00:00+00:00")]
    assert {day: (of["rows_loaded"], of["dagster/partition_row_count"]) for day, of in result.items()} == {
        "2026-01-01": (2, 2), "2026-01-02": (0, 0), "2026-01-03": (1, 1), "2026-01-04": (1, 1),
    }  # fmt: skip
    assert {(of["range/rows_loaded"], of["range/rows_deleted"], of["dagster/row_count"]) for of in result.values()} == {
        (4, 1, 4)
    }


@pytest.mark.parametrize("column", ["timestamp", "text", "date"])
def test_partitions_are_counted_and_checked_on_every_destination(destination_name, instance, column) -> None:
    till = Till("2026-01-01", "2026-01-02", "2026-01-02", "2026-01-04")
    pipeline = dlt.pipeline("warehouse", destination=destination_name, dataset_name="raw")
    source = till.source(columns={"at": {"data_type": column}}, primary_key="id").with_resources("sales")
    checks = ["schema_contract", "primary_key_unique", NotNull(("at",)), DataFreshness(timedelta(days=36_500))]
    assets = ingest_assets(source, pipeline, partitions_def=DAYS, checks=checks, preview_rows=2)

    results = [run(assets, instance, ("2026-01-01", "2026-01-03")) for _ in range(2)]

    for result in results:
        counts = {day: (of["rows_loaded"], of["dagster/partition_row_count"]) for day, of in told(result).items()}
        assert counts == {"2026-01-01": (1, 1), "2026-01-02": (2, 2), "2026-01-03": (0, 0)}
        assert {found.check_name: found.passed for found in result.get_asset_check_evaluations()} == {
            "schema_contract": True, "primary_key_unique": True, "not_null": True, "data_freshness": True,
        }  # fmt: skip
    assert told(results[1])["2026-01-02"]["range/preview"].startswith("| ")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("text", ["2026-01-01", "2026-01-02", "2026-01-02"]),
        ("date", ["2026-01-01", "2026-01-02", "2026-01-02"]),
        ("timestamp", ["2026-01-01T22:59:59Z", "2026-01-01T23:00:00Z", "2026-01-02T22:59:59Z"]),
    ],
)
def test_days_of_a_zone_are_its_days(warehouse, instance, column, values) -> None:
    till = Till(*values)
    days = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05", timezone="Europe/Berlin")
    assets = sales_of(till, warehouse, days, columns={"at": {"data_type": column}})

    single = told(run(assets, instance, "2026-01-02"))
    both = told(run(assets, instance, ("2026-01-01", "2026-01-03")))

    assert single["2026-01-02"]["dagster/partition_row_count"] == 2
    assert {day: of["dagster/partition_row_count"] for day, of in both.items()} == {
        "2026-01-01": 1, "2026-01-02": 2, "2026-01-03": 0,
    }  # fmt: skip


def test_the_hour_that_comes_twice_in_autumn_is_two_partitions(warehouse, instance) -> None:
    till = Till("2025-10-26T00:30:00Z", "2025-10-26T01:30:00Z", "2025-10-26T02:30:00Z")
    hours = dg.HourlyPartitionsDefinition("2025-10-26-00:00+0200", timezone="Europe/Berlin", fmt="%Y-%m-%d-%H:%M%z")
    keys = hours.get_partition_keys()[2:4]
    assets = sales_of(till, warehouse, hours)

    found = {key: told(run(assets, instance, key))[key]["rows_loaded"] for key in keys}

    assert found == {keys[0]: 1, keys[1]: 1}
    assert till.asked[0] == ("2025-10-26T02:00:00+02:00", "2025-10-26T02:00:00+01:00")
    assert warehouse.dataset()["sales"].count() == 2


@pytest.mark.parametrize(
    ("definition", "key", "bounds"),
    [
        (dg.WeeklyPartitionsDefinition("2026-01-04"), "2026-01-04", ("2026-01-04", "2026-01-11")),
        (dg.MonthlyPartitionsDefinition("2026-01-01"), "2026-02-01", ("2026-02-01", "2026-03-01")),
    ],
)
def test_weeks_and_months_bound_the_cursor(warehouse, instance, definition, key, bounds) -> None:
    till = Till("2026-02-10T00:00:00Z")

    assert run(sales_of(till, warehouse, definition), instance, key).success

    assert till.asked == [tuple(f"{day}T00:00:00+00:00" for day in bounds)]


def test_a_resource_that_asks_for_its_window_is_loaded_partition_by_partition(warehouse, instance, query) -> None:
    till = Till("2026-01-02T08:00:00Z")
    assets = ingest_assets(till.source().with_resources("days"), warehouse, partitions_def=DAYS)

    for _ in range(2):
        result = run(assets, instance, ("2026-01-01", "2026-01-03"))

    days = told(result, dg.AssetKey("dlt_shop_days"))
    assert [of["rows_loaded"] for of in days.values()] == [1, 1, 1]
    assert len({of["load_id"] for of in days.values()}) == 3
    assert query("select left(day::varchar, 10), sales from raw.days order by 1") == [
        ("2026-01-01", 0), ("2026-01-02", 1), ("2026-01-03", 0),
    ]  # fmt: skip


def test_a_range_that_fails_on_the_way_marks_the_partitions_that_are_loaded(warehouse, instance, query) -> None:
    till = Till()
    till.fails_from = "2026-01-03"
    assets = ingest_assets(till.source().with_resources("days"), warehouse, partitions_def=DAYS)
    key = dg.AssetKey("dlt_shop_days")

    result = run(assets, instance, ("2026-01-01", "2026-01-05"))

    assert not result.success
    assert instance.get_materialized_partitions(key) == {"2026-01-01", "2026-01-02"}
    assert query("select count(*) from raw.days") == [(2,)]
    assert len(till.asked) == 3

    till.fails_from = None
    retry = {
        "dagster/parent_run_id": result.run_id,
        "dagster/root_run_id": result.run_id,
        "dagster/is_resume_retry": "true",
    }
    again = run_range_again(assets, instance, ("2026-01-01", "2026-01-05"), retry)
    assert again.success
    assert len(till.asked) == 6
    assert query("select count(*) from raw.days") == [(5,)]


def run_range_again(assets: Any, instance: dg.DagsterInstance, key: tuple[str, str], tags: dict[str, str]) -> Any:
    ends = {"dagster/asset_partition_range_start": key[0], "dagster/asset_partition_range_end": key[1]}
    return dg.materialize(assets, instance=instance, tags={**ends, **tags})


def test_one_op_for_all_resources_joins_where_a_cursor_tells_and_loads_one_by_one_where_not(warehouse, instance) -> None:
    till = Till("2026-01-01T08:00:00Z", "2026-01-02T08:00:00Z")
    [assets] = ingest_assets(till.source(), warehouse, partitions_def=DAYS, isolation="source")

    result = run([assets], instance, ("2026-01-01", "2026-01-02"))

    assert len(till.asked) == 3
    assert {key: of["dagster/partition_row_count"] for key, of in told(result).items()} == {
        "2026-01-01": 1, "2026-01-02": 1,
    }  # fmt: skip
    assert len(told(result, dg.AssetKey("dlt_shop_days"))) == 2


def regional(asked: list[Any], name: str | None = None) -> dlt.Source:
    @dlt.resource
    def stores() -> Iterator[Any]:
        region = dlt.current.partition_key(*([name] if name else []))
        window = dlt.current.window()
        asked.append((region, window.start, window.end))
        yield {"region": region, "day": window.start}

    @dlt.source(name="shop", section="shop")
    def shop() -> Any:
        return [stores]

    return shop()


def test_a_key_that_is_no_time_reaches_the_resource(warehouse, instance, query) -> None:
    asked: list[Any] = []
    regions = dg.StaticPartitionsDefinition(["eu", "us", "apac"])
    assets = ingest_assets(regional(asked), warehouse, partitions_def=regions)

    for key in ("eu", "us", "eu", ("eu", "us")):
        assert run(assets, instance, key).success

    assert asked == [(region, "", "") for region in ("eu", "us", "eu", "eu", "us")]
    assert query("select region from raw.stores order by 1") == [("eu",), ("us",)]


def test_partitions_that_come_later_are_loaded_as_they_come(warehouse, instance, query) -> None:
    asked: list[Any] = []
    assets = ingest_assets(regional(asked), warehouse, partitions_def=dg.DynamicPartitionsDefinition(name="regions"))
    instance.add_dynamic_partitions("regions", ["eu", "us"])

    results = [run(assets, instance, region) for region in ("eu", "us", "us")]

    assert told(results[-1], dg.AssetKey("dlt_shop_stores"))["us"]["dagster/partition_row_count"] == 1
    assert query("select region from raw.stores order by 1") == [("eu",), ("us",)]


def test_a_day_of_a_region_is_a_partition(warehouse, instance, query) -> None:
    asked: list[Any] = []
    both = dg.MultiPartitionsDefinition({"day": DAYS, "region": dg.StaticPartitionsDefinition(["eu", "us"])})
    assets = ingest_assets(regional(asked, "region"), warehouse, partitions_def=both)

    for key in ("2026-01-01|eu", "2026-01-01|us", "2026-01-02|eu", "2026-01-01|eu"):
        assert run(
            assets, instance, dg.MultiPartitionKey(dict(zip(("day", "region"), key.split("|"), strict=True)))
        ).success

    assert asked[0] == ("eu", "2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00")
    assert query("select region, count(*) from raw.stores group by 1 order by 1") == [("eu", 2), ("us", 1)]


def test_what_nothing_bounds_cannot_be_partitioned_and_says_what_to_do(shop, warehouse) -> None:
    with pytest.raises(DeclarationError, match=r"'visits' .*no cursor .*incremental\(\.\.\.\).*dlt\.current\.window\(\)"):
        ingest_assets(shop.source(), warehouse, partitions_def=DAYS)

    regions = dg.StaticPartitionsDefinition(["eu", "us"])
    with pytest.raises(DeclarationError, match=r"'orders' .*by key.*dlt\.current\.partition_key\(\)"):
        ingest_assets(shop.source(), warehouse, partitions_def=regions)

    assert ingest_assets(shop.source().with_resources("orders"), warehouse, partitions_def=DAYS)


def test_a_partition_that_has_nothing_is_materialized_and_empty(warehouse, instance) -> None:
    assets = sales_of(Till("2026-01-09T00:00:00Z"), warehouse)

    result = told(run(assets, instance, "2026-01-02"))

    assert (result["2026-01-02"]["rows_loaded"], result["2026-01-02"]["dagster/partition_row_count"]) == (0, 0)
    with pytest.raises(DeclarationError, match="on_empty='skip' does not go with partitions_def"):
        ingest_assets(Till().source(), warehouse, partitions_def=DAYS, on_empty="skip")


PARTITION_PROCESS = """
import sys, time
from pathlib import Path
import dagster as dg
import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets

@dlt.resource
def sales(at=dlt.sources.incremental("at")):
    Path(f"ready_{sys.argv[1]}").touch()
    while len(list(Path().glob("ready_*"))) < 2:  # both have read the state, neither has committed
        time.sleep(0.01)
    yield [{"id": day, "at": f"2026-01-0{day}T08:00:00Z"} for day in range(1, 7)]

@dlt.source(name="shop", section="shop")
def shop():
    return [sales]

days = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01")
pipeline = dlt.pipeline("warehouse", destination="duckdb", dataset_name="raw")
with dg.DagsterInstance.get() as instance:
    assets = ingest_assets(shop(), pipeline, partitions_def=days)
    assert dg.materialize(assets, instance=instance, partition_key=sys.argv[1]).success
"""


@pytest.mark.slow
def test_partitions_of_one_resource_in_two_processes_at_the_same_time_both_commit(project, query) -> None:
    home = project / "dagster_home"
    home.mkdir()
    with dg.DagsterInstance.from_config(str(home)) as instance:  # made before both need its tables
        instance.get_runs(limit=1)
        instance.event_log_storage.get_maximum_record_id()
    days = ("2026-01-02", "2026-01-05")
    environment = {**os.environ, "DAGSTER_HOME": str(home), "DLT_LOCAL_DIR": str(project)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PARTITION_PROCESS, day], cwd=project, env=environment, stderr=subprocess.PIPE
        )
        for day in days
    ]
    errors = [process.communicate(timeout=600)[1].decode() for process in processes]

    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_materialized_partitions(SALES) == set(days)
    assert query("select id from raw.sales order by id") == [(2,), (5,)]


def test_the_decorator_bounds_its_source_by_the_partition(warehouse, instance, query) -> None:
    till = Till("2026-01-02T08:00:00Z", "2026-01-05T08:00:00Z")

    @dlt_assets(dlt_source=till.source().with_resources("sales"), dlt_pipeline=warehouse, partitions_def=DAYS)
    def shop(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context=context)

    for day in ("2026-01-05", "2026-01-02", "2026-01-02"):
        assert run([shop], instance, day, resources={"dlt": DltResource()}).success

    assert shop.backfill_policy == dg.BackfillPolicy.single_run()
    assert query("select count(*) from raw.sales") == [(2,)]


def test_a_transformer_depends_on_its_parent_partition_by_partition(warehouse, instance) -> None:
    till = Till("2026-01-02T08:00:00Z")
    sales = till.source().sales

    @dlt.transformer(data_from=sales)
    def receipts(page: Any) -> Iterator[Any]:
        window = dlt.current.window()
        yield [{"receipt": sale["id"], "day": window.start} for sale in page]

    @dlt.source(name="shop", section="shop")
    def shop() -> Any:
        return [sales, receipts]

    assets = ingest_assets(shop(), warehouse, partitions_def=DAYS)
    result = run(assets, instance, ("2026-01-01", "2026-01-02"))

    receipts_asset = next(asset for asset in assets if asset.key == dg.AssetKey("dlt_shop_receipts"))
    assert receipts_asset.get_asset_spec().deps == [dg.AssetDep(SALES)]
    assert {k: of["rows_loaded"] for k, of in told(result, receipts_asset.key).items()} == {
        "2026-01-01": 0,
        "2026-01-02": 1,
    }


@pytest.mark.parametrize("partitions", [dg.StaticPartitionsDefinition(["a.csv"]), DAYS])
def test_files_that_are_no_partitions_are_not_partitioned(warehouse: dlt.Pipeline, partitions: Any) -> None:
    files = folder_source("in", tables={"orders": "*.csv", "events": "*.jsonl"})

    with pytest.raises(DeclarationError, match="Resource 'orders' of source 'files' cannot be partitioned by"):
        ingest_assets(files, warehouse, partitions_def=partitions)


def test_files_that_are_partitions_have_keys_and_no_days(
    warehouse: dlt.Pipeline, instance: dg.DagsterInstance, project: Path
) -> None:
    (project / "in").mkdir()
    (project / "in" / "a.csv").write_text("id\n1\n")
    (project / "in" / "b.csv").write_text("id\n2\n")
    files = folder_source("in", tables={"orders": "*.csv"}, partition_is_file=True)

    with pytest.raises(DeclarationError, match="cannot be partitioned by time"):
        ingest_assets(files, warehouse, partitions_def=DAYS)
    keys = dg.StaticPartitionsDefinition(["a.csv", "b.csv"])
    assert run(ingest_assets(files, warehouse, partitions_def=keys), instance, "b.csv").success

    assert warehouse.dataset()["orders"].select("id").fetchall() == [(2,)]
