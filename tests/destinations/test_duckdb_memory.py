"""What a transaction has inserted it does not keep in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import duckdb
import pyarrow as pa

import dlt_orchestrate as dlt
from dlt_orchestrate import destinations
from dlt_orchestrate.destinations.duckdb_file.transaction import ROW_GROUP_BYTES, DuckDBTransaction
from dlt_orchestrate.flow.operation import CreateTable, InsertRows
from dlt_orchestrate.schema.table import Column
from dlt_orchestrate.schema.types import TEXT
from dlt_orchestrate.testing.packages import DATASET, package, resource_load

BATCH_BYTES = 2**20
BATCHES = 48


class Batches:
    """Large batches, made when they are asked for; remembers how much of them Arrow held at most."""

    column_types: ClassVar = {"text": TEXT}
    row_count = BATCHES * 1_024
    most_bytes = 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        before = pa.total_allocated_bytes()
        for number in range(BATCHES):
            texts = pa.array([f"{number:04d}" * 256] * 1_024, pa.string())
            yield pa.RecordBatch.from_arrays([texts], ["text"])
            del texts
            self.most_bytes = max(self.most_bytes, pa.total_allocated_bytes() - before)


def test_batches_are_let_go_once_they_are_inserted(tmp_path) -> None:
    rows = Batches()
    with duckdb.connect(str(tmp_path / "memory.duckdb")) as connection:
        connection.execute("BEGIN")
        transaction = DuckDBTransaction(connection, "data")
        transaction.carry_out(CreateTable("texts", (Column("text", TEXT),)))
        counts = transaction.carry_out(InsertRows("texts", rows))
        connection.execute("COMMIT")
        found = connection.execute("SELECT count(*), count(DISTINCT text) FROM data.texts").fetchall()

    assert counts["texts"].inserted == BATCHES * 1_024
    assert found == [(BATCHES * 1_024, BATCHES)]
    assert rows.most_bytes < ROW_GROUP_BYTES + 6 * BATCH_BYTES


def test_batches_that_are_inserted_together_keep_their_order(tmp_path) -> None:
    pipeline = dlt.pipeline("many", destination=dlt.destinations.duckdb(tmp_path / "many.duckdb"), dataset_name="d")
    page = pa.table({"n": pa.array(range(150_001)), "is_odd": pa.array([False, True, None] * 50_000 + [True])})

    pipeline.run(page.slice(1), table_name="numbers")

    ordered = "SELECT n, is_odd FROM numbers ORDER BY rowid"
    assert pipeline.dataset()(ordered).arrow() == page.slice(1)
    by_id = "SELECT n, is_odd FROM numbers ORDER BY _dlt_id"
    assert pipeline.dataset()(by_id).arrow() == page.slice(1)


def test_who_else_has_the_file_open_keeps_its_threads(tmp_path) -> None:
    path = tmp_path / "shared.duckdb"
    with duckdb.connect(str(path)) as mine:
        mine.execute("SET threads = 3")
        destinations.duckdb(path).commit(package(resource_load("orders", [{"id": 1}])))
        assert mine.execute("SELECT current_setting('threads')").fetchall() == [(3,)]
        assert mine.execute(f"SELECT id FROM {DATASET}.orders").fetchall() == [(1,)]
