"""A shop for the pictures: days, lists in records, rejected rows, a load that fails and one that takes its time."""

import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dagster import DailyPartitionsDefinition, Definitions, in_process_executor

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import RowCountAnomaly, build_source_spec, ingest_assets

Records = Iterator[list[dict[str, Any]]]
FIRST_DAY = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Path(os.environ.get("SHOP_SETTINGS", "shop.json"))
"""A file, since one process reads it and another one changes it."""
GOODS = ("oolong", "sencha", "cup", "kettle")


def told(name: str, default: Any) -> Any:
    """What this run shall be like."""
    return json.loads(SETTINGS.read_text()).get(name, default) if SETTINGS.exists() else default


@dlt.source(name="tea_shop")
def shop() -> Any:
    """The shop's own database, read by its API."""

    @dlt.resource(
        primary_key="id",
        write_disposition="merge",
        columns={
            "total": {"data_type": "decimal", "precision": 10, "scale": 2, "description": "In euros, taxes included."}
        },
    )
    def orders(placed_at: Any = dlt.sources.incremental("placedAt")) -> Records:
        """Orders, by the day on which they were placed."""
        day = datetime.fromisoformat(placed_at.start_value)
        while day < datetime.fromisoformat(placed_at.end_value):
            number = (day - FIRST_DAY).days
            yield [
                {
                    "id": number * 100 + n,
                    "placedAt": (day + timedelta(hours=8, minutes=13 * n)).isoformat(),
                    "customer": {"name": f"customer {n % 7}", "city": ("Wien", "Graz", "Linz")[n % 3]},
                    "total": f"{3 + n * 1.5:.2f}",
                    "lines": [{"sku": GOODS[(n + k) % 4], "quantity": 1 + k} for k in range(1 + n % 3)],
                }
                for n in range(20 + number * 7 % 11)
            ]
            day += timedelta(days=1)

    return [orders]


@dlt.source(name="warehouse")
def warehouse() -> Any:
    """What lies in the warehouse, counted every night."""

    @dlt.resource(
        primary_key="sku",
        write_disposition="merge",
        columns={"sku": {"description": "The article's number."}, "count": {"data_type": "bigint"}},
        schema_contract={"data_type": "discard_row"},
    )
    def stock() -> Records:
        """How many of each article are there."""
        counted = told("counted", 40)
        yield [{"sku": f"{good}-{n}", "count": n * 3} for good in GOODS for n in range(counted // 4)]
        yield [{"sku": "broken-1", "count": "many"}, {"sku": "broken-2", "count": "a few"}]

    @dlt.resource(write_disposition="replace")
    def suppliers() -> Records:
        """Who delivers; their server is down more often than not."""
        if told("suppliers", "down") == "down":
            raise ConnectionError("suppliers.example answered 503 Service Unavailable, 5 times in a row")
        yield [{"name": "Tea & Sons"}]

    @dlt.resource
    def movements() -> Records:
        """What came and went; slow to read."""
        for page in range(told("pages", 3)):
            time.sleep(told("page_seconds", 0))
            yield [{"sku": GOODS[n % 4], "moved": n - 50, "page": page} for n in range(1_000)]

    return [stock, suppliers, movements]


pipeline = dlt.pipeline("shop", destination="duckdb", dataset_name="shop_data")
shop_system = build_source_spec(shop, group_name="shop", kinds={"api"}, url="https://shop.example/api")
warehouse_system = build_source_spec(warehouse, group_name="shop", kinds={"api"})

defs = Definitions(
    assets=[
        shop_system,
        warehouse_system,
        *ingest_assets(
            shop,
            pipeline,
            group_name="shop",
            partitions_def=DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01"),
            nested={"orders": ["lines"]},
            checks=["primary_key_unique", "schema_contract"],
            upstream=shop_system,
            preview_rows=5,
            preview_masked=["customer__name"],
        ),
        *ingest_assets(
            warehouse,
            dlt.pipeline("warehouse", destination="duckdb", dataset_name="shop_data"),
            group_name="shop",
            owners=["team:logistics"],
            checks=["schema_contract", "primary_key_unique", "few_rejects", RowCountAnomaly(min_history=3)],
            upstream=warehouse_system,
            progress="observe",
            progress_seconds=10,
        ),
    ],
    executor=in_process_executor,
)
