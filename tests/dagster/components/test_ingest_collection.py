"""`IngestCollectionComponent`: several loads in one file."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
from component_yard import SHOP, Yard

pytestmark = pytest.mark.filterwarnings("ignore::dagster.BetaWarning")

LOADS_OF_DAGSTER_DLT = """
import dlt_orchestrate as dlt


@dlt.source
def shop():
    return dlt.resource([{"id": 1}], name="orders")


shop_source = shop()
shop_pipeline = dlt.pipeline("shop", destination=dlt.destinations.duckdb("shop.duckdb"), dataset_name="raw")
"""


def test_the_yaml_of_dagster_dlt_loads_with_another_type(yard: Yard, run: Any) -> None:
    yard.write(
        "shop",
        """
        type: dlt_orchestrate.dagster.IngestCollectionComponent
        attributes:
          loads:
            - source: .loads.shop_source
              pipeline: .loads.shop_pipeline
              translation:
                group_name: sales
                key: "sales/{{ resource.name }}"
                metadata: {team: sales}
        """,
        loads=LOADS_OF_DAGSTER_DLT,
    )

    (asset,) = yard.assets()
    result = run([asset])

    (spec,) = asset.specs
    assert (spec.key.to_user_string(), spec.group_name, spec.metadata["team"]) == ("sales/orders", "sales", "sales")
    assert result.success
    with duckdb.connect("shop.duckdb", read_only=True) as connection:
        assert connection.execute("select id from raw.orders").fetchall() == [(1,)]


def test_each_load_has_its_own_settings(yard: Yard, run: Any) -> None:
    yard.ingest(
        """
        loads:
          - {source: ".source:shop", name: a, pipeline: a, dataset: a, destination: {type: duckdb, path: data/shop.duckdb}}
          - source: .source:shop
            args: {currency: USD}
            name: b
            pipeline: b
            dataset: b
            destination: {type: duckdb, path: data/shop.duckdb}
            translation: {key_prefix: [b]}
            schedule: "@daily"
        """,
        component="IngestCollectionComponent",
    )
    definitions = yard.load()

    assets = list(definitions.assets or ())
    result = run(assets)

    assert [asset.op.name for asset in assets] == ["a__orders", "a__customers", "b__orders", "b__customers"]
    assert assets[2].key.path == ["b", "dlt_shop_orders"]
    assert [schedule.name for schedule in definitions.schedules or ()] == ["b_schedule"]
    assert result.success
    with duckdb.connect(str(yard.root / "data" / "shop.duckdb"), read_only=True) as connection:
        found = connection.execute(
            "select distinct currency from a.orders union all select distinct currency from b.orders"
        )
        assert sorted(found.fetchall()) == [("EUR",), ("USD",)]


def test_what_is_wrong_is_told_with_the_load_it_is_in(yard: Yard) -> None:
    yard.ingest(
        """
        loads:
          - {source: ".source:shop", destination: {type: duckdb, path: data/shop.duckdb}}
          - {source: ".source:shop", destination: {type: duckdb, path: data/shop.duckdb}, resources: {order: {}}}
        """,
        component="IngestCollectionComponent",
    )

    assert yard.complaint() == ("loads.1.resources.order: source 'shop' has no resource 'order'. Did you mean 'orders'?")


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (
            "destination: {type: duckdb, path: x.duckdb}",
            "loads.0.destination: the pipeline '.loads.shop_pipeline' says that",
        ),
        ("dataset: raw", "loads.0.dataset: the pipeline '.loads.shop_pipeline' says that already. Leave it out."),
    ],
)
def test_a_pipeline_that_is_made_already_says_where_to_load(yard: Yard, fields: str, told: str) -> None:
    yard.write(
        "shop",
        f"""
        type: dlt_orchestrate.dagster.IngestCollectionComponent
        attributes:
          loads:
            - source: .loads.shop_source
              pipeline: .loads.shop_pipeline
              {fields}
        """,
        loads=LOADS_OF_DAGSTER_DLT,
    )

    assert told in yard.complaint()


def test_a_load_without_a_destination_is_told(yard: Yard) -> None:
    yard.ingest("loads: [{source: '.source:shop'}]", component="IngestCollectionComponent", source=SHOP)

    assert yard.complaint().startswith("loads.0.destination: it is missing.")
