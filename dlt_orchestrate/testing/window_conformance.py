"""What every destination must make of loads of windows; part of `DestinationConformance`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from dlt_orchestrate.errors import WindowConflictError
from dlt_orchestrate.flow.package import CommitResult
from dlt_orchestrate.flow.snapshot import Scope
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.schema.table import ColumnHint, MergeStrategy, TableHints
from dlt_orchestrate.state.commits import UnitKey, Window
from dlt_orchestrate.testing.look import orphans, rows
from dlt_orchestrate.testing.packages import DATASET, PIPELINE, SOURCE, package, resource_load
from dlt_orchestrate.testing.write_conformance import keeping_versions, merging

APPEND = TableHints()
REPLACE = TableHints(write_disposition="replace")
KEYLESS = TableHints(write_disposition="merge")
_TEN, _TWENTY, _THIRTY = Window("10", "20"), Window("20", "30"), Window("30", "40")


class WindowConformance:
    """The promises of loads of windows; each test begins with an empty destination."""

    @pytest.mark.parametrize(
        "hints", [APPEND, REPLACE, TableHints(write_disposition="merge")], ids=["append", "replace", "merge"]
    )
    def test_a_window_replaces_its_rows_with_all_below_them_and_no_others(
        self, destination: Destination, hints: TableHints
    ) -> None:
        for window, at in ((_TEN, 10), (_TWENTY, 20), (_THIRTY, 30)):
            stored = [{"at": at, "v": "old", "items": [{"codes": [at]}]}, {"at": at + 9, "v": "old", "items": []}]
            _load(destination, stored, hints, window)

        result = _load(destination, [{"at": 20, "v": "new", "items": [{"codes": [1, 2]}]}], hints, _TWENTY)

        assert rows(destination, "orders", "at", "v") == [
            (10, "old"), (19, "old"), (20, "new"), (30, "old"), (39, "old"),
        ]  # fmt: skip
        assert rows(destination, "orders__items__codes", "value") == [(1,), (2,), (10,), (30,)]
        assert orphans(destination, "orders__items", "orders") == 0
        assert orphans(destination, "orders__items__codes", "orders__items") == 0
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.deleted, counts.total) == (1, 1, 0, 2, 5)
        assert (result.tables["orders__items__codes"].deleted, result.tables["orders__items__codes"].total) == (1, 4)

    def test_a_window_without_rows_is_empty_afterwards(self, destination: Destination) -> None:
        _load(destination, [{"at": 10, "tags": ["a"]}], APPEND, _TEN)
        _load(destination, [{"at": 20, "tags": ["b"]}], APPEND, _TWENTY)

        _load(destination, [], APPEND, _TEN)

        assert rows(destination, "orders", "at") == [(20,)]
        assert rows(destination, "orders__tags", "value") == [("b",)]

    def test_a_window_replaces_what_loads_of_none_and_of_smaller_ones_have_left(self, destination: Destination) -> None:
        _load(destination, [{"at": 12}, {"at": 25}], APPEND, None)
        _load(destination, [{"at": 14}], APPEND, Window("14", "16"))

        _load(destination, [{"at": 12}, {"at": 14}], APPEND, _TEN)

        assert rows(destination, "orders", "at") == [(12,), (14,), (25,)]

    @pytest.mark.parametrize(
        ("kind", "before", "start", "after", "window"),
        [
            pytest.param("timestamp", *[datetime(2026, 1, d, tzinfo=UTC) for d in (1, 2, 3)],
                         Window("2026-01-02T01:00:00+01:00", "2026-01-03T00:00:00Z"), id="moments"),
            pytest.param("naive", *[datetime(2026, 1, d) for d in (1, 2, 3)],
                         Window("2026-01-02T01:00:00+01:00", "2026-01-03"), id="moments without a zone"),
            pytest.param("date", *[date(2026, 1, d) for d in (1, 2, 3)],
                         Window("2026-01-02T00:00:00+00:00", "2026-01-03T00:00:00+00:00"), id="dates"),
            pytest.param("text", "2026-01-01", "2026-01-02", "2026-01-03",
                         Window("2026-01-02T00:00:00+00:00", "2026-01-03T00:00:00+00:00"), id="dates as texts"),
            pytest.param("text", "a", "it's", "z", Window("it's", "z"), id="texts"),
            pytest.param("decimal", Decimal("1.10"), Decimal("1.11"), Decimal("1.12"),
                         Window("1.11", "1.12"), id="decimals"),
            pytest.param("double", 0.5, 0.75, 1.25, Window("0.75", "1.25"), id="doubles"),
        ],
    )  # fmt: skip
    def test_a_window_includes_its_start_and_excludes_its_end_in_columns_of_every_type(
        self, destination: Destination, kind: str, before: Any, start: Any, after: Any, window: Window
    ) -> None:
        _load(destination, [{"at": before, "v": 1}, {"at": start, "v": 1}, {"at": after, "v": 1}], APPEND, None)

        for number in (2, 3):
            _load(destination, [{"at": start, "v": number}], APPEND, window)
        assert rows(destination, "orders", "at", "v") == [(before, 1), (start, 3), (after, 1)], kind

        _load(destination, [], APPEND, window)
        assert rows(destination, "orders", "at", "v") == [(before, 1), (after, 1)], kind

    @pytest.mark.parametrize("strategy", ["delete-insert", "upsert", "insert-only", "cdc"])
    def test_a_merge_of_a_late_window_leaves_rows_of_later_windows_alone(
        self, destination: Destination, strategy: MergeStrategy
    ) -> None:
        hints = merging(strategy)
        _load(
            destination, [{"id": 1, "at": 20, "v": "new", "tags": ["new"]}, {"id": 9, "at": 15, "v": "kept"}], hints, None
        )

        late = [{"id": 1, "at": 11, "v": "late", "tags": ["late"]}, {"id": 2, "at": 12, "v": "late", "tags": ["two"]}]
        result = _load(destination, late, hints, _TEN)

        assert rows(destination, "orders", "id", "at", "v") == [(1, 20, "new"), (2, 12, "late"), (9, 15, "kept")]
        assert rows(destination, "orders__tags", "value") == [("new",), ("two",)]
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.deleted, counts.total) == (1, 1, 0, 0, 3)

    @pytest.mark.parametrize("strategy", ["delete-insert", "upsert", "cdc"])
    def test_a_key_that_moves_follows_its_newest_cursor(self, destination: Destination, strategy: MergeStrategy) -> None:
        hints = merging(strategy)
        _load(destination, [{"id": 1, "at": 10, "v": "first", "tags": ["a"]}], hints, _TEN)
        _load(destination, [{"id": 1, "at": 25, "v": "moved", "tags": ["b"]}], hints, _TWENTY)
        _load(destination, [{"id": 1, "at": 10, "v": "first", "tags": ["a"]}], hints, _TEN)

        assert rows(destination, "orders", "id", "at", "v") == [(1, 25, "moved")]
        assert rows(destination, "orders__tags", "value") == [("b",)]

    def test_a_merge_key_spares_the_later_rows_of_its_groups(self, destination: Destination) -> None:
        hints = TableHints(write_disposition="merge", merge_key=("shop",))
        _load(destination, [{"shop": 1, "at": 15}, {"shop": 1, "at": 25}, {"shop": 2, "at": 15}], hints, None)

        _load(destination, [{"shop": 1, "at": 16}], hints, _TEN)

        assert rows(destination, "orders", "shop", "at") == [(1, 16), (1, 25), (2, 15)]

    def test_a_late_deletion_does_not_delete_a_later_row(self, destination: Destination) -> None:
        hints = merging(columns={"gone": ColumnHint(hints={"hard_delete": True})})
        _load(destination, [{"id": 1, "at": 25}, {"id": 2, "at": 11}], hints, None)

        _load(destination, [{"id": 1, "at": 12, "gone": True}, {"id": 2, "at": 12, "gone": True}], hints, _TEN)

        assert rows(destination, "orders", "id", "at") == [(1, 25)]

    def test_a_late_version_neither_closes_a_later_one_nor_stands_beside_it(self, destination: Destination) -> None:
        first, second = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC)
        _load(destination, [{"id": 1, "at": 25}, {"id": 2, "at": 11}], keeping_versions(first, "id"), None)

        _load(destination, [{"id": 1, "at": 12}, {"id": 2, "at": 13}], keeping_versions(second, "id"), _TEN)

        assert rows(destination, "orders", "id", "at", "_dlt_valid_to") == [(1, 25, None), (2, 11, second), (2, 13, None)]

    def test_without_a_cursor_a_window_replaces_what_its_own_latest_load_left(self, destination: Destination) -> None:
        for window, value in ((_TEN, 1), (_TWENTY, 2), (_TEN, 3)):
            _load(destination, [{"v": value, "tags": [value]}], APPEND, window, cursor_path=None)

        assert rows(destination, "orders", "v") == [(2,), (3,)]
        assert rows(destination, "orders__tags", "value") == [(2,), (3,)]

    @pytest.mark.parametrize("strategy", ["delete-insert", "upsert", "cdc", "insert-only"])
    def test_a_merge_of_a_whole_partition_deletes_what_its_latest_load_left_and_comes_no_more(
        self, destination: Destination, strategy: MergeStrategy
    ) -> None:
        hints, east, west = merging(strategy), Window(keys=(("region", "east"),)), Window(keys=(("region", "west"),))
        for window, ids in ((east, (1, 2, 3)), (west, (3, 4))):
            stored = [{"id": one, "v": "old", "tags": [one]} for one in ids]
            _load(destination, stored, hints, window, cursor_path=None, replaces_partition=True)

        found = [{"id": 2, "v": "new", "tags": [20]}]
        result = _load(destination, found, hints, east, cursor_path=None, replaces_partition=True)

        if strategy == "insert-only":
            assert rows(destination, "orders", "id", "v") == [(1, "old"), (2, "old"), (3, "old"), (4, "old")]
            return
        assert rows(destination, "orders", "id", "v") == [(2, "new"), (3, "old"), (4, "old")]
        assert rows(destination, "orders__tags", "value") == [(3,), (4,), (20,)]
        assert orphans(destination, "orders__tags", "orders") == 0
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.deleted, counts.total) == (1, 0, 1, 1, 3)

    @pytest.mark.parametrize(
        ("found", "cursor_path", "window", "problem"),
        [
            ([{"at": 1}], "when", _TEN, "no column of the table holds its values"),
            ([{"at": [{"n": 11}]}], "at[0].n", _TEN, "no column of the table holds its values"),
            ([{"at": 11}, {"at": None}], "at", _TEN, "up to 1 of 2 rows have no bigint in column 'at'"),
            ([{"at": 20}], "at", _TEN, "a row holds 20 in column 'at', which lies outside"),
            ([{"at": 11}], "at", Window("2026-01-01", "2026-01-02"), "'2026-01-01' is no value that its column 'at'"),
            ([{"at": date(2026, 1, 1)}], "at", Window("2026-01-01T12:00:00", "2026-01-02"), "is no value that its column"),
            ([{"at": 11}], "at", Window("20", "10"), "it ends before it starts"),
            ([{"at": True}], "at", _TEN, "which is bool"),
        ],
    )
    def test_a_window_that_cannot_be_told_changes_nothing(
        self, destination: Destination, found: list[dict[str, Any]], cursor_path: str, window: Window, problem: str
    ) -> None:
        with pytest.raises(WindowConflictError, match="Resource 'orders': the window ") as failure:
            _load(destination, found, APPEND, window, cursor_path=cursor_path)

        assert problem in str(failure.value)
        assert (failure.value.resource, failure.value.cursor_path) == ("orders", cursor_path)
        assert not destination.read_state(Scope(PIPELINE, DATASET)).exists

    def test_a_window_of_a_table_that_others_fill_is_refused_unless_keys_tell_rows_apart(
        self, destination: Destination
    ) -> None:
        east = resource_load("east", [{"id": 1, "at": 11}], table="orders")
        destination.commit(package(east))

        west = resource_load("west", [{"id": 2, "at": 12}], table="orders", window=_TEN, cursor_path="at")
        with pytest.raises(WindowConflictError, match="'east' fills the table, too"):
            destination.commit(package(west))
        keyed = [replace(table, hints=merging() if table.hints else None) for table in west.tables]
        destination.commit(package(replace(west, tables=tuple(keyed))))

        assert rows(destination, "orders", "id") == [(1,), (2,)]

    def test_a_limited_load_of_a_window_says_that_it_may_lack_rows(self, destination: Destination) -> None:
        load = resource_load("orders", [{"at": 11}], window=_TEN, cursor_path="at", is_complete=False)

        result = destination.commit(package(load))

        assert "the window [10, 20) now holds only the rows of this load" in result.warnings[0]


def _load(
    destination: Destination,
    found: list[dict[str, Any]],
    hints: TableHints,
    window: Window | None,
    *,
    cursor_path: str | None = "at",
    replaces_partition: bool = False,
) -> CommitResult:
    """Commit a window of the resource `orders`, on top of what it committed before."""
    state = destination.read_state(Scope(PIPELINE, DATASET, (SOURCE,)))
    based_on = state.commit_number(UnitKey(PIPELINE, SOURCE, "orders", window))
    load = resource_load(
        "orders",
        found,
        hints=hints,
        based_on=based_on,
        window=window,
        cursor_path=cursor_path,
        replaces_partition=replaces_partition,
    )
    return destination.commit(package(load))


__all__ = ["WindowConformance"]
