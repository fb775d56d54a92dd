"""Databases to read from, and what became of their tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mariadb_server
import postgres_server
import pytest

import dlt_orchestrate as dlt

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """An empty PostgreSQL database, shared by the tests of a module: each makes tables of its own."""
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture(scope="module")
def mariadb_url() -> Iterator[str]:
    """An empty MariaDB database, shared by the tests of a module."""
    with mariadb_server.mariadb_database() as url:
        yield url


@pytest.fixture
def pipeline(project: Path) -> dlt.Pipeline:
    return dlt.pipeline("reading", destination="duckdb", dataset_name="copy")


@pytest.fixture
def stored(pipeline: dlt.Pipeline) -> Callable[..., Rows]:
    """What a table of the dataset holds, without system columns: `stored("orders", order_by="id")`."""

    def rows(table: str, order_by: str = "id") -> Rows:
        found = pipeline.dataset().query(f'SELECT * FROM "{table}" ORDER BY "{order_by}"').arrow()
        kept = [name for name in found.column_names if not name.startswith("_dlt")]
        return found.select(kept).to_pylist()

    return rows


@pytest.fixture
def column_types(pipeline: dlt.Pipeline) -> Callable[[str], dict[str, str]]:
    """The types of the columns of a table, as the schema has them."""

    def types(table: str) -> dict[str, str]:
        columns = pipeline.default_schema.tables[table].columns.values()
        return {column.name: str(column.type) for column in columns if not column.name.startswith("_dlt")}

    return types
