"""What the limits are made of: columns of a known schema out of records, and one transaction that takes them in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, repeat
from operator import itemgetter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

Record = dict[str, Any]
Fields = Mapping[str, pa.DataType]

GROUP_ROWS = 122_880
GROUP_BYTES = 64 * 2**20
CHUNK_ROWS = 1_000
"""Records that become columns at once: more of them are more memory at a time, and slower."""

BIGINT, DOUBLE, TEXT, BOOL = pa.int64(), pa.float64(), pa.string(), pa.bool_()
MOMENT = pa.timestamp("us", "UTC")


class Loader:
    """Takes batches for the tables of one transaction, and inserts them group by group."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._waiting: dict[str, list[pa.RecordBatch]] = {}
        self._bytes: dict[str, int] = {}
        self._made: set[str] = set()

    def add(self, table: str, batch: pa.RecordBatch) -> None:
        waiting = self._waiting.setdefault(table, [])
        waiting.append(batch)
        self._bytes[table] = self._bytes.get(table, 0) + batch.nbytes
        if self._bytes[table] >= GROUP_BYTES or sum(one.num_rows for one in waiting) >= GROUP_ROWS:
            self._insert(table)

    def flush(self) -> None:
        for table in list(self._waiting):
            self._insert(table)

    def _insert(self, table: str) -> None:
        # Found by its name, since DuckDB keeps what is registered in a transaction until that ends.
        arriving = pa.Table.from_batches(self._waiting.pop(table))  # noqa: F841
        del self._bytes[table]
        if table not in self._made:
            kind = "TEMP TABLE" if table.startswith("temp.") else "TABLE"
            self.connection.execute(f"CREATE {kind} IF NOT EXISTS {table} AS FROM arriving LIMIT 0")
            self._made.add(table)
        self.connection.execute(f"INSERT INTO {table} BY NAME FROM arriving")


@contextmanager
def one_transaction(database: Path) -> Iterator[Loader]:
    """A loader whose tables are all committed, and the file closed, at the end.

    One thread: several share a group, so that none fills a row group, which then is written twice; and idle ones spin.
    """
    with duckdb.connect(str(database)) as connection:
        connection.execute("SET threads = 1")
        connection.execute("BEGIN")
        loader = Loader(connection)
        yield loader
        loader.flush()
        connection.execute("COMMIT")


def count(loader: Loader, table: str = "records") -> int:
    loader.flush()
    return int(loader.connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def arrays(rows: Sequence[Record], fields: Fields) -> list[pa.Array]:
    """The fields of records that have all of them."""
    columns = zip(*map(itemgetter(*fields), rows), strict=True)
    return [array(values, kind) for values, kind in zip(columns, fields.values(), strict=True)]


def array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if kind is MOMENT:
        return pa.array(values, TEXT).cast(MOMENT)
    return pa.array(values, kind)


def batch(rows: Sequence[Record], fields: Fields) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(arrays(rows, fields), list(fields))


def children(ids: Sequence[int], lists: Sequence[list[Record]], fields: Fields) -> pa.RecordBatch | None:
    """The elements of the records' lists, each with the id of its record and its position; None if there are none."""
    elements = list(chain.from_iterable(lists))
    if not elements:
        return None
    lengths = list(map(len, lists))
    owners = pa.array(list(chain.from_iterable(map(repeat, ids, lengths))), BIGINT)
    positions = pa.array(list(chain.from_iterable(map(range, lengths))), BIGINT)
    return pa.RecordBatch.from_arrays([owners, positions, *arrays(elements, fields)], ["record_id", "position", *fields])


def chunks(pages: Iterable[list[Record]]) -> Iterator[list[Record]]:
    """Pages gathered into chunks that are worth the overhead of columns."""
    waiting: list[Record] = []
    for page in pages:
        waiting += page
        if len(waiting) >= CHUNK_ROWS:
            yield waiting
            waiting = []
    if waiting:
        yield waiting
