"""Parquet files: their row groups as Arrow tables, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.errors import FileReadError
from dlt_orchestrate.schema.iso import duration_text
from dlt_orchestrate.sources.filesystem.items import FileItemDict
from dlt_orchestrate.sources.filesystem.reading import Opened, pages_by_file

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 65_536
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@transformer(name="read_parquet", section="filesystem")
def read_parquet(
    items: list[FileItemDict],
    chunksize: int = ROWS_AT_ONCE,
    use_pyarrow: bool = True,
    columns: list[str] | None = None,
) -> Iterator[Any]:
    """Read Parquet files; types are those of the files.

    Args:
        items: A page of files.
        chunksize: Rows of one page.
        use_pyarrow: Whether they stay Arrow tables; else they become dictionaries, for steps that look at records.
        columns: The columns to read; all by default.

    Raises:
        FileReadError, FileChangedError: A file cannot be read, or lacks one of `columns`.
    """
    yield from pages_by_file(items, lambda opened: _pages(opened, chunksize, columns, as_arrow=use_pyarrow))


def _pages(opened: Opened, rows: int, columns: list[str] | None, *, as_arrow: bool) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    content = pa.BufferReader(opened.content.getvalue()) if opened.is_whole else opened.content  # type: ignore[attr-defined]
    with parquet.ParquetFile(content) as file:
        for name in columns or ():
            if name.split(".")[0] not in file.schema_arrow.names:
                raise FileReadError(
                    file=opened.name,
                    problem=f"it has no column {name!r}, which columns names",
                    advice=meant(name, file.schema_arrow.names),
                )
        for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=False):
            if batch.num_rows:
                table = _with_durations_as_texts(pa.Table.from_batches([batch]))
                yield table if as_arrow else table.to_pylist()


def _with_durations_as_texts(table: pa.Table) -> pa.Table:
    """The table with spans of time, which no column holds, in ISO 8601."""
    import pyarrow as pa

    for position, field in enumerate(table.schema):
        if pa.types.is_duration(field.type):
            ticks = table.column(position).cast(pa.int64()).to_pylist()
            per_second = TICKS[field.type.unit]
            texts = [None if one is None else duration_text(one, per_second) for one in ticks]
            table = table.set_column(position, field.name, pa.array(texts, pa.string()))
    return table
