"""CSV files as DuckDB reads them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.sources.filesystem.compression import unpacked
from dlt_orchestrate.sources.filesystem.items import FileItemDict
from dlt_orchestrate.sources.filesystem.reading import Opened, pages_by_file

ROWS_AT_ONCE = 65_536


@transformer(name="read_csv_duckdb", section="filesystem")
def read_csv_duckdb(
    items: list[FileItemDict], chunk_size: int = ROWS_AT_ONCE, use_pyarrow: bool = True, **duckdb_kwargs: Any
) -> Iterator[Any]:
    """Read CSV files by DuckDB, which finds out how they are written, and types from their first 20,480 rows.

    Its types are its own, and may be others in its next release. A line that does not fit them fails the load, unless
    `ignore_errors=True` leaves it out; `read_csv` rejects such lines.

    Args:
        items: A page of files.
        chunk_size: Rows of one page.
        use_pyarrow: Whether they come as Arrow tables; else they become dictionaries, for steps that look at records.
        duckdb_kwargs: Those of `duckdb.read_csv`, such as `sep`, `header`, `dtype`, `all_varchar`.

    Raises:
        FileReadError, FileChangedError: A file cannot be read.
    """
    yield from pages_by_file(items, lambda opened: _pages(opened, chunk_size, duckdb_kwargs, as_arrow=use_pyarrow))


def _pages(opened: Opened, rows: int, arguments: dict[str, Any], *, as_arrow: bool) -> Iterator[Any]:
    import duckdb
    import pyarrow as pa

    for _, stream in unpacked(opened.content, opened.name):
        with tempfile.TemporaryDirectory() as folder:
            # DuckDB looks at the begin of a file twice, and at nothing but files by name.
            copy = Path(folder, "file.csv")
            with copy.open("wb") as written:
                shutil.copyfileobj(stream, written, 2**20)
            with duckdb.connect(config={"threads": 1}) as connection:
                reader = connection.read_csv(str(copy), **arguments).to_arrow_reader(rows)
                for batch in reader:
                    table = pa.Table.from_batches([batch])
                    yield table if as_arrow else table.to_pylist()
