"""Loads of a window of history: what they ask for, what they replace, what they leave alone."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError, PipelineStepFailed, WindowConflictError
from dlt_orchestrate.state.commits import Window

JANUARY = Window("2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")
FEBRUARY = Window("2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00")


@pytest.fixture
def pipeline(destination_name: str) -> dlt.Pipeline:
    return dlt.pipeline("shop", destination=destination_name, dataset_name="mydata")


def order(number: int, at: str, **fields: Any) -> dict[str, Any]:
    return {"id": number, "at": at, **fields}


def orders(records: list[dict[str, Any]], **hints: Any) -> Any:
    """A resource that yields its records as they are at the time of the run."""
    at = dlt.sources.incremental("at", range_start=hints.pop("range_start", "closed"))

    def found(at=at):
        yield [dict(record) for record in records]

    return dlt.resource(found, name="orders", **hints)


def stored(pipeline: dlt.Pipeline, table: str = "orders", *columns: str) -> list[tuple]:
    return sorted(pipeline.dataset()[table].select(*(columns or ("id",))).fetchall(), key=repr)


@pytest.mark.parametrize("disposition", ["append", "replace", "merge"])
def test_a_window_loaded_twice_is_there_once(pipeline: dlt.Pipeline, disposition: Any) -> None:
    records = [
        order(1, "2026-01-01T00:00:00Z", tags=["a"]),
        order(2, "2026-01-31T23:59:59Z", tags=["b", "c"]),
        order(3, "2026-02-01T00:00:00Z", tags=["d"]),
    ]
    declared = orders(records, write_disposition=disposition, primary_key="id")
    for window in (JANUARY, FEBRUARY):
        pipeline.run(declared, window=window)

    records[1]["tags"] = ["changed"]
    info = pipeline.run(declared, window=(JANUARY.start, JANUARY.end))

    assert stored(pipeline) == [(1,), (2,), (3,)]
    assert stored(pipeline, "orders__tags", "value") == [("a",), ("changed",), ("d",)]
    report = info.resources["orders"]
    assert (report.rows_loaded, report.total_rows) == (2, 3)
    assert report.cursor_before == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("disposition", ["append", "merge"])
@pytest.mark.parametrize("by_end_value", [True, False])
def test_appended_rows_that_the_cursor_comes_to_later_are_told(
    pipeline: dlt.Pipeline, disposition: Any, by_end_value: bool
) -> None:
    records = [order(1, "2026-01-10T00:00:00Z")]
    declared = orders(records, write_disposition=disposition, primary_key="id")

    def in_february() -> tuple[str, ...]:
        if by_end_value:
            at = dlt.sources.incremental("at", initial_value=FEBRUARY.start, end_value=FEBRUARY.end)
            return pipeline.run(declared(at=at)).resources["orders"].warnings
        return pipeline.run(declared, window=FEBRUARY).resources["orders"].warnings

    pipeline.run(declared, window=JANUARY)
    assert in_february() == ()
    assert pipeline.run(declared).resources["orders"].warnings == ()
    records.append(order(2, "2026-02-10T00:00:00Z"))

    warnings = in_february()
    pipeline.run(declared)

    if disposition == "merge":
        assert (warnings, stored(pipeline)) == ((), [(1,), (2,)])
    else:
        (warning,) = warnings
        assert "'at' stands at 2026-01-10T00:00:00Z, and newer rows were loaded" in warning
        assert stored(pipeline)[-2:] == [(2,), (2,)]


@pytest.mark.parametrize(("disposition", "left"), [("append", [(2,), (3,)]), ("merge", [(1,), (2,), (3,)])])
def test_a_row_that_the_source_has_lost_goes_with_its_window_and_stays_in_a_merge(
    pipeline: dlt.Pipeline, disposition: Any, left: list[tuple]
) -> None:
    records = [order(n, f"2026-0{month}-10T00:00:00Z") for n, month in ((1, 1), (2, 1), (3, 2))]
    declared = orders(records, write_disposition=disposition, primary_key="id")
    for window in (JANUARY, FEBRUARY):
        pipeline.run(declared, window=window)

    del records[0]
    pipeline.run(declared, window=JANUARY)

    assert stored(pipeline) == left


def test_a_window_neither_reads_nor_moves_the_cursor(pipeline: dlt.Pipeline) -> None:
    records = [order(1, "2026-01-10T00:00:00Z"), order(2, "2026-02-10T00:00:00Z")]
    pipeline.run(orders(records), window=FEBRUARY)
    assert not pipeline.state.get("sources")

    assert pipeline.run(orders(records)).resources["orders"].rows_loaded == 2
    before = pipeline.state
    records.append(order(3, "2026-01-20T00:00:00Z"))
    assert pipeline.run(orders(records), window=JANUARY).resources["orders"].rows_loaded == 2

    assert pipeline.state == before
    assert stored(pipeline) == [(1,), (2,), (2,), (3,)]


def test_a_late_window_does_not_undo_what_a_later_one_has_loaded(pipeline: dlt.Pipeline) -> None:
    records = [order(1, "2026-02-05T00:00:00Z", v="new")]
    declared = orders(records, write_disposition="merge", primary_key="id")
    pipeline.run(declared, window=FEBRUARY)

    records[:] = [order(1, "2026-01-05T00:00:00Z", v="old"), order(2, "2026-01-06T00:00:00Z", v="old")]
    pipeline.run(declared, window=JANUARY)

    assert stored(pipeline, "orders", "id", "v") == [(1, "new"), (2, "old")]


def test_a_window_includes_its_start_whatever_the_range_of_the_cursor(pipeline: dlt.Pipeline) -> None:
    declared = orders([order(1, "2026-01-01T00:00:00Z")], range_start="open")

    for _ in range(2):
        pipeline.run(declared, window=JANUARY)
        assert stored(pipeline) == [(1,)]


def test_arrow_tables_are_loaded_by_window(pipeline: dlt.Pipeline) -> None:
    @dlt.resource
    def numbers(n=dlt.sources.incremental("n", range_start="open")):
        yield pa.table({"n": list(range(40))})

    for _ in range(2):
        pipeline.run(numbers, window=("10", "20"))

    assert stored(pipeline, "numbers", "n") == [(n,) for n in range(10, 20)]


def test_windows_of_one_resource_commit_side_by_side_and_one_window_only_once(pipeline: dlt.Pipeline) -> None:
    declared = orders([order(1, "2026-01-10T00:00:00Z"), order(2, "2026-02-10T00:00:00Z")])

    def while_another_window_is_loaded(window: Window) -> Any:
        def found(at=dlt.sources.incremental("at")):
            dlt.pipeline("shop", destination=pipeline.destination, dataset_name="mydata").run(declared, window=window)
            yield order(3, "2026-01-20T00:00:00Z")

        return dlt.resource(found, name="orders")

    pipeline.run(while_another_window_is_loaded(FEBRUARY), window=JANUARY)
    assert stored(pipeline) == [(2,), (3,)]

    with pytest.raises(PipelineStepFailed, match=r"in window \[2026-01-01"):
        pipeline.run(while_another_window_is_loaded(JANUARY), window=JANUARY)
    assert stored(pipeline) == [(1,), (2,)]


def test_an_attempt_is_known_by_its_key_and_window(pipeline: dlt.Pipeline) -> None:
    records = [order(1, "2026-01-10T00:00:00Z"), order(2, "2026-02-10T00:00:00Z")]
    pipeline.run(orders(records), window=JANUARY, idempotency_key="attempt")
    records[0]["id"] = 9

    again = pipeline.run(orders(records), window=JANUARY, idempotency_key="attempt").resources["orders"]
    other = pipeline.run(orders(records), window=FEBRUARY, idempotency_key="attempt").resources["orders"]

    assert (again.repeated, other.repeated) == (True, False)
    assert stored(pipeline) == [(1,), (2,)]


# --- resources without a cursor ----------------------------------------------------------------------------------


def test_a_function_that_asks_for_the_window_is_trusted_with_it(pipeline: dlt.Pipeline) -> None:
    calls = []

    @dlt.resource
    def report():
        window = dlt.current.window()
        calls.append(window)
        yield {"month": window.start[:7], "call": len(calls), "lines": [len(calls)]}

    for window in (JANUARY, FEBRUARY, JANUARY):
        pipeline.run(report, window=window)

    assert calls == [JANUARY, FEBRUARY, JANUARY]
    assert stored(pipeline, "report", "month", "call") == [("2026-01", 3), ("2026-02", 2)]
    assert stored(pipeline, "report__lines", "value") == [(2,), (3,)]


def test_a_source_may_choose_its_resources_by_the_window(pipeline: dlt.Pipeline) -> None:
    @dlt.source
    def shop():
        return dlt.resource([{"month": dlt.current.window().start[:7]}], name="months")

    for window in (JANUARY, FEBRUARY, JANUARY):
        pipeline.run(shop(), window=window)

    assert stored(pipeline, "months", "month") == [("2026-01",), ("2026-02",)]


def test_records_that_no_window_bounds_are_refused_before_anything_is_read(pipeline: dlt.Pipeline) -> None:
    with pytest.raises(DeclarationError, match=r"Resource 'orders': the window \[2026-01-01"):
        pipeline.run([{"id": 1}], table_name="orders", window=JANUARY)

    assert pipeline.first_run


def test_a_function_that_never_asks_for_the_window_loads_nothing(pipeline: dlt.Pipeline) -> None:
    @dlt.resource
    def everything():
        yield {"id": 1}

    with pytest.raises(PipelineStepFailed, match=r"Resource 'everything': .* does not bound it") as failure:
        pipeline.run(everything, window=JANUARY)

    assert isinstance(failure.value.__cause__, DeclarationError)
    assert pipeline.first_run


@pytest.mark.parametrize("window", [("2026-01-01",), "2026", (1, 2), ["a", "b"]])
def test_what_is_no_window_is_refused(pipeline: dlt.Pipeline, window: Any) -> None:
    with pytest.raises(DeclarationError, match="is no window"):
        pipeline.run([{"id": 1}], table_name="orders", window=window)


def test_a_cursor_that_falls_takes_no_window(pipeline: dlt.Pipeline) -> None:
    @dlt.resource
    def falling(n=dlt.sources.incremental("n", last_value_func=min)):
        yield {"n": 1}

    with pytest.raises(PipelineStepFailed, match="whose last_value_func is max"):
        pipeline.run(falling, window=("0", "9"))


def test_a_record_without_a_cursor_value_belongs_to_no_window(pipeline: dlt.Pipeline) -> None:
    @dlt.resource
    def events(at=dlt.sources.incremental("at", on_cursor_value_missing="include")):
        yield [order(1, "2026-01-10T00:00:00Z"), {"id": 2, "at": None}]

    with pytest.raises(PipelineStepFailed) as failure:
        pipeline.run(events, window=JANUARY)

    assert isinstance(failure.value.__cause__, WindowConflictError)
    assert failure.value.__cause__.cursor_path == "at"
    assert pipeline.first_run
