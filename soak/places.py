"""Destinations under test: how to make one, how to look at it from outside. A new destination is one more class here."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from dlt_orchestrate.destinations import duckdb as duckdb_destination
from dlt_orchestrate.protocols.destination import Destination

DATASET = "shop_data"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Tables = dict[str, list[dict[str, Any]]]
"""Every row of every table of the dataset."""


class Place(Protocol):
    """An empty place at first; it can be pickled, and means the same in every process."""

    def destination(self) -> Destination:
        """The destination that loads go to."""

    def looking(self) -> AbstractContextManager[Callable[[], Tables]]:
        """A function that reads everything in one snapshot, each time anew, without any code of ours."""

    def copied(self, folder: Path) -> Place:
        """Another place that holds the same, which has a folder of its own."""

    def remove(self) -> None:
        """Take away everything."""


@dataclass(frozen=True)
class DuckDBPlace:
    """A DuckDB file."""

    file: Path

    @classmethod
    def fresh(cls, folder: Path) -> DuckDBPlace:
        return cls(folder / "shop.duckdb")

    def destination(self) -> Destination:
        return duckdb_destination(self.file)

    @contextmanager
    def looking(self) -> Iterator[Callable[[], Tables]]:
        import duckdb

        with duckdb.connect(str(self.file)) as connection:
            connection.execute("SET TimeZone = 'UTC'")

            def take() -> Tables:
                connection.execute("BEGIN")
                try:
                    names = connection.execute(
                        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [DATASET]
                    ).fetchall()
                    return {
                        name: rows_of(connection.sql(f'SELECT * FROM shop.{DATASET}."{name}"').to_arrow_table())
                        for (name,) in names
                    }
                finally:
                    connection.execute("COMMIT")

            yield take

    def copied(self, folder: Path) -> DuckDBPlace:
        copy = DuckDBPlace.fresh(folder)
        if self.file.exists():
            shutil.copy(self.file, copy.file)
        return copy

    def remove(self) -> None:
        self.file.unlink(missing_ok=True)
        self.file.with_name(f"{self.file.name}.wal").unlink(missing_ok=True)


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table; moments are read without pandas, which Arrow would import for them."""
    columns = [
        [_EPOCH + timedelta(microseconds=value) if value is not None else None for value in _microseconds(column)]
        if pa.types.is_timestamp(column.type)
        else column.to_pylist()
        for column in table.columns
    ]
    return [dict(zip(table.column_names, values, strict=True)) for values in zip(*columns, strict=True)]


def _microseconds(column: pa.ChunkedArray) -> list[int | None]:
    return column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_pylist()


PLACES: dict[str, Callable[[Path], Place]] = {"duckdb": DuckDBPlace.fresh}
"""How to make an empty place, given a folder of its own."""
