"""A code location that any executor may run: two partitioned resources and two plain ones, loaded into PostgreSQL.

`SHOP_EXECUTOR` names the executor; `SHOP_BROKER` and `SHOP_SCHEDULER` say where Celery's broker and Dask's scheduler are.
"""

import os
from collections.abc import Iterator
from typing import Any

import dagster as dg

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-31")
KEYS = DAYS.get_partition_keys()
"""Thirty days."""


def records_of(key: str) -> list[dict[str, Any]]:
    """What the shop has of a day: one to five records."""
    day = KEYS.index(key)
    return [{"id": 10 * day + n, "at": f"{key}T{n:02}:30:00Z"} for n in range(day % 5 + 1)]


@dlt.source(name="shop", section="shop")
def shop() -> Any:
    """A shop."""
    everything = [record for key in KEYS for record in records_of(key)]

    @dlt.resource(write_disposition="append")
    def orders(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
        yield [dict(record) for record in everything]

    @dlt.resource(write_disposition="merge", primary_key="id")
    def visits(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
        yield [dict(record) for record in everything]

    @dlt.resource(write_disposition="append")
    def customers(number: Any = dlt.sources.incremental("number", initial_value=0)) -> Iterator[Any]:
        yield [{"number": number} for number in range(1, 8)]

    @dlt.resource(write_disposition="replace")
    def products() -> Iterator[Any]:
        yield [{"sku": "tea"}, {"sku": "cup"}]

    return [orders, visits, customers, products]


def executor() -> dg.ExecutorDefinition:
    """The executor that the environment names."""
    match os.environ.get("SHOP_EXECUTOR", "in_process"):
        case "in_process":
            return dg.in_process_executor
        case "spawn":
            return dg.multiprocess_executor.configured({"max_concurrent": 2})
        case "forkserver":
            preloaded = {"forkserver": {"preload_modules": ["dlt_orchestrate.dagster", "dlt_orchestrate.pipeline.run"]}}
            return dg.multiprocess_executor.configured({"max_concurrent": 2, "start_method": preloaded})
        case "celery":
            from dagster_celery import celery_executor

            broker = os.environ["SHOP_BROKER"]
            return celery_executor.configured({"broker": broker, "backend": broker})
        case "dask":
            from dlt_orchestrate.dagster.dask_executor import dask_executor

            return dask_executor.configured({"cluster": {"existing": {"address": os.environ["SHOP_SCHEDULER"]}}})
        case unknown:
            raise ValueError(f"SHOP_EXECUTOR={unknown!r} is not known")


pipeline = dlt.pipeline(pipeline_name="shop", destination="postgres", dataset_name="raw")
by_day = ingest_assets(
    shop().with_resources("orders", "visits"),
    pipeline,
    name="days",
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=1),
    pool="shop_api",
)
at_once = ingest_assets(shop().with_resources("customers", "products"), pipeline, name="rest")

defs = dg.Definitions(
    assets=[*by_day, *at_once],
    jobs=[dg.define_asset_job("days", by_day), dg.define_asset_job("rest", at_once)],
    executor=executor(),
)


def days() -> dg.JobDefinition:
    """The job of one day, as another process finds it."""
    return defs.resolve_job_def("days")


def rest() -> dg.JobDefinition:
    """The job of what is not partitioned."""
    return defs.resolve_job_def("rest")
