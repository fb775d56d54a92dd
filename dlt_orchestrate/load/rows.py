"""Rows ready for a table: spooled batches cast to the planned columns, or values that the commit itself writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow import kernels as pc
from dlt_orchestrate.flow.arrays import integers, strings
from dlt_orchestrate.flow.batch import KeyPath, SpooledTable
from dlt_orchestrate.flow.row_ids import hashed_id
from dlt_orchestrate.load.cast import column_arrow_type, fit
from dlt_orchestrate.load.overflow import LeftOver, overflow_of
from dlt_orchestrate.schema.table import KEY_ID, LIST_INDEX, OVERFLOW_COLUMN, PARENT_ID, ROOT_ID, ROW_ID, Column
from dlt_orchestrate.schema.types import TEXT, ColumnType, ValueClass

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Route:
    """Where the values of one spooled field go.

    Attributes:
        position: Position of the field in the spool.
        column: The column that takes what fits its type; None if nothing does.
        rest_column: The variant column that takes the rest, or the column of what is left over; None if everything fits.
        path: The keys that lead to the values: under these they stand in the column of what is left over.
    """

    position: int
    value_class: ValueClass
    column: str | None
    coerces: bool = False
    rest_column: str | None = None
    path: KeyPath = ()


@dataclass(frozen=True)
class CastRows:
    """The rows of a spooled table, cast batch by batch while they are read.

    Attributes:
        column_types: The columns that the routes fill, then the system columns.
        constants: Columns that hold one value in every row.
        id_key: Columns that an id of the row, `KEY_ID`, is made from; () for none.
    """

    spool: SpooledTable
    routes: tuple[Route, ...]
    column_types: Mapping[str, ColumnType]
    constants: Mapping[str, Any]
    id_key: tuple[str, ...] = ()

    @property
    def row_count(self) -> int:
        return self.spool.row_count

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Cast batches, with the columns of `column_types` in order."""
        for batch in self.spool.read():
            yield self._cast(batch)

    def extremes(self, column: str) -> tuple[Any, ...]:
        """Least and greatest value of a column, as Python values; () if it holds none."""
        routes = tuple(replace(route, rest_column=None) for route in self.routes if route.column == column)
        alone = replace(self, routes=routes, column_types={column: self.column_types[column]}, constants={}, id_key=())
        found = [pc.min_max(batch.column(column)).as_py() for batch in alone.batches()]
        values = [value for pair in found for value in pair.values() if value is not None]
        return (min(values), max(values)) if values else ()

    def _cast(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        parts: dict[str, list[pa.Array]] = {}
        left: list[LeftOver] = []
        for route in self.routes:
            index = batch.schema.get_field_index(f"c{route.position}")
            if index < 0:
                continue
            rest: pa.Array | None = batch.column(index)
            if route.column is not None:
                column_type = self.column_types[route.column]
                fitted, rest = fit(batch.column(index), route.value_class, column_type, coerces=route.coerces)
                parts.setdefault(route.column, []).append(fitted)
            if rest is not None and route.rest_column == OVERFLOW_COLUMN:
                left.append(LeftOver(route.path, route.value_class, rest))
            elif rest is not None and route.rest_column is not None:
                kept, _ = fit(rest, route.value_class, self.column_types[route.rest_column])
                parts.setdefault(route.rest_column, []).append(kept)
        if left:
            parts[OVERFLOW_COLUMN] = [overflow_of(left, batch.num_rows)]
        for name in (ROW_ID, PARENT_ID, LIST_INDEX, ROOT_ID):
            if name in self.column_types:
                parts[name] = [batch.column(name)]
        for name, value in self.constants.items():
            parts[name] = [pa.repeat(_fixed([value], self.column_types[name])[0], batch.num_rows)]
        if self.id_key:
            parts[KEY_ID] = [_key_ids([_one(parts.get(name), TEXT, batch.num_rows) for name in self.id_key])]
        arrays = [_one(parts.get(name), kind, batch.num_rows) for name, kind in self.column_types.items()]
        return pa.RecordBatch.from_arrays(arrays, list(self.column_types))


def _key_ids(key: list[pa.Array]) -> pa.Array:
    """Ids that are equal for equal keys: made from the values as the columns hold them, not as the source spelled them."""
    rows = zip(*(column.to_pylist() for column in key), strict=True)
    return strings([hashed_id(json.dumps(row, default=str)) for row in rows])


def _one(parts: list[pa.Array] | None, column_type: ColumnType, length: int) -> pa.Array:
    if not parts:
        return pa.nulls(length, column_arrow_type(column_type))
    return parts[0] if len(parts) == 1 else pc.coalesce(*parts)


@dataclass(frozen=True)
class FixedRows:
    """A few rows that are known when the commit is planned, such as those of the system tables."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]

    @property
    def column_types(self) -> Mapping[str, ColumnType]:
        return {column.name: column.type for column in self.columns if column.type is not None}

    @property
    def row_count(self) -> int:
        return len(self.rows)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows as one batch."""
        if not self.rows:
            return
        arrays = [
            _fixed(values, kind)
            for values, kind in zip(zip(*self.rows, strict=True), self.column_types.values(), strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, list(self.column_types))


def _fixed(values: Sequence[Any], column_type: ColumnType) -> pa.Array:
    """Values that a commit writes itself: texts, whole numbers or moments."""
    match column_type.kind:
        case "bigint":
            return integers(values)
        case "timestamp":
            return integers([(moment - _EPOCH) // _MICROSECOND for moment in values]).view(pa.timestamp("us", "UTC"))
        case _:
            return strings(values)
