from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from extraction_driver import Runs, rows_of

from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource, resource
from dlt_orchestrate.errors import CursorFieldMissingError, CursorValueError
from dlt_orchestrate.state.commits import Window

ZONED = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)]


def tables(*frames: pa.Table, declared: Incremental[Any], **hints: Any) -> Resource:
    @resource(name="tables", incremental=declared, **hints)
    def read() -> Iterator[pa.Table]:
        yield from frames

    return read


def table(values: list[Any], kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"id": list(range(1, len(values) + 1)), "u": pa.array(values, kind)})


def ids(runs: Runs, declared: Resource, **options: Any) -> list[int]:
    return [row["id"] for page in runs.pages(declared, **options) for row in rows_of(page)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], pa.int64()),
        ([1, 2, 3], pa.int16()),
        ([1.5, 2.5, 3.5], pa.float64()),
        ([Decimal("1.5"), Decimal("2.5"), Decimal("3.5")], pa.decimal128(10, 2)),
        (["a", "b", "c"], pa.string()),
        (["a", "b", "c"], pa.large_string()),
        (["a", "b", "c"], pa.dictionary(pa.int32(), pa.string())),
        ([date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3)], pa.date32()),
        (ZONED, pa.timestamp("us", "UTC")),
        (ZONED, pa.timestamp("ns", "Europe/Berlin")),
        ([moment.replace(tzinfo=None) for moment in ZONED], pa.timestamp("s")),
    ],
    ids=str,
)
def test_a_second_run_passes_only_rows_that_are_new(values: list[Any], kind: pa.DataType) -> None:
    runs = Runs()
    whole = table(values, kind)

    assert ids(runs, tables(whole.slice(0, 2), declared=Incremental("u"))) == [1, 2]
    assert ids(runs, tables(whole, declared=Incremental("u"))) == [3]
    state = runs.state
    assert runs.pages(tables(whole, declared=Incremental("u"))) == []
    assert runs.state == state


def test_pages_stay_arrow_tables_and_keep_their_columns() -> None:
    (page,) = Runs().pages(tables(table([1, 2, 3]), declared=Incremental("u", initial_value=2)))

    assert page.frame.schema == table([1]).schema
    assert page.rows == ()


def test_rows_in_several_chunks_are_compared_at_the_boundary() -> None:
    chunked = pa.concat_tables([table([5, 1]), pa.table({"id": [3, 4], "u": [5, 6]})])
    runs = Runs()
    ids(runs, tables(chunked.slice(0, 2), declared=Incremental("u"), primary_key="id"))

    assert ids(runs, tables(chunked, declared=Incremental("u"), primary_key="id")) == [3, 4]


@pytest.mark.parametrize(
    ("start", "end", "passed"),
    [
        ("closed", "open", [2, 3, 4]),
        ("open", "open", [3, 4]),
        ("open", "closed", [3, 4, 5]),
        ("closed", "closed", [2, 3, 4, 5]),
    ],
)
def test_a_run_with_an_end_passes_its_range(start: Any, end: Any, passed: list[int]) -> None:
    declared = Incremental("u", initial_value=2, end_value=5, range_start=start, range_end=end)
    runs = Runs()

    assert ids(runs, tables(table([1, 2, 3, 4, 5, 6]), declared=declared)) == passed
    assert runs.state == {}


def test_a_window_is_read_as_the_kind_of_the_column() -> None:
    window = Window("2024-01-02T00:00:00+00:00", "2024-01-03T00:00:00+00:00")

    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("ns", "Europe/Berlin")):
        assert ids(Runs(), tables(table(ZONED, kind), declared=Incremental("u")), window=window) == [2]


def test_out_of_range_flags_and_order_stop_the_reading() -> None:
    opened = []

    @resource(incremental=Incremental("u", initial_value=3, row_order="desc"))
    def falling() -> Iterator[pa.Table]:
        for values in ([5, 4], [3, 2], [1, 0]):
            opened.append(values)
            yield table(values)

    assert [row["u"] for row in Runs().rows(falling)] == [5, 4, 3]
    assert opened == [[5, 4], [3, 2]]


@pytest.mark.parametrize(("choice", "passed"), [("include", [1, 2, 3]), ("exclude", [1, 3])])
@pytest.mark.parametrize("gap", [None, float("nan")])
def test_rows_without_a_value_are_included_or_excluded(choice: Any, passed: list[int], gap: Any) -> None:
    declared = Incremental("u", on_cursor_value_missing=choice)
    gappy = pa.table({"id": [1, 2, 3], "u": pa.array([1.0, gap, 2.0], pa.float64())})

    assert ids(Runs(), tables(gappy, declared=declared)) == passed


def test_nulls_and_absent_columns_are_errors_otherwise() -> None:
    with pytest.raises(CursorFieldMissingError, match="it holds null there"):
        Runs().pages(tables(table([1, None]), declared=Incremental("u")))
    with pytest.raises(CursorFieldMissingError, match="it has id, u"):
        Runs().pages(tables(table([1]), declared=Incremental("updated")))


@pytest.mark.parametrize("initial", ["2024-01-01", datetime(2024, 1, 1)])
def test_a_column_that_cannot_be_compared_is_an_error(initial: Any) -> None:
    with pytest.raises(CursorValueError, match="holds a int"):
        Runs().pages(tables(table([1, 2]), declared=Incremental("u", initial_value=initial)))


@pytest.mark.parametrize("column", [table([1, 2]), table([Decimal("1.4"), Decimal("1.6")], pa.decimal128(5, 1))])
@pytest.mark.parametrize("initial", [1.5, Decimal("1.55")])
def test_a_start_is_never_rounded_to_the_type_of_the_column(column: pa.Table, initial: Any) -> None:
    assert ids(Runs(), tables(column, declared=Incremental("u", initial_value=initial))) == [2]


def test_a_cursor_can_be_a_field_of_a_struct() -> None:
    nested = pa.table({"id": [1, 2], "meta": [{"u": 1}, {"u": 5}]})

    assert ids(Runs(), tables(nested, declared=Incremental("meta.u", initial_value=2))) == [2]


def test_a_function_of_the_users_own_works_on_columns_too() -> None:
    declared = Incremental("u", last_value_func=lambda found: max(found, key=len))
    runs = Runs()

    assert ids(runs, tables(table(["a", "ccc"]), declared=declared)) == [1, 2]
    assert ids(runs, tables(table(["a", "ccc", "bb", "dddd"]), declared=declared)) == [4]


def test_an_empty_table_passes_with_its_columns() -> None:
    (page,) = Runs().pages(tables(table([], pa.int64()), declared=Incremental("u")))

    assert page.frame.column_names == ["id", "u"]
