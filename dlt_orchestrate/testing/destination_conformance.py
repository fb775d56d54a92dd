"""What every destination must do, as a test class: subclass it and give it a `destination` fixture.

    class TestMyDestination(DestinationConformance):
        @pytest.fixture
        def destination(self) -> Destination:
            return MyDestination(...)

Each test begins with an empty destination. Needs pytest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from dlt_orchestrate.errors import (
    ColumnTypeConflictError,
    CommitConflictError,
    NamingConventionConflictError,
    StateConflictError,
    TableConflictError,
)
from dlt_orchestrate.flow.package import Reject
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.schema.table import ColumnHint, TableHints
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.commits import UnitKey, Window
from dlt_orchestrate.state.document import resource_state, source_state
from dlt_orchestrate.testing.look import rows as _rows
from dlt_orchestrate.testing.look import scalar as _scalar
from dlt_orchestrate.testing.packages import DATASET, PIPELINE, SOURCE, package, resource_load
from dlt_orchestrate.testing.reset_conformance import ResetConformance
from dlt_orchestrate.testing.window_conformance import WindowConformance
from dlt_orchestrate.testing.write_conformance import WriteConformance

MERGE = TableHints(write_disposition="merge", primary_key=("id",))
REPLACE = TableHints(write_disposition="replace")


class DestinationConformance(WriteConformance, WindowConformance, ResetConformance):
    """The promises of a destination."""

    # --- what a commit makes visible -----------------------------------------------------------------------------

    def test_an_empty_destination_has_no_state(self, destination: Destination) -> None:
        assert _snapshot(destination) == Snapshot()

    def test_a_commit_makes_rows_nested_rows_schema_state_and_records_visible(self, destination: Destination) -> None:
        rows = [{"id": 1, "user": {"name": "Ada"}, "tags": ["x", "y"]}, {"id": 2, "tags": []}]

        result = destination.commit(package(resource_load("orders", rows, state=({}, {"seen": 2}))))

        assert _rows(destination, "orders", "id", "user__name") == [(1, "Ada"), (2, None)]
        assert _rows(destination, "orders__tags", "value", "_dlt_list_idx") == [("x", 0), ("y", 1)]
        assert (
            _scalar(destination, "SELECT count(*) FROM orders__tags t JOIN orders o ON t._dlt_parent_id = o._dlt_id") == 2
        )
        assert _rows(destination, "_dlt_loads", "load_id", "schema_name", "status") == [(result.load_id, SOURCE, 0)]
        assert _scalar(destination, "SELECT count(DISTINCT _dlt_load_id) FROM orders") == 1
        snapshot = _snapshot(destination)
        assert set(snapshot.schemas[SOURCE].tables) == {"orders", "orders__tags"}
        assert snapshot.schemas[SOURCE].tables["orders__tags"].parent == "orders"
        assert resource_state(snapshot.state, SOURCE, "orders") == {"seen": 2}
        assert snapshot.latest[_unit("orders")].load_id == result.load_id
        assert (result.tables["orders"].loaded, result.tables["orders"].total) == (2, 2)

    def test_a_load_that_began_earlier_and_is_committed_later_is_the_newest(self, destination: Destination) -> None:
        earlier = package(resource_load("orders", [{"id": 1}]))
        later = package(resource_load("items", [{"id": 1}]))

        results = [destination.commit(later), destination.commit(earlier)]

        assert set(_snapshot(destination).schemas[SOURCE].tables) == {"orders", "items"}
        assert results[0].committed_at < results[1].committed_at

    def test_its_datasets_are_those_that_loads_were_committed_to(self, destination: Destination) -> None:
        destination.commit(package(resource_load("orders", [{"id": 1}])))

        assert list(destination.datasets()) == [DATASET]

    def test_every_type_comes_back_as_it_went_in(self, destination: Destination) -> None:
        values: dict[str, Any] = {
            "flag": True,
            "whole": 2**63 - 1,
            "wide": 2**70,
            "fraction": 0.1,
            "amount": Decimal("12345678901234567890.123456789"),
            "text": "naïve 日本 \u2603",
            "moment": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
            "naive": datetime(2026, 1, 2, 3, 4, 5, 678901),
            "day": datetime(2026, 1, 2, tzinfo=UTC).date(),
            "clock": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC).time(),
            "raw": b"\x00\xff",
        }

        destination.commit(package(resource_load("all_types", [values, dict.fromkeys(values)])))

        first, second = _rows(destination, "all_types", *values, order="_dlt_id")
        assert first == tuple(Decimal(value) if name == "wide" else value for name, value in values.items())
        assert second == (None,) * len(values)

    def test_not_a_number_and_infinity_stay_doubles(self, destination: Destination) -> None:
        destination.commit(package(resource_load("r", [{"x": float("nan")}, {"x": float("inf")}, {"x": 1.5}])))

        values = [value for (value,) in _rows(destination, "r", "x", order="_dlt_id")]
        assert str(values) == "[nan, inf, 1.5]"

    def test_rejected_rows_are_kept_with_their_cause(self, destination: Destination) -> None:
        reject = Reject("orders", "orders", '{"id": null}', "id", "lacks its primary key")

        destination.commit(package(resource_load("orders", [{"id": 1}], rejects=[reject])))

        assert _rows(destination, "_dlt_rejects", "table_name", "row", "column_name", "cause") == [
            ("orders", '{"id": null}', "id", "lacks its primary key")
        ]

    def test_the_least_and_greatest_values_come_back_exactly(self, destination: Destination) -> None:
        extremes: dict[str, list[Any]] = {
            "whole": [2**63 - 1, -(2**63)],
            "wide": [Decimal(10**38 - 1), Decimal(-(10**38) + 1)],
            "amount": [Decimal("99999999999999999999999999999.999999999"), Decimal("-1E-9")],
            "text": ["", "\U0001f600 \\ ' \" \n \t"],
            "moment": [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)],
            "naive": [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)],
            "day": [date(1, 1, 1), date(9999, 12, 31)],
            "clock": [time(0, 0), time(23, 59, 59, 999999)],
            "raw": [b"", bytes(range(256))],
        }
        rows = [{name: values[number] for name, values in extremes.items()} for number in (0, 1)]

        destination.commit(package(resource_load("r", rows, capabilities=destination.capabilities)))

        assert _rows(destination, "r", *extremes, order="_dlt_id") == [tuple(row.values()) for row in rows]

    def test_queries_take_parameters_and_are_read_piece_by_piece(self, destination: Destination) -> None:
        rows = [{"id": number, "name": f"n{number}", "price": Decimal(number)} for number in range(5)]
        destination.commit(package(resource_load("r", rows)))

        with destination.reader(DATASET) as reader:
            table = reader.qualified("r")
            query = f"SELECT price, id FROM {table} WHERE id > $1 AND name <> $2 ORDER BY id"  # noqa: S608
            found = reader.query(query, [1, "n3"])
            batches = list(reader.stream(query, [1, "n3"]))
            nothing = reader.query(query, [9, ""])

        assert found.to_pylist() == [{"price": Decimal(2), "id": 2}, {"price": Decimal(4), "id": 4}]
        assert [row for batch in batches for row in batch.to_pylist()] == found.to_pylist()
        assert (nothing.num_rows, nothing.schema) == (0, found.schema)

    def test_names_keep_within_the_limits_of_the_destination(self, destination: Destination) -> None:
        long = {f"größe_{'x' * 300}_{end}": number for number, end in enumerate("ab")}

        for number in (0, 1):
            destination.commit(package(resource_load("r", [{**long, "日本" * 90: [{"n": 1}]}], based_on=number)))

        limits = destination.capabilities
        with destination.reader(DATASET) as reader:
            names = [name for table, columns in reader.tables().items() for name in (table, *columns)]
            data = reader.query(f"SELECT * FROM {reader.qualified('r')}").to_pylist()  # noqa: S608
        sizes = [len(name.encode() if limits.identifiers_measured_in == "bytes" else name) for name in names]
        assert max(sizes) <= limits.max_identifier_length
        assert [sorted(v for k, v in row.items() if k.startswith("gr")) for row in data] == [[0, 1], [0, 1]]

    # --- append, replace, merge ----------------------------------------------------------------------------------

    def test_append_adds_rows(self, destination: Destination) -> None:
        destination.commit(package(resource_load("orders", [{"id": 1, "tags": ["a"]}])))
        destination.commit(package(resource_load("orders", [{"id": 1, "tags": ["a"]}], based_on=1)))

        assert _rows(destination, "orders", "id") == [(1,), (1,)]
        assert _scalar(destination, "SELECT count(*) FROM orders__tags") == 2

    def test_replace_leaves_only_the_new_rows_also_in_nested_tables(self, destination: Destination) -> None:
        destination.commit(package(resource_load("orders", [{"id": 1, "tags": ["a"]}, {"id": 2}], hints=REPLACE)))

        result = destination.commit(package(resource_load("orders", [{"id": 3}], hints=REPLACE, based_on=1)))

        assert _rows(destination, "orders", "id") == [(3,)]
        assert _scalar(destination, "SELECT count(*) FROM orders__tags") == 0
        assert result.tables["orders"].deleted == 2

    def test_merge_updates_rows_with_their_nested_rows_and_inserts_new_ones(self, destination: Destination) -> None:
        first = [{"id": 1, "v": "old", "tags": ["a", "b"]}, {"id": 2, "v": "kept", "tags": ["c"]}]
        destination.commit(package(resource_load("orders", first, hints=MERGE)))

        second = [{"id": 1, "v": "new", "tags": ["z"]}, {"id": 3, "v": "added"}]
        result = destination.commit(package(resource_load("orders", second, hints=MERGE, based_on=1)))

        assert _rows(destination, "orders", "id", "v") == [(1, "new"), (2, "kept"), (3, "added")]
        assert _rows(destination, "orders__tags", "value") == [("c",), ("z",)]
        counts = result.tables["orders"]
        assert (counts.loaded, counts.inserted, counts.updated, counts.total) == (2, 1, 1, 3)

    def test_merge_deletes_nested_rows_at_every_level(self, destination: Destination) -> None:
        deep = {"id": 1, "items": [{"parts": [{"codes": [1, 2]}, {"codes": [3]}]}]}
        destination.commit(package(resource_load("orders", [deep, {**deep, "id": 2}], hints=MERGE)))

        destination.commit(package(resource_load("orders", [{"id": 1}], hints=MERGE, based_on=1)))

        assert _scalar(destination, "SELECT count(*) FROM orders__items") == 1
        assert _scalar(destination, "SELECT count(*) FROM orders__items__parts") == 2
        assert _rows(destination, "orders__items__parts__codes", "value") == [(1,), (2,), (3,)]

    def test_merge_keeps_the_last_row_of_each_key(self, destination: Destination) -> None:
        rows = [{"id": 1, "v": n, "tags": [n]} for n in range(5)] + [{"id": 2, "v": 9, "tags": []}]

        result = destination.commit(package(resource_load("orders", rows, hints=MERGE)))

        assert _rows(destination, "orders", "id", "v") == [(1, 4), (2, 9)]
        assert _rows(destination, "orders__tags", "value") == [(4,)]
        assert result.tables["orders"].loaded == 2

    def test_merge_on_a_compound_key(self, destination: Destination) -> None:
        hints = TableHints(write_disposition="merge", primary_key=("shop", "id"))
        rows = [{"shop": "a", "id": 1, "v": 1}, {"shop": "b", "id": 1, "v": 1}]
        destination.commit(package(resource_load("orders", rows, hints=hints)))

        destination.commit(package(resource_load("orders", [{"shop": "b", "id": 1, "v": 2}], hints=hints, based_on=1)))

        assert _rows(destination, "orders", "shop", "id", "v") == [("a", 1, 1), ("b", 1, 2)]

    def test_merge_without_the_key_in_any_row_matches_by_content(self, destination: Destination) -> None:
        rows = [{"day": 1, "n": 5}, {"day": 2, "n": 5}, {"day": 2, "n": 5}]
        destination.commit(package(resource_load("clones", rows, hints=MERGE)))
        destination.commit(package(resource_load("clones", [*rows, {"day": 3, "n": 1}], hints=MERGE, based_on=1)))

        assert _rows(destination, "clones", "day", "n") == [(1, 5), (2, 5), (2, 5), (3, 1)]

    def test_merge_into_a_table_that_was_appended_before(self, destination: Destination) -> None:
        destination.commit(package(resource_load("orders", [{"id": 1, "tags": ["a"]}, {"id": 2, "tags": ["b"]}])))
        destination.commit(package(resource_load("orders", [{"id": 1, "tags": ["c"]}], hints=MERGE, based_on=1)))

        assert _rows(destination, "orders", "id") == [(1,), (2,)]
        assert _rows(destination, "orders__tags", "value") == [("b",), ("c",)]

    # --- schema evolution ----------------------------------------------------------------------------------------

    def test_new_keys_become_columns_and_old_rows_hold_null(self, destination: Destination) -> None:
        destination.commit(package(resource_load("orders", [{"id": 1}])))

        result = destination.commit(package(resource_load("orders", [{"id": 2, "v": "new"}], based_on=1)))

        assert _rows(destination, "orders", "id", "v") == [(1, None), (2, "new")]
        assert result.new_columns["orders"] == {"v": "text"}

    def test_a_bigint_column_widens_to_double_where_every_value_stays_exact(self, destination: Destination) -> None:
        destination.commit(package(resource_load("r", [{"x": 3}])))
        destination.commit(package(resource_load("r", [{"x": 1.5}], based_on=1)))

        assert _rows(destination, "r", "x") == [(1.5,), (3.0,)]
        assert _snapshot(destination).schemas[SOURCE].tables["r"].columns["x"].type == ColumnType("double")

    def test_integers_and_fractions_of_a_first_load_share_a_double_column(self, destination: Destination) -> None:
        destination.commit(package(resource_load("r", [{"x": 3}, {"x": 1.5}])))

        assert _rows(destination, "r", "x") == [(1.5,), (3.0,)]

    def test_a_wide_integer_that_a_decimal_cannot_hold_goes_to_a_variant_column(self, destination: Destination) -> None:
        destination.commit(package(resource_load("r", [{"x": Decimal("0.5")}, {"x": 2**98 + 1}])))

        rows = _rows(destination, "r", "x", "x__v_decimal", order="_dlt_id")
        assert rows == [(Decimal("0.5"), None), (None, Decimal(2**98 + 1))]

    def test_a_variant_column_never_takes_the_column_of_a_key(self, destination: Destination) -> None:
        rows = [{"x": 1, "x__v_text": "mine"}, {"x": "abc", "x__v_text": "mine too"}]
        destination.commit(package(resource_load("r", rows)))

        found = _rows(destination, "r", "x", "x__v_text", "x__v_text_2", order="_dlt_id")
        assert found == [(1, "mine", None), (None, "mine too", "abc")]

    def test_a_key_that_its_column_cannot_hold_changes_nothing(self, destination: Destination) -> None:
        destination.commit(package(resource_load("r", [{"id": 1}])))

        with pytest.raises(TableConflictError, match="its column 'id' is bigint, and up to 2 of the 2 rows"):
            destination.commit(package(resource_load("r", [{"id": "a"}, {"id": "b"}], hints=MERGE, based_on=1)))

        assert _rows(destination, "r", "id") == [(1,)]

    def test_a_column_that_took_no_nulls_takes_them_once_nobody_insists_on_it(self, destination: Destination) -> None:
        strict = TableHints(columns={"x": ColumnHint(nullable=False)})
        destination.commit(package(resource_load("r", [{"id": 1, "x": 1}], hints=strict)))

        with pytest.raises(TableConflictError, match=r"its column 'x' is bigint, .* it takes no nulls"):
            destination.commit(package(resource_load("r", [{"id": 2, "x": "two"}], hints=strict, based_on=1)))
        destination.commit(package(resource_load("r", [{"id": 2, "x": "two"}, {"id": 3}], based_on=1)))

        assert _rows(destination, "r", "id", "x", "x__v_text") == [(1, 1, None), (2, None, "two"), (3, None, None)]
        assert _snapshot(destination).schemas[SOURCE].tables["r"].columns["x"].nullable

    def test_a_bigint_column_with_inexact_values_does_not_widen(self, destination: Destination) -> None:
        destination.commit(package(resource_load("r", [{"x": 2**53 + 1}])))
        destination.commit(package(resource_load("r", [{"x": 1.5}], based_on=1)))

        assert _rows(destination, "r", "x", "x__v_double") == [(2**53 + 1, None), (None, 1.5)]

    def test_a_date_column_and_a_bigint_column_take_what_they_hold_exactly(self, destination: Destination) -> None:
        destination.commit(package(resource_load("r", [{"n": 1, "b": True}])))
        destination.commit(package(resource_load("r", [{"n": "3", "b": "x"}, {"n": "007", "b": 1}], based_on=1)))

        rows = _rows(destination, "r", "n", "n__v_text", "b", "b__v_text", "b__v_bigint", order="_dlt_id")
        assert rows == [(1, None, True, None, None), (3, None, None, "x", None), (None, "007", None, None, 1)]

    def test_a_hint_that_cannot_hold_the_stored_values_changes_nothing(self, destination: Destination) -> None:
        destination.commit(package(resource_load("r", [{"x": "text"}])))
        hints = TableHints(columns={"x": ColumnHint(ColumnType("bigint"))})

        with pytest.raises(ColumnTypeConflictError, match="stored as text, and the hint asks for bigint"):
            destination.commit(package(resource_load("r", [{"x": 1}], hints=hints, based_on=1)))

        assert _rows(destination, "r", "x") == [("text",)]
        assert _snapshot(destination).commit_number(_unit("r")) == 1

    def test_a_hinted_double_on_a_bigint_column_does_not_round(self, destination: Destination) -> None:
        destination.commit(package(resource_load("r", [{"x": 1}])))
        hints = TableHints(columns={"x": ColumnHint(ColumnType("double"))})
        destination.commit(package(resource_load("r", [{"x": 1.5}], hints=hints, based_on=1)))

        assert _rows(destination, "r", "x") == [(1.0,), (1.5,)]

    def test_keys_that_read_the_same_keep_their_values_apart(self, destination: Destination) -> None:
        result = destination.commit(package(resource_load("r", [{"userName": 1, "user_name": 2, "UserName": 3}])))

        with destination.reader(DATASET) as reader:
            row = reader.query(f"SELECT * FROM {reader.qualified('r')}").to_pylist()[0]  # noqa: S608
        assert row["user_name"] == 2
        assert sorted(value for name, value in row.items() if name.startswith("user_name")) == [1, 2, 3]
        assert len(result.warnings) == 2

    def test_keys_and_tables_that_differ_only_in_case_keep_their_values_apart(self, destination: Destination) -> None:
        rows = [{"Id": 1, "ID": 2, "items": [{"n": 3}], "Items": [{"n": 4}, {"n": 5}]}]

        result = destination.commit(package(resource_load("Odd name-1", rows), naming="direct"))
        destination.commit(package(resource_load("Odd name-1", rows, based_on=1), naming="direct"))

        root, *nested = result.tables
        assert root == "Odd name-1"
        with destination.reader(DATASET) as reader:
            ids = [name for name in reader.tables()[root] if name.lower().startswith("id")]
        assert [_rows(destination, root, name) for name in sorted(ids)] == [[(2,), (2,)], [(1,), (1,)]]
        assert sorted(sorted(_rows(destination, table, "n")) for table in nested) == [
            [(3,), (3,)],
            [(4,), (4,), (5,), (5,)],
        ]

    def test_tables_made_by_another_convention_since_a_package_was_planned_stay(self, destination: Destination) -> None:
        destination.commit(package(resource_load("orders", [{"userId": 1}])))

        with pytest.raises(NamingConventionConflictError, match="named by the convention 'unicode_snake_case'"):
            destination.commit(package(resource_load("orders", [{"userId": 2}], based_on=1), naming="direct"))

        assert _rows(destination, "orders", "user_id") == [(1,)]

    def test_a_resource_named_like_a_nested_table_gets_a_table_of_its_own(self, destination: Destination) -> None:
        destination.commit(package(resource_load("orders", [{"id": 1, "tags": ["a"]}])))

        result = destination.commit(package(resource_load("orders__tags", [{"id": 7}])))

        (table,) = result.tables
        assert table.startswith("orders__tags_")
        assert _rows(destination, table, "id") == [(7,)]
        assert _rows(destination, "orders__tags", "value") == [("a",)]
        assert "'orders__tags' is taken by another table" in result.warnings[0]

    def test_a_package_planned_on_an_older_schema_is_planned_anew(self, destination: Destination) -> None:
        destination.commit(package(resource_load("a", [{"x": 1}], table="shared")))
        before = {SOURCE: _snapshot(destination).schemas[SOURCE].fingerprints()}
        destination.commit(package(resource_load("b", [{"x": 1.5}], table="shared")))

        late = package(resource_load("a", [{"x": 2, "y": "new"}], table="shared", based_on=1), fingerprints=before)
        result = destination.commit(late)

        assert _rows(destination, "shared", "x", "y") == [(1.0, None), (1.5, None), (2.0, "new")]
        assert result.replanned == {"shared"}

    # --- compare-and-swap, idempotency, state --------------------------------------------------------------------

    def test_a_package_planned_on_an_old_commit_changes_nothing(self, destination: Destination) -> None:
        first = destination.commit(package(resource_load("issues", [{"id": 1, "title": "first"}])))

        with pytest.raises(CommitConflictError, match="planned on commit 0 of resource 'issues'") as caught:
            destination.commit(package(resource_load("issues", [{"id": 1, "title": "late"}])))

        assert caught.value.winner_load_id == first.load_id
        assert _rows(destination, "issues", "title") == [("first",)]
        assert _snapshot(destination).commit_number(_unit("issues")) == 1

    def test_different_resources_and_windows_do_not_conflict(self, destination: Destination) -> None:
        january, february = Window("2026-01-01", "2026-02-01"), Window("2026-02-01", "2026-03-01")
        destination.commit(package(resource_load("issues", [{"id": 1}], state=({}, {"n": 1}))))
        destination.commit(package(resource_load("comments", [{"id": 1}], state=({}, {"n": 2}))))
        destination.commit(package(resource_load("issues", [{"id": 2}], window=january)))
        destination.commit(package(resource_load("issues", [{"id": 3}], window=february)))

        snapshot = _snapshot(destination)
        assert [snapshot.commit_number(_unit("issues", window)) for window in (None, january, february)] == [1, 1, 1]
        assert resource_state(snapshot.state, SOURCE, "issues") == {"n": 1}
        assert resource_state(snapshot.state, SOURCE, "comments") == {"n": 2}

    def test_of_commits_at_the_same_time_each_resource_takes_one(self, destination: Destination) -> None:
        names = ["issues", "issues", "comments", "issues", "visits"]
        packages = [package(resource_load(name, [{"n": n}], state=({}, {"n": n}))) for n, name in enumerate(names)]

        with ThreadPoolExecutor(len(packages)) as threads:
            ended = [threads.submit(destination.commit, each) for each in packages]
            failures = [future.exception() for future in ended]

        assert failures[2] is failures[4] is None
        assert [type(failures[n]) for n in (0, 1, 3)].count(CommitConflictError) == 2
        winner = next(n for n in (0, 1, 3) if failures[n] is None)
        assert _rows(destination, "issues", "n") == [(winner,)]
        snapshot = _snapshot(destination)
        states = {name: resource_state(snapshot.state, SOURCE, name) for name in names}
        assert states == {"issues": {"n": winner}, "comments": {"n": 2}, "visits": {"n": 4}}
        assert [snapshot.commit_number(_unit(name)) for name in states] == [1, 1, 1]

    def test_a_repeated_idempotency_key_changes_nothing_and_reports_the_load(self, destination: Destination) -> None:
        first = destination.commit(package(resource_load("issues", [{"id": 1}], idempotency_key="run-1")))

        again = destination.commit(package(resource_load("issues", [{"id": 1}], idempotency_key="run-1")))

        assert again.repeated
        assert again.load_id == first.load_id
        assert again.tables["issues"] == first.tables["issues"]
        assert _rows(destination, "issues", "id") == [(1,)]
        scope = Scope(PIPELINE, DATASET, (SOURCE,), ("run-1", "run-2"))
        assert set(destination.read_state(scope).repeated) == {"run-1"}

    def test_source_state_merges_key_by_key(self, destination: Destination) -> None:
        destination.commit(package(resource_load("a", [{"x": 1}]), source_state=({}, {"one": 1})))
        destination.commit(package(resource_load("b", [{"x": 1}]), source_state=({}, {"two": 2})))

        with pytest.raises(StateConflictError, match="'one'"):
            destination.commit(package(resource_load("c", [{"x": 1}]), source_state=({}, {"one": 3})))

        assert source_state(_snapshot(destination).state, SOURCE) == {"one": 1, "two": 2}

    def test_a_failing_commit_leaves_nothing_behind(self, destination: Destination) -> None:
        destination.commit(package(resource_load("r", [{"x": "text"}])))
        before = _everything(destination)
        bad_hints = TableHints(columns={"x": ColumnHint(ColumnType("bigint"))})

        with pytest.raises(ColumnTypeConflictError):
            destination.commit(
                package(resource_load("fresh", [{"id": 1}]), resource_load("r", [{"x": 1}], hints=bad_hints, based_on=1))
            )

        assert _everything(destination) == before


def _snapshot(destination: Destination) -> Snapshot:
    return destination.read_state(Scope(PIPELINE, DATASET, (SOURCE,)))


def _unit(resource: str, window: Window | None = None) -> UnitKey:
    return UnitKey(PIPELINE, SOURCE, resource, window)


def _everything(destination: Destination) -> Mapping[str, str]:
    with destination.reader(DATASET) as reader:
        return {
            name: json.dumps(reader.query(f"SELECT * FROM {reader.qualified(name)}").to_pylist(), default=str)  # noqa: S608
            for name in reader.tables()
        }


__all__ = ["DestinationConformance"]
