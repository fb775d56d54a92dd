"""Parquet files: their row groups as Arrow tables, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.sources.filesystem.items import FileItemDict
from dlt_orchestrate.sources.filesystem.reading import Opened, pages_by_file

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 65_536


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
        FileReadError, FileChangedError: A file cannot be read.
    """
    for table in pages_by_file(items, lambda opened: _tables(opened, chunksize, columns)):
        yield table if use_pyarrow else table.to_pylist()


def _tables(opened: Opened, rows: int, columns: list[str] | None) -> Iterator[pa.Table]:
    import pyarrow as pa
    from pyarrow import parquet

    content = pa.BufferReader(opened.content.getvalue()) if opened.is_whole else opened.content  # type: ignore[attr-defined]
    with parquet.ParquetFile(content) as file:
        for batch in file.iter_batches(batch_size=rows, columns=columns, use_threads=False):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])
