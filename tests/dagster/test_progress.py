"""A long load says how far it has come, and a short one nothing."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import DltResource, dlt_assets, ingest_assets
from dlt_orchestrate.dagster.progress import Progress
from dlt_orchestrate.protocols.progress import Reached

SLOW, QUICK = dg.AssetKey("dlt_shop_slow"), dg.AssetKey("dlt_shop_quick")
PATIENCE_SECONDS = 600


def observations(instance: dg.DagsterInstance, key: dg.AssetKey = SLOW) -> list[dg.AssetObservation]:
    records = instance.fetch_observations(key, limit=1_000).records
    return [record.asset_observation for record in records if record.asset_observation is not None]


def told(observation: dg.AssetObservation) -> dict[str, Any]:
    return {name.removeprefix("progress/"): entry.value for name, entry in observation.metadata.items()}


def wait_for(holds: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def is_telling(seen: dg.AssetObservation) -> bool:
    """Whether what was observed has a size and took a time, which are rounded."""
    return bool(told(seen)["bytes"] and told(seen)["elapsed_seconds"])


@pytest.fixture
def slow_source(project, instance) -> dlt.Source:
    """Its pages come until one of them was heard of, from outside, with the size of its rows and the time it took."""

    @dlt.resource
    def slow() -> Iterator[Any]:
        end = time.monotonic() + PATIENCE_SECONDS
        while not any(is_telling(seen) for seen in observations(instance)) and time.monotonic() < end:
            yield [{"id": number} for number in range(500)]
            time.sleep(0.02)

    @dlt.resource
    def quick() -> Iterator[Any]:
        yield {"id": 1}

    @dlt.source(name="shop", section="shop")
    def shop() -> Any:
        return [slow, quick]

    return shop()


def test_a_load_that_takes_long_is_observed_while_it_runs_in_numbers(slow_source, warehouse, instance) -> None:
    assets = ingest_assets(slow_source, warehouse, progress="observe", progress_seconds=0.05)

    result = dg.materialize(assets, instance=instance, selection=[SLOW])

    assert result.success
    seen = next(seen for seen in observations(instance) if told(seen)["phase"] == "extract" and is_telling(seen))
    facts = told(seen)
    assert facts["rows"] == 500 * facts["pages"] > 0
    assert 0 < facts["elapsed_seconds"] < PATIENCE_SECONDS
    assert seen.description is not None
    assert seen.description.startswith(f"{facts['rows']:,} rows in {facts['pages']:,} pages after ")


def test_the_body_of_a_decorated_op_is_observed_too(slow_source, warehouse, instance) -> None:
    @dlt_assets(dlt_source=slow_source, dlt_pipeline=warehouse, progress="observe", progress_seconds=0.05)
    def shop_assets(context: dg.AssetExecutionContext, dlt: DltResource) -> Iterator[Any]:
        yield from dlt.run(context=context)

    assert dg.materialize([shop_assets], resources={"dlt": DltResource()}, instance=instance).success
    assert observations(instance)


def lines(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """What the step has logged, beside Dagster's own events."""
    return [entry.user_message for entry in instance.all_logs(run_id) if entry.dagster_event is None]


def test_by_default_it_is_a_line_of_the_log_that_leaves_the_history_of_the_asset_alone(warehouse, instance) -> None:
    @dlt.resource
    def slow() -> Iterator[Any]:
        [run] = instance.get_runs()
        yield [{"id": 1}]
        wait_for(lambda: any("1 row in 1 page" in line for line in lines(instance, run.run_id)))

    assets = ingest_assets(dlt.source(lambda: [slow], name="shop")(), warehouse, progress_seconds=0.05)

    result = dg.materialize(assets, instance=instance)

    said = [line for line in lines(instance, result.run_id) if "1 row in 1 page" in line]
    assert said[0].startswith("dlt_shop_slow: 1 row in 1 page after ")
    assert observations(instance) == []


@pytest.mark.parametrize("told_of", [{}, {"progress": None, "progress_seconds": 0.001}])
def test_a_short_load_says_nothing_and_neither_does_one_that_shall_not(slow_source, warehouse, instance, told_of) -> None:
    assets = ingest_assets(slow_source, warehouse, **told_of)

    result = dg.materialize(assets, instance=instance, selection=[QUICK])

    assert result.success
    assert lines(instance, result.run_id) == []
    assert observations(instance, QUICK) == []


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_event_at_a_time_whatever_runs_beside_and_the_longest_unheard_first() -> None:
    clock = Clock()
    progress = Progress(print, {"a": dg.AssetKey("a"), "b": dg.AssetKey("b")}, 30.0, clock)
    for resource in ("a", "b"):
        clock.now += 1
        progress.hear(Reached(resource, "extract"))

    spoken_of = []
    for _ in range(4):
        clock.now += 30
        event = progress.next_event()
        spoken_of.append(event.asset_key.to_user_string() if event else None)
    progress.hear(Reached("a", "done"))
    clock.now += 30
    after = progress.next_event()

    assert spoken_of == ["a", "b", "a", "b"]
    assert after is not None
    assert after.asset_key == dg.AssetKey("b")


def test_the_longer_it_takes_the_rarer_the_events() -> None:
    clock = Clock()
    progress = Progress(print, {}, 30.0, clock)

    pauses = []
    for clock.now in (0.0, 600.0, 7_200.0):
        pauses.append(progress.pause_seconds(0.0))

    assert pauses == [30.0, 30.0, 360.0]


def test_what_is_said_tells_of_the_commit_and_of_a_source_that_is_silent() -> None:
    clock = Clock()
    progress = Progress(print, {"a": SLOW}, 30.0, clock)
    progress.hear(Reached("a", "extract", rows=1_000, pages=2))

    clock.now = 150
    silent = progress.next_event()
    progress.hear(Reached("a", "load", rows=1_000, pages=2))
    clock.now = 7_500
    writing = progress.next_event()

    assert silent is not None
    assert silent.description == "1,000 rows in 2 pages after 2 min 30 s, reading. The last page came 2 min 30 s ago."
    assert writing is not None
    assert writing.description == "1,000 rows in 2 pages after 2 h 5 min, writing to the destination."


def test_an_event_log_that_refuses_the_event_does_not_stop_the_load(slow_source, warehouse, instance, monkeypatch) -> None:
    refused = []

    def refuse(*_: Any) -> None:
        refused.append(1)
        raise OSError("the event log is gone")

    monkeypatch.setattr(dg.AssetExecutionContext, "log_event", refuse)

    @dlt.resource
    def slow() -> Iterator[Any]:
        wait_for(lambda: refused)
        yield {"id": 1}

    @dlt.source(name="shop", section="shop")
    def shop() -> Any:
        return [slow]

    assets = ingest_assets(shop(), warehouse, progress="observe", progress_seconds=0.05)
    assert dg.materialize(assets, instance=instance).success
