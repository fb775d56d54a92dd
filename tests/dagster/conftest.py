from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from dlt_orchestrate.config.values import secrets
from dlt_orchestrate.declare.resource import resource
from dlt_orchestrate.declare.source import Source, source
from dlt_orchestrate.pipeline.pipeline import Pipeline, pipeline
from dlt_orchestrate.sources import incremental


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory, which a test's runs may share."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class Shop:
    """A source whose records a test may change, and whose resources it may break."""

    def __init__(self) -> None:
        self.orders = [
            {"id": 1, "updated_at": "2026-01-01T00:00:00Z", "total": 10.5, "lines": [{"sku": "tea"}, {"sku": "cup"}]},
            {"id": 2, "updated_at": "2026-01-02T00:00:00Z", "total": 7.0, "lines": [{"sku": "tea"}]},
        ]
        self.visits = [{"page": "/"}, {"page": "/tea"}]
        self.failures: list[Exception] = []
        """Raised one by one by `visits` before it yields."""
        self.extractions: list[str] = []
        """The resources whose functions have run, in order."""

    def source(self) -> Source:
        """The recipe: `orders` merge by id and have a cursor and a nested list, `visits` append, `audit` needs a secret."""

        @resource(primary_key="id", write_disposition="merge")
        def orders(updated_at: Any = incremental("updated_at", initial_value="2025-01-01T00:00:00Z")) -> Iterator[Any]:
            """Orders that changed since the last load."""
            self.extractions.append("orders")
            yield [order for order in self.orders if order["updated_at"] >= updated_at.last_value]

        @resource
        def visits() -> Iterator[Any]:
            self.extractions.append("visits")
            if self.failures:
                raise self.failures.pop(0)
            yield self.visits

        @resource(name="internal/audit")
        def audit(audit_token: str = secrets.value) -> Iterator[Any]:
            self.extractions.append("internal/audit")
            yield [{"length": len(audit_token)}]

        @source(name="shop", section="shop")
        def shop() -> Any:
            return [orders, visits, audit]

        return shop()


@pytest.fixture
def shop() -> Shop:
    """A source of three resources."""
    return Shop()


@pytest.fixture
def warehouse(project: Path) -> Pipeline:
    """A pipeline into a DuckDB file of the test's own."""
    return pipeline("warehouse", destination="duckdb", dataset_name="raw")


Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def query(project: Path) -> Query:
    """Ask the DuckDB file, with a connection of its own."""

    def ask(sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(project / "warehouse.duckdb")) as connection:
            return connection.execute(sql).fetchall()

    return ask
