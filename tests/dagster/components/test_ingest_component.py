"""`IngestComponent`: from YAML to rows in DuckDB, in this process."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from component_yard import SHOP, Yard

from dlt_orchestrate.testing.sample_api import SampleApi

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")

MINIMAL = """
source: .source:shop
destination: {type: duckdb, path: data/shop.duckdb}
"""


def rows(yard: Yard, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(yard.root / "data" / "shop.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def missing(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    return {
        event.step_key: event.step_failure_data.user_failure_data.metadata["missing"].value
        for event in result.get_step_failure_events()
    }


def test_a_load_in_yaml_loads_an_api(yard: Yard, run: Any, sample_api: SampleApi, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.ingest(
        """
        source: definitions.github:github_source
        args: {repo_name: acme/teahouse, base_url: "{{ env.API_URL }}", access_token: {secret: TEAHOUSE_TOKEN}}
        destination: {type: duckdb, path: data/shop.duckdb}
        dataset: raw
        group: teahouse
        """
    )
    monkeypatch.setenv("API_URL", sample_api.url)
    monkeypatch.setenv("TEAHOUSE_TOKEN", sample_api.token)

    assets = yard.assets()
    result = run(assets)

    assert [asset.op.name for asset in assets] == ["github__issues", "github__comments", "github__traffic_clones"]
    assert result.success
    assert rows(yard, "select count(*) from raw.issues") == [(120,)]
    assert rows(yard, "select count(*) > 0 from raw.traffic_clones") == [(True,)]


def test_a_missing_secret_fails_the_step_by_name_and_not_the_code_location(
    yard: Yard, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.ingest(MINIMAL + "args: {token: {secret: SHOP_TOKEN}}")

    assets = yard.assets()
    without = run(assets)
    monkeypatch.setenv("SHOP_TOKEN", "st_0123456789")
    with_it = run(assets)

    assert missing(without) == {"shop__orders": "SHOP_TOKEN", "shop__customers": "SHOP_TOKEN"}
    assert with_it.success
    assert rows(yard, "select token_length from shop_dataset.customers") == [(13,)]


def test_a_missing_secret_of_the_destination_fails_the_step_by_name(yard: Yard, run: Any) -> None:
    yard.ingest(
        """
        source: .source:shop
        destination: {type: postgres, credentials: {secret: WAREHOUSE_URL}}
        """
    )

    result = run(yard.assets())

    assert missing(result) == {"shop__orders": "WAREHOUSE_URL", "shop__customers": "WAREHOUSE_URL"}


@pytest.mark.slow
def test_a_load_in_yaml_loads_into_postgres(yard: Yard, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from postgres_server import clean_database

    yard.ingest(
        """
        source: .source:shop
        destination: {type: postgres, credentials: {secret: WAREHOUSE_URL}}
        dataset: raw
        """
    )
    assets = yard.assets()
    assert [spec.metadata["dagster/table_name"] for asset in assets for spec in asset.specs] == [
        "raw.orders",
        "raw.customers",
    ]

    with clean_database() as address:
        monkeypatch.setenv("WAREHOUSE_URL", address)
        result = run(assets)

    assert result.success
    (materialization,) = result.asset_materializations_for_node("shop__orders")
    assert materialization.metadata["dagster/row_count"].value == 2
    assert str(materialization.metadata["dagster/table_name"].value).endswith(".raw.orders")


def test_a_secret_is_read_from_secrets_toml_too(yard: Yard, run: Any, project: Path) -> None:
    yard.ingest(MINIMAL + "args: {token: {secret: shop.token}}")
    (project / ".dlt").mkdir()
    (project / ".dlt" / "secrets.toml").write_text('[shop]\ntoken = "st_987"\n')

    assert run(yard.assets()).success
    assert rows(yard, "select token_length from shop_dataset.customers") == [(6,)]


def test_a_variable_in_an_argument_is_read_in_the_step_and_its_secret_shown_nowhere(
    yard: Yard, run: Any, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.ingest(
        MINIMAL + "args: {token: 'Bearer {{ env.SHOP_TOKEN }}'}",
        source=SHOP_THAT_TELLS,
    )
    assets = yard.assets()
    monkeypatch.setenv("SHOP_TOKEN", "st_0123456789abc")

    result = run(assets)

    assert not result.success
    told = "\n".join(str(entry) for entry in instance.all_logs(result.run_id))
    assert "refused" in told
    assert "st_0123456789abc" not in told


SHOP_THAT_TELLS = """
import dlt_orchestrate as dlt


