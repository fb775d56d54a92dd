"""A job whose assets wait for ever, in the back-off of an HTTP request; run in processes that a test then interrupts."""

import os
import sys
from pathlib import Path
from typing import Any

import dagster as dg

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets
from dlt_orchestrate.http.session import Session
from dlt_orchestrate.load.spool import Spool


def job(folder: str, url: str, executor: str) -> dg.JobDefinition:
    """The job; without a retry policy, since Dagster tries interrupted steps again where there is one."""
    os.environ["HOME"] = folder
    os.chdir(folder)
    Spool.__init__.__defaults__ = (1,)

    @dlt.source(name="shop")
    def shop() -> Any:
        def ask() -> Any:
            yield [{"id": 1}]
            Session().get(url)

        return [dlt.resource(ask, name=name, parallelized=True) for name in ("orders", "visits")]

    pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="data")
    assets = ingest_assets(shop, pipeline, isolation="source")
    executors = {
        "in process": dg.in_process_executor,
        "multiprocess": dg.multiprocess_executor.configured({"start_method": {"forkserver": {}}}),
    }
    definitions = dg.Definitions(assets=assets, jobs=[dg.define_asset_job("all")], executor=executors[executor])
    return definitions.resolve_job_def("all")


def instance(folder: str) -> dg.DagsterInstance:
    home = Path(folder) / "dagster_home"
    home.mkdir(exist_ok=True)
    return dg.DagsterInstance.local_temp(str(home), overrides={"telemetry": {"enabled": False}})


def run(folder: str, url: str, executor: str) -> bool:
    """Run the job, as the process of a run does."""
    work = dg.build_reconstructable_job("interrupted_job", "job", (folder, url, executor))
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with instance(folder) as records, dg.execute_job(work, records, run_config=quiet) as result:
        return result.success


if __name__ == "__main__":
    run(*sys.argv[1:])
