"""The idempotency key: what makes a repeated attempt of a step find the load that it already committed.

A step can die between its commit and its event. Its next attempt, be it a retry in the same run or a re-execution from
failure, carries the same key; the destination knows the key, and the load is reported again instead of done again.
"""

from dagster import AssetExecutionContext, DagsterInstance, DagsterRun, OpExecutionContext

PARENT_RUN = "dagster/parent_run_id"
FROM_FAILURE = ("dagster/is_resume_retry", "dagster/is_asset_resume_retry")

StepContext = AssetExecutionContext | OpExecutionContext


def idempotency_key(context: StepContext, *, sequence: int = 0) -> str:
    """Name the work of this step the same in every attempt; the pipeline adds which resource and window it is.

    Args:
        sequence: How many loads came before in the same step.
    """
    step = context.get_step_execution_context().step.key
    return f"{first_run_id(context.run, context.instance, step)} {step} {sequence}"


def first_run_id(run: DagsterRun, instance: DagsterInstance, step_key: str) -> str:
    """Id of the run whose work a step of this run continues: itself, unless it re-executes another one from its failure.

    The chain is walked parent by parent: a root run may lie before a re-execution of everything, which is new work.
    """
    seen = {run.run_id}
    while (parent_id := _continued_run_id(run, instance, step_key)) and parent_id not in seen:
        seen.add(parent_id)
        parent = instance.get_run_by_id(parent_id)
        if parent is None:
            return parent_id
        run = parent
    return run.run_id


def _continued_run_id(run: DagsterRun, instance: DagsterInstance, step_key: str) -> str | None:
    """The run that this one re-executes from its failure."""
    if any(run.tags.get(tag) == "true" for tag in FROM_FAILURE):
        return run.tags.get(PARENT_RUN) or run.parent_run_id
    # `execute_job` with ReexecutionOptions.from_failure sets no tag. Neither does one with chosen steps; a chosen step that
    # had succeeded is new work.
    if run.parent_run_id is None or run.step_keys_to_execute is None:
        return None
    of_parent = instance.get_run_step_stats(run.parent_run_id, [step_key])
    has_succeeded = any(stats.status and stats.status.value == "SUCCESS" for stats in of_parent)
    return None if has_succeeded else run.parent_run_id