@dlt.source
def shop(token):
    @dlt.resource
    def orders():
        raise ValueError(f"refused: {token}")
        yield

    return orders
"""


def test_templates_and_variables_may_stand_beside_each_other(yard: Yard, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    yard.ingest(
        """
        source: .source:shop
        destination: {type: duckdb, path: "{{ context.project_root }}/{{ env.FOLDER }}/shop.duckdb"}
        args: {currency: "{{ 'eur' | upper }}", token: "{{ env('SHOP_TOKEN', 'none') }}"}
        """
    )

    assets = yard.assets()
    monkeypatch.setenv("FOLDER", "data")
    result = run(assets)

    assert result.success
    assert rows(yard, "select distinct currency from shop_dataset.orders") == [("EUR",)]
    assert rows(yard, "select token_length from shop_dataset.customers") == [(4,)]


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ("dataset: 'of_{{ env.API_TOKEN }}'", "dataset: {{ env.API_TOKEN }} would be read while definitions load"),
        (
            "dataset: 'of_{{ env.STAGE }}'",
            "dataset: the environment has no variable STAGE. Set it, or write {{ env('STAGE',",
        ),
        (
            "args: {token: '{{ env.X | upper }}'}",
            "args.token: {{ env.X | upper }} does more with a variable than to name it",
        ),
        ("args: {tokn: 1}", "args: Source 'shop' cannot be called: got an unexpected keyword argument 'tokn'"),
        ("checks: [schema_contrct]", "checks.0: 'schema_contrct' is not known. Did you mean 'schema_contract'? Known are"),
        (
            "partitions: {type: daily, start_date: 2026-01-01, timezone: Europe/Wien}",
            "there is no time zone 'Europe/Wien'. Did you mean 'Europe/Vienna'?",
        ),
        ("schedule: {cron: '@daily', timezone: Mars}", "there is no time zone 'Mars'. Give one of the IANA database"),
        ("automation: {cron: '0 * * * *', timezone: US/Easter}", "Did you mean 'US/Eastern'?"),
        ("checks: [{few_rejects: {row: 1}}]", "checks.0.few_rejects: 'row' is no setting of it. Did you mean 'rows'?"),
        (
            "resources: {order: {owners: []}}",
            "resources.order: source 'shop' has no resource 'order'. Did you mean 'orders'?",
        ),
        ("select: [customer]", "select: source 'shop' has no resource 'customer'. Did you mean 'customers'?"),
        ("isolation: {small: [order]}", "isolation: source 'shop' has no resource 'order'. Did you mean 'orders'?"),
        ("isolation: {a: [orders], b: [orders]}", "isolation has 'orders' in two places. A resource is loaded by one op."),
        ("isolation: {a: []}", "isolation has a group 'a' without resources. Leave it out."),
        ("automation: eagre", "automation: 'eagre' is no condition. Did you mean 'eager'?"),
        ("freshness: 24", "attributes.freshness at "),
        ("freshness: soon", "freshness: 'soon' is no span of time. Write it as '30m', '24h' or '7d'"),
        ("partitions: {type: daily}", "partitions of type daily need 'start_date'."),
        ("partitions: '{{ 1 + 1 }}'", "partitions: '{{ 1 + 1 }}' gives a int, and no partitions."),
        (
            "isolation: source\nresources: {orders: {op: {pool: a}}}",
            "Op 'shop' loads orders, customers in one step, and 'orders'",
        ),
        ("pipeline: .source:shop", "pipeline: it names a SourceFactory, and should name a pipeline"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(yard: Yard, attributes: str, told: str) -> None:
    yard.ingest(MINIMAL + attributes)

    assert told in yard.complaint()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (".sauce:shop", "there is no module"),
        (".source:shopp", "has no 'shopp'. Did you mean 'shop'?"),
        ("shop", "source: 'shop' is no import path. Write package.module:name"),
        (".source:calls", "source: it names a list, and should name a source or a function that gives one."),
    ],
)
def test_a_source_that_is_not_there_is_told(yard: Yard, source: str, told: str) -> None:
    yard.ingest(MINIMAL.replace(".source:shop", source), source=SHOP)

    assert told in yard.complaint()


def test_all_wrong_keys_are_told_at_once_with_their_lines_and_what_was_meant(yard: Yard) -> None:
    yard.ingest(
        """
        sorce: .source:shop
        destination: {type: duckdb, pth: data/shop.duckdb}
        partitions: {type: daily, strat_date: 2026-01-01}
        op: {retry: {max_retries: -1}}
        resources:
          orders: {ownrs: [team:shop]}
        """
    )

    complaint = yard.complaint()

    for place, line, told in (
        ("attributes.sorce", 3, "'sorce' is no key here. Did you mean 'source'?"),
        ("attributes.destination.pth", 4, "'pth' is no key here. Did you mean 'path'?"),
        ("attributes.partitions.strat_date", 5, "'strat_date' is no key here. Did you mean 'start_date'?"),
        ("attributes.op.retry.max_retries", 6, "Input should be greater than or equal to 0"),
        ("attributes.resources.orders.ownrs", 8, "'ownrs' is no key here. Did you mean 'owners'?"),
    ):
        (said,) = [part for part in complaint.split("\n`") if part.lstrip("`").startswith(f"{place} at ")]
        assert f"defs.yaml:{line}`" in said
        assert told in said


def test_a_password_does_not_show_when_a_destination_is_wrong(yard: Yard) -> None:
    yard.ingest(
        """
        source: .source:shop
        destination: {type: postgres, host: db, password: hunter2, credentials: "postgresql://x:hunter2@db/y"}
        """
    )

    complaint = yard.complaint()

    assert "give either 'credentials' or host" in complaint
    assert "hunter2" not in complaint


def test_assets_are_shown_as_yaml_says(yard: Yard) -> None:
    yard.ingest(
        MINIMAL
        + """
