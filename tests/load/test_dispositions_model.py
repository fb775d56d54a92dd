"""Any sequence of append, replace and merge ends in the rows that a few lines of Python say."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import dlt_orchestrate as dlt
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.protocols.destination import Destination

Row = dict[str, Any]

_rows = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 3),
            "v": st.integers(0, 9),
            "tags": st.lists(st.integers(0, 2), max_size=2),
            "parts": st.lists(st.fixed_dictionaries({"codes": st.lists(st.integers(0, 2), max_size=2)}), max_size=2),
        }
    ),
    max_size=4,
)
_loads = st.lists(st.tuples(st.sampled_from(["append", "replace", "merge"]), _rows), min_size=1, max_size=4)


def expected(stored: list[Row], disposition: str, new: list[Row]) -> list[Row]:
    """The rows after a load."""
    if disposition == "append":
        return stored + new
    if disposition == "replace":
        return new
    last = {row["id"]: row for row in new}
    return [row for row in stored if row["id"] not in last] + list(last.values())


DESTINATIONS: dict[str, Callable[[Path], Destination]] = {
    "memory": lambda _: dlt.destinations.memory(),
    "duckdb": lambda folder: dlt.destinations.duckdb(folder / "model.duckdb"),
}


@pytest.mark.parametrize("kind", DESTINATIONS)
@settings(max_examples=8, phases=[Phase.explicit, Phase.generate])
@given(loads=_loads)
def test_loads_of_any_disposition_do_what_they_say(kind, loads) -> None:
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline("model", destination=DESTINATIONS[kind](Path(folder)), dataset_name="d")
        rows: list[Row] = []
        for disposition, new in loads:
            info = pipeline.run(new, table_name="t", write_disposition=disposition, primary_key="id")
            rows = expected(rows, disposition, new)
            assert info.resources["t"].total_rows == len(rows)
        assert pipeline.first_run or stored(pipeline) == sorted(map(as_text, rows))


def as_text(row: Row) -> str:
    return json.dumps(row, sort_keys=True)


def stored(pipeline: Pipeline) -> list[str]:
    """The rows put together again from their tables; every nested row must be reached."""
    tables = pipeline.dataset()
    if "t" not in tables.tables:
        return []
    below = {
        name: sorted(tables[name].arrow().to_pylist(), key=lambda row: row["_dlt_list_idx"])
        for name in ("t__tags", "t__parts", "t__parts__codes")
        if name in tables.tables
    }
    reached = dict.fromkeys(below, 0)

    def children(table: str, parent: Row) -> list[Row]:
        found = [row for row in below.get(table, ()) if row["_dlt_parent_id"] == parent["_dlt_id"]]
        reached[table] = reached.get(table, 0) + len(found)
        return found

    rows = [
        {
            "id": row["id"],
            "v": row["v"],
            "tags": [tag["value"] for tag in children("t__tags", row)],
            "parts": [
                {"codes": [code["value"] for code in children("t__parts__codes", part)]}
                for part in children("t__parts", row)
            ],
        }
        for row in tables["t"].arrow().to_pylist()
    ]
    assert all(reached[name] == len(found) for name, found in below.items()), "nested rows without a parent"
    return sorted(map(as_text, rows))
