"""What one run may be told in the launchpad, or by tags: to begin anew, to load a part, to load little."""

from typing import Any

import dagster as dg
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import DltResource, LoadConfig, dlt_assets, ingest_assets

SALES = dg.AssetKey("dlt_shop_sales")


class Pages:
    """A source that yields a page a day, newest first."""

    def __init__(self) -> None:
        self.sales = [{"id": day, "at": f"2026-01-0{day}T00:00:00Z"} for day in (3, 2, 1)]

    def source(self) -> dlt.Source:
        @dlt.resource
        def sales(at: Any = dlt.sources.incremental("at")) -> Any:
            for sale in self.sales:
                yield [dict(sale)]

        @dlt.resource(write_disposition="replace")
        def shelves() -> Any:
            yield {"id": 1}

        @dlt.source(name="shop", section="shop")
        def shop() -> Any:
            return [sales, shelves]

        return shop()


def run(assets: Any, instance: dg.DagsterInstance, *, tags: Any = None, op: str = "shop__sales", **config: Any) -> Any:
    return dg.materialize(
        assets,
        instance=instance,
        selection=[SALES],
        run_config={"ops": {op: {"config": config}}} if config else None,
        tags=tags,
        resources={"dlt": DltResource()},
        raise_on_error=False,
    )


def loaded(result: dg.ExecuteInProcessResult) -> int:
    [event] = result.get_asset_materialization_events()
    return event.materialization.metadata["rows_loaded"].value


def told(result: dg.ExecuteInProcessResult) -> str:
    [failure] = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    return failure.user_failure_data.description


@pytest.fixture
def pages() -> Pages:
    return Pages()


def test_the_launchpad_shows_the_fields_with_what_they_do(pages, warehouse) -> None:
    [sales, _] = ingest_assets(pages.source(), warehouse)

    fields = sales.op.config_schema.config_type.fields

    assert set(fields) == {"refresh", "since", "until", "limit", "checkpoint_pages", "checkpoint_minutes"}
    assert not any(field.is_required for field in fields.values())
    assert all(field.description for field in fields.values())
    assert fields["refresh"].default_value == "none"


def test_a_limited_run_loads_a_sample_and_moves_no_cursor(pages, warehouse, instance) -> None:
    assets = ingest_assets(pages.source(), warehouse)

    limited, rest = run(assets, instance, limit=1), run(assets, instance)

    assert (loaded(limited), loaded(rest)) == (1, 3)
    [cursor] = warehouse.state["sources"]["shop"]["resources"]["sales"]["incremental"].values()
    assert cursor["last_value"] == pages.sales[0]["at"]


@pytest.mark.parametrize("how", ["config", "tags"])
def test_a_part_of_history_is_loaded_again_and_the_cursor_stays(pages, warehouse, instance, query, how) -> None:
    assets = ingest_assets(pages.source(), warehouse)
    run(assets, instance)
    before = warehouse.state
    part = {"since": "2026-01-01", "until": "2026-01-03"}
    told = part if how == "config" else {}
    tags = {f"dlt_orchestrate/{name}": value for name, value in part.items()} if how == "tags" else None
    pages.sales[1]["id"] = 20

    again = run(assets, instance, tags=tags, **told)

    assert loaded(again) == 2
    assert warehouse.state == before
    assert query("select id from raw.sales order by id") == [(1,), (3,), (20,)]


def test_since_alone_goes_on_to_the_present(pages, warehouse, instance, query) -> None:
    assets = ingest_assets(pages.source(), warehouse)
    run(assets, instance)

    assert loaded(run(assets, instance, since="2026-01-02")) == 2
    assert query("select count(*) from raw.sales") == [(3,)]


def test_a_refresh_begins_anew(pages, warehouse, instance, query) -> None:
    assets = ingest_assets(pages.source(), warehouse)
    run(assets, instance)
    del pages.sales[0]

    assert loaded(run(assets, instance, refresh="drop_resources")) == 2
    assert loaded(run(assets, instance, tags={"dlt_orchestrate/refresh": "drop_data"})) == 2
    assert query("select count(*) from raw.sales") == [(2,)]


def test_a_source_is_dropped_as_a_whole_or_not_at_all(pages, warehouse, instance, query) -> None:
    by_resource = ingest_assets(pages.source(), warehouse)
    [whole] = ingest_assets(pages.source(), warehouse, isolation="source", name="whole")
    dg.materialize([whole], instance=instance)

    refused = run(by_resource, instance, refresh="drop_sources")
    assert "does not load shelves" in told(refused)
    assert query("select count(*) from raw.sales") == [(3,)]

    config = {"ops": {"whole": {"config": {"refresh": "drop_sources"}}}}
    result = dg.materialize([whole], instance=instance, run_config=config)
    assert len(result.get_asset_materialization_events()) == 2
    assert query("select (select count(*) from raw.sales), (select count(*) from raw.shelves)") == [(3, 1)]


@pytest.mark.parametrize(
    ("config", "tags", "message"),
    [
        ({"until": "2026-01-03"}, None, "without since"),
        ({"since": "100"}, None, "say where the part ends with until"),
        ({"limit": 0}, None, "pass 1 or more"),
        ({}, {"dlt_orchestrate/limit": "few"}, "limit='few' is no number"),
        ({}, {"dlt_orchestrate/refresh": "all"}, "refresh='all' is not known. Known are: 'drop_sources'"),
        ({"since": "2026-01-01", "refresh": "drop_data"}, None, "a window loads only a part"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_loaded(
    pages, warehouse, instance, project, config, tags, message
) -> None:
    result = run(ingest_assets(pages.source(), warehouse), instance, tags=tags, **config)

    assert message in told(result)
    assert not (project / "warehouse.duckdb").exists()


def test_a_partition_says_itself_what_to_load(pages, warehouse, instance) -> None:
    days = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01")
    assets = ingest_assets(pages.source().with_resources("sales"), warehouse, partitions_def=days)

    refused = dg.materialize(
        assets,
        instance=instance,
        partition_key="2026-01-02",
        tags={"dlt_orchestrate/since": "2026-01-01"},
        raise_on_error=False,
    )

    assert "since='2026-01-01' does not go with partitions" in told(refused)


def test_the_body_of_a_decorated_op_hands_its_config_on(pages, warehouse, instance) -> None:
    @dlt_assets(dlt_source=pages.source(), dlt_pipeline=warehouse, name="shop")
    def shop(context: dg.AssetExecutionContext, dlt: DltResource, config: LoadConfig):
        yield from dlt.run(context, config=config)

    assert loaded(run([shop], instance, op="shop", limit=2)) == 2
