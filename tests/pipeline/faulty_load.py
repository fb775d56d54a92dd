"""A load that a test lets fail, with the fault in the environment."""

from __future__ import annotations

from pathlib import Path

import dlt_orchestrate as dlt

ORDERS = {
    "1": [
        {"id": 1, "at": 1, "v": "old", "tags": ["a", "b"]},
        {"id": 2, "at": 1, "v": "old", "tags": ["c"]},
    ],
    "2": [
        {"id": 2, "at": 1, "v": "old", "tags": ["c"]},
        {"id": 1, "at": 2, "v": "new", "tags": ["z"], "extra": 1.5},
        {"id": 3, "at": 2, "v": "new", "tags": ["y", {"deep": [1]}]},
    ],
}


@dlt.source
def shop(version: str = "1", disposition: str = "append"):
    @dlt.resource(write_disposition=disposition, primary_key="id")
    def orders(at=dlt.sources.incremental("at", initial_value=0)):
        for order in ORDERS[version]:
            yield [order]

    @dlt.resource
    def visits(at=dlt.sources.incremental("at", initial_value=0)):
        dlt.current.source_state()["version"] = version
        yield [{"id": version, "at": int(version)}]

    return orders, visits


def load(file: Path, disposition: str, version: str) -> None:
    pipeline = dlt.pipeline("shop", destination=dlt.destinations.duckdb(file), dataset_name="shop_data")
    pipeline.run(shop(version, disposition))
