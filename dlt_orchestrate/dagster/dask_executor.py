"""An executor that runs steps on a Dask cluster, also those of partitioned assets and of ops with a pool.

That of dagster-dask, whose worker's half this uses, cannot: Dask looks through what it sends for results of other tasks,
and Dagster's records of partitions and pools refuse to be looked through. It also names a task by job and step alone, so
that of two runs of a job at one time on one cluster the second gets the events of the first.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import dask.distributed
from dagster import (
    DagsterEvent,
    Executor,
    Field,
    InitExecutorContext,
    Permissive,
    Selector,
    StringSource,
    executor,
    multiple_process_executor_requirements,
)
from dagster._core.errors import raise_execution_interrupts
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.plan.step import ExecutionStep
from dagster._core.execution.retries import RetryMode
from dagster._utils import iterate_with_context
from dagster_dask.executor import get_dask_resource_requirements, query_on_dask_worker

from dlt_orchestrate.dataclass import dataclass

_CLUSTERS = {
    "existing": Field(
        {"address": StringSource}, description="A running scheduler, such as tcp://scheduler:8786; runs may share it."
    ),
    "local": Field(
        Permissive({}),  # type: ignore[no-untyped-call]
        is_required=False,
        description="Arguments of distributed.LocalCluster: a cluster for each run.",
    ),
}


@executor(
    name="dask",
    requirements=multiple_process_executor_requirements(),
    config_schema={"cluster": Field(Selector(_CLUSTERS))},  # type: ignore[no-untyped-call]
)
def dask_executor(init_context: InitExecutorContext) -> Executor:
    """Runs each step as a task of Dask; config as that of dagster-dask, with `existing` and `local` clusters."""
    clusters: Any = init_context.executor_config["cluster"]
    ((kind, settings),) = clusters.items()
    return DaskExecutor(kind, settings)


@dataclass(frozen=True)
class Parcel:
    """Something that Dask carries and does not look into."""

    content: Any


@dataclass(frozen=True)
class DaskExecutor(Executor):
    """Submits the steps of a run, each behind those that it needs, and hands on their events.

    Attributes:
        cluster: `existing` or `local`.
        settings: Its address, or the arguments of a `LocalCluster`.
    """

    cluster: str
    settings: Mapping[str, Any]

    @property
    def retries(self) -> RetryMode:
        """Steps are not retried within a run; run retries and re-execution from failure are."""
        return RetryMode.DISABLED

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Run the steps of a plan, and give their events in the order in which the steps end."""
        with ExitStack() as stack:
            client = stack.enter_context(dask.distributed.Client(self._address(stack)))
            tasks: dict[str, dask.distributed.Future] = {}
            for level in execution_plan.get_steps_to_execute_by_level():
                for step in level:
                    tasks[step.key] = _submit(client, step, plan_context, execution_plan, tasks)
            finished = dask.distributed.as_completed(tasks.values(), with_results=True)
            for _, events in iterate_with_context(raise_execution_interrupts, finished):
                yield from events.content

    def _address(self, stack: ExitStack) -> Any:
        if self.cluster == "existing":
            return self.settings["address"]
        # Dagster's steps do not share a process well: a worker has one thread.
        arguments = {**(self.settings or {}), "threads_per_worker": 1}
        return stack.enter_context(dask.distributed.LocalCluster(**arguments))


def _submit(
    client: Any,
    step: ExecutionStep,
    plan_context: PlanOrchestrationContext,
    plan: ExecutionPlan,
    tasks: Mapping[str, Any],
) -> Any:
    run = plan_context.dagster_run
    # What is not executed in this run, since it went well in the one before, is nothing to wait for.
    needed = [tasks[key] for part in step.step_inputs for key in part.dependency_keys if key in tasks]
    arguments = (
        plan_context.reconstructable_job,
        run,
        plan_context.run_config,
        [step.key],
        plan_context.instance.get_ref(),
        plan.known_state,
    )
    return client.submit(
        execute_step,
        needed,
        Parcel(arguments),
        key=f"{run.job_name}.{step.key}.{run.run_id}",
        resources=get_dask_resource_requirements(step.tags or {}),
    )


def execute_step(_needed: Iterable[Any], arguments: Parcel) -> Parcel:
    """Execute one step in a worker; Dask waits for what it needs."""
    return Parcel(query_on_dask_worker(None, *arguments.content))
