"""A step whose load is committed in parts: tried again, it goes on, and one materialization tells of all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets

KEY = dg.AssetKey("dlt_shop_sales")


class Shop:
    """A day of sales to a page; it breaks off once, before a page, if it is told to."""

    def __init__(self) -> None:
        self.breaks_at: int | None = None
        self.asked: list[Any] = []

    def assets(self, destination: Any, **arguments: Any) -> list[dg.AssetsDefinition]:
        @dlt.resource
        def sales(at: Any = dlt.sources.incremental("at", initial_value=0, row_order="asc")) -> Iterator[Any]:
            self.asked.append(at.last_value)
            for day in range(max(at.last_value, 1), 7):
                if day == self.breaks_at:
                    self.breaks_at = None
                    raise OSError("the network is down")
                yield [{"id": day, "at": day}]

        @dlt.source(name="shop", section="shop")
        def shop() -> Any:
            return sales

        pipeline = dlt.pipeline("shop", destination=destination, dataset_name="raw")
        return ingest_assets(shop, pipeline=pipeline, **arguments)


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = result.get_asset_materialization_events()
    return {name: entry.value for name, entry in event.materialization.metadata.items()}


def loads(destination: Any) -> list[str]:
    with destination.reader("raw") as reader:
        found = reader.query("SELECT load_id FROM _dlt_loads ORDER BY load_id").to_pylist()
    return [row["load_id"] for row in found]


@pytest.fixture
def destination(project: Any) -> Any:
    return dlt.destinations.duckdb("shop.duckdb")


def test_a_retried_step_goes_on_and_tells_of_all_its_parts(destination: Any, instance: dg.DagsterInstance) -> None:
    shop = Shop()
    assets = shop.assets(destination, retry_policy=dg.RetryPolicy(max_retries=1))
    shop.breaks_at = 4
    config = {"ops": {"shop__sales": {"config": {"checkpoint_pages": 1}}}}

    result = dg.materialize(assets, instance=instance, run_config=config)

    assert shop.asked == [0, 3]
    metadata = told(result)
    assert (metadata["rows_loaded"], metadata["dagster/row_count"]) == (6, 6)
    assert metadata["load_ids"] == loads(destination)
    assert metadata["checkpoints"] == len(metadata["load_ids"]) - 1
    lines = [record.user_message for record in instance.all_logs(result.run_id)]
    assert sum("checkpoint" in line and "is committed as load" in line for line in lines) == metadata["checkpoints"]


def test_a_re_execution_from_failure_goes_on_too(destination: Any, instance: dg.DagsterInstance) -> None:
    shop = Shop()
    job = dg.define_asset_job("load", "*")
    definitions = dg.Definitions(assets=shop.assets(destination), jobs=[job]).resolve_job_def("load")
    shop.breaks_at = 3
    tags = {"dlt_orchestrate/checkpoint_pages": "1", "dlt_orchestrate/refresh": "drop_resources"}
    failed = definitions.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
    assert not failed.success
    parts = loads(destination)
    again = {"dagster/parent_run_id": failed.run_id, "dagster/is_resume_retry": "true"}

    result = definitions.execute_in_process(instance=instance, tags={**tags, **again})

    # What the first attempt has reset stays reset once.
    assert shop.asked == [0, 2]
    assert told(result)["load_ids"] == loads(destination)
    assert loads(destination)[: len(parts)] == parts
    assert told(result)["dagster/row_count"] == 6


class Dying:
    """A check of ones own that takes the step with it, once, between the commit and the event."""

    name, description, blocking = "dying", "Dies once.", False

    def __init__(self) -> None:
        self.has_died = False

    def evaluate(self, loaded: Any) -> dg.AssetCheckResult:
        if not self.has_died:
            self.has_died = True
            raise RuntimeError("the machine is gone")
        return dg.AssetCheckResult(passed=True, check_name=self.name)


def test_a_load_whose_step_died_before_it_could_tell_is_reported_with_its_parts(
    destination: Any, instance: dg.DagsterInstance
) -> None:
    shop = Shop()
    job = dg.define_asset_job("load", "*")
    assets = shop.assets(destination, checks=[Dying()])
    definitions = dg.Definitions(assets=assets, jobs=[job]).resolve_job_def("load")
    tags = {"dlt_orchestrate/checkpoint_pages": "2"}
    failed = definitions.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
    assert not failed.success
    assert not failed.get_asset_materialization_events()
    again = {"dagster/parent_run_id": failed.run_id, "dagster/is_resume_retry": "true"}

    metadata = told(definitions.execute_in_process(instance=instance, tags={**tags, **again}))

    assert shop.asked == [0]
    assert (metadata["repeated"], metadata["rows_loaded"]) == (True, 6)
    assert metadata["load_ids"] == loads(destination)


def test_a_checkpoint_that_makes_no_sense_is_told(destination: Any, instance: dg.DagsterInstance) -> None:
    assets = Shop().assets(destination)

    result = dg.materialize(
        assets, instance=instance, tags={"dlt_orchestrate/checkpoint_pages": "often"}, raise_on_error=False
    )

    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    assert "checkpoint={'pages': 'often', 'minutes': None} is not known" in failure.user_failure_data.description
