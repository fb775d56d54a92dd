"""The least that must be done: a hand-written load of one known schema, without inference, contracts or state."""

import sys
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from benchmarks.workloads import WORKLOADS

Page = list[dict[str, Any]]
GROUP_ROWS = 122_880

TYPES = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}


def flat_tables(page: Page) -> dict[str, pa.Table]:
    return {"records": _table(page, _fields(page))}


def nested_tables(page: Page) -> dict[str, pa.Table]:
    """Objects flattened by hand, lists of objects as tables that know their record and position."""
    rows = [_flattened(record) for record in page]
    tables = {"records": _table(rows, _fields(rows))}
    for name in ("labels", "assignees"):
        children = [
            {**child, "record_id": record["id"], "position": position}
            for record in page
            for position, child in enumerate(record[name])
        ]
        if children:
            tables[f"records__{name}"] = _table(children, _fields(children))
    return tables


def load(workload: str, records: int, folder: Path) -> int:
    to_tables: Callable[[Page], dict[str, pa.Table]] = nested_tables if workload == "nested" else flat_tables
    pages: Iterator[Page] = WORKLOADS[workload].pages(records)
    waiting: dict[str, list[pa.Table]] = {}
    with duckdb.connect(str(folder / "bench.duckdb")) as connection:
        connection.execute("BEGIN")
        for page in pages:
            for name, table in to_tables(page).items():
                parts = waiting.setdefault(name, [])
                parts.append(table)
                if sum(part.num_rows for part in parts) >= GROUP_ROWS:
                    _insert(connection, name, waiting.pop(name))
        for name, parts in waiting.items():
            _insert(connection, name, parts)
        connection.execute("COMMIT")
        return int(connection.execute("SELECT count(*) FROM records").fetchall()[0][0])


def _insert(connection: duckdb.DuckDBPyConnection, name: str, parts: list[pa.Table]) -> None:
    connection.register("arriving", pa.concat_tables(parts, promote_options="default"))
    connection.execute(f"CREATE TABLE IF NOT EXISTS {name} AS SELECT * FROM arriving LIMIT 0")
    connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM arriving")
    connection.unregister("arriving")


def _fields(rows: Page) -> dict[str, pa.DataType]:
    """The known schema: here read off the first rows, once a page, as a person would have written it down."""
    fields = {}
    for name in dict.fromkeys(chain.from_iterable(rows)):
        value = next((row[name] for row in rows if row.get(name) is not None), None)
        if value is not None:
            fields[name] = TYPES[type(value)]
    return fields


def _table(rows: Page, fields: dict[str, pa.DataType]) -> pa.Table:
    columns = {}
    for name, kind in fields.items():
        array = pa.array([row.get(name) for row in rows], kind)
        columns[name] = array.cast(pa.timestamp("us", "UTC")) if name.endswith("_at") else array
    return pa.table(columns)


def _flattened(record: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            for inner, found in _flattened(value).items():
                flat[f"{key}__{inner}"] = found
        elif not isinstance(value, list):
            flat[key] = value
    return flat


if __name__ == "__main__":
    print(load(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])))