owners: ["team:data"]
tags: {tier: 1}
freshness: {fail: 24h, warn: 12h}
automation: {cron: "0 * * * *", timezone: Europe/Vienna}
translation:
  key: "raw/{{ resource.name }}"
  group_name: "{{ resource.source }}"
  kinds: [api]
resources:
  orders:
    owners: ["team:sales", "ada@example.com"]
    tags: {money: "yes"}
    deps: [erp/orders]
    automation: eager
    description: All orders.
  customers: {key: raw/people, group: crm, freshness: 7d}
"""
    )

    specs = yard.specs()

    assert list(specs) == ["raw/orders", "raw/people"]
    orders, people = specs.values()
    assert orders.owners == ["team:sales", "ada@example.com"]
    assert people.owners == ["team:data"]
    assert {name: orders.tags[name] for name in ("tier", "money")} == {"tier": "1", "money": "yes"}
    assert (orders.group_name, people.group_name) == ("shop", "crm")
    assert orders.kinds == {"dlt", "duckdb", "api"}
    assert (orders.description, people.description) == ("All orders.", None)
    assert [dep.asset_key.to_user_string() for dep in orders.deps] == ["erp/orders"]
    assert orders.automation_condition == dg.AutomationCondition.eager()
    assert people.automation_condition == dg.AutomationCondition.on_cron("0 * * * *", "Europe/Vienna")
    assert orders.freshness_policy == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=24), warn_window=timedelta(hours=12)
    )
    assert people.freshness_policy == dg.FreshnessPolicy.time_window(fail_window=timedelta(days=7))


def test_steps_run_as_yaml_says_and_one_resource_otherwise(yard: Yard) -> None:
    yard.ingest(
        MINIMAL
        + """
name: till
op: {pool: api, retry: {max_retries: 3, delay_seconds: 2, backoff: exponential, jitter: full}, tags: {a: b}}
resources:
  customers: {op: {pool: slow, tags: {c: d}}}
