"""Hints of assets: who owns them, when they are materialized, how old they may be; and conditions downstream."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from dlt_orchestrate.dagster import build_source_spec, dlt_assets, ingest_assets, when_data_changes
from dlt_orchestrate.declare.asset_hints import AssetHints, Freshness, duration
from dlt_orchestrate.declare.resource import resource
from dlt_orchestrate.declare.source import source
from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.errors import DeclarationError, UnknownResourceError
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.sources import incremental

pytestmark = pytest.mark.filterwarnings("ignore:.*include_sources:dagster.BetaWarning")

HINTS = {
    "group": "sales",
    "owners": ["team:data", "ada@example.com"],
    "tags": {"domain": "sales"},
    "kinds": ["csv"],
    "schedule": "0 6 * * *",
    "timezone": "Europe/Vienna",
    "freshness": {"fail": "24h", "warn": "12h"},
}


def spec_of(declaration: Any, warehouse: Pipeline, **arguments: Any) -> dg.AssetSpec:
    declared = resource([{"id": 1}], name="orders", asset=declaration)
    (assets,) = ingest_assets(source(lambda: [declared], name="shop")(), warehouse, **arguments)
    (spec,) = assets.specs
    return spec


def test_hints_of_a_resource_are_those_of_its_asset(warehouse: Pipeline) -> None:
    spec = spec_of(HINTS, warehouse)

    assert spec.group_name == "sales"
    assert spec.owners == ["team:data", "ada@example.com"]
    assert spec.tags["domain"] == "sales"
    assert spec.kinds == {"csv", "dlt", "duckdb"}
    assert spec.automation_condition == dg.AutomationCondition.on_cron("0 6 * * *", "Europe/Vienna")
    assert spec.freshness_policy == dg.FreshnessPolicy.time_window(timedelta(hours=24), timedelta(hours=12))


def test_hints_given_to_the_assets_go_before_those_of_the_resource_and_add_tags_and_kinds(warehouse: Pipeline) -> None:
    given = {"orders": {"owners": "team:sales", "tags": {"pii": "no"}, "kinds": "json", "automation": "eager"}}

    spec = spec_of(HINTS, warehouse, hints=given)

    assert spec.group_name == "sales"
    assert spec.owners == ["team:sales"]
    assert {"domain": "sales", "pii": "no"}.items() <= spec.tags.items()
    assert spec.kinds >= {"csv", "json"}
    assert spec.automation_condition == dg.AutomationCondition.eager()


def test_hints_go_before_what_the_assets_have_in_common(warehouse: Pipeline) -> None:
    in_common = {"group_name": "all", "owners": ["team:all"], "automation_condition": dg.AutomationCondition.eager()}

    hinted, plain = spec_of(HINTS, warehouse, **in_common), spec_of(None, warehouse, **in_common)

    assert (hinted.group_name, hinted.owners[0]) == ("sales", "team:data")
    assert (plain.group_name, plain.owners[0]) == ("all", "team:all")
    assert hinted.automation_condition != plain.automation_condition == dg.AutomationCondition.eager()


def test_the_decorator_puts_those_without_a_group_into_its_own(warehouse: Pipeline) -> None:
    hinted = resource([{"id": 1}], name="orders", asset={"group": "sales"})
    plain = resource([{"id": 1}], name="visits")

    @dlt_assets(dlt_source=source(lambda: [hinted, plain], name="shop")(), dlt_pipeline=warehouse, group_name="everything")
    def shop(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from ()

    assert {spec.key.path[-1]: spec.group_name for spec in shop.specs} == {
        "dlt_shop_orders": "sales",
        "dlt_shop_visits": "everything",
    }


def test_hints_do_not_change_the_version_of_the_code(warehouse: Pipeline) -> None:
    assert spec_of(HINTS, warehouse).code_version == spec_of(None, warehouse).code_version


def test_a_transformer_takes_hints_and_clones_keep_them() -> None:
    @transformer(data_from=resource([1, 2], name="numbers"), asset={"owners": "team:data"})
    def doubled(number: int) -> Iterator[int]:
        yield number * 2

    assert doubled.with_name("other").asset_hints.owners == ("team:data",)


@pytest.mark.parametrize(
    ("hints", "problem"),
    [
        ({"owner": "team:data"}, r"'owner' is not known\. Did you mean 'owners'\?"),
        ({"schedule": "@daily", "timezone": "Europe/Wien"}, r"no time zone 'Europe/Wien'\. Did you mean 'Europe/Vienna'\?"),
        ({"schedule": "0 * * * *", "automation": "eager"}, "both say when"),
        ({"freshness": "soon"}, "'soon' is no span of time"),
        ({"freshness": {"warn": "1h"}}, "should have 'fail'"),
        ({"freshness": {"fail": "1h", "warn": "2h"}}, "not before it fails"),
        ({"owners": 5}, "should be a list of names"),
        ("hourly", "should be a mapping"),
    ],
)
def test_hints_that_cannot_be_read_are_refused_where_they_are_declared(hints: Any, problem: str) -> None:
    with pytest.raises(DeclarationError, match=f"Resource 'orders'.*{problem}"):
        resource([{"id": 1}], name="orders", asset=hints)


@pytest.mark.parametrize(
    ("hints", "problem"),
    [({"schedule": "every hour"}, "'every hour' cannot be read"), ({"automation": "often"}, "'often' is no condition")],
)
def test_conditions_that_cannot_be_read_are_refused_while_definitions_load(
    warehouse: Pipeline, hints: dict[str, str], problem: str
) -> None:
    with pytest.raises(DeclarationError, match=problem):
        spec_of(hints, warehouse)


def test_hints_for_a_resource_that_is_none_are_refused(warehouse: Pipeline) -> None:
    with pytest.raises(UnknownResourceError, match=r"'ordres'.*'orders'"):
        spec_of(None, warehouse, hints={"ordres": HINTS})


def test_spans_of_time_are_read_from_text() -> None:
    assert [duration(text) for text in ("90s", "30m", "1.5h", "2 d", "1w")] == [
        timedelta(seconds=90), timedelta(minutes=30), timedelta(hours=1.5), timedelta(days=2), timedelta(weeks=1),
    ]  # fmt: skip
    assert AssetHints.of({"freshness": timedelta(hours=1)}, resource="r").freshness == Freshness(timedelta(hours=1))


class Line:
    """An ingested asset with something below it; materialize and evaluate as the daemon does."""

    def __init__(self, warehouse: Pipeline, condition: Any, instance: dg.DagsterInstance) -> None:
        self.records: list[dict[str, int]] = [{"id": 1}]

        @resource(name="orders")
        def orders() -> Iterator[Any]:
            yield list(self.records)

        self.assets = ingest_assets(source(lambda: [orders], name="shop")(), warehouse)

        @dg.asset(deps=["dlt_shop_orders"], automation_condition=condition)
        def report() -> None:
            """What is made of the orders."""

        self.report, self.instance, self.cursor = report, instance, None
        self.defs = dg.Definitions(assets=[*self.assets, report])

    def load(self) -> None:
        assert dg.materialize(self.assets, instance=self.instance).success

    def requested(self) -> int:
        """How many assets a tick of the automation asks for; they are made."""
        result = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        if result.total_requested:
            assert dg.materialize([self.report], instance=self.instance, selection=[self.report]).success
        return result.total_requested


def test_what_is_below_stands_still_when_a_load_brings_nothing(warehouse: Pipeline, instance: dg.DagsterInstance) -> None:
    line = Line(warehouse, when_data_changes(), instance)
    assert line.requested() == 0  # nothing is loaded yet

    line.load()
    first = line.requested()
    line.records.clear()
    line.load()
    after_nothing = line.requested()
    line.records.append({"id": 2})
    line.load()
    after_more = line.requested()

    assert (first, after_nothing, after_more) == (1, 0, 1)
    assert line.requested() == 0


def test_a_change_is_not_lost_that_comes_between_what_is_below_and_the_next_tick(
    warehouse: Pipeline, instance: dg.DagsterInstance
) -> None:
    line = Line(warehouse, when_data_changes(), instance)
    line.requested()
    line.load()
    first = line.requested()
    line.load()  # the same tick will see this and the report that the tick before has asked for

    assert (first, line.requested(), line.requested()) == (1, 1, 0)


def test_a_run_that_makes_both_is_not_followed_by_another(warehouse: Pipeline, instance: dg.DagsterInstance) -> None:
    line = Line(warehouse, when_data_changes(), instance)
    line.requested()

    keys = [line.assets[0].key, line.report.key]
    job = line.defs.resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=instance, asset_selection=keys).success

    assert line.requested() == 0


def test_eager_does_not_stand_still(warehouse: Pipeline, instance: dg.DagsterInstance) -> None:
    line = Line(warehouse, dg.AutomationCondition.eager(), instance)
    line.requested()
    line.load()
    line.requested()
    line.requested()
    line.records.clear()
    line.load()

    assert line.requested() == 1


def test_a_schedule_hint_asks_for_the_asset_at_each_tick(warehouse: Pipeline, instance: dg.DagsterInstance) -> None:
    defs = dg.Definitions(ingest_assets(
        source(lambda: [resource([{"id": 1}], name="orders", asset={"schedule": "0 * * * *"})], name="shop")(), warehouse
    ))  # fmt: skip
    cursor, asked = None, []

    for minute in ("09:55", "10:01", "10:31", "11:01"):
        at = datetime.fromisoformat(f"2026-01-01T{minute}:00+00:00")
        result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor, evaluation_time=at)
        cursor = result.cursor
        asked.append(result.total_requested)

    assert asked == [0, 1, 0, 1]


def test_a_schedule_hint_asks_for_nested_tables_along_with_the_resource(
    warehouse: Pipeline, instance: dg.DagsterInstance
) -> None:
    orders = resource([{"id": 1, "lines": [{"sku": "tea"}]}], name="orders", asset={"schedule": "0 * * * *"})
    defs = dg.Definitions(ingest_assets(source(lambda: [orders], name="shop")(), warehouse, nested={"orders": ["lines"]}))

    at = datetime.fromisoformat("2026-01-01T09:55:00+00:00")
    before = dg.evaluate_automation_conditions(defs, instance, evaluation_time=at)
    after = dg.evaluate_automation_conditions(
        defs, instance, cursor=before.cursor, evaluation_time=at + timedelta(minutes=10)
    )

    assert before.total_requested == 0
    asked = {key: after.get_num_requested(dg.AssetKey(key)) for key in ("dlt_shop_orders", "dlt_shop_orders__lines")}
    assert asked == {"dlt_shop_orders": 1, "dlt_shop_orders__lines": 1}


DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-01-05")


class Days:
    """Orders by day, a report of all of them and one of each day, which are made when the days change."""

    def __init__(self, warehouse: Pipeline, instance: dg.DagsterInstance) -> None:
        self.records = [{"id": day, "at": f"2026-01-0{day}T08:00:00Z"} for day in (1, 2, 3, 4)]

        @resource(name="orders", primary_key="id", write_disposition="merge")
        def orders(at: Any = incremental("at")) -> Iterator[Any]:
            yield list(self.records)

        self.assets = ingest_assets(source(lambda: [orders], name="shop")(), warehouse, partitions_def=DAYS)

        @dg.asset(deps=["dlt_shop_orders"], automation_condition=when_data_changes())
        def total() -> None:
            """What is made of all days."""

        @dg.asset(deps=["dlt_shop_orders"], automation_condition=when_data_changes(), partitions_def=DAYS)
        def by_day() -> None:
            """What is made of each day."""

        self.reports = [total, by_day]
        self.instance, self.cursor = instance, None
        self.defs = dg.Definitions(assets=[*self.assets, *self.reports])

    def load(self, day: int) -> None:
        assert dg.materialize(self.assets, instance=self.instance, partition_key=f"2026-01-0{day}").success

    def requested(self) -> list[str]:
        """What a tick of the automation asks for; it is made."""
        at = datetime(2026, 1, 6, tzinfo=UTC)
        result = dg.evaluate_automation_conditions(self.defs, self.instance, cursor=self.cursor, evaluation_time=at)
        self.cursor = result.cursor
        asked = [
            (report, key) for report in self.reports for key in sorted(result.get_requested_partitions(report.key), key=str)
        ]
        for report, key in asked:
            assert dg.materialize([report], instance=self.instance, partition_key=key).success
        return [f"{report.key.to_user_string()} {key}" if key else report.key.to_user_string() for report, key in asked]


def test_days_that_were_never_loaded_hold_up_nothing_and_each_day_that_changes_is_answered(
    warehouse: Pipeline, instance: dg.DagsterInstance
) -> None:
    days = Days(warehouse, instance)
    assert days.requested() == []  # nothing is loaded yet

    days.load(2)
    older = days.requested()
    days.load(4)
    latest = days.requested()
    days.records.append({"id": 9, "at": "2026-01-02T09:00:00Z"})
    days.load(2)
    again = days.requested()

    assert older == ["total"]
    assert latest == ["total", "by_day 2026-01-04"]
    assert again == ["total"]
    assert days.requested() == []


def test_a_schedule_hint_waits_for_no_system_that_is_read(warehouse: Pipeline, instance: dg.DagsterInstance) -> None:
    declared = source(lambda: [resource([{"id": 1}], name="orders", asset={"schedule": "0 * * * *"})], name="shop")
    system = build_source_spec(declared)
    defs = dg.Definitions([system, *ingest_assets(declared, warehouse, upstream=system)])
    cursor, asked = None, []

    for minute in ("09:55", "10:01", "10:31", "11:01"):
        at = datetime.fromisoformat(f"2026-01-01T{minute}:00+00:00")
        result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor, evaluation_time=at)
        cursor = result.cursor
        asked.append(result.total_requested)

    assert asked == [0, 1, 0, 1]
