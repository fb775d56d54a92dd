"""What batches hold, in a form that can be compared: values by their print, so that NaN equals NaN and 1 is not 1.0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from dlt_orchestrate.flow.batch import FieldKey, KeyPath, Observed, TableBatch, TableKey, arrow_type
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.normalize.normalizer import NormalizedBatch, Normalizer
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.table import TableHints
from dlt_orchestrate.schema.types import ValueClass

PREFIX = "prefix--"


@dataclass
class Contents:
    """One table of a load: its rows in order, and what was observed."""

    rows: list[dict[Any, str]] = field(default_factory=list)
    observed: dict[FieldKey, Observed] = field(default_factory=dict)
    null_paths: set[KeyPath] = field(default_factory=set)

    @property
    def field_order(self) -> list[FieldKey]:
        return list(self.observed)


def contents(batches: Iterable[TableBatch]) -> dict[TableKey, Contents]:
    """The tables that batches make up, one after the other."""
    tables: dict[TableKey, Contents] = {}
    for batch in batches:
        check_shape(batch)
        table = tables.setdefault(batch.key, Contents())
        table.rows += rows_of_batch(batch)
        for key, seen in batch.observed.items():
            table.observed[key] = table.observed[key].merge(seen) if key in table.observed else seen
        table.null_paths |= batch.null_paths
    for table in tables.values():
        table.null_paths -= {key.path for key in table.observed}
    return tables


def check_shape(batch: TableBatch) -> None:
    """The promises of `TableBatch` that hold for every batch."""
    links = (batch.parent_ids, batch.list_indexes, batch.root_ids)
    assert all((link is None) == (batch.key.path == ()) for link in links)
    for array in (batch.row_ids, *batch.columns.values(), *(link for link in links if link is not None)):
        array.validate(full=True)
        assert len(array) == len(batch)
    assert list(batch.columns) == list(batch.observed)
    for key, array in batch.columns.items():
        is_narrow = key.value_class is ValueClass.DECIMAL and pa.types.is_decimal128(array.type)
        assert is_narrow or array.type == arrow_type(key.value_class)
        assert batch.observed[key].count == len(array) - array.null_count > 0


def rows_of_batch(batch: TableBatch) -> list[dict[Any, str]]:
    rows: list[dict[Any, str]] = [{"id": row_id} for row_id in batch.row_ids.to_pylist()]
    links = {"parent": batch.parent_ids, "index": batch.list_indexes, "root": batch.root_ids}
    columns = {key: array.cast(arrow_type(key.value_class)) for key, array in batch.columns.items()}
    for key, array in {**links, **columns}.items():
        for row, value in zip(rows, array.to_pylist() if array is not None else [], strict=False):
            if value is not None:
                row[key] = repr(value)
    return rows


def normalizer(*, oracle: bool = False, capabilities: Capabilities | None = None, **hints: Any) -> Normalizer:
    return Normalizer(
        resource="things",
        hints=TableHints(**hints),
        capabilities=capabilities or Capabilities(),
        id_prefix=lambda: PREFIX,
        oracle=oracle,
    )


def normalize(records: Sequence[Any], **options: Any) -> dict[TableKey, Contents]:
    """The tables of records that come in one page."""
    batches, _ = normalize_pages([records], **options)
    return contents(batch for _, batch in batches)


def normalize_pages(pages: Iterable[Sequence[Any]], **options: Any) -> tuple[list[NormalizedBatch], Normalizer]:
    """The batches of pages, each of which ends a chunk."""
    subject = normalizer(**options)
    batches: list[NormalizedBatch] = []
    for page in pages:
        batches += subject.add(Page("things", page))
        batches += subject.finish()
    return batches, subject


def values(table: Contents) -> list[dict[str, str]]:
    """The rows without ids, columns written as `path:class`."""
    return [
        {f"{'.'.join(key.path)}:{key.value_class}": value for key, value in row.items() if isinstance(key, FieldKey)}
        for row in table.rows
    ]