"""
    )

    orders, customers = yard.assets()

    assert (orders.op.name, customers.op.name) == ("till__orders", "till__customers")
    assert (orders.op.pool, customers.op.pool) == ("api", "slow")
    policy = dg.RetryPolicy(max_retries=3, delay=2, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL)
    assert orders.op.retry_policy == customers.op.retry_policy == policy
    assert orders.op.tags == {"a": "b"}
    assert customers.op.tags == {"a": "b", "c": "d"}


def test_groups_of_resources_share_a_step(yard: Yard, run: Any) -> None:
    yard.ingest(MINIMAL + "isolation: {both: [orders, customers]}")

    (both,) = yard.assets()
    result = run([both])

    assert both.op.name == "shop__both"
    assert both.can_subset
    assert len(result.asset_materializations_for_node("shop__both")) == 2


def test_a_partition_loads_its_window(yard: Yard, run: Any) -> None:
    yard.ingest(MINIMAL + "partitions: {type: daily, start_date: 2026-01-01}\nop: {backfill_policy: {type: multi_run}}")

    assets = yard.assets()
    result = run(assets, partition_key="2026-01-02")

    assert result.success
    assert rows(yard, "select id from shop_dataset.orders") == [(2,)]
    assert assets[0].backfill_policy == dg.BackfillPolicy.multi_run(1)


@pytest.mark.parametrize(
    ("partitions", "expected"),
    [
        ("{type: hourly, start_date: 2026-01-01-00:00}", dg.HourlyPartitionsDefinition("2026-01-01-00:00")),
        ("{type: weekly, start_date: 2026-01-04}", dg.WeeklyPartitionsDefinition("2026-01-04")),
        (
            "{type: monthly, start_date: 2026-01-01, timezone: Europe/Vienna}",
            dg.MonthlyPartitionsDefinition("2026-01-01", timezone="Europe/Vienna"),
        ),
        (
            "\"{{ dg.DailyPartitionsDefinition('2026-01-01', end_offset=1) }}\"",
            dg.DailyPartitionsDefinition("2026-01-01", end_offset=1),
        ),
    ],
)
def test_partitions_of_every_kind(yard: Yard, partitions: str, expected: dg.PartitionsDefinition) -> None:
    yard.ingest(MINIMAL + f"partitions: {partitions}")

    assert {spec.partitions_def for spec in yard.specs().values()} == {expected}


def test_schedule_checks_and_nested_tables(yard: Yard, run: Any) -> None:
    yard.ingest(
        MINIMAL
        + """
schedule: {cron: "0 6 * * *", timezone: Europe/Vienna, name: mornings, is_running: true}
checks: [schema_contract, {few_rejects: {rows: 10}}]
resources:
  orders: {nested: [lines]}
"""
    )
    definitions = yard.load()
    assets = [asset for asset in definitions.assets or () if isinstance(asset, dg.AssetsDefinition)]
    (schedule,) = definitions.schedules or ()

    result = run(assets)

    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.name, schedule.cron_schedule, schedule.execution_timezone) == (
        "mornings",
        "0 6 * * *",
        "Europe/Vienna",
    )
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert result.success
    assert sorted(event.asset_key.to_user_string() for event in result.get_asset_materialization_events()) == [
        "dlt_shop_customers",
        "dlt_shop_orders",
        "dlt_shop_orders__lines",
    ]
    evaluations = result.get_asset_check_evaluations()
    assert {(one.check_name, one.passed) for one in evaluations} == {("schema_contract", True), ("few_rejects", True)}
    assert rows(yard, "select count(*) from shop_dataset.orders__lines") == [(3,)]


SOURCES = """
import dlt_orchestrate as dlt


@dlt.source
def shop(currency="EUR"):
    return dlt.resource([{"id": 1, "currency": currency}], name="orders")


made = shop(currency="GBP")


def plain(currency="EUR"):
    return [dlt.resource([{"id": 1, "currency": currency}], name="orders")]


def around(currency="EUR"):
    return shop(currency=currency)


