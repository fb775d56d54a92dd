"""Schedules of assets with and without partitions."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dlt_orchestrate.dagster.schedules import build_ingest_schedule
from dlt_orchestrate.errors import DeclarationError

DAILY = dg.DailyPartitionsDefinition("2026-01-01", timezone="Europe/Vienna")
SHOPS = dg.StaticPartitionsDefinition(["graz", "linz"])


ASSETS: dict[int, dg.AssetsDefinition] = {}


def partitioned(definition: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """An asset with these partitions, the same one for the same."""

    @dg.asset(name=f"orders_{len(ASSETS)}", partitions_def=definition)
    def orders() -> None:
        """Something to materialize."""

    return ASSETS.setdefault(id(definition), orders)


@dg.asset
def issues() -> None:
    """Something to materialize."""


def launched(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, at: datetime) -> list[str | None]:
    """The partitions that a tick asks for."""
    return [request.partition_key for request in requests(schedule, instance, at)]


def requests(schedule: dg.ScheduleDefinition, instance: dg.DagsterInstance, at: datetime) -> Sequence[dg.RunRequest]:
    defs = dg.Definitions(assets=[issues, *ASSETS.values()], schedules=[schedule])
    tick = schedule.evaluate_tick(
        dg.build_schedule_context(instance, scheduled_execution_time=at, repository_def=defs.get_repository_def())
    )
    return tick.run_requests or []


def test_a_schedule_launches_a_job_of_the_assets(instance: dg.DagsterInstance) -> None:
    schedule = build_ingest_schedule(
        [issues], cron="0 * * * *", name="hourly", tags={"team": "data"}, default_status=dg.DefaultScheduleStatus.RUNNING
    )
    defs = dg.Definitions(assets=[issues], schedules=[schedule])

    tick = schedule.evaluate_tick(dg.build_schedule_context(instance, scheduled_execution_time=datetime(2026, 1, 1)))

    run = defs.resolve_job_def("hourly_job").execute_in_process(instance=instance)

    assert schedule.cron_schedule == "0 * * * *"
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert len(tick.run_requests or []) == 1
    assert run.dagster_run.tags["team"] == "data"
    assert run.asset_materializations_for_node("issues")


def test_the_window_that_has_ended_is_loaded_in_the_time_zone_of_the_partitions(instance: dg.DagsterInstance) -> None:
    schedule = build_ingest_schedule([partitioned(DAILY)], name="daily")

    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 0 * * *", "Europe/Vienna")
    assert launched(schedule, instance, datetime(2026, 7, 9, 22, 0, tzinfo=UTC)) == ["2026-07-09"]  # midnight in Vienna
    assert launched(schedule, instance, datetime(2026, 7, 9, 21, 59, tzinfo=UTC)) == ["2026-07-08"]


def test_the_job_of_a_partitioned_schedule_runs_the_partition(instance: dg.DagsterInstance) -> None:
    asset = partitioned(DAILY)
    schedule = build_ingest_schedule([asset], name="daily", cron="30 2 * * *")
    job = dg.Definitions(assets=[asset], schedules=[schedule]).resolve_job_def("daily_job")
    (key,) = launched(schedule, instance, datetime(2026, 1, 5, 1, 30, tzinfo=UTC))

    (event,) = job.execute_in_process(instance=instance, partition_key=key).get_asset_materialization_events()

    assert schedule.cron_schedule == "30 2 * * *"
    assert event.partition == "2026-01-04"


@pytest.mark.parametrize(
    ("definition", "at", "expected"),
    [
        (DAILY, datetime(2026, 1, 3, tzinfo=UTC), ["2026-01-01", "2026-01-02"]),
        (dg.HourlyPartitionsDefinition("2026-01-01-00:00"), datetime(2026, 1, 1, 5, tzinfo=UTC),
         ["2026-01-01-02:00", "2026-01-01-03:00", "2026-01-01-04:00"]),
        (dg.DailyPartitionsDefinition("2026-01-01", end_offset=1), datetime(2026, 1, 5, tzinfo=UTC),
         ["2026-01-03", "2026-01-04", "2026-01-05"]),
        (DAILY, datetime(2025, 12, 1, tzinfo=UTC), []),
    ],
)  # fmt: skip
def test_lookback_loads_earlier_windows_again_as_far_as_there_are_any(
    instance: dg.DagsterInstance, definition: dg.PartitionsDefinition, at: datetime, expected: list[str]
) -> None:
    schedule = build_ingest_schedule([partitioned(definition)], name="late", lookback=2)

    assert launched(schedule, instance, at) == expected


def test_an_hour_that_comes_twice_is_loaded_twice_and_each_once(instance: dg.DagsterInstance) -> None:
    hours = dg.HourlyPartitionsDefinition("2026-01-01-00:00", timezone="Europe/Vienna")
    schedule = build_ingest_schedule([partitioned(hours)], name="hourly")

    keys = [launched(schedule, instance, datetime(2026, 10, 25, hour, tzinfo=UTC))[0] for hour in (0, 1, 2, 3)]

    assert len(set(keys)) == 4


def test_every_key_is_loaded_where_partitions_have_no_time(tmp_path: Path) -> None:
    static = build_ingest_schedule([partitioned(SHOPS)], name="shops", cron="0 6 * * *")
    dynamic = build_ingest_schedule(
        [partitioned(dg.DynamicPartitionsDefinition(name="files"))], name="files", cron="0 6 * * *"
    )
    at = datetime(2026, 1, 3, 6, tzinfo=UTC)

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert launched(static, instance, at) == ["graz", "linz"]
        assert launched(dynamic, instance, at) == []
        instance.add_dynamic_partitions("files", ["a.csv", "b.csv"])
        assert launched(dynamic, instance, at) == ["a.csv", "b.csv"]


def test_every_key_is_loaded_within_the_window_that_has_ended(instance: dg.DagsterInstance) -> None:
    both = dg.MultiPartitionsDefinition({"day": DAILY, "shop": SHOPS})
    schedule = build_ingest_schedule([partitioned(both)], name="both", lookback=1)

    assert schedule.execution_timezone == "Europe/Vienna"
    assert schedule.description == "Launches both_job for the window that has ended and for 1 before it."
    assert launched(schedule, instance, datetime(2026, 1, 4, tzinfo=UTC)) == [
        "2026-01-02|graz", "2026-01-02|linz", "2026-01-03|graz", "2026-01-03|linz",
    ]  # fmt: skip


def test_a_tick_that_is_evaluated_again_asks_for_the_same_runs_and_the_next_one_for_others(
    instance: dg.DagsterInstance,
) -> None:
    schedule = build_ingest_schedule([partitioned(DAILY)], name="often", cron="0 * * * *")

    def run_keys(hour: int) -> list[str | None]:
        at = datetime(2026, 1, 4, hour, tzinfo=UTC)
        return [request.run_key for request in requests(schedule, instance, at)]

    assert run_keys(1) == run_keys(1)
    assert run_keys(1) != run_keys(2)


@pytest.mark.parametrize(
    ("assets", "arguments", "problem"),
    [
        ([issues], {}, "nothing tells when to load"),
        ([issues], {"cron": "@daily", "timezone": "Europe/Wien"}, r"Schedule 'wrong'.* Did you mean 'Europe/Vienna'\?"),
        ([partitioned(SHOPS)], {}, "nothing tells when to load"),
        ([issues], {"cron": "0 * * * *", "lookback": 1}, "these assets have none"),
        ([partitioned(DAILY)], {"lookback": -1}, "cannot be negative"),
        ([partitioned(DAILY), partitioned(SHOPS)], {"cron": "0 * * * *"}, "different partitions"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_at_the_declaration(
    assets: list[dg.AssetsDefinition], arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(DeclarationError, match=problem):
        build_ingest_schedule(assets, name="wrong", **arguments)
