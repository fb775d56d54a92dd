"""Which run a re-execution continues: the destination recognises work by it."""

import dagster as dg
import pytest

from dlt_orchestrate.dagster.attempts import first_run_id, idempotency_key


def run_keys(instance: dg.DagsterInstance, tags: dict[str, str] | None = None) -> tuple[str, str]:
    """Run a job of one op; give the id of the run and the idempotency key its step computed."""
    keys: list[str] = []

    @dg.asset
    def issues(context: dg.AssetExecutionContext) -> None:
        keys.append(idempotency_key(context))

    result = dg.materialize([issues], instance=instance, tags=tags)
    return result.run_id, keys[0]


def retry_of(run_id: str, kind: str = "dagster/is_resume_retry") -> dict[str, str]:
    return {"dagster/parent_run_id": run_id, "dagster/root_run_id": run_id, kind: "true"}


def test_a_run_of_its_own_has_a_key_of_its_own(instance: dg.DagsterInstance) -> None:
    first_id, first = run_keys(instance)
    _, second = run_keys(instance)

    assert first == f"{first_id} issues 0"
    assert first != second


@pytest.mark.parametrize("kind", ["dagster/is_resume_retry", "dagster/is_asset_resume_retry"])
def test_a_re_execution_from_failure_has_the_key_of_the_run_that_failed(instance: dg.DagsterInstance, kind: str) -> None:
    failed_id, failed = run_keys(instance)
    retry_id, retry = run_keys(instance, retry_of(failed_id, kind))
    _, again = run_keys(instance, retry_of(retry_id, kind))

    assert retry == failed
    assert again == failed


def test_a_re_execution_of_everything_is_new_work_and_so_are_its_retries_of_old(instance: dg.DagsterInstance) -> None:
    root_id, root = run_keys(instance)
    everything = {"dagster/parent_run_id": root_id, "dagster/root_run_id": root_id}
    fresh_id, fresh = run_keys(instance, everything)
    _, retry = run_keys(instance, {**retry_of(fresh_id), "dagster/root_run_id": root_id})

    assert fresh != root
    assert retry == fresh


def test_a_parent_that_the_instance_has_forgotten_still_names_the_work(instance: dg.DagsterInstance) -> None:
    run = dg.DagsterRun(job_name="job", run_id="child", tags=retry_of("gone"))

    assert first_run_id(run, instance, "issues") == "gone"
