"""A small source whose data asks for care when it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

import dlt_orchestrate as dlt

ORDERS = [
    {"id": 1, "placed_on": "2026-01-01", "lines": [{"sku": "tea", "tags": ["hot"]}, {"sku": "cup"}]},
    {"id": 2, "placed_on": "2026-01-02", "note": "<script>alert('tea')</script>\x1b[31m", "lines": [{"sku": "tea"}]},
    {"placed_on": "2026-01-01", "note": "has no id"},
]


@dlt.source(name="shop")
def shop() -> Any:
    """Orders with a cursor, nested tables and a row without its key; visits with a state of their own."""

    @dlt.resource(primary_key="id", write_disposition="merge")
    def orders(placed_on: Any = dlt.sources.incremental("placed_on", initial_value="2025-01-01")) -> Iterator[Any]:
        yield ORDERS

    @dlt.resource
    def visits() -> Iterator[Any]:
        dlt.current.resource_state("visits")["last_seen"] = date(2026, 1, 7)
        yield [{"page": "/"}, {"page": "/tea"}]

    return [orders, visits]