@dlt.resource
def orders():
    yield [{"id": 1, "currency": "CHF"}]
"""


@pytest.mark.parametrize(
    ("source", "args", "name", "currency"),
    [
        (".source:shop", "{currency: USD}", "shop", "USD"),
        (".source.shop", "{currency: USD}", "shop", "USD"),
        (".source:made", "{}", "shop", "GBP"),
        (".source:plain", "{currency: USD}", "plain", "USD"),
        (".source:around", "{currency: USD}", "around", "USD"),
        (".source:orders", "{}", "orders", "CHF"),
    ],
)
def test_a_source_may_be_made_already_or_be_any_function(
    yard: Yard, run: Any, source: str, args: str, name: str, currency: str
) -> None:
    yard.ingest(
        f"""
        source: {source}
        args: {args}
        destination: {{type: duckdb, path: data/shop.duckdb}}
        dataset: raw
        """,
        source=SOURCES,
    )

    assets = yard.assets()

    assert [asset.op.name for asset in assets] == [f"{name}__orders"]
    assert run(assets).success
    assert rows(yard, "select currency from raw.orders") == [(currency,)]


def test_a_source_that_is_made_already_takes_no_arguments(yard: Yard) -> None:
    yard.ingest(MINIMAL.replace("shop\n", "made\n", 1) + "args: {currency: USD}", source=SOURCES)

    assert "args: the source is made already, and takes no arguments" in yard.complaint()


def test_the_selected_resources_alone_are_assets(yard: Yard) -> None:
    yard.ingest(MINIMAL + "select: [customers]")

    assert list(yard.specs()) == ["dlt_shop_customers"]


def test_a_definition_that_is_loaded_calls_no_resource_and_reads_no_secret(
    yard: Yard, caplog: pytest.LogCaptureFixture
) -> None:
    yard.ingest(
        """
        source: .source:shop
        args: {token: {secret: SHOP_TOKEN}}
        destination: {type: postgres, host: {secret: PGHOST_SECRET}, database: shop, password: {secret: PG_PASSWORD}}
        """
    )

    with caplog.at_level(logging.WARNING, "dlt_orchestrate"):
        specs = yard.specs()

    assert list(specs) == ["dlt_shop_orders", "dlt_shop_customers"]
    assert caplog.records == []
    assert all("token" not in str(spec.metadata).lower() for spec in specs.values())


def test_template_variables_give_objects_such_as_translations(yard: Yard) -> None:
    yard.write(
        "shop",
        """
        type: dlt_orchestrate.dagster.IngestComponent
        template_vars_module: .template_vars
        attributes:
          source: .source:shop
          destination: {type: duckdb, path: data/shop.duckdb}
          partitions: "{{ days }}"
          translation: "{{ upper_case }}"
        """,
        source=SHOP,
        template_vars="""
        import dagster as dg


        @dg.template_var
        def days():
            return dg.DailyPartitionsDefinition("2026-01-01")


        @dg.template_var
        def upper_case():
            return lambda spec, data: spec.replace_attributes(key=data.resource_name.upper())
        """,
    )

    specs = yard.specs()

    assert list(specs) == ["ORDERS", "CUSTOMERS"]
    assert specs["ORDERS"].partitions_def == dg.DailyPartitionsDefinition("2026-01-01")


@pytest.mark.filterwarnings("ignore::dagster_shared.utils.warnings.PreviewWarning")
def test_a_component_may_be_made_in_python(yard: Yard) -> None:
    yard.ingest(MINIMAL)
    path = yard.sandbox.defs_folder_path / "shop"
    (path / "defs.yaml").unlink()
    (path / "component.py").write_text(
        """
import dagster as dg

from dlt_orchestrate.dagster import IngestComponent
from dlt_orchestrate.dagster.components.settings import LoadSettings


@dg.component_instance
def load(context):
    return IngestComponent(LoadSettings(source=".source:shop", destination={"type": "duckdb", "path": "shop.duckdb"}))
"""
    )

    assert list(yard.specs()) == ["dlt_shop_orders", "dlt_shop_customers"]
