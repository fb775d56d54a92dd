"""A code location of many assets, all of which have a schedule of their own and a freshness policy.

`MANY_RESOURCES` and `MANY_DAYS` say how many; with days they are partitioned. `MANY_KIND=bare` makes assets of Dagster.
"""

import os
from datetime import timedelta
from typing import Any

import dagster

import dlt_orchestrate as dlt
from benchmarks.many_assets import FIRST_DAY, _day_after
from dlt_orchestrate.dagster import build_ingest_schedule, ingest_assets

resources, days = int(os.environ["MANY_RESOURCES"]), int(os.environ.get("MANY_DAYS", "0"))
partitions = dagster.DailyPartitionsDefinition(FIRST_DAY, end_date=_day_after(days)) if days else None


def resource_of(number: int) -> Any:
    def records(at: Any = dlt.sources.incremental("at", initial_value=FIRST_DAY)) -> Any:  # noqa: ARG001
        yield [{"id": number, "at": FIRST_DAY}]

    hints = {"schedule": "0 * * * *", "freshness": "24h"}
    return dlt.resource(records, name=f"records_{number}", primary_key="id", write_disposition="merge", asset=hints)


@dlt.source(name="many")
def many() -> Any:
    return [resource_of(number) for number in range(resources)]


def bare(number: int) -> Any:
    @dagster.asset(
        name=f"records_{number}",
        partitions_def=partitions,
        automation_condition=dagster.AutomationCondition.on_cron("0 * * * *"),
        freshness_policy=dagster.FreshnessPolicy.time_window(fail_window=timedelta(hours=24)),
    )
    def load() -> None:
        return None

    return load


def ours() -> list[Any]:
    return ingest_assets(many, dlt.pipeline("many", destination="duckdb", dataset_name="raw"), partitions_def=partitions)


assets = [bare(number) for number in range(resources)] if os.environ.get("MANY_KIND") == "bare" else ours()
defs = dagster.Definitions(
    assets=assets,
    schedules=[build_ingest_schedule(assets, cron="0 * * * *", name="hourly")] if not days else [],
    sensors=[
        dagster.AutomationConditionSensorDefinition(
            "automation",
            target=dagster.AssetSelection.all(),
            default_status=dagster.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=1,
        )
    ],
    executor=dagster.in_process_executor,
)
