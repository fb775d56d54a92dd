"""What a translator says of single resources."""

from collections.abc import Sequence

import dagster as dg
import pytest

from dlt_orchestrate.dagster import DltTranslator, FewRejects, ResourceTranslatorData, ingest_assets
from dlt_orchestrate.errors import DeclarationError, UnknownResourceError

DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01")


class OrdersByDay(DltTranslator):
    def get_asset_spec(self, data: ResourceTranslatorData) -> dg.AssetSpec:
        spec = super().get_asset_spec(data)
        return spec.replace_attributes(partitions_def=DAYS) if data.resource_name == "orders" else spec

    def get_checks(self, data: ResourceTranslatorData) -> Sequence[FewRejects | str]:
        return [FewRejects(rows=10)] if data.resource_name == "orders" else ["not_null"]


def checks_of(assets: dg.AssetsDefinition) -> list[str]:
    return sorted(spec.name for spec in assets.check_specs)


def test_a_translator_gives_one_resource_its_partitions_and_checks(shop, warehouse, instance) -> None:
    orders, visits, _ = ingest_assets(
        shop.source(), warehouse, translator=OrdersByDay(), checks=["few_rejects", "schema_contract"]
    )

    result = dg.materialize([orders], instance=instance, partition_key="2026-01-02")

    assert (orders.partitions_def, visits.partitions_def) == (DAYS, None)
    assert (orders.backfill_policy, visits.backfill_policy) == (dg.BackfillPolicy.single_run(), None)
    assert checks_of(orders) == ["few_rejects", "schema_contract"]
    assert checks_of(visits) == ["few_rejects", "not_null", "schema_contract"]
    evaluations = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert evaluations["few_rejects"].metadata["allowed"].value == 10
    assert [e.partition for e in result.get_asset_materialization_events()] == ["2026-01-02"]


def test_partitions_may_be_said_of_some_resources_only(shop, warehouse) -> None:
    orders, visits, _ = ingest_assets(shop.source(), warehouse, partitions_def={"orders": DAYS})

    assert (orders.partitions_def, visits.partitions_def) == (DAYS, None)


def test_partitions_of_a_resource_that_is_none_are_refused(shop, warehouse) -> None:
    with pytest.raises(UnknownResourceError, match="oders"):
        ingest_assets(shop.source(), warehouse, partitions_def={"oders": DAYS})


def test_resources_of_one_step_are_partitioned_alike(shop, warehouse) -> None:
    with pytest.raises(DeclarationError, match="'orders' and 'visits' in one step, and they are partitioned differently"):
        ingest_assets(shop.source(), warehouse, partitions_def={"orders": DAYS}, isolation="source")


def test_what_cannot_be_partitioned_is_refused_for_one_resource_too(shop, warehouse) -> None:
    with pytest.raises(DeclarationError, match="'visits' of source 'shop' cannot be partitioned by time"):
        ingest_assets(shop.source(), warehouse, partitions_def={"visits": DAYS})
