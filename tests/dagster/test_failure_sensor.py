"""The failure sensor, on runs that really failed."""

from typing import Any

import dagster as dg
import pytest

from dlt_orchestrate.dagster import ingest_assets
from dlt_orchestrate.dagster.failure_sensor import IngestFailure, build_ingest_failure_sensor
from dlt_orchestrate.pipeline.pipeline import Pipeline
from tests.dagster.conftest import Shop

pytestmark = pytest.mark.filterwarnings("ignore:.*repository_def:dagster.BetaWarning")


class Alarm:
    """A handler that keeps what it was told, and a sensor that calls it."""

    def __init__(self, shop: Shop, warehouse: Pipeline, instance: dg.DagsterInstance, assets: Any = None) -> None:
        self.told: list[IngestFailure] = []
        self.sensor = build_ingest_failure_sensor(self.told.append, assets, name="ingest_failed")
        self.instance, self.shop = instance, shop
        self.defs = dg.Definitions(assets=[*ingest_assets(shop.source, warehouse), broken], sensors=[self.sensor])

    def run(self, *assets: str) -> str:
        job = self.defs.resolve_implicit_global_asset_job_def()
        keys = [dg.AssetKey(asset) for asset in assets]
        done = job.execute_in_process(instance=self.instance, asset_selection=keys, raise_on_error=False)
        return done.run_id

    def hear_of(self, run_id: str) -> list[IngestFailure]:
        """Call the sensor as the daemon does for a failed run."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        (failed,) = [
            entry.dagster_event
            for entry in self.instance.all_logs(run_id)
            if entry.dagster_event and entry.dagster_event.event_type == dg.DagsterEventType.RUN_FAILURE
        ]
        context = dg.build_run_status_sensor_context(
            "ingest_failed", failed, self.instance, run, repository_def=self.defs.get_repository_def()
        )
        self.sensor(context.for_run_failure())
        return self.told


@dg.asset
def broken() -> None:
    """Something else that fails."""
    raise ValueError("not ours")


def test_the_handler_is_told_resource_phase_error_and_whether_to_retry(
    shop: Shop, warehouse: Pipeline, instance: dg.DagsterInstance
) -> None:
    alarm = Alarm(shop, warehouse, instance)
    shop.failures.append(ConnectionError("the shop is closed"))

    run_id = alarm.run("dlt_shop_orders", "dlt_shop_visits", "dlt_shop_internal_audit", "broken")
    by_resource = {failure.resource: failure for failure in alarm.hear_of(run_id)}

    assert by_resource.keys() == {"visits", "internal/audit"}
    visits, audit = by_resource["visits"], by_resource["internal/audit"]
    assert (visits.pipeline, visits.phase, visits.error) == ("warehouse", "extract", "ConnectionError")
    assert visits.retryable
    assert "the shop is closed" in visits.message
    assert (visits.run_id, visits.step) == (run_id, "shop__visits")
    assert (audit.retryable, audit.missing) == (False, ("audit_token",))


def test_failures_of_other_assets_are_not_told(shop: Shop, warehouse: Pipeline, instance: dg.DagsterInstance) -> None:
    everything, some = Alarm(shop, warehouse, instance), Alarm(shop, warehouse, instance, ["dlt_shop_visits"])

    assert everything.hear_of(everything.run("broken")) == []
    assert some.hear_of(some.run("dlt_shop_internal_audit")) == []


def test_a_run_that_died_without_a_word_is_told(shop: Shop, warehouse: Pipeline, instance: dg.DagsterInstance) -> None:
    alarm = Alarm(shop, warehouse, instance)
    run = instance.create_run_for_job(
        alarm.defs.resolve_implicit_global_asset_job_def(), asset_selection=frozenset([dg.AssetKey("dlt_shop_orders")])
    )
    instance.report_run_failed(run, "The worker was killed.")

    (failure,) = alarm.hear_of(run.run_id)

    assert (failure.resources, failure.phase, failure.retryable) == (("orders",), "run", True)
    assert failure.message == "The worker was killed."


def test_a_handler_that_raises_fails_the_tick_after_it_was_told_of_all_failures(
    shop: Shop, warehouse: Pipeline, instance: dg.DagsterInstance
) -> None:
    alarm = Alarm(shop, warehouse, instance)
    shop.failures.append(ConnectionError("the shop is closed"))
    told = []

    def unable(failure: IngestFailure) -> None:
        told.append(failure.resource)
        raise OSError(f"no mail about {failure.resource}")

    alarm.sensor = build_ingest_failure_sensor(unable, name="unable")
    with pytest.raises(OSError, match="no mail about"):
        alarm.hear_of(alarm.run("dlt_shop_internal_audit", "dlt_shop_visits"))

    assert sorted(told) == ["internal/audit", "visits"]
