"""What normalize hands to load: columns of one value class each, addressed by the keys of the source.

Neither names nor types are decided here. A column is told by the path of raw keys that leads to it and by the class of
its values; which identifier and which type that becomes is decided once for the whole load (`load.plan`), so it cannot
depend on how rows were split into pages or batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.schema.iso import TextShape
from dlt_orchestrate.schema.types import ValueClass

if TYPE_CHECKING:
    import pyarrow as pa

KeyPath = tuple[str, ...]
"""Keys as the source wrote them, from a record down to a value."""

OVERFLOW: KeyPath = ()
"""The path of what is left of a row once its table has as many columns as it may: an object of JSON. No key leads to it."""


class TableKey(NamedTuple):
    """A table before naming: the root table and the keys from its records down to a list; () for the root itself."""

    root: str
    path: KeyPath = ()


class FieldKey(NamedTuple):
    """A column of the spool: one path, one class."""

    path: KeyPath
    value_class: ValueClass


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of one class in one column.

    Attributes:
        count: Number of values.
        low, high: Range of integers (BIGINT and WIDE); None for other classes.
        digits, scale: Most digits before and after the point (DECIMAL, WIDE); 0 for other classes.
        declared_digits: Most digits before the point that types of Arrow have room for, whose scale is then `scale`; None
            if some values came otherwise.
        first_text: The shape of the first text (TEXT); a new column takes its type from it.
    """

    count: int
    low: int | None = None
    high: int | None = None
    digits: int = 0
    scale: int = 0
    declared_digits: int | None = None
    first_text: TextShape = "other"

    def merge(self, later: Observed) -> Observed:
        """What was seen of this and then of a later part of the rows."""
        lows = [low for low in (self.low, later.low) if low is not None]
        highs = [high for high in (self.high, later.high) if high is not None]
        is_declared = self.declared_digits is not None and later.declared_digits is not None
        return Observed(
            count=self.count + later.count,
            low=min(lows, default=None),
            high=max(highs, default=None),
            digits=max(self.digits, later.digits),
            scale=max(self.scale, later.scale),
            declared_digits=max(self.declared_digits or 0, later.declared_digits or 0) if is_declared else None,
            first_text=self.first_text,
        )


@dataclass(frozen=True, slots=True)
class TableBatch:
    """Some rows of one table.

    Attributes:
        key: The table.
        row_ids: `_dlt_id` of each row: string array without nulls.
        parent_ids, list_indexes, root_ids: For nested tables `_dlt_parent_id` (string), `_dlt_list_idx` (int64) and
            `_dlt_root_id` (string) of each row; None for root tables.
        columns: Arrays as long as `row_ids`, of the Arrow type of their class (`ARROW_TYPES`), null where a row has no
            value of that class there. Decimals that came as Arrow's may be narrower.
        observed: What was seen of each column; classes in the order of the first value in the rows.
        null_paths: Columns that were seen, but only with nulls.
    """

    key: TableKey
    row_ids: pa.Array
    columns: Mapping[FieldKey, pa.Array]
    observed: Mapping[FieldKey, Observed]
    parent_ids: pa.Array | None = None
    list_indexes: pa.Array | None = None
    root_ids: pa.Array | None = None
    null_paths: frozenset[KeyPath] = frozenset()

    def __len__(self) -> int:
        return len(self.row_ids)


def arrow_type(value_class: ValueClass) -> pa.DataType:
    """The Arrow type in which values of a class travel; lossless for every value of the class."""
    import pyarrow as pa

    match value_class:
        case ValueClass.BOOL:
            return pa.bool_()
        case ValueClass.BIGINT:
            return pa.int64()
        case ValueClass.WIDE:
            return pa.decimal128(38, 0)
        case ValueClass.DOUBLE:
            return pa.float64()
        case ValueClass.DECIMAL:
            return pa.decimal256(76, 38)
        case ValueClass.TIMESTAMP:
            return pa.timestamp("us", "UTC")
        case ValueClass.NAIVE_TIMESTAMP:
            return pa.timestamp("us")
        case ValueClass.DATE:
            return pa.date32()
        case ValueClass.TIME:
            return pa.time64("us")
        case ValueClass.BINARY:
            return pa.binary()
        case ValueClass.TEXT | ValueClass.NUMERAL | ValueClass.JSON:
            return pa.string()


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of spooled record batches of one Arrow schema, in memory or in an Arrow IPC file."""

    batches: tuple[pa.RecordBatch, ...] = ()
    path: Path | None = None

    def read(self) -> Iterator[pa.RecordBatch]:
        """The batches in the order they were written, one at a time; those of a file are mapped, not copied."""
        yield from self.batches
        if self.path is not None:
            import pyarrow as pa

            with pa.memory_map(str(self.path)) as file, pa.ipc.open_stream(file) as reader:
                yield from reader

    def read_column(self, name: str) -> Iterator[pa.Array]:
        """One column, batch by batch; nothing if there is none of this name. The others are not touched."""
        yield from (batch.column(name) for batch in self.batches if name in batch.schema.names)
        if self.path is not None:
            import pyarrow as pa

            with pa.memory_map(str(self.path)) as file:
                position = pa.ipc.read_schema(file).get_field_index(name)
                file.seek(0)
                if position >= 0:
                    only = pa.ipc.IpcReadOptions(included_fields=[position])
                    yield from (batch.column(0) for batch in pa.ipc.open_stream(file, options=only))


@dataclass(frozen=True, slots=True)
class SpooledTable:
    """All rows of one table in one load, still in classes, with what was seen of them.

    Record batches hold `_dlt_id` (and for nested tables `_dlt_parent_id`, `_dlt_list_idx`, `_dlt_root_id`) and the field
    of each entry of `fields` under the name `c<position>`; a batch may lack fields that were first seen after it.
    """

    key: TableKey
    fields: tuple[FieldKey, ...] = ()
    segments: tuple[Segment, ...] = ()
    observed: Mapping[FieldKey, Observed] = field(default_factory=dict)
    null_paths: frozenset[KeyPath] = frozenset()
    row_count: int = 0
    byte_count: int = 0

    def read(self) -> Iterator[pa.RecordBatch]:
        for segment in self.segments:
            yield from segment.read()

    def values(self, key: FieldKey) -> Iterator[pa.Array]:
        """The values of one field, batch by batch."""
        name = f"c{self.fields.index(key)}"
        for segment in self.segments:
            yield from segment.read_column(name)
