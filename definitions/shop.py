"""A database: two of its tables as assets, of which the orders come by their cursor and whole days may be loaded again."""

from typing import Any

import dlt_orchestrate as dlt
from dlt_orchestrate.dagster import ingest_assets
from dlt_orchestrate.sources.sql_database import sql_table


@dlt.source(name="shop")
def shop_source(credentials: str = dlt.secrets.value) -> Any:
    """The database of a shop; `sources.shop.credentials` says where it is, such as `sqlite:///shop.sqlite`."""
    placed_at: Any = dlt.sources.incremental("placed_at")
    return [
        sql_table(credentials, "orders", incremental=placed_at, write_disposition="merge"),
        sql_table(credentials, "customers", write_disposition="merge", excluded_columns=["email"]),
    ]


shop = dlt.pipeline("shop", destination="duckdb", dataset_name="shop_data")

shop_assets = ingest_assets(shop_source, shop, group_name="shop")
