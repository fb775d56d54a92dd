"""Where batches wait for the commit: in memory while they are few, in Arrow IPC files once they are many.

Spooling holds no lock and no transaction, so extraction may take as long as it likes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.faults import faultpoint
from dlt_orchestrate.flow.batch import (
    FieldKey,
    KeyPath,
    Observed,
    Segment,
    SpooledTable,
    TableBatch,
    TableKey,
    arrow_type,
)
from dlt_orchestrate.load.scratch import Scratch
from dlt_orchestrate.schema.table import LIST_INDEX, PARENT_ID, ROOT_ID, ROW_ID

DEFAULT_MEMORY_BYTES = 64 * 2**20
"""Arrow bytes that one spool keeps in memory before it writes the largest table to a file."""
PLAIN_BYTES = 256 * 2**20
"""Arrow bytes of one spool that are written as they are: the system holds as many in memory until they are read again, and
to compress them would cost several times as much. Those after them are compressed, for the sake of the disk."""
BATCH_ROWS = 32_768
BATCH_BYTES = 16 * 2**20
"""Small batches are joined to about this size: what is done once for each batch and column costs as much as its values."""


@dataclass
class _OpenTable:
    key: TableKey
    fields: dict[FieldKey, int] = field(default_factory=dict)
    observed: dict[FieldKey, Observed] = field(default_factory=dict)
    null_paths: set[KeyPath] = field(default_factory=set)
    pending: list[pa.RecordBatch] = field(default_factory=list)
    pending_bytes: int = 0
    segments: list[Segment] = field(default_factory=list)
    rows: int = 0
    written_bytes: int = 0


class Spool:
    """Collects the batches of one resource, table by table, in the order they come."""

    def __init__(self, scratch: Scratch, memory_bytes: int = DEFAULT_MEMORY_BYTES) -> None:
        self._scratch = scratch
        self._memory_bytes = memory_bytes
        self._tables: dict[TableKey, _OpenTable] = {}
        self._pending_bytes = 0
        self._added_bytes = 0

    @property
    def byte_count(self) -> int:
        """Bytes of all that was added, in memory and uncompressed."""
        return self._added_bytes

    def add(self, batch: TableBatch) -> None:
        """Take a batch."""
        table = self._tables.setdefault(batch.key, _OpenTable(batch.key))
        for key, seen in batch.observed.items():
            before = table.observed.get(key)
            table.observed[key] = before.merge(seen) if before else seen
        table.null_paths |= batch.null_paths
        record_batch = _record_batch(batch, table.fields)
        table.pending.append(record_batch)
        table.rows += record_batch.num_rows
        size = record_batch.nbytes
        table.pending_bytes += size
        self._pending_bytes += size
        self._added_bytes += size
        while self._pending_bytes > self._memory_bytes:
            self._write(max(self._tables.values(), key=lambda t: t.pending_bytes))

    def finish(self) -> tuple[SpooledTable, ...]:
        """Everything that was added, in the order of the tables' first batches."""
        return tuple(
            SpooledTable(
                key=table.key,
                fields=tuple(table.fields),
                segments=(*table.segments, *((Segment(tuple(_joined(table.pending))),) if table.pending else ())),
                observed=dict(table.observed),
                null_paths=frozenset(table.null_paths - {key.path for key in table.fields}),
                row_count=table.rows,
                byte_count=table.written_bytes + table.pending_bytes,
            )
            for table in self._tables.values()
        )

    def discard(self) -> None:
        """Remove the files, once nobody reads them any more."""
        for table in self._tables.values():
            for segment in table.segments:
                if segment.path is not None:
                    Path(segment.path).unlink(missing_ok=True)

    def _write(self, table: _OpenTable) -> None:
        """Move a table's waiting batches to files, one for each run of batches of the same schema."""
        is_little = self._added_bytes - self._pending_bytes < PLAIN_BYTES
        options = pa.ipc.IpcWriteOptions(compression=None if is_little else "lz4")
        for schema, batches in groupby(_joined(table.pending), key=lambda batch: batch.schema):
            path = self._scratch.new_file(".arrows")
            faultpoint("spool.before_write")
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema, options=options) as writer:
                for batch in batches:
                    writer.write_batch(batch)
            faultpoint("spool.after_write")
            table.segments.append(Segment(path=path))
        self._pending_bytes -= table.pending_bytes
        table.written_bytes += table.pending_bytes
        table.pending, table.pending_bytes = [], 0


def _joined(batches: Sequence[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in larger batches, of one schema each."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        is_full = rows + batch.num_rows > BATCH_ROWS or size + batch.nbytes > BATCH_BYTES
        if waiting and (is_full or not batch.schema.equals(waiting[0].schema)):
            yield from _one(waiting)
            waiting, rows, size = [], 0, 0
        waiting.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
    if waiting:
        yield from _one(waiting)


def _one(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Batches of one schema as one."""
    return batches if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()


def _record_batch(batch: TableBatch, fields: dict[FieldKey, int]) -> pa.RecordBatch:
    """The batch with every field that its table has had so far, in one order, so that schemas rarely change."""
    for key in batch.columns:
        fields.setdefault(key, len(fields))
    arrays, names = [batch.row_ids], [ROW_ID]
    links = ((PARENT_ID, batch.parent_ids), (LIST_INDEX, batch.list_indexes), (ROOT_ID, batch.root_ids))
    for name, array in links:
        if array is not None:
            arrays.append(array)
            names.append(name)
    for key, position in fields.items():
        array = batch.columns.get(key)
        arrays.append(pa.nulls(len(batch), arrow_type(key.value_class)) if array is None else array)
        names.append(f"c{position}")
    return pa.RecordBatch.from_arrays(arrays, names)
