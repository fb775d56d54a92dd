"""Dagster runs that handle secrets, well and badly, with every event printed. Secrets come from outside only."""

import json
import logging
import os

from dagster import (
    AssetExecutionContext,
    DagsterInstance,
    EnvVar,
    Failure,
    RetryRequested,
    materialize,
)

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import DltResource, dlt_assets, ingest_assets

logging.basicConfig(level=logging.DEBUG, force=True)
GIVEN = json.loads(os.environ["MARKED_SECRETS"])
os.environ["SOURCES__BATTERY__TOKEN"] = GIVEN["in_code"]
os.environ["WAREHOUSE"] = f"duckdb:///warehouse.duckdb?token={GIVEN['in_resource']}"


@dlt.source(name="battery", section="battery")
def api(token: str = dlt.secrets.value, from_file: str = dlt.secrets.value):
    @dlt.resource(primary_key="id", write_disposition="merge")
    def good():
        logging.getLogger("dlt_orchestrate.user").warning("logged in with %s", token)
        yield [{"id": 1}, {"id": None, "why": f"{token} {from_file}"}]

    @dlt.resource
    def plain():
        raise RuntimeError(f"cannot log in with {token}") from KeyError(from_file)
        yield

    @dlt.resource
    def failing():
        raise Failure(f"no {token}", metadata={"token": token, "nested": {"list": [token]}})
        yield

    @dlt.resource
    def asking():
        raise RetryRequested(max_retries=0) from ValueError({"token": token})
        yield

    return good, plain, failing, asking


pipeline = dlt.pipeline("battery", destination="duckdb", dataset_name="data")
assets = ingest_assets(api(), pipeline=pipeline)


@dlt_assets(dlt_source=api(), dlt_pipeline=dlt.pipeline("decorated", destination="duckdb"), name="decorated")
def decorated(context: AssetExecutionContext, warehouse: DltResource):
    yield from warehouse.run(context)


with DagsterInstance.get() as instance:
    runs = [
        materialize([*assets], instance=instance, raise_on_error=False),
        materialize(
            [decorated],
            instance=instance,
            raise_on_error=False,
            resources={"warehouse": DltResource(credentials=EnvVar("WAREHOUSE"))},
        ),
    ]
    for run in runs:
        print(run.success, run)
        for entry in instance.all_logs(run.run_id):
            print(entry)
            event = entry.dagster_event
            print(event and event.event_specific_data)
            materialization = (
                event.step_materialization_data.materialization if event and event.is_step_materialization else None
            )
            print(materialization and materialization.metadata)
print("the end")
