"""What every destination must make of the write dispositions, beyond appending; part of `DestinationConformance`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from dlt_orchestrate.errors import TableConflictError
from dlt_orchestrate.flow.package import CommitResult, Reject
from dlt_orchestrate.flow.snapshot import Scope
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.schema.table import ColumnHint, MergeStrategy, TableHints, Validity
from dlt_orchestrate.state.commits import UnitKey, Window
from dlt_orchestrate.testing.look import orphans, rows
from dlt_orchestrate.testing.packages import DATASET, PIPELINE, SOURCE, package, resource_load

_FIRST = datetime(2026, 2, 1, tzinfo=UTC)
_SECOND = datetime(2026, 2, 2, tzinfo=UTC)
_THIRD = datetime(2026, 2, 3, tzinfo=UTC)
_FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
_VERSION = ("_dlt_valid_from", "_dlt_valid_to")


def merging(strategy: MergeStrategy = "delete-insert", *key: str, **hints: Any) -> TableHints:
    """Hints of a merge on the key `id`, or another."""
    return TableHints(write_disposition="merge", strategy=strategy, primary_key=key or ("id",), **hints)


def keeping_versions(at: datetime, *key: str, merge_key: tuple[str, ...] = (), **validity: Any) -> TableHints:
    """Hints of a table of versions, loaded at some moment."""
    of_load = Validity(boundary=at, **validity)
    return TableHints("merge", strategy="scd2", validity=of_load, primary_key=key, merge_key=merge_key)


class WriteConformance:
    """The promises of the merge strategies; each test begins with an empty destination."""

    # --- merge keys ----------------------------------------------------------------------------------------------

    def test_a_merge_key_alone_replaces_whole_groups(self, destination: Destination) -> None:
        hints = TableHints(write_disposition="merge", merge_key=("day",))
        stored = [{"day": 1, "n": 1, "tags": ["a"]}, {"day": 1, "n": 2, "tags": ["b"]}, {"day": 2, "n": 3, "tags": ["c"]}]
        _load(destination, stored, hints)

        result = _load(destination, [{"day": 1, "n": 9, "tags": ["z"]}] * 2 + [{"day": 3, "n": 4}], hints)

        assert rows(destination, "orders", "day", "n") == [(1, 9), (1, 9), (2, 3), (3, 4)]
        assert rows(destination, "orders__tags", "value") == [("c",), ("z",), ("z",)]
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.deleted, counts.total) == (3, 3, 0, 2, 4)

    def test_with_both_keys_rows_that_share_either_are_replaced(self, destination: Destination) -> None:
        hints = merging(merge_key=("day",))
        _load(destination, [{"id": n, "day": n, "tags": [n]} for n in (1, 2, 3)], hints)

        result = _load(destination, [{"id": 1, "day": 2, "tags": [9]}, {"id": 1, "day": 2, "tags": [8]}], hints)

        assert rows(destination, "orders", "id", "day") == [(1, 2), (3, 3)]
        assert rows(destination, "orders__tags", "value") == [(3,), (8,)]
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.deleted, counts.total) == (1, 0, 1, 1, 2)

    def test_a_merge_key_that_no_row_carries_deletes_nothing_and_warns(self, destination: Destination) -> None:
        _load(destination, [{"id": 1}, {"id": 2}], merging())

        result = _load(destination, [{"id": 2}], merging(merge_key=("dya",)))

        assert rows(destination, "orders", "id") == [(1,), (2,)]
        assert "('dya')" in result.warnings[0]

    def test_a_column_may_be_called_as_the_database_calls_the_number_of_a_row(self, destination: Destination) -> None:
        _load(destination, [{"id": n, "rowid": 7, "tags": [n]} for n in (1, 2)], merging())

        arriving: list[dict[str, Any]] = [{"id": 1, "rowid": 9}, {"id": 3, "rowid": 9}, {"id": 1, "rowid": 3, "tags": [8]}]
        _load(destination, arriving, merging())

        assert rows(destination, "orders", "id", "rowid") == [(1, 3), (2, 7), (3, 9)]
        assert rows(destination, "orders__tags", "value") == [(2,), (8,)]

    # --- deletions and the choice among new rows ------------------------------------------------------------------

    def test_a_row_marked_as_deleted_goes_with_its_nested_rows_and_is_not_inserted(self, destination: Destination) -> None:
        hints = merging(columns={"gone": ColumnHint(hints={"hard_delete": True})})
        _load(destination, [{"id": n, "tags": [n]} for n in (1, 2, 3)], hints)

        marked: list[dict[str, Any]] = [
            {"id": 1, "gone": True},
            {"id": 2, "gone": False, "tags": [22]},
            {"id": 4, "gone": True, "tags": [4]},
        ]
        result = _load(destination, [*marked, {"id": 3, "gone": None}], hints)

        assert rows(destination, "orders", "id") == [(2,), (3,)]
        assert rows(destination, "orders__tags", "value") == [(22,)]
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.deleted, counts.total) == (2, 0, 2, 1, 2)

    def test_any_value_marks_a_deletion_where_the_column_is_no_boolean(self, destination: Destination) -> None:
        hints = merging(columns={"deleted_at": ColumnHint(hints={"hard_delete": True})})
        _load(destination, [{"id": 1}, {"id": 2}], hints)

        _load(destination, [{"id": 1, "deleted_at": "2026-01-01T00:00:00Z"}, {"id": 2, "deleted_at": None}], hints)

        assert rows(destination, "orders", "id") == [(2,)]

    @pytest.mark.parametrize(("direction", "kept"), [("asc", 1), ("desc", 3)])
    def test_dedup_sort_chooses_among_the_new_rows_of_a_key(
        self, destination: Destination, direction: str, kept: int
    ) -> None:
        hints = merging(columns={"v": ColumnHint(hints={"dedup_sort": direction})})
        versions = [{"id": 1, "v": v, "tags": [v]} for v in (2, 3, 1, None)]

        _load(destination, [*versions, {"id": 2, "v": 5, "n": 1}, {"id": 2, "v": 5, "n": 2}], hints)

        assert rows(destination, "orders", "id", "v", "n") == [(1, kept, None), (2, 5, 2)]
        assert rows(destination, "orders__tags", "value") == [(kept,)]

    @pytest.mark.parametrize("backwards", [False, True])
    def test_the_last_event_of_a_key_decides_whether_it_is_deleted(self, destination: Destination, backwards: bool) -> None:
        hints = merging(
            columns={"lsn": ColumnHint(hints={"dedup_sort": "desc"}), "gone": ColumnHint(hints={"hard_delete": True})}
        )
        _load(destination, [{"id": 1, "lsn": 0, "gone": False}, {"id": 2, "lsn": 0, "gone": False}], hints)

        events = [
            {"id": 1, "lsn": 1, "gone": True},
            {"id": 1, "lsn": 2, "gone": False},
            {"id": 2, "lsn": 1, "gone": False},
            {"id": 2, "lsn": 2, "gone": True},
        ]
        _load(destination, events[::-1] if backwards else events, hints)

        assert rows(destination, "orders", "id", "lsn") == [(1, 2)]

    # --- upsert --------------------------------------------------------------------------------------------------

    def test_upsert_updates_rows_under_the_id_they_have(self, destination: Destination) -> None:
        first = [{"id": 1, "v": "old", "note": "x", "tags": ["a", "b"]}, {"id": 2, "v": "kept", "tags": ["c"]}]
        _load(destination, first, merging("upsert"))
        before = dict(rows(destination, "orders", "id", "_dlt_id"))

        second = [{"id": 1, "v": "newer", "tags": ["y"]}, {"id": 1, "v": "new", "tags": ["z"]}, {"id": 3, "v": "added"}]
        result = _load(destination, second, merging("upsert"))

        assert rows(destination, "orders", "id", "v", "note") == [(1, "new", None), (2, "kept", None), (3, "added", None)]
        after = dict(rows(destination, "orders", "id", "_dlt_id"))
        assert {key: after[key] for key in before} == before
        assert _nested_values(destination) == [(1, "z"), (2, "c")]
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.deleted, counts.total) == (2, 1, 1, 0, 3)

    def test_upsert_replaces_nested_rows_at_every_level(self, destination: Destination) -> None:
        deep = {"id": 1, "items": [{"parts": [{"codes": [1, 2]}, {"codes": [3]}]}]}
        _load(destination, [deep, {**deep, "id": 2}], merging("upsert"))

        _load(destination, [{"id": 1, "items": [{"parts": [{"codes": [4]}]}]}], merging("upsert"))

        assert rows(destination, "orders__items__parts__codes", "value") == [(1,), (2,), (3,), (4,)]
        tables = ["orders", "orders__items", "orders__items__parts", "orders__items__parts__codes"]
        assert [orphans(destination, *pair) for pair in zip(tables[1:], tables, strict=False)] == [0, 0, 0]
        root_ids = {root for table in tables[1:] for (root,) in rows(destination, table, "_dlt_root_id")}
        assert root_ids == {row_id for (row_id,) in rows(destination, "orders", "_dlt_id")}

    def test_upsert_gives_equal_keys_equal_ids_however_they_are_spelled(self, destination: Destination) -> None:
        _load(destination, [{"id": 3, "v": 1}], merging("upsert"))
        before = rows(destination, "orders", "_dlt_id")

        _load(destination, [{"id": "3", "v": 2}], merging("upsert"))

        assert rows(destination, "orders", "id", "v") == [(3, 2)]
        assert rows(destination, "orders", "_dlt_id") == before

    # --- insert-only ---------------------------------------------------------------------------------------------

    def test_insert_only_leaves_stored_keys_alone(self, destination: Destination) -> None:
        _load(destination, [{"id": 1, "v": "old", "tags": ["a"]}], merging("insert-only"))

        second = [
            {"id": 1, "v": "new", "tags": ["b"]},
            {"id": 2, "v": "x", "tags": ["c"]},
            {"id": 2, "v": "y", "tags": ["d"]},
        ]
        result = _load(destination, second, merging("insert-only"))

        assert rows(destination, "orders", "id", "v") == [(1, "old"), (2, "y")]
        assert _nested_values(destination) == [(1, "a"), (2, "d")]
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.deleted, counts.total) == (1, 1, 0, 0, 2)

    # --- versions ------------------------------------------------------------------------------------------------

    def test_versions_are_closed_when_rows_change_or_go(self, destination: Destination) -> None:
        _load(destination, [{"id": 1, "v": "a"}, {"id": 2, "v": "a"}, {"id": 3, "v": "a"}], keeping_versions(_FIRST))

        second = [{"id": 1, "v": "b"}, {"v": "a", "id": 2}, {"id": 4, "v": "a"}]
        result = _load(destination, second, keeping_versions(_SECOND))

        assert rows(destination, "orders", "id", "v", *_VERSION) == [
            (1, "a", _FIRST, _SECOND),
            (1, "b", _SECOND, None),
            (2, "a", _FIRST, None),
            (3, "a", _FIRST, _SECOND),
            (4, "a", _SECOND, None),
        ]
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.deleted, counts.total) == (2, 2, 2, 0, 5)

    def test_the_same_versions_again_change_nothing(self, destination: Destination) -> None:
        found: list[dict[str, Any]] = [{"id": 1, "tags": ["a"]}, {"id": 2}, {"id": 2}]
        _load(destination, found, keeping_versions(_FIRST))
        before = rows(destination, "orders", "id", "_dlt_id", "_dlt_load_id", *_VERSION)

        _load(destination, found, keeping_versions(_SECOND))

        assert rows(destination, "orders", "id", "_dlt_id", "_dlt_load_id", *_VERSION) == before
        assert rows(destination, "orders__tags", "value") == [("a",)]

    def test_every_version_has_its_own_nested_rows(self, destination: Destination) -> None:
        for moment, tags in ((_FIRST, ["a"]), (_SECOND, ["a", "b"]), (_THIRD, ["a"])):
            _load(destination, [{"id": 1, "tags": tags}], keeping_versions(moment))

        with destination.reader(DATASET) as reader:
            found = reader.query(
                "SELECT o._dlt_valid_from AS since, t.value AS tag "
                "FROM orders o JOIN orders__tags t ON t._dlt_parent_id = o._dlt_id ORDER BY since, t._dlt_list_idx"
            )
        assert found["since"].to_pylist() == [_FIRST, _SECOND, _SECOND, _THIRD]
        assert found["tag"].to_pylist() == ["a", "a", "b", "a"]
        assert orphans(destination, "orders__tags", "orders") == 0

    def test_with_a_key_only_the_last_new_row_of_it_becomes_a_version(self, destination: Destination) -> None:
        one, other = {"id": 1, "v": "a", "tags": ["a"]}, {"id": 1, "v": "b", "tags": ["b"]}
        _load(destination, [one], keeping_versions(_FIRST, "id"))

        _load(destination, [one, other, one], keeping_versions(_SECOND, "id"))

        assert rows(destination, "orders", "v", *_VERSION) == [("a", _FIRST, None)]
        assert rows(destination, "orders__tags", "value") == [("a",)]

    def test_a_load_without_rows_closes_every_version(self, destination: Destination) -> None:
        _load(destination, [{"id": 1}, {"id": 2}], keeping_versions(_FIRST))

        _load(destination, [], keeping_versions(_SECOND))

        assert rows(destination, "orders", "id", *_VERSION) == [(1, _FIRST, _SECOND), (2, _FIRST, _SECOND)]

    @pytest.mark.parametrize(
        ("circumstance", "reason"),
        [
            ({"is_complete": False}, "not all of its source was read"),
            ({"window": Window("2026-01-01", "2026-01-02")}, "the load covers only the window"),
            ({"rejects": [Reject("orders", "orders", "{}", "id", "lacks it")]}, "1 of its rows were rejected"),
        ],
    )
    def test_only_a_load_of_everything_retires_what_is_absent(
        self, destination: Destination, circumstance: dict[str, Any], reason: str
    ) -> None:
        _load(destination, [{"id": 1, "v": "a"}, {"id": 2, "v": "a"}], keeping_versions(_FIRST, "id"))

        based_on = 0 if "window" in circumstance else 1
        load = resource_load(
            "orders", [{"id": 1, "v": "b"}], hints=keeping_versions(_SECOND, "id"), based_on=based_on, **circumstance
        )
        result = destination.commit(package(load))

        assert rows(destination, "orders", "id", "v", *_VERSION) == [
            (1, "a", _FIRST, _SECOND),
            (1, "b", _SECOND, None),
            (2, "a", _FIRST, None),
        ]
        assert any("no row was retired" in warning and reason in warning for warning in result.warnings)

    def test_rows_of_another_resource_are_not_retired(self, destination: Destination) -> None:
        hints = keeping_versions(_FIRST)
        destination.commit(package(resource_load("east", [{"id": 1}], table="orders", hints=hints)))

        result = destination.commit(package(resource_load("west", [{"id": 2}], table="orders", hints=hints)))

        assert rows(destination, "orders", "id", "_dlt_valid_to") == [(1, None), (2, None)]
        assert "the table is filled by 'east', too" in result.warnings[0]

    def test_a_merge_key_limits_retirement_to_its_groups(self, destination: Destination) -> None:
        _load(
            destination,
            [{"day": 1, "n": 1}, {"day": 1, "n": 2}, {"day": 2, "n": 3}],
            keeping_versions(_FIRST, merge_key=("day",)),
        )

        _load(destination, [{"day": 1, "n": 1}, {"day": 1, "n": 9}], keeping_versions(_SECOND, merge_key=("day",)))

        assert rows(destination, "orders", "day", "n", *_VERSION) == [
            (1, 1, _FIRST, None),
            (1, 2, _FIRST, _SECOND),
            (1, 9, _SECOND, None),
            (2, 3, _FIRST, None),
        ]

    def test_versions_may_have_other_columns_and_an_end_that_is_not_null(self, destination: Destination) -> None:
        names: dict[str, Any] = {"from_column": "since", "to_column": "until", "open_until": _FOREVER}
        _load(destination, [{"id": 1, "v": "a"}], keeping_versions(_FIRST, **names))

        _load(destination, [{"id": 1, "v": "b"}], keeping_versions(_SECOND, **names))

        assert rows(destination, "orders", "v", "since", "until") == [("a", _FIRST, _SECOND), ("b", _SECOND, _FOREVER)]

    def test_versions_under_other_column_names_are_not_mistaken(self, destination: Destination) -> None:
        _load(destination, [{"id": 1}], keeping_versions(_FIRST, from_column="since", to_column="until"))

        with pytest.raises(TableConflictError, match=r"'since'.* asks for '_dlt_valid_from', '_dlt_valid_to'"):
            _load(destination, [{"id": 2}], keeping_versions(_SECOND))

        assert rows(destination, "orders", "id", "until") == [(1, None)]

    def test_a_deletion_closes_the_version_of_its_key(self, destination: Destination) -> None:
        gone = {"gone": ColumnHint(hints={"hard_delete": True})}
        _load(destination, [{"id": 1, "v": "a"}, {"id": 2, "v": "a"}], keeping_versions(_FIRST, "id"))

        hints = replace(keeping_versions(_SECOND, "id"), columns=gone)
        _load(destination, [{"id": 1, "gone": True}], hints, is_complete=False)

        assert rows(destination, "orders", "id", "v", *_VERSION) == [(1, "a", _FIRST, _SECOND), (2, "a", _FIRST, None)]

    # --- cdc -----------------------------------------------------------------------------------------------------

    def test_cdc_updates_inserts_and_deletes_what_is_absent(self, destination: Destination) -> None:
        _load(destination, [{"id": n, "v": "old", "tags": [n]} for n in (1, 2, 3)], merging("cdc"))
        before = dict(rows(destination, "orders", "id", "_dlt_id"))

        found = [{"id": 1, "v": "new", "tags": [11]}, {"id": 3, "v": "old", "tags": [3]}, {"id": 4, "v": "new"}]
        result = _load(destination, found, merging("cdc"))

        assert rows(destination, "orders", "id", "v") == [(1, "new"), (3, "old"), (4, "new")]
        assert _nested_values(destination) == [(1, 11), (3, 3)]
        assert dict(rows(destination, "orders", "id", "_dlt_id"))[1] == before[1]
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.deleted, counts.total) == (3, 1, 2, 1, 3)

    def test_cdc_deletes_nothing_for_absence_from_a_part(self, destination: Destination) -> None:
        _load(destination, [{"id": 1}, {"id": 2}], merging("cdc"))

        result = _load(destination, [{"id": 1}], merging("cdc"), is_complete=False)

        assert rows(destination, "orders", "id") == [(1,), (2,)]
        assert "no row was retired" in result.warnings[0]

    def test_cdc_without_rows_empties_the_table_and_those_nested_below(self, destination: Destination) -> None:
        _load(destination, [{"id": 1, "tags": ["a"]}], merging("cdc"))

        result = _load(destination, [], merging("cdc"))

        assert rows(destination, "orders", "id") == []
        assert rows(destination, "orders__tags", "value") == []
        assert result.tables["orders"].deleted == 1

    def test_cdc_with_a_merge_key_deletes_only_within_its_groups(self, destination: Destination) -> None:
        hints = merging("cdc", merge_key=("day",))
        _load(destination, [{"id": 1, "day": 1}, {"id": 2, "day": 1}, {"id": 3, "day": 2}], hints)

        _load(destination, [{"id": 1, "day": 1}], hints)

        assert rows(destination, "orders", "id") == [(1,), (3,)]

    # --- a loaded table under another disposition -----------------------------------------------------------------

    @pytest.mark.parametrize("after", ["append", "replace", "delete-insert", "upsert", "insert-only", "scd2", "cdc"])
    def test_a_loaded_table_takes_another_disposition(self, destination: Destination, after: str) -> None:
        tables = {"by_append": "append", "by_merge": "delete-insert", "by_upsert": "upsert", "by_scd2": "scd2"}
        old = [{"id": 1, "v": "old", "tags": ["a"]}, {"id": 2, "v": "old", "tags": ["b"]}]
        new = [{"id": 1, "v": "new", "tags": ["z"]}, {"id": 3, "v": "new"}]

        before = [resource_load(table, old, hints=_hints(name, _FIRST)) for table, name in tables.items()]
        destination.commit(package(*before))
        destination.commit(
            package(*(resource_load(table, new, hints=_hints(after, _SECOND), based_on=1) for table in tables))
        )

        left = {
            "append": [(1, "new"), (1, "old"), (2, "old"), (3, "new")],
            "replace": [(1, "new"), (3, "new")],
            "delete-insert": [(1, "new"), (2, "old"), (3, "new")],
            "upsert": [(1, "new"), (2, "old"), (3, "new")],
            "insert-only": [(1, "old"), (2, "old"), (3, "new")],
            "cdc": [(1, "new"), (3, "new")],
            "scd2": [(1, "new"), (1, "old"), (2, "old"), (3, "new")],
        }[after]
        tags = {(1, "new"): "z", (1, "old"): "a", (2, "old"): "b"}
        ends = {(1, "old"): _SECOND, (2, "old"): _SECOND}
        for table in tables:
            assert rows(destination, table, "id", "v") == left, table
            assert _nested_values(destination, table) == sorted((row[0], tags[row]) for row in left if row in tags), table
            assert orphans(destination, f"{table}__tags", table) == 0, table
            if after == "scd2":
                found = rows(destination, table, "id", "v", "_dlt_valid_to")
                assert found == [(*row, ends.get(row)) for row in left], table


def _hints(name: str, moment: datetime) -> TableHints:
    match name:
        case "append" | "replace":
            return TableHints(write_disposition=name)
        case "scd2":
            return keeping_versions(moment)
        case "delete-insert" | "upsert" | "insert-only" | "cdc":
            return merging(name)
        case _:
            raise AssertionError(name)


def _load(
    destination: Destination, found: list[dict[str, Any]], hints: TableHints, *, is_complete: bool = True
) -> CommitResult:
    """Commit what the resource `orders` yields, on top of what it committed before."""
    state = destination.read_state(Scope(PIPELINE, DATASET, (SOURCE,)))
    based_on = state.commit_number(UnitKey(PIPELINE, SOURCE, "orders"))
    return destination.commit(
        package(resource_load("orders", found, hints=hints, based_on=based_on, is_complete=is_complete))
    )


def _nested_values(destination: Destination, table: str = "orders") -> list[tuple[Any, ...]]:
    """Each value of the nested table with the key of the row it belongs to."""
    with destination.reader(DATASET) as reader:
        found = reader.query(
            f"SELECT o.id, t.value FROM {table} o JOIN {table}__tags t ON t._dlt_parent_id = o._dlt_id ORDER BY 1, 2"  # noqa: S608
        )
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


__all__ = ["WriteConformance", "keeping_versions", "merging"]
