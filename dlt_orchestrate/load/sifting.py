"""Spooled tables without some rows or values, which are taken out while they are read; and rows as records again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field, replace
from typing import Any

import pyarrow as pa

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow import kernels as pc
from dlt_orchestrate.flow.batch import FieldKey, Observed, Segment, SpooledTable, TableKey
from dlt_orchestrate.flow.package import DesiredTable
from dlt_orchestrate.load.cast import printed
from dlt_orchestrate.load.overflow import as_json, merge, put
from dlt_orchestrate.schema.iso import text_shape
from dlt_orchestrate.schema.types import ValueClass

Sift = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Takes rows, or values of the columns `c<position>`, out of a spooled batch."""


def sifted(table: DesiredTable, sift: Sift) -> DesiredTable:
    """A table without what is taken out of it, and what there is to see of the rest."""
    spool = table.spool
    everywhere = tuple(range(len(spool.fields)))
    segment = _Sifted(spool=spool, sift=sift, positions=everywhere)
    row_count, observed = _look_at(replace(spool, segments=(segment,)))
    if not row_count:
        return replace(table, spool=SpooledTable(spool.key))
    positions = tuple(position for position in everywhere if spool.fields[position] in observed)
    return replace(
        table,
        spool=replace(
            spool,
            fields=tuple(spool.fields[position] for position in positions),
            segments=(replace(segment, positions=positions),),
            observed=observed,
            row_count=row_count,
        ),
    )


def records_of(spool: SpooledTable, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Spooled rows as records again, as far as columns tell."""
    records: list[dict[str, Any]] = [{} for _ in range(batch.num_rows)]
    for position, key in enumerate(spool.fields):
        index = batch.schema.get_field_index(f"c{position}")
        values = as_json(batch.column(index), key.value_class) if index >= 0 else ()
        for record, value in zip(records, values, strict=False):
            if value is not None and key.path:
                put(record, key.path, value)
            elif value is not None:
                merge(record, value)
    return records


@dataclass(frozen=True, slots=True)
class _Sifted(Segment):
    """The batches of a spooled table, sifted while they are read.

    Attributes:
        positions: The fields that stay, by their positions in the spool.
    """

    spool: SpooledTable = field(default_factory=lambda: SpooledTable(TableKey("")))
    sift: Sift = lambda batch: batch
    positions: tuple[int, ...] = ()

    def read(self) -> Iterator[pa.RecordBatch]:
        for batch in self.spool.read():
            left = self.sift(batch)
            columns = {name: left.column(name) for name in left.schema.names if not name.startswith("c")}
            for new, old in enumerate(self.positions):
                if f"c{old}" in left.schema.names:
                    columns[f"c{new}"] = left.column(f"c{old}")
            yield pa.RecordBatch.from_arrays(list(columns.values()), list(columns))

    def read_column(self, name: str) -> Iterator[pa.Array]:
        yield from (batch.column(name) for batch in self.read() if name in batch.schema.names)


def _look_at(spool: SpooledTable) -> tuple[int, dict[FieldKey, Observed]]:
    """Count the rows of a spooled table and look at its values; fields in the order of their first value."""
    rows = 0
    first: dict[FieldKey, int] = {}
    seen: dict[FieldKey, Observed] = {}
    for batch in spool.read():
        for position, key in enumerate(spool.fields):
            index = batch.schema.get_field_index(f"c{position}")
            values = batch.column(index).drop_null() if index >= 0 else ()
            if not len(values):
                continue
            observed = _observed(key.value_class, values)
            if key not in seen:
                first[key] = rows + pc.index(pc.is_valid(batch.column(index)), pa.scalar(True)).as_py()
            seen[key] = seen[key].merge(observed) if key in seen else observed
        rows += batch.num_rows
    before = list(spool.observed)
    for key in seen:
        whole = spool.observed[key]
        if whole.declared_digits is not None:  # rows that are left out change nothing of what types declare
            seen[key] = replace(seen[key], scale=whole.scale, declared_digits=whole.declared_digits)
    return rows, {key: seen[key] for key in sorted(seen, key=lambda key: (first[key], before.index(key)))}


def _observed(value_class: ValueClass, values: pa.Array) -> Observed:
    match value_class:
        case ValueClass.BIGINT | ValueClass.WIDE:
            extremes = pc.min_max(values).as_py()
            low, high = int(extremes["min"]), int(extremes["max"])
            digits = max(len(str(abs(low))), len(str(abs(high)))) if value_class is ValueClass.WIDE else 0
            return Observed(len(values), low=low, high=high, digits=digits)
        case ValueClass.DECIMAL:
            texts = [text.lstrip("-").partition(".") for text in printed(values, value_class).to_pylist()]
            whole = max(len(before.lstrip("0")) for before, _, _ in texts)
            return Observed(len(values), digits=whole, scale=max(len(after) for _, _, after in texts))
        case ValueClass.TEXT:
            return Observed(len(values), first_text=text_shape(values[0].as_py()))
        case _:
            return Observed(len(values))
