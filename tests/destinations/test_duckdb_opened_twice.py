"""A file that another thread of the process is just opening."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dlt_orchestrate import destinations
from dlt_orchestrate.destinations.duckdb_file.transaction import DuckDBTransaction
from dlt_orchestrate.testing.look import rows
from dlt_orchestrate.testing.packages import package, resource_load


def test_an_engine_that_cannot_read_arrow_yet_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    insert_batch, refused = DuckDBTransaction._insert_batches, []

    def refuse_once(self, statement, batch):
        if not refused:
            refused.append(statement)
            raise duckdb.CatalogException("Catalog Error: Table Function with name python_arrow_scan does not exist!")
        return insert_batch(self, statement, batch)

    monkeypatch.setattr(DuckDBTransaction, "_insert_batches", refuse_once)
    destination = destinations.duckdb(tmp_path / "shop.duckdb")

    destination.commit(package(resource_load("orders", [{"id": 1}, {"id": 2}])))

    assert rows(destination, "orders", "id") == [(1,), (2,)]
    assert len(refused) == 1
