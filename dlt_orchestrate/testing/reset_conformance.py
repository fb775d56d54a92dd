"""What every destination must do when a package takes away what earlier loads left. Part of `DestinationConformance`."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from dlt_orchestrate.errors import ColumnTypeConflictError, CommitConflictError, TableConflictError
from dlt_orchestrate.flow.package import Reject, Reset, Retention, WindowReset
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.protocols.destination import Destination
from dlt_orchestrate.schema.table import ColumnHint, TableHints
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.commits import UnitKey, Window
from dlt_orchestrate.state.document import resource_state, source_state
from dlt_orchestrate.testing.look import rows, scalar
from dlt_orchestrate.testing.packages import DATASET, PIPELINE, SOURCE, package, resource_load

OF_ORDERS = frozenset({"orders"})


class ResetConformance:
    """The promises of a destination about resets."""

    def test_a_dropped_resource_begins_anew(self, destination: Destination) -> None:
        _load_shop(destination)

        result = destination.commit(
            package(
                resource_load("orders", [{"id": "a"}], based_on=1, state=({}, {"seen": 1}), begins_anew=True),
                resets=[Reset(SOURCE, OF_ORDERS)],
            )
        )

        assert rows(destination, "orders", "id") == [("a",)]
        assert tables(destination) == {"orders", "people"}
        stored = snapshot(destination)
        assert list(stored.schemas[SOURCE].tables["orders"].columns) == ["id", "_dlt_load_id", "_dlt_id"]
        assert resource_state(stored.state, SOURCE, "orders") == {"seen": 1}
        assert resource_state(stored.state, SOURCE, "people") == {"cursor": 2}
        assert source_state(stored.state, SOURCE) == {"token": "t"}
        assert stored.commit_number(unit("orders")) == 2
        counts = result.tables["orders"]
        assert (counts.deleted, counts.loaded, counts.total) == (2, 1, 1)
        assert result.tables["orders__tags"].deleted == 2

    def test_emptied_tables_keep_their_columns(self, destination: Destination) -> None:
        _load_shop(destination)

        destination.commit(
            package(
                resource_load("orders", [{"id": 3}], based_on=1, state=({}, {}), begins_anew=True),
                resets=[Reset(SOURCE, OF_ORDERS, "empty")],
            )
        )

        assert rows(destination, "orders", "id", "v") == [(3, None)]
        assert scalar(destination, "SELECT count(*) FROM orders__tags") == 0
        assert resource_state(snapshot(destination).state, SOURCE, "orders") == {}

    def test_a_dropped_source_leaves_nothing_but_its_new_rows(self, destination: Destination) -> None:
        _load_shop(destination)

        destination.commit(
            package(
                resource_load("orders", [{"id": 3}], based_on=1, state=({}, {"seen": 3}), begins_anew=True),
                resets=[Reset(SOURCE)],
                source_state=({}, {"token": "new"}),
            )
        )

        assert tables(destination) == {"orders"}
        stored = snapshot(destination)
        assert list(stored.schemas[SOURCE].tables) == ["orders"]
        assert stored.state["sources"] == {SOURCE: {"token": "new", "resources": {"orders": {"seen": 3}}}}

    def test_a_reset_needs_no_rows(self, destination: Destination) -> None:
        _load_shop(destination)
        before = snapshot(destination)

        destination.commit(package(resets=[Reset(SOURCE, OF_ORDERS)]))
        destination.commit(package(resets=[Reset(SOURCE, frozenset({"people"}), "keep")]))

        assert tables(destination) == {"people"}
        stored = snapshot(destination)
        assert list(stored.schemas[SOURCE].tables) == ["people"]
        assert stored.schemas[SOURCE].version > before.schemas[SOURCE].version
        assert "resources" not in stored.state["sources"][SOURCE] or not stored.state["sources"][SOURCE]["resources"]
        assert [stored.commit_number(unit(name)) for name in ("orders", "people")] == [2, 2]
        assert rows(destination, "people", "id") == [(1,)]

    def test_a_reset_of_what_was_never_loaded_changes_no_table(self, destination: Destination) -> None:
        destination.commit(package(resource_load("people", [{"id": 1}])))

        for reset in (Reset(SOURCE, OF_ORDERS), Reset("other source")):
            destination.commit(package(resets=[reset]))

        assert rows(destination, "people", "id") == [(1,)]
        assert set(snapshot(destination).schemas) == {SOURCE}

    def test_a_reset_takes_the_rows_of_windows_too(self, destination: Destination) -> None:
        january = Window("2026-01-01", "2026-02-01")
        destination.commit(package(resource_load("orders", [{"id": 1}], window=january)))

        for _ in range(2):
            destination.commit(package(resets=[Reset(SOURCE, OF_ORDERS)]))

        assert tables(destination) == set()
        stored = snapshot(destination)
        assert stored.commit_number(UnitKey(PIPELINE, SOURCE, "orders", january)) == 2
        destination.commit(package(resource_load("orders", [{"id": 2}], window=january, based_on=2)))
        assert rows(destination, "orders", "id") == [(2,)]

    def test_a_reset_can_leave_the_state(self, destination: Destination) -> None:
        _load_shop(destination)

        destination.commit(package(resets=[Reset(SOURCE, OF_ORDERS, state=False)]))

        assert tables(destination) == {"people"}
        assert resource_state(snapshot(destination).state, SOURCE, "orders") == {"cursor": 1}

    def test_a_reset_window_loses_the_rows_of_its_loads_and_loads_again(self, destination: Destination) -> None:
        january, february = Window("2026-01-01", "2026-02-01"), Window("2026-02-01", "2026-03-01")
        loads = [
            destination.commit(
                package(resource_load("orders", [{"id": n, "tags": [n]}], window=window, idempotency_key=window.start))
            ).load_id
            for n, window in enumerate((january, february))
        ]
        of_january = UnitKey(PIPELINE, SOURCE, "orders", january)

        destination.commit(replace(package(), window_resets=(WindowReset(of_january, (loads[0],)),)))

        assert rows(destination, "orders", "id") == [(1,)]
        assert scalar(destination, "SELECT count(*) FROM orders__tags") == 1
        assert snapshot(destination).commit_number(of_january) == 2
        again = resource_load("orders", [{"id": 0}], window=january, based_on=2, idempotency_key=january.start)
        assert not destination.commit(package(again)).repeated
        assert rows(destination, "orders", "id") == [(0,), (1,)]

    def test_a_reset_that_leaves_the_tables_leaves_the_windows(self, destination: Destination) -> None:
        january = Window("2026-01-01", "2026-02-01")
        destination.commit(package(resource_load("orders", [{"id": 1}], window=january)))

        destination.commit(package(resets=[Reset(SOURCE, OF_ORDERS, "keep")]))

        destination.commit(package(resource_load("orders", [{"id": 2}], window=january, based_on=1)))
        assert rows(destination, "orders", "id") == [(2,)]

    def test_a_window_can_be_forgotten_without_its_rows(self, destination: Destination) -> None:
        january = Window("2026-01-01", "2026-02-01")
        load = resource_load("orders", [{"id": 1}], window=january, idempotency_key="k")
        destination.commit(package(load))
        unit = UnitKey(PIPELINE, SOURCE, "orders", january)

        destination.commit(replace(package(), window_resets=(WindowReset(unit),)))

        assert rows(destination, "orders", "id") == [(1,)]
        assert not destination.commit(package(replace(load, base_commit=1))).repeated
        assert rows(destination, "orders", "id") == [(1,)]

    def test_a_reset_that_somebody_decided_on_before_the_latest_load_changes_nothing(
        self, destination: Destination
    ) -> None:
        _load_shop(destination)
        decided = replace(package(resets=[Reset(SOURCE)]), reset_bases={unit("orders"): 1, unit("people"): 1})
        destination.commit(package(resource_load("people", [{"id": 2}], based_on=1)))

        with pytest.raises(CommitConflictError, match="planned on commit 1 of resource 'people'"):
            destination.commit(decided)

        assert rows(destination, "people", "id") == [(1,), (2,)]

    def test_old_records_go_and_what_loads_are_compared_with_stays(self, destination: Destination) -> None:
        reject = Reject("orders", "orders", "{}", None, "some cause")
        for number in range(3):
            key, state = f"attempt {number}", ({"seen": number}, {"seen": number + 1})
            destination.commit(
                package(
                    resource_load(
                        "orders", [{"id": number}], based_on=number, state=state, idempotency_key=key, rejects=[reject]
                    )
                )
            )
        last = replace(package(), retention=Retention(*[timedelta(0)] * 3))

        result = destination.commit(last)

        assert result.pruned == {"_dlt_rejects": 3, "_dlt_commits": 2, "_dlt_pipeline_state": 2, "_dlt_loads": 2}
        stored = destination.read_state(Scope(PIPELINE, DATASET, idempotency_keys=("attempt 0", "attempt 2")))
        assert stored.commit_number(unit("orders")) == 3
        assert resource_state(stored.state, SOURCE, "orders") == {"seen": 3}
        assert set(stored.repeated) == {"attempt 2"}
        assert rows(destination, "orders", "id") == [(0,), (1,), (2,)]

    def test_rows_without_ids_get_some_so_that_they_can_be_replaced(self, destination: Destination) -> None:
        hints = TableHints(write_disposition="merge", primary_key=("id",))
        destination.commit(package(resource_load("orders", [{"id": 1}, {"id": 2}], hints=hints)))
        self.remove_column(destination, "orders", "_dlt_id")

        destination.commit(package(resource_load("orders", [{"id": 2, "v": "new"}], hints=hints, based_on=1)))

        assert rows(destination, "orders", "id", "v") == [(1, None), (2, "new")]
        assert scalar(destination, "SELECT count(DISTINCT _dlt_id) FROM orders") == 2

    def remove_column(self, destination: Destination, table: str, column: str) -> None:  # noqa: ARG002 - for others
        """Drop a column, as if whoever made the table had never made it; destinations that cannot skip the test."""
        pytest.skip("nobody else makes tables in this destination")

    def test_a_load_that_was_planned_before_a_reset_is_not_committed_after_it(self, destination: Destination) -> None:
        _load_shop(destination)
        destination.commit(
            package(resource_load("orders", [{"id": 3}], based_on=1, begins_anew=True), resets=[Reset(SOURCE)])
        )

        with pytest.raises(CommitConflictError, match="planned on commit 1 of resource 'people'"):
            destination.commit(package(resource_load("people", [{"id": 2}], based_on=1)))

        assert tables(destination) == {"orders"}

    def test_a_reset_that_was_planned_on_an_old_commit_changes_nothing(self, destination: Destination) -> None:
        _load_shop(destination)

        with pytest.raises(CommitConflictError, match="planned on commit 0 of resource 'orders'"):
            destination.commit(package(resource_load("orders", [{"id": 3}], begins_anew=True), resets=[Reset(SOURCE)]))

        assert rows(destination, "orders", "id") == [(1,), (2,)]

    def test_a_reset_that_fails_leaves_everything_as_it_was(self, destination: Destination) -> None:
        _load_shop(destination)
        bad_hints = TableHints(columns={"id": ColumnHint(ColumnType("text"))})
        destination.commit(package(resource_load("people", [{"id": "x"}], based_on=1, hints=bad_hints)))
        worse_hints = TableHints(columns={"id": ColumnHint(ColumnType("bigint"))})

        with pytest.raises(ColumnTypeConflictError):
            destination.commit(
                package(
                    resource_load("orders", [{"id": 3}], based_on=1, begins_anew=True),
                    resource_load("people", [{"id": 4}], based_on=2, hints=worse_hints),
                    resets=[Reset(SOURCE, OF_ORDERS)],
                )
            )

        assert rows(destination, "orders", "id", "v") == [(1, "a"), (2, "b")]
        assert scalar(destination, "SELECT count(*) FROM orders__tags") == 2
        assert resource_state(snapshot(destination).state, SOURCE, "orders") == {"cursor": 1}

    @pytest.mark.parametrize("how", ["drop", "empty"])
    def test_rows_of_another_resource_are_not_taken_away(self, destination: Destination, how: str) -> None:
        destination.commit(package(resource_load("a", [{"x": 1}], table="shared")))
        destination.commit(package(resource_load("b", [{"x": 2}], table="shared")))
        resets = [Reset(SOURCE, frozenset({"a"}), "drop" if how == "drop" else "empty")]

        with pytest.raises(TableConflictError, match=r"'shared': resetting resource 'a'.*some are of resource 'b'"):
            destination.commit(
                package(resource_load("a", [{"x": 3}], table="shared", based_on=1, begins_anew=True), resets=resets)
            )

        assert rows(destination, "shared", "x") == [(1,), (2,)]

    def test_resources_that_share_a_table_are_reset_together(self, destination: Destination) -> None:
        destination.commit(package(resource_load("a", [{"x": 1}], table="shared")))
        destination.commit(package(resource_load("b", [{"x": 2}], table="shared")))

        destination.commit(
            package(
                *(resource_load(name, [{"x": name}], table="shared", based_on=1, begins_anew=True) for name in "ab"),
                resets=[Reset(SOURCE, frozenset("ab"))],
            )
        )

        assert rows(destination, "shared", "x") == [("a",), ("b",)]

    def test_a_table_is_free_once_its_resource_was_reset(self, destination: Destination) -> None:
        destination.commit(package(resource_load("a", [{"x": 1}], table="shared")))
        destination.commit(package(resets=[Reset(SOURCE, frozenset({"a"}), "empty")]))
        hints = TableHints(write_disposition="replace")
        for number in range(2):
            destination.commit(package(resource_load("b", [{"x": 2}], table="shared", hints=hints, based_on=number)))

        assert rows(destination, "shared", "x") == [(2,)]


def _load_shop(destination: Destination) -> None:
    """Two resources with rows, nested rows and state."""
    orders = [{"id": 1, "v": "a", "tags": ["x"]}, {"id": 2, "v": "b", "tags": ["y"]}]
    destination.commit(
        package(
            resource_load("orders", orders, state=({}, {"cursor": 1})),
            resource_load("people", [{"id": 1}], state=({}, {"cursor": 2})),
            source_state=({}, {"token": "t"}),
        )
    )


def tables(destination: Destination) -> set[str]:
    """The tables of data that there really are."""
    with destination.reader(DATASET) as reader:
        return {name for name in reader.tables() if not name.startswith("_dlt_")}


def snapshot(destination: Destination) -> Snapshot:
    return destination.read_state(Scope(PIPELINE, DATASET))


def unit(resource: str) -> UnitKey:
    return UnitKey(PIPELINE, SOURCE, resource)
