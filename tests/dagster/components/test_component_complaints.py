"""What users of dagster-dlt's component complained about: none of it happens here.

Numbers are those of issues of dagster-io/dagster; the other complaints stand in `test_complaints.py`.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from component_yard import SHOP, Yard

pytestmark = [
    pytest.mark.filterwarnings("ignore::dagster.BetaWarning"),
    pytest.mark.filterwarnings("ignore::dagster_shared.utils.warnings.PreviewWarning"),
]

MINIMAL = """
source: .source:shop
destination: {type: duckdb, path: data/shop.duckdb}
"""


def test_31763_a_source_may_be_a_function_that_takes_arguments(yard: Yard, run: Any) -> None:
    yard.ingest(MINIMAL + "args: {currency: CHF}")

    result = run(yard.assets())

    assert result.success
    assert {event.asset_key.path[-1] for event in result.get_asset_materialization_events()} == {
        "dlt_shop_orders",
        "dlt_shop_customers",
    }


def test_31763_a_function_that_lacks_an_argument_fails_the_step_which_names_it(yard: Yard, run: Any) -> None:
    yard.ingest(MINIMAL, source=SHOP.replace('def shop(currency="EUR", token=None)', "def shop(currency, token=None)"))

    result = run(yard.assets())

    assert {
        event.step_key: event.step_failure_data.user_failure_data.metadata["missing"].value
        for event in result.get_step_failure_events()
    } == {"shop__orders": "currency", "shop__customers": "currency"}


def test_31964_the_steps_of_a_component_may_be_in_a_pool(yard: Yard) -> None:
    yard.ingest(MINIMAL + "op: {pool: shop_api}\nresources: {customers: {op: {pool: crm}}}")

    assert {asset.op.name: asset.op.pool for asset in yard.assets()} == {
        "shop__orders": "shop_api",
        "shop__customers": "crm",
    }


def test_33440_assets_of_a_component_are_in_a_job_by_their_group_or_keys(yard: Yard) -> None:
    yard.ingest(MINIMAL + 'group: shop\ntranslation: {key: "raw/{{ resource.name }}"}')
    (yard.sandbox.defs_folder_path / "jobs.py").write_text(
        "import dagster as dg\n\n"
        'all_of_it = dg.define_asset_job("all_of_it", selection=dg.AssetSelection.groups("shop"))\n'
        'orders_only = dg.define_asset_job("orders_only", selection="key:raw/orders")\n'
    )

    definitions = yard.load()

    steps = {name: set(definitions.resolve_job_def(name).graph.node_dict) for name in ("all_of_it", "orders_only")}
    assert steps == {"all_of_it": {"shop__orders", "shop__customers"}, "orders_only": {"shop__orders"}}
    with dg.DagsterInstance.ephemeral() as instance:
        assert definitions.resolve_job_def("orders_only").execute_in_process(instance=instance).success
