"""What the catalog shows of an asset that is loaded, on both databases: columns, place, cursor, log."""

import logging
from collections.abc import Iterator
from typing import Any

import dagster as dg

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets

ORDERS = dg.AssetKey("dlt_shop_orders")
TOTAL = {"data_type": "decimal", "precision": 10, "scale": 2, "description": "In euros, taxes included."}


@dlt.source(name="shop", section="shop")
def shop() -> Any:
    @dlt.resource(primary_key="id", merge_key="shop", write_disposition="merge", columns={"total": TOTAL})
    def orders(at: Any = dlt.sources.incremental("updatedAt", initial_value="2026-01-01T00:00:00Z")) -> Iterator[Any]:
        """What was ordered."""
        logging.getLogger("dlt_orchestrate.shop").warning("The shop asks to be patient.")
        yield {"id": 1, "shop": "wien", "updatedAt": "2026-01-05T12:00:00Z", "total": "4.20", "lines": [{"sku": "tea"}]}

    return [orders]


def loaded(pipeline: dlt.Pipeline, instance: dg.DagsterInstance) -> tuple[dict[str, Any], str]:
    """The metadata of a load, and the id of its run."""
    result = dg.materialize(ingest_assets(shop(), pipeline), instance=instance)
    [event] = result.get_asset_materialization_events()
    return {name: entry.value for name, entry in event.materialization.metadata.items()}, result.run_id


def test_columns_have_the_types_of_the_destination_descriptions_and_tags_of_their_part(warehouse, instance) -> None:
    found, _ = loaded(warehouse, instance)

    columns = {column.name: column for column in found["dagster/column_schema"].columns}
    assert {name: column.type for name, column in columns.items()} == {
        "id": "BIGINT", "shop": "VARCHAR", "updated_at": "TIMESTAMP WITH TIME ZONE", "total": "DECIMAL(10,2)",
        "_dlt_load_id": "VARCHAR", "_dlt_id": "VARCHAR",
    }  # fmt: skip
    assert {name: set(column.tags) for name, column in columns.items() if column.tags} == {
        "id": {"primary_key"}, "shop": {"merge_key"}, "updated_at": {"cursor", "source_field"},
    }  # fmt: skip
    assert columns["total"].description == "In euros, taxes included."
    assert columns["_dlt_load_id"].description == "The load that brought the row: load_id of _dlt_loads."
    assert (columns["id"].constraints.nullable, columns["total"].constraints.nullable) == (False, True)
    assert columns["_dlt_id"].constraints.unique


def test_the_name_of_the_table_is_one_that_a_query_finds(destination_name, instance) -> None:
    pipeline = dlt.pipeline("warehouse", destination=destination_name, dataset_name="raw")
    found, _ = loaded(pipeline, instance)

    with pipeline.destination.reader("raw") as reader:
        [row] = reader.query(f"SELECT id FROM {found['dagster/table_name']}").to_pylist()
    assert row == {"id": 1}
    assert found["dagster/uri"].startswith({"duckdb": "duckdb://", "postgres": "postgresql://"}[destination_name])
    assert "@" not in found["dagster/uri"].replace("postgres@", "")


def test_a_cursor_is_told_before_and_after_and_how_far_it_lags(warehouse, instance) -> None:
    first, _ = loaded(warehouse, instance)
    second, _ = loaded(warehouse, instance)

    assert "cursor/updatedAt/before" not in first
    assert first["cursor/updatedAt/after"] == "2026-01-05T12:00:00Z"
    assert second["cursor/updatedAt/before"] == second["cursor/updatedAt/after"] == "2026-01-05T12:00:00Z"
    assert second["cursor/updatedAt/lag_seconds"] >= first["cursor/updatedAt/lag_seconds"]


def test_what_the_package_logs_in_a_step_is_in_the_event_log_of_its_run(warehouse, instance) -> None:
    _, run_id = loaded(warehouse, instance)

    lines = [(entry.step_key, entry.user_message) for entry in instance.all_logs(run_id) if entry.dagster_event is None]
    assert lines == [("shop__orders", "The shop asks to be patient.")]


def test_what_one_looks_for_comes_first(warehouse, instance) -> None:
    found, _ = loaded(warehouse, instance)

    names = [name for name in found if not name.startswith("nested/")]
    assert names[:6] == [
        "rows_loaded", "rows_inserted", "rows_updated", "rows_deleted", "rows_rejected", "dagster/row_count"
    ]  # fmt: skip
    assert names.index("cursor/updatedAt/after") < names.index("extract_seconds") < names.index("dagster/uri")
