"""A folder to drop files into, and a pipeline that loads them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import dlt_orchestrate as dlt

LONG_AGO = 1_700_000_000


class Inbox:
    """A folder of files and the dataset that they are loaded into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.mkdir()
        self.pipeline = dlt.pipeline("files", destination="duckdb", dataset_name="data")

    def drop(self, name: str, content: str | bytes, at: int = LONG_AGO) -> Path:
        """A file that was written at a moment, in seconds since 1970."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        os.utime(path, (at, at))
        return path

    def load(self, resource: Any, **arguments: Any) -> int:
        """Load into table `rows`; gives how many rows came."""
        info = self.pipeline.run(resource.with_name("rows"), **arguments)
        return info.resources["rows"].rows_loaded

    def rows(self, *columns: str, table: str = "rows") -> list[Any]:
        """Values of the rows in order: of one column plain, of several as tuples."""
        names = ", ".join(f'"{column}"' for column in columns)
        found = self.pipeline.dataset().query(f"SELECT {names} FROM {table} ORDER BY ALL").fetchall()
        return [row[0] for row in found] if len(columns) == 1 else found

    def types(self) -> dict[str, str]:
        """The types of the table's own columns."""
        schema = self.pipeline.dataset()["rows"].limit(0).arrow().schema
        return {field.name: str(field.type) for field in schema if not field.name.startswith("_dlt")}

    def rejects(self) -> list[tuple[str, str]]:
        """What was rejected, with its cause; the folder is left out."""
        found = self.pipeline.dataset().query('SELECT "row", cause FROM _dlt_rejects ORDER BY ALL').fetchall()
        return [(row, cause.replace(f"file://{self.path}/", "")) for row, cause in found]


@pytest.fixture
def inbox(project: Path) -> Inbox:
    """An empty folder, and an empty dataset."""
    return Inbox(project / "in")
