"""Loaded tables in the hands of assets downstream, from every destination that Dagster runs on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import DatasetIOManager, DatasetResource, ingest_assets
from dlt_orchestrate.pipeline.dataset import Dataset, Relation
from dlt_orchestrate.pipeline.pipeline import Pipeline
from tests.dagster.conftest import Shop

DAYS = dg.DailyPartitionsDefinition("2026-01-01")
ORDERS = dg.AssetKey("dlt_shop_orders")


@pytest.fixture
def loaded(destination_name: str, shop: Shop) -> Pipeline:
    """A pipeline that has loaded the orders of the shop."""
    pipeline = dlt.pipeline("warehouse", destination=destination_name, dataset_name="raw")
    pipeline.run(shop.source().with_resources("orders"))
    return pipeline


class Downstream:
    """Runs one asset with one input, and gives what the asset got."""

    def __init__(self, shop: Shop, pipeline: Pipeline, instance: dg.DagsterInstance) -> None:
        self.pipeline, self.instance = pipeline, instance
        self.assets = ingest_assets(shop.source(), pipeline)

    def read(
        self,
        annotation: Any = Any,
        *,
        key: dg.AssetKey = ORDERS,
        partition: str | None = None,
        **metadata: Any,
    ) -> Any:
        got: list[Any] = []

        def report(rows: Any) -> None:
            got.append(rows)

        report.__annotations__["rows"] = annotation
        asset = dg.asset(
            ins={"rows": dg.AssetIn(key, input_manager_key="tables", metadata=metadata)},
            partitions_def=DAYS if partition else None,
        )(report)
        assert dg.materialize(
            [*self.assets, asset],
            selection=[asset],
            instance=self.instance,
            resources={"tables": DatasetIOManager(self.pipeline)},
            partition_key=partition,
        ).success
        return got[0]


@pytest.fixture
def downstream(shop: Shop, loaded: Pipeline, instance: dg.DagsterInstance) -> Downstream:
    return Downstream(shop, loaded, instance)


@pytest.mark.parametrize(
    ("annotation", "ids"),
    [
        (Any, lambda got: got["id"].to_pylist()),
        (pa.Table, lambda got: got["id"].to_pylist()),
        (pl.DataFrame, lambda got: got["id"].to_list()),
        (pl.LazyFrame, lambda got: got.collect()["id"].to_list()),
        (pd.DataFrame, lambda got: got["id"].to_list()),
        (duckdb.DuckDBPyRelation, lambda got: [value for (value,) in got.project("id").fetchall()]),
        (Relation, lambda got: [value for (value,) in got.select("id").fetchall()]),
        (Dataset, lambda got: [value for (value,) in got["orders"].select("id").fetchall()]),
    ],
    ids=["nothing", "arrow", "polars", "lazy", "pandas", "duckdb", "relation", "dataset"],
)
def test_an_input_is_what_its_annotation_asks_for(
    downstream: Downstream, annotation: Any, ids: Callable[[Any], list[int]]
) -> None:
    got = downstream.read(annotation)

    assert isinstance(got, pa.Table if annotation is Any else annotation)
    assert sorted(ids(got)) == [1, 2]


def test_only_the_columns_that_are_asked_for_are_read(downstream: Downstream) -> None:
    assert downstream.read(pa.Table, columns=["id", "total"]).column_names == ["id", "total"]


def test_a_nested_table_is_read_by_its_name(downstream: Downstream) -> None:
    got = downstream.read(pl.DataFrame, table="orders__lines", columns=["sku"])

    assert sorted(got["sku"].to_list()) == ["cup", "tea", "tea"]


def test_a_nested_table_that_is_an_asset_is_read_as_such(
    shop: Shop, loaded: Pipeline, instance: dg.DagsterInstance
) -> None:
    downstream = Downstream(shop, loaded, instance)
    downstream.assets = ingest_assets(shop.source(), loaded, nested={"orders": ["lines"]})

    got = downstream.read(pl.DataFrame, key=dg.AssetKey("dlt_shop_orders__lines"))

    assert sorted(got["sku"].to_list()) == ["cup", "tea", "tea"]


@pytest.mark.parametrize("window", [True, "updated_at"])
def test_only_the_rows_of_the_run_s_partition_are_read(downstream: Downstream, window: Any) -> None:
    def ids(partition: str) -> list[int]:
        got: list[int] = downstream.read(pa.Table, partition=partition, window=window, columns=["id"])["id"].to_pylist()
        return got

    assert (ids("2026-01-01"), ids("2026-01-02"), ids("2026-01-03")) == ([1], [2], [])


def test_days_and_moments_as_text_and_moments_without_a_zone_tell_the_partition_too(downstream: Downstream) -> None:
    moments = ["2026-01-01T23:59:59Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"]
    rows = [
        {"id": number, "text": moment, "day": moment[:10], "naive": moment[:-1]} for number, moment in enumerate(moments)
    ]
    columns = {
        "text": {"data_type": "text"},
        "day": {"data_type": "date"},
        "naive": {"data_type": "timestamp", "timezone": False},
    }
    downstream.pipeline.run(rows, table_name="visits", columns=columns)

    for column in columns:
        got = downstream.read(table="visits", partition="2026-01-02", window=column, columns=["id"])
        assert (column, got["id"].to_pylist()) == (column, [1])


def test_what_cannot_be_handed_out_is_told_with_what_can(downstream: Downstream) -> None:
    with pytest.raises(Exception, match=r"Input 'rows' is annotated as builtins.str.*pyarrow.Table, polars.DataFrame"):
        downstream.read(str)
    with pytest.raises(Exception, match=r"table 'orders' has no column 'price'. It has id, updated_at, total"):
        downstream.read(columns=["price"])
    with pytest.raises(Exception, match=r"Column 'id' of table 'orders' is int64, which cannot be compared"):
        downstream.read(window="id", partition="2026-01-01")
    with pytest.raises(Exception, match=r"its metadata has 'colums', which is not known. Did you mean 'columns'"):
        downstream.read(colums=["id"])
    with pytest.raises(Exception, match="asset 'dlt_shop_visits' has no cursor that would tell it"):
        downstream.read(key=dg.AssetKey("dlt_shop_visits"), window=True)


def test_a_table_that_is_not_loaded_yet_is_told_with_the_asset_that_loads_it(downstream: Downstream) -> None:
    with pytest.raises(Exception, match=(
        r"Input 'rows' reads table 'visits', which is not in dataset 'raw' of .*\. It has: 'orders', 'orders__lines'\. "
        r"Materialize asset 'dlt_shop_visits' first"
    )):  # fmt: skip
        downstream.read(key=dg.AssetKey("dlt_shop_visits"))


def test_nothing_at_all_is_loaded_yet(shop: Shop, warehouse: Pipeline, instance: dg.DagsterInstance) -> None:
    with pytest.raises(Exception, match="It has: no tables yet"):
        Downstream(shop, warehouse, instance).read()


def test_what_an_asset_returns_is_loaded_with_counts_and_read_by_the_next(
    shop: Shop, loaded: Pipeline, instance: dg.DagsterInstance
) -> None:
    ingested = ingest_assets(shop.source(), loaded)
    got: list[Any] = []

    @dg.asset(ins={"tables": dg.AssetIn(ORDERS)}, io_manager_key="io_manager")
    def sold(tables: Dataset) -> pa.Table:
        return tables.query("SELECT sku, count(*) AS pieces FROM orders__lines GROUP BY sku ORDER BY sku").arrow()

    @dg.asset
    def best(sold: pl.DataFrame) -> None:
        got.append(sold.sort("sku").select("sku", "pieces").rows())

    assets = [*ingested, sold, best]
    for _ in range(2):
        result = dg.materialize(
            assets, selection=[sold, best], instance=instance, resources={"io_manager": DatasetIOManager(loaded)}
        )
        (event,) = result.asset_materializations_for_node("sold")

        assert got.pop() == [("cup", 1), ("tea", 2)]
        assert event.metadata["dagster/row_count"].value == 2
        assert str(event.metadata["dagster/table_name"].value).endswith("raw.sold")

    assert loaded.dataset()["sold"].count() == 2
    loaded.run(shop.source().with_resources("orders"))  # the two pipelines know nothing of each other


@pytest.mark.parametrize(
    "value",
    [
        pl.DataFrame({"sku": ["tea"]}),
        pl.LazyFrame({"sku": ["tea"]}),
        pd.DataFrame({"sku": ["tea"]}),
        [{"sku": "tea"}],
        duckdb.sql("SELECT 'tea' AS sku"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_frames_of_every_kind_are_loaded(warehouse: Pipeline, instance: dg.DagsterInstance, value: Any) -> None:
    @dg.asset
    def skus() -> Any:
        return value

    resources = {"io_manager": DatasetIOManager(warehouse)}
    assert dg.materialize([skus], instance=instance, resources=resources).success

    assert warehouse.dataset()["skus"].select("sku").fetchall() == [("tea",)]


def test_a_partition_that_is_returned_takes_the_place_of_that_partition_only(
    loaded: Pipeline, instance: dg.DagsterInstance
) -> None:
    rows = {"2026-01-01": [{"sku": "tea"}, {"sku": "cup"}], "2026-01-02": [{"sku": "tea"}]}

    @dg.asset(partitions_def=DAYS)
    def skus(context: dg.AssetExecutionContext) -> list[dict[str, str]]:
        return rows[context.partition_key]

    def materialize(partition: str) -> None:
        resources = {"io_manager": DatasetIOManager(loaded)}
        assert dg.materialize([skus], instance=instance, resources=resources, partition_key=partition).success

    materialize("2026-01-01")
    materialize("2026-01-02")
    rows["2026-01-01"] = [{"sku": "pot"}]
    materialize("2026-01-01")

    assert sorted(loaded.dataset()["skus"].select("sku").fetchall()) == [("pot",), ("tea",)]


@pytest.mark.filterwarnings("ignore:.*backfill_policy:dagster.BetaWarning")
def test_several_partitions_at_once_are_refused(warehouse: Pipeline, instance: dg.DagsterInstance) -> None:
    @dg.asset(partitions_def=DAYS, backfill_policy=dg.BackfillPolicy.single_run())
    def skus() -> list[dict[str, str]]:
        return [{"sku": "tea"}]

    job = dg.Definitions(
        [skus], resources={"io_manager": DatasetIOManager(warehouse)}
    ).resolve_implicit_global_asset_job_def()
    days = {"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-01-03"}

    with pytest.raises(Exception, match=r"'skus' returns 3 partitions at once.*BackfillPolicy.multi_run"):
        job.execute_in_process(instance=instance, tags=days)


def test_what_is_appended_is_not_appended_again_by_the_next_attempt(
    warehouse: Pipeline, instance: dg.DagsterInstance
) -> None:
    class DiesOnce(DatasetIOManager):
        attempts = 0

        def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
            super().handle_output(context, obj)
            self.attempts += 1
            if self.attempts == 1:
                raise dg.RetryRequested(max_retries=1)

    @dg.asset(metadata={"write_disposition": "append"})
    def skus() -> list[dict[str, str]]:
        return [{"sku": "tea"}]

    manager = DiesOnce(warehouse)
    for _ in range(2):
        assert dg.materialize([skus], instance=instance, resources={"io_manager": manager}).success

    assert manager.attempts == 3
    assert warehouse.dataset()["skus"].count() == 2


def test_a_dataset_is_a_resource_whose_place_is_read_when_the_run_starts(
    shop: Shop, warehouse: Pipeline, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    warehouse.run(shop.source().with_resources("orders"))
    got: list[Any] = []

    @dg.asset(deps=[ORDERS])
    def report(tables: DatasetResource) -> None:
        got.append(tables.dataset().query("SELECT sum(total) FROM orders").fetchscalar())

    resource = DatasetResource(destination="duckdb", credentials=dg.EnvVar("WAREHOUSE"), dataset_name="raw")
    monkeypatch.setenv("WAREHOUSE", str(project / "warehouse.duckdb"))

    assert dg.materialize([report], instance=instance, resources={"tables": resource}).success
    assert got == [17.5]
