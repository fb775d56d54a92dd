"""Every limit has a name, a setting, and either an error that says it or a place for what is past it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import NestedTooDeeplyError, PipelineStepFailed, ResourceOutOfBoundsError, TooManyRejectsError

BAD = "\ud800"


@pytest.fixture
def pipeline() -> dlt.Pipeline:
    return dlt.pipeline("limits", destination="memory", dataset_name="d")


def overflow(pipeline: dlt.Pipeline, table: str) -> list[Any]:
    found = pipeline.dataset()(f'SELECT _dlt_overflow FROM "{table}"').fetchall()
    return [None if text is None else json.loads(text) for (text,) in found]


def cause_of(caught: pytest.ExceptionInfo[PipelineStepFailed]) -> Any:
    return caught.value.__cause__


# --- what a load makes -------------------------------------------------------------------------------------------


def test_new_columns_of_one_load_are_limited(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.run([{"a": 1, "b": 2}], table_name="t")
    monkeypatch.setenv("SCHEMA__MAX_NEW_COLUMNS", "1")

    report = pipeline.run([{"a": 3, "b": 4, "c": 5, "d": 6}], table_name="t").resources["t"]

    assert pipeline.dataset()("SELECT a, b, c FROM t").fetchall() == [(1, 2, None), (3, 4, 5)]
    assert overflow(pipeline, "t") == [None, {"d": 6}]
    assert "by schema.max_new_columns" in report.warnings[0]
    pipeline.run([{"d": 7}], table_name="t")
    assert pipeline.dataset()("SELECT d FROM t").fetchall() == [(None,), (None,), (7,)]


@pytest.mark.parametrize("setting", ["MAX_NESTED_TABLES", "MAX_NEW_NESTED_TABLES"])
@pytest.mark.parametrize("rows", [1, 300])
def test_nested_tables_are_limited(
    pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch, setting: str, rows: int
) -> None:
    monkeypatch.setenv(f"SCHEMA__{setting}", "2")
    record = {"a": [{"x": 1}], "b": [1, 2], "c": [{"y": [1]}], "d": []}

    report = pipeline.run([record] * rows, table_name="t").resources["t"]

    assert list(report.tables) == ["t", "t__a", "t__b"]
    assert overflow(pipeline, "t") == [{"c": [{"y": [1]}]}] * rows
    assert "max_nested_tables" in report.warnings[0]
    again = pipeline.run([{"a": [{"x": 2}], "e": [1]}], table_name="t").resources["t"]
    assert again.tables["t__a"].total == rows + 1
    assert ("t__e" in again.tables) == (setting == "MAX_NEW_NESTED_TABLES")


def test_a_list_in_a_list_without_room_for_a_table_stays_whole(
    pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHEMA__MAX_NESTED_TABLES", "1")

    pipeline.run([{"a": [[1, 2], [3]]}], table_name="t")

    assert [json.loads(value) for (value,) in pipeline.dataset().t__a.select("value").fetchall()] == [[1, 2], [3]]


def test_the_depth_of_columns_and_tables_is_limited(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__T__SCHEMA__MAX_NESTING", "1")

    pipeline.run(dlt.resource([{"a": {"b": {"c": 1}}}], name="t"))

    [(value,)] = pipeline.dataset().t.select("a__b").fetchall()
    assert json.loads(value) == {"c": 1}


@pytest.mark.parametrize("rows", [1, 500])
@pytest.mark.parametrize("value", ["x" * 1_001, b"x" * 1_001, "ä" * 501, {"deep": ["y" * 1_001]}])
def test_rows_with_a_field_that_is_too_long_are_rejected(
    pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch, value: Any, rows: int
) -> None:
    monkeypatch.setenv("SCHEMA__MAX_FIELD_BYTES", "1000")
    fine = [{"id": n, "v": "x" * 1_000} for n in range(rows)]

    report = pipeline.run([*fine, {"id": -1, "v": value}], table_name="t").resources["t"]

    assert (report.rows_loaded, report.rows_rejected) == (rows, 1)
    assert "longer than the 1,000 that a field may have (schema.max_field_bytes)" in report.rejects[0].cause


def test_of_a_very_long_rejected_row_the_beginning_is_kept(pipeline: dlt.Pipeline) -> None:
    report = pipeline.run([{"id": 1, "long": "x" * (3 * 2**20), "bad": BAD}], table_name="t").resources["t"]

    row = report.rejects[0].row
    assert len(row) < 2**20 + 100
    assert row.endswith("characters in all)")


@pytest.mark.parametrize("rows", [1, 300])
def test_keys_that_are_too_long_have_no_column(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setenv("SCHEMA__MAX_KEY_LENGTH", "5")

    report = pipeline.run([{"short": 1, "longer": 2, "in": {"longest": [3]}}] * rows, table_name="t").resources["t"]

    assert overflow(pipeline, "t") == [{"longer": 2, "in": {"longest": [3]}}] * rows
    assert "max_key_length" in report.warnings[0]


def test_a_hundred_thousand_keys_are_kept() -> None:
    one = [{f"k{n}": n for n in range(100_000)}]
    many = [{f"k{row}_{n}": n for n in range(100)} for row in range(1_000)]
    pipeline = dlt.pipeline("keys", destination="memory", dataset_name="d")

    for name, records in {"one": one, "many": many}.items():
        pipeline.run(records, table_name=name)

        kept = [
            sum(value is not None and column.startswith("k") for column, value in row.items())
            + len(json.loads(row["_dlt_overflow"] or "{}"))
            for row in pipeline.dataset()[name].arrow().to_pylist()
        ]
        assert kept == [len(record) for record in records]


# --- what a resource yields --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "most"), [("max_rows", 25), ("max_pages", 2), ("max_page_rows", 9), ("max_page_bytes", 50)]
)
def test_a_resource_that_yields_more_than_it_may_fails_by_the_name_of_the_limit(
    pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch, setting: str, most: int
) -> None:
    @dlt.resource
    def endless() -> Iterator[Any]:
        while True:
            yield [{"id": 1}] * 10

    monkeypatch.setenv(f"SOURCES__ENDLESS__EXTRACT__{setting.upper()}", str(most))

    with pytest.raises(PipelineStepFailed, match=rf"resource 'endless'.* than {setting}={most} of section") as caught:
        pipeline.run([endless(), dlt.resource([{"id": 1}], name="other")])

    cause = cause_of(caught)
    assert isinstance(cause, ResourceOutOfBoundsError)
    assert (cause.limit, cause.value, caught.value.step) == (setting, most, "extract")
    assert pipeline.dataset().row_counts() == {"other": 1}


def test_a_limit_of_zero_is_none(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXTRACT__MAX_PAGES", "0")

    assert pipeline.run([{"id": 1}], table_name="t").resources["t"].rows_loaded == 1


def test_lists_without_end_are_refused(pipeline: dlt.Pipeline) -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run([endless], table_name="t")

    assert isinstance(cause_of(caught), NestedTooDeeplyError)


# --- rejects -----------------------------------------------------------------------------------------------------


def test_no_row_may_be_rejected_if_none_is_allowed(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAD__MAX_REJECTED_ROWS", "0")

    with pytest.raises(PipelineStepFailed) as caught:
        pipeline.run([{"id": 1}, {"id": BAD}, {"id": 2, "at": {1}}], table_name="t")

    cause = cause_of(caught)
    assert isinstance(cause, TooManyRejectsError)
    assert (cause.rejected, cause.rows, len(cause.causes)) == (2, 3, 2)
    assert "load.max_rejected_rows" in str(cause)


def test_more_rows_may_be_rejected_if_settings_allow_it(pipeline: dlt.Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOAD__MAX_REJECTED_ROWS", "5000")
    monkeypatch.setenv("LOAD__MAX_REJECTED_SHARE", "1.0")

    report = pipeline.run([{"id": BAD} for _ in range(1_500)], table_name="t").resources["t"]

    assert (report.rows_rejected, pipeline.dataset()["_dlt_rejects"].count()) == (1_500, 1_500)


def test_an_error_counts_all_rejected_rows(pipeline: dlt.Pipeline) -> None:
    with pytest.raises(PipelineStepFailed, match="2500 of 2500 rows were rejected, more than the 1,000 that are allowed"):
        pipeline.run([{"id": BAD} for _ in range(2_500)], table_name="t")


def test_a_load_that_is_reported_again_tells_its_rejects(pipeline: dlt.Pipeline) -> None:
    rows = [{"id": 1}, {"id": BAD}]

    pipeline.run(rows, table_name="t", idempotency_key="attempt")
    again = pipeline.run(rows, table_name="t", idempotency_key="attempt").resources["t"]

    assert (again.repeated, again.rows_loaded, again.rows_rejected) == (True, 1, 1)
    assert list(again.tables) == ["t"]


def test_values_that_need_a_variant_are_kept_where_other_rows_are_rejected(pipeline: dlt.Pipeline) -> None:
    pipeline.run([{"id": 1, "v": 1}], table_name="t")

    report = pipeline.run(
        [{"id": 2, "v": "abc"}, {"id": 3, "new": 1}, {"id": 4, "v": "7"}],
        table_name="t",
        schema_contract={"columns": "discard_row"},
    ).resources["t"]

    assert (report.rows_loaded, report.rows_rejected) == (2, 1)
    assert pipeline.dataset()("SELECT id, v, v__v_text FROM t ORDER BY id").fetchall() == [
        (1, 1, None), (2, None, "abc"), (4, 7, None),
    ]  # fmt: skip


def test_absence_means_nothing_where_rows_were_rejected(pipeline: dlt.Pipeline) -> None:
    for strategy in ("scd2", "cdc"):
        hints: Any = {"write_disposition": {"disposition": "merge", "strategy": strategy}, "primary_key": "id"}
        pipeline.run([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}], table_name=strategy, **hints)

        report = pipeline.run([{"id": 1, "v": "a"}, {"id": 3, "v": BAD}], table_name=strategy, **hints).resources[strategy]

        assert report.total_rows == 2
        assert "no row was retired for being absent from this load, since 1 of its rows were rejected" in report.warnings[0]
        if strategy == "scd2":
            assert pipeline.dataset()("SELECT count(*) FROM scd2 WHERE _dlt_valid_to IS NULL").fetchall() == [(2,)]


def test_a_report_counts_all_root_tables_of_a_resource(pipeline: dlt.Pipeline) -> None:
    rows = [{"kind": "a", "n": 1}, {"kind": "b", "n": 2, "tags": [1, 2]}, {"kind": "b", "n": 3}]

    report = pipeline.run(dlt.resource(rows, name="events", table_name=lambda row: row["kind"])).resources["events"]

    assert (report.rows_loaded, report.rows_inserted, report.total_rows) == (3, 3, 3)
