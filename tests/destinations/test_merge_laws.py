"""Laws of merging that hold for any batches: a batch twice is a batch once, and a table is a dictionary by key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres_server import clean_database

from dlt_orchestrate import destinations
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.schema.table import ColumnHint, MergeStrategy, TableHints
from dlt_orchestrate.testing.look import orphans
from dlt_orchestrate.testing.packages import DATASET, package, resource_load

Batch = list[dict[str, Any]]

RECORDS = st.fixed_dictionaries(
    {"id": st.integers(0, 4)},
    optional={
        "v": st.integers(0, 9),
        "note": st.sampled_from(["a", "b"]),
        "tags": st.lists(st.integers(0, 9), max_size=3),
        "gone": st.booleans(),
        "at": st.integers(0, 5),
    },
)
BATCHES = st.lists(st.lists(RECORDS, min_size=1, max_size=6), min_size=1, max_size=3)

STRATEGIES = st.sampled_from(["delete-insert", "upsert", "insert-only", "scd2", "cdc"])

DELETES = {"gone": ColumnHint(hints={"hard_delete": True})}
SORTS = {"at": ColumnHint(hints={"dedup_sort": "desc"})}

on_each = pytest.mark.parametrize("kind", ["duckdb", "postgres", "memory"])


@on_each
@settings(max_examples=12)
@given(strategy=st.sampled_from(["delete-insert", "upsert"]), batches=BATCHES, deletes=st.booleans(), sorts=st.booleans())
def test_a_merged_table_is_a_dictionary_by_key(
    kind: str, strategy: MergeStrategy, batches: list[Batch], deletes: bool, sorts: bool
) -> None:
    hints = _merging(strategy, (DELETES if deletes else {}) | (SORTS if sorts else {}))
    model: dict[int, dict[str, Any]] = {}

    with _destination(kind) as destination:
        for number, batch in enumerate(batches):
            destination.commit(package(resource_load("orders", batch, hints=hints, based_on=number)))
            for key, record in _survivors(batch, sorts).items():
                model.pop(key, None)
                if not (deletes and record.get("gone")):
                    model[key] = record

        assert _table(destination) == {key: _as_stored(record) for key, record in model.items()}
        assert _orphans(destination) == 0


@on_each
@settings(max_examples=12)
@given(strategy=STRATEGIES, batches=BATCHES)
def test_a_batch_twice_is_a_batch_once(kind: str, strategy: MergeStrategy, batches: list[Batch]) -> None:
    hints = _merging(strategy, {})

    with _destination(kind) as destination:
        for number, batch in enumerate(batches):
            destination.commit(package(resource_load("orders", batch, hints=hints, based_on=2 * number)))
            once = _everything(destination)
            destination.commit(package(resource_load("orders", batch, hints=hints, based_on=2 * number + 1)))
            assert _everything(destination) == once

        assert _orphans(destination) == 0


@settings(max_examples=12)
@given(batches=BATCHES, strategy=STRATEGIES)
def test_all_destinations_count_and_keep_the_same(batches: list[Batch], strategy: MergeStrategy) -> None:
    hints = _merging(strategy, DELETES | SORTS)
    found = []

    for kind in ("duckdb", "postgres", "memory"):
        with _destination(kind) as destination:
            loads = (resource_load("orders", batch, hints=hints, based_on=n) for n, batch in enumerate(batches))
            counts = [destination.commit(package(load)).tables for load in loads]
            found.append((counts, _everything(destination)))

    assert found[0] == found[1] == found[2]


def _merging(strategy: MergeStrategy, columns: dict[str, ColumnHint]) -> TableHints:
    return TableHints(write_disposition="merge", strategy=strategy, primary_key=("id",), columns=columns)


@contextmanager
def _destination(kind: str) -> Iterator[Destination]:
    match kind:
        case "memory":
            yield destinations.memory()
        case "postgres":
            with clean_database() as url:
                yield destinations.postgres(url)
        case _:
            with TemporaryDirectory() as folder:
                yield destinations.duckdb(Path(folder) / "laws.duckdb")


def _survivors(batch: Batch, sorts: bool) -> dict[int, dict[str, Any]]:
    """The last record of each key; if they are sorted, the last of those with the greatest `at`."""
    ordered = sorted(batch, key=lambda record: record.get("at", -1)) if sorts else batch
    return {record["id"]: record for record in ordered}


def _as_stored(record: dict[str, Any]) -> tuple[Any, ...]:
    return (*(record.get(name) for name in ("v", "note", "gone", "at")), record.get("tags", []))


def _table(destination: Destination) -> dict[int, tuple[Any, ...]]:
    """The stored rows by key, with their nested values; there is one row of each key."""
    nested: dict[str, list[int]] = {}
    for row in _rows(destination, "orders__tags", "_dlt_list_idx"):
        nested.setdefault(row["_dlt_parent_id"], []).append(row["value"])
    found = _rows(destination, "orders", "id")
    assert len({row["id"] for row in found}) == len(found)
    names = ("v", "note", "gone", "at")
    return {row["id"]: (*(row.get(name) for name in names), nested.get(row["_dlt_id"], [])) for row in found}


def _everything(destination: Destination) -> list[tuple[Any, ...]]:
    """Rows with their nested values, without what names the load."""
    nested: dict[str, list[int]] = {}
    for row in _rows(destination, "orders__tags", "_dlt_list_idx"):
        nested.setdefault(row["_dlt_parent_id"], []).append(row["value"])
    names = ("id", "v", "note", "gone", "at")
    return sorted(
        (
            (*(row.get(name) for name in names), tuple(nested.get(row["_dlt_id"], ())), row.get("_dlt_valid_to") is None)
            for row in _rows(destination, "orders", "id")
        ),
        key=repr,
    )


def _orphans(destination: Destination) -> int:
    with destination.reader(DATASET) as reader:
        has_nested = "orders__tags" in reader.tables()
    return orphans(destination, "orders__tags", "orders") if has_nested else 0


def _rows(destination: Destination, table: str, order: str) -> list[dict[str, Any]]:
    with destination.reader(DATASET) as reader:
        if table not in reader.tables():
            return []
        found: list[dict[str, Any]] = reader.query(f"SELECT * FROM {table} ORDER BY {order}").to_pylist()
        return found
