from datetime import datetime

import dagster as dg

from dlt_orchestrate.dagster.schedules import build_ingest_schedule


@dg.asset
def issues() -> None:
    """Something to materialize."""


def test_a_schedule_launches_a_job_of_the_assets(instance: dg.DagsterInstance) -> None:
    schedule = build_ingest_schedule([issues], cron="0 * * * *", name="hourly", tags={"team": "data"})
    defs = dg.Definitions(assets=[issues], schedules=[schedule])

    tick = schedule.evaluate_tick(dg.build_schedule_context(instance, scheduled_execution_time=datetime(2026, 1, 1)))

    run = defs.resolve_job_def("hourly_job").execute_in_process(instance=instance)

    assert schedule.cron_schedule == "0 * * * *"
    assert len(tick.run_requests or []) == 1
    assert run.dagster_run.tags["team"] == "data"
    assert run.asset_materializations_for_node("issues")
