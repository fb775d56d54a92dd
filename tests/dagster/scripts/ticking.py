"""A code location for daemons that tick in the process of a test: nothing in it waits."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import build_http_sensor, build_ingest_schedule, ingest_assets, when_data_changes

FOLDER = Path(os.environ["SIGNALS"])
DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-13")


def days(name: str) -> dlt.Source:
    """A source of twelve days, one to four records each, in two resources."""

    @dlt.source(name=name)
    def source() -> Any:
        keys = DAYS.get_partition_keys()
        found = [{"id": 10 * day + n, "at": f"{key}T08:00:00Z"} for day, key in enumerate(keys) for n in range(day % 4 + 1)]

        @dlt.resource
        def orders(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
            yield [dict(record) for record in found]

        @dlt.resource(primary_key="id", write_disposition="merge")
        def visits(at: Any = dlt.sources.incremental("at")) -> Iterator[Any]:
            yield [dict(record) for record in found]

        return [orders, visits]

    return source()


@dlt.source(name="watched")
def watched() -> Any:
    """Rows that come when an address changes, on a schedule, by a schedule of Dagster's or by one of their own."""

    @dlt.resource
    def issues() -> Iterator[Any]:
        yield {"id": 1}

    @dlt.resource
    def clock() -> Iterator[Any]:
        yield {"tick": 1}

    @dlt.resource(asset={"schedule": "* * * * *"})
    def settings(number: Any = dlt.sources.incremental("number")) -> Iterator[Any]:
        yield {"number": 1}

    return [issues, clock, settings]


@dlt.source(name="retried")
def retried() -> Any:
    """A resource that succeeds, and one that fails until it is mended."""

    @dlt.resource(asset={"freshness": {"fail": "1h"}})
    def steady() -> Iterator[Any]:
        yield [{"id": 1}, {"id": 2}]

    @dlt.resource
    def broken() -> Iterator[Any]:
        yield {"id": 1}
        if not (FOLDER / "mended").exists():
            raise ConnectionError("the shop is closed")
        yield {"id": 2}

    return [steady, broken]


@dg.asset(deps=["dlt_watched_settings"], automation_condition=when_data_changes())
def report() -> None:
    """Made anew when the settings have changed."""


def dataset(name: str) -> dlt.Pipeline:
    """A pipeline into a dataset of the one DuckDB file."""
    return dlt.pipeline("warehouse", destination="duckdb", dataset_name=name)


defs = dg.Definitions(
    assets=[
        *ingest_assets(days("whole"), dataset("whole"), partitions_def=DAYS),
        *ingest_assets(
            days("spread"),
            dataset("spread"),
            partitions_def=DAYS,
            backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=5),
        ),
        *ingest_assets(watched, dataset("watched"), pool="api"),
        *ingest_assets(retried, dataset("retried")),
        report,
    ],
    schedules=[
        build_ingest_schedule(
            ["dlt_watched_clock"], name="minutely", cron="* * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
        )
    ],
    sensors=[
        build_http_sensor(
            lambda: os.environ["PAGE"],
            ["dlt_watched_issues"],
            name="page",
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=1,
        ),
        dg.AutomationConditionSensorDefinition(
            "automation",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=1,
        ),
    ],
    executor=dg.in_process_executor,
)
