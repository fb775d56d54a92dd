"""Execute runs of the shop, one after another, as a run launcher does in a process of its own.

`python shop_runs.py rest`, `python shop_runs.py days KEY...`, `python shop_runs.py again RUN_ID...` (from failure).
"""

import sys
from collections.abc import Iterator

import dagster as dg
import shop_location


def main(job: str, *what: str) -> None:
    """Execute what the command line names."""
    with dg.DagsterInstance.get() as instance:
        runs = {"rest": rest, "days": days, "again": again}[job](instance, *what)
        for result in runs:
            print(result.run_id, result.success, flush=True)


def rest(instance: dg.DagsterInstance) -> Iterator[dg.JobExecutionResult]:
    yield dg.execute_job(dg.reconstructable(shop_location.rest), instance)


def days(instance: dg.DagsterInstance, *keys: str) -> Iterator[dg.JobExecutionResult]:
    for key in keys:
        yield dg.execute_job(dg.reconstructable(shop_location.days), instance, tags={"dagster/partition": key})


def again(instance: dg.DagsterInstance, *run_ids: str) -> Iterator[dg.JobExecutionResult]:
    for run_id in run_ids:
        failed = instance.get_run_by_id(run_id)
        assert failed is not None
        tags = {
            **failed.tags,
            "dagster/parent_run_id": run_id,
            "dagster/root_run_id": failed.root_run_id or run_id,
            "dagster/is_resume_retry": "true",
        }
        options = dg.ReexecutionOptions.from_failure(run_id, instance)
        yield dg.execute_job(
            dg.reconstructable(getattr(shop_location, failed.job_name)), instance, tags=tags, reexecution_options=options
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
