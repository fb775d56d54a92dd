"""A code location of which everything is turned on, for the test that runs Dagster's daemon on it."""

import os
from pathlib import Path

import dagster as dg

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import (
    Dataset,
    DatasetIOManager,
    build_file_sensor,
    build_http_sensor,
    build_ingest_failure_sensor,
    build_ingest_schedule,
    build_table_watermark_sensor,
    ingest_assets,
    when_data_changes,
)

FOLDER = Path(os.environ["WATCHED"])
ON = {"default_status": dg.DefaultSensorStatus.RUNNING, "minimum_interval_seconds": 3}
FILES = dg.DynamicPartitionsDefinition(name="dropped")


@dlt.resource(asset={"freshness": {"fail": "1h"}, "owners": "team:data"})
def issues():
    yield [{"id": 1, "page": os.environ["PAGE"]}]


@dlt.resource
def clock():
    yield [{"tick": 1}]


ONCE = dg.AutomationCondition.missing() & ~dg.AutomationCondition.in_progress()


@dlt.resource(asset={"automation": ONCE, "freshness": {"fail": "1m"}})
def settings():
    yield [{"name": "theme"}]


@dlt.resource
def dropped():
    name = dlt.current.partition_key()
    if name.startswith("bad"):
        raise ConnectionError(f"{name} cannot be read")
    yield [{"file": name}]


pipeline = dlt.pipeline("automated", destination="duckdb", dataset_name="raw")
whole = ingest_assets(dlt.source(lambda: [issues, clock], name="watched")(), pipeline)
once = ingest_assets(dlt.source(lambda: [settings], name="once")(), pipeline)
by_file = ingest_assets(dlt.source(lambda: [dropped], name="inbox")(), pipeline, partitions_def=FILES)


@dg.asset(
    ins={"loaded": dg.AssetIn("dlt_watched_issues", input_manager_key="tables")},
    io_manager_key="tables",
    automation_condition=when_data_changes(),
)
def report(loaded: Dataset):
    return loaded.query("SELECT count(*) AS issues FROM issues").arrow()


@dg.asset
def wholesale():
    """Launched by the watermark of what is loaded."""


def tell(failure):
    with (FOLDER / ".failures").open("a") as file:
        file.write(f"{failure.resource} {failure.phase} {failure.error} {failure.retryable} {failure.partition_key}\n")


defs = dg.Definitions(
    assets=[*whole, *once, *by_file, report, wholesale],
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
            headers=lambda: {"Authorization": f"Bearer {os.environ['PAGE_TOKEN']}"},
            **ON,
        ),
        build_file_sensor(FOLDER, by_file, name="files", partitions_def=FILES, min_age_seconds=1, **ON),
        build_table_watermark_sensor("SELECT max(id) FROM issues", [wholesale], name="watermark", pipeline=pipeline, **ON),
        build_ingest_failure_sensor(tell, by_file, name="failures", **ON),
        dg.AutomationConditionSensorDefinition(
            "automation",
            target=dg.AssetSelection.all(),
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=3,
        ),
    ],
    resources={"tables": DatasetIOManager(pipeline)},
    executor=dg.in_process_executor,
)
