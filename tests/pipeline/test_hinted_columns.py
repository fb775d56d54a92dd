"""Hints that name a column which no row has: an error where rows would be doubled, a warning where nothing hangs on it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import CursorFieldMissingError, HintedColumnMissingError, PipelineStepFailed, TableConflictError

ROWS = [{"Order ID": 1, "at": 5}, {"Order ID": 2, "at": 6}]
CHANGED = [{"Order ID": 1, "at": 7}, {"Order ID": 2, "at": 6}]


@pytest.fixture
def pipeline(project: Path) -> dlt.Pipeline:
    return dlt.pipeline("shop", destination="duckdb", dataset_name="d")


def orders(rows: Any, **hints: Any) -> Any:
    hints.setdefault("write_disposition", "merge")
    return dlt.resource(rows, name="orders", **hints)


def strategy(name: str) -> dict[str, str]:
    return {"disposition": "merge", "strategy": name}


def stored(pipeline: dlt.Pipeline) -> list[tuple[Any, ...]]:
    return pipeline.dataset().orders.select("order_id", "at").order_by("order_id").fetchall()


def refused(pipeline: dlt.Pipeline, resource: Any) -> HintedColumnMissingError:
    with pytest.raises(PipelineStepFailed) as failed:
        pipeline.run(resource)
    assert (failed.value.step, failed.value.resources) == ("normalize", ("orders",))
    assert isinstance(failed.value.__cause__, HintedColumnMissingError)
    return failed.value.__cause__


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["delete-insert", "upsert", "insert-only", "cdc", "scd2"])
def test_a_misspelt_primary_key_loads_nothing_and_is_told_with_the_one_that_was_meant(
    pipeline: dlt.Pipeline, name: str
) -> None:
    error = refused(pipeline, orders(ROWS, primary_key="order_idd", write_disposition=strategy(name)))

    assert str(error) == (
        "Resource 'orders', table 'orders': primary_key names column 'order_idd', which no row has, so that rows could not "
        "be told apart and would be loaded twice. Did you mean 'order_id'? Name a column that the rows have. Nothing of "
        "this load was committed."
    )
    assert (error.resource, error.table, error.column, error.hint) == ("orders", "orders", "order_idd", "primary_key")
    assert not Path("shop.duckdb").exists()


@pytest.mark.parametrize(
    ("hints", "told"),
    [
        ({"primary_key": ["Order ID", "shop"]}, "primary_key names column 'shop'"),
        ({"merge_key": "day"}, "merge_key names column 'day'"),
        ({"primary_key": "Order ID", "merge_key": "day"}, "merge_key names column 'day'"),
        ({"primary_key": "Order ID", "columns": {"att": {"dedup_sort": "desc"}}}, "dedup_sort names column 'att'"),
        ({"columns": {"order_idd": {"primary_key": True}}}, "primary_key names column 'order_idd'"),
        ({"primary_key": "customer", "write_disposition": strategy("upsert")}, "primary_key names column 'customer'"),
        ({"primary_key": "order_idd", "columns": {"order_idd": {"data_type": "bigint"}}}, "column 'order_idd'"),
    ],
)
def test_a_merge_is_refused_that_names_a_column_which_is_not_there(
    pipeline: dlt.Pipeline, hints: dict[str, Any], told: str
) -> None:
    assert told in str(refused(pipeline, orders(ROWS, **hints)))


@pytest.mark.parametrize("rows", [pa.Table.from_pylist(ROWS), [[row] for row in ROWS]], ids=["arrow", "pages"])
def test_a_key_is_found_by_what_it_reads_and_misspelt_ones_are_not(pipeline: dlt.Pipeline, rows: Any) -> None:
    refused(pipeline, orders(rows, primary_key="order_nr"))

    pipeline.run(orders(rows, primary_key="order_id"))
    report = pipeline.run(orders(CHANGED, primary_key="order_id")).resources["orders"]

    assert (stored(pipeline), report.warnings) == ([(1, 7), (2, 6)], ())


def test_loads_without_rows_ask_for_no_column_and_keys_may_come_with_a_later_page(pipeline: dlt.Pipeline) -> None:
    key = {"primary_key": ["order_id", "place__shop"], "columns": {"at": {"dedup_sort": "asc"}}}
    pipeline.run(orders([], **key))

    report = pipeline.run(orders([[{"place": {}}], [{"order_id": 1, "at": 5, "place": {"shop": 1}}]], **key))

    assert report.resources["orders"].rows_loaded == 1
    assert report.resources["orders"].rows_rejected == 1


def test_a_key_that_is_null_in_every_row_is_refused(pipeline: dlt.Pipeline) -> None:
    nulls = [{"order_id": None, "at": 5}]

    error = refused(pipeline, orders(nulls, primary_key="order_id"))

    assert "primary_key names column 'order_id', and no row has a value in all of its key." in str(error)
    assert refused(pipeline, orders(pa.table({"order_id": pa.array([None], pa.int64())}), primary_key="order_id"))


def test_a_key_that_a_source_has_renamed_keeps_every_row_out(pipeline: dlt.Pipeline) -> None:
    pipeline.run(orders(ROWS, primary_key="order_id"))

    error = refused(pipeline, orders([{"order_nr": 1, "at": 9}], primary_key="order_id"))

    assert "column 'order_id', which no row of this load has, and the rows of earlier loads had. Did you mean" in str(error)
    assert stored(pipeline) == [(1, 5), (2, 6)]


@pytest.mark.parametrize("hinted", ["order_id", "Order ID"])
def test_a_key_that_a_source_spells_anew_doubles_no_row(pipeline: dlt.Pipeline, hinted: str) -> None:
    pipeline.run(orders(ROWS, primary_key=hinted))

    with pytest.raises(PipelineStepFailed) as failed:
        pipeline.run(orders([{"order_id": 1, "at": 9}], primary_key=hinted))

    assert isinstance(failed.value.__cause__, TableConflictError)
    assert (
        "its column 'order_id' is a key, and holds what the source called 'Order ID' so far; 'order_id', which comes now"
    ) in str(failed.value)
    assert stored(pipeline) == [(1, 5), (2, 6)]


def test_a_row_that_lacks_the_key_and_is_asked_for_again_alone_fails_no_load(pipeline: dlt.Pipeline) -> None:
    found = [{"id": 1, "at": 5}, {"idd": 2, "at": 4}]
    rows = orders(lambda: iter(found), primary_key="id", incremental=dlt.sources.incremental("at"))
    assert pipeline.run(rows).resources["orders"].rows_rejected == 1
    del found[0]

    report = pipeline.run(rows).resources["orders"]

    assert (report.rows_loaded, report.total_rows) == (0, 1)


def test_a_key_that_resembles_nothing_makes_whole_rows_meet_and_says_so(pipeline: dlt.Pipeline) -> None:
    for rows in (ROWS, CHANGED):
        report = pipeline.run(orders(rows, primary_key="id_of_customer")).resources["orders"]

    assert stored(pipeline) == [(1, 5), (1, 7), (2, 6)]
    assert report.warnings == (
        "Resource 'orders', table 'orders': primary_key names column 'id_of_customer', which no row has. Whole rows were "
        "compared instead: one that changes is added beside the one that is there. Known are order_id, at.",
    )


def test_a_table_of_a_resource_with_many_is_named(pipeline: dlt.Pipeline) -> None:
    rows = [{"kind": "sales", "id": 1}, {"kind": "returns", "nr": 1}]
    events = dlt.resource(
        rows, name="orders", table_name=lambda row: row["kind"], primary_key=["kind", "id"], write_disposition="merge"
    )

    assert refused(pipeline, events).table == "returns"


# --- other hints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hints", "told"),
    [
        (
            {"columns": {"gone": {"hard_delete": True}}},
            "hard_delete names column 'gone', which no row has: no row was deleted by it. If only deletions carry it, give "
            "it a data_type. Known are at.",
        ),
        ({"columns": {"att": {"unique": True}}}, "unique names column 'att', which no row has: it has no effect. Did you"),
        ({"primary_key": "order_idd", "write_disposition": "append"}, "primary_key names column 'order_idd', which no row"),
        ({"merge_key": "day", "write_disposition": "replace"}, "merge_key names column 'day', which no row has: it has no"),
    ],
)
def test_what_nothing_hangs_on_is_a_warning(pipeline: dlt.Pipeline, hints: dict[str, Any], told: str) -> None:
    report = pipeline.run(orders(ROWS, **{"primary_key": "order_id", **hints})).resources["orders"]

    assert len(report.warnings) == 1
    assert told in report.warnings[0]
    assert stored(pipeline) == [(1, 5), (2, 6)]


@pytest.mark.parametrize("hint", [{"hard_delete": True, "data_type": "bool"}, {"hard_delete": True}])
def test_a_mark_of_deletions_may_be_declared_or_null(pipeline: dlt.Pipeline, hint: dict[str, Any]) -> None:
    without = {} if "data_type" in hint else {"gone": None}
    rows = orders([{**row, **without} for row in ROWS], primary_key="order_id", columns={"gone": hint})
    assert pipeline.run(rows).resources["orders"].warnings == ()

    changed = orders([{"Order ID": 1, "gone": True}], primary_key="order_id", columns={"gone": hint})
    assert pipeline.run(changed).resources["orders"].warnings == ()
    assert stored(pipeline) == [(2, 6)]


def test_an_order_that_a_source_gave_up_is_a_warning(pipeline: dlt.Pipeline) -> None:
    hints = {"primary_key": "order_id", "columns": {"at": {"dedup_sort": "desc"}}}
    pipeline.run(orders(ROWS, **hints))

    (warning,) = pipeline.run(orders([{"Order ID": 1}], **hints)).resources["orders"].warnings

    assert "dedup_sort names column 'at', which no row has: of rows with one key, the last one was kept." in warning


# --- cursors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [ROWS, pa.Table.from_pylist(ROWS)], ids=["records", "arrow"])
@pytest.mark.parametrize(
    ("rule", "done", "count"), [("include", "were loaded, and will be again", 2), ("exclude", "were dropped", 0)]
)
def test_a_cursor_that_no_record_has_is_told(pipeline: dlt.Pipeline, rows: Any, rule: str, done: str, count: int) -> None:
    cursor = dlt.sources.incremental("att", on_cursor_value_missing=rule)

    report = pipeline.run(orders(rows, write_disposition="append", incremental=cursor)).resources["orders"]

    assert report.rows_loaded == count
    assert report.warnings == (
        "Resource 'orders': no record has 'att', which its incremental cursor reads, so all that lack it "
        f"{done} (on_cursor_value_missing={rule!r}). Did you mean 'at'?",
    )


@pytest.mark.parametrize("rows", [ROWS, pa.Table.from_pylist(ROWS)], ids=["records", "arrow"])
def test_a_misspelt_cursor_is_told_with_the_field_that_was_meant(pipeline: dlt.Pipeline, rows: Any) -> None:
    with pytest.raises(PipelineStepFailed) as failed:
        pipeline.run(orders(rows, write_disposition="append", incremental=dlt.sources.incremental("att")))

    assert isinstance(failed.value.__cause__, CursorFieldMissingError)
    assert "it has Order ID, at. Did you mean 'at'? Name another field" in str(failed.value.__cause__)


# --- values that would stand beside the column ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hints", "stored_row", "row", "told"),
    [
        (
            {"columns": {"gone": {"hard_delete": True}}},
            {"gone": False},
            {"gone": "yes"},
            "'gone' is bool, .* marks deletions",
        ),
        (
            {"columns": {"at": {"dedup_sort": "desc"}}},
            {"at": 5},
            {"at": "late"},
            "'at' is bigint, .* which row of a key wins",
        ),
        ({"merge_key": "day"}, {"day": 1}, {"day": "Mon"}, "'day' is bigint, .* it is a merge key"),
    ],
)
def test_a_value_that_decides_over_rows_does_not_hide_in_a_variant(
    pipeline: dlt.Pipeline, hints: dict[str, Any], stored_row: dict[str, Any], row: dict[str, Any], told: str
) -> None:
    pipeline.run(orders([{"order_id": 1, **stored_row}], primary_key="order_id", **hints))

    with pytest.raises(PipelineStepFailed, match=f"TableConflictError: Table 'orders': its column {told}"):
        pipeline.run(orders([{"order_id": 1, **row}], primary_key="order_id", **hints))

    assert pipeline.dataset().orders.select(*stored_row).fetchall() == [tuple(stored_row.values())]


def test_a_contract_turns_rows_away_whose_key_is_of_another_type(pipeline: dlt.Pipeline) -> None:
    rows = {"primary_key": "order_id", "schema_contract": {"data_type": "discard_row"}}
    pipeline.run(orders([{"order_id": 1, "at": 1}], **rows))

    report = pipeline.run(orders([{"order_id": "none", "at": 2}, {"order_id": 1, "at": 3}], **rows)).resources["orders"]

    assert (stored(pipeline), report.rows_rejected) == ([(1, 3)], 1)


# --- in parts --------------------------------------------------------------------------------------------------------


def test_what_comes_with_a_later_part_of_an_extraction_is_not_missed_by_an_earlier_one(
    pipeline: dlt.Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "dlt_orchestrate")
    columns = {"code": {"unique": True}, "gone": {"hard_delete": True}, "wxyz": {"unique": True}}

    @dlt.resource(name="orders", primary_key="id", write_disposition="merge", columns=columns)
    def orders(at: Any = dlt.sources.incremental("at", row_order="asc")) -> Iterator[Any]:
        dlt.current.warn("Half of them are guesses.")
        for number in range(4):
            yield [{"id": number, "at": number, **({"code": number, "gone": None} if number == 2 else {})}]

    report = pipeline.run(orders(), checkpoint=1).resources["orders"]

    told = "Resource 'orders', table 'orders': unique names column 'wxyz', which no row has: it has no effect. "
    assert report.checkpoints == 4
    assert report.warnings == ("Half of them are guesses.", f"{told}Known are at, code, gone.")
    assert [record.getMessage() for record in caplog.records] == [f"Pipeline 'shop': {text}" for text in report.warnings]


def test_a_cursor_that_records_of_a_later_part_have_is_not_missed_by_an_earlier_one(pipeline: dlt.Pipeline) -> None:
    @dlt.resource(name="orders")
    def orders(
        at: Any = dlt.sources.incremental("at", row_order="asc", on_cursor_value_missing="include"),
    ) -> Iterator[Any]:
        yield [{"id": 1}]
        yield [{"id": 2, "at": 5}]
        yield [{"id": 3, "at": 6}]

    report = pipeline.run(orders(), checkpoint=1).resources["orders"]

    assert (report.checkpoints > 1, report.warnings) == (True, ())
