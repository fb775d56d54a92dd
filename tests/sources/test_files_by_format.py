"""JSON Lines, JSON, Parquet, Excel, and CSV by DuckDB: what is in the files is in the table."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.http.exact_json import parse_json
from dlt_orchestrate.sources.filesystem import (
    filesystem,
    json_lines,
    read_csv_duckdb,
    read_excel,
    read_json,
    read_jsonl,
    read_parquet,
)

# --- JSON Lines ----------------------------------------------------------------------------------------------------


def test_lines_become_rows_and_lists_nested_tables(inbox) -> None:
    inbox.drop("a.jsonl", '{"id": 1, "tags": ["x", "y"], "at": "2024-01-01T00:00:00Z"}\r\n\r\n{"id": 2}')

    inbox.load(filesystem(str(inbox.path)) | read_jsonl())

    assert inbox.rows("id", "at") == [(1, datetime(2024, 1, 1, tzinfo=UTC)), (2, None)]
    assert inbox.rows("value", table="rows__tags") == ["x", "y"]


def test_lines_that_are_no_objects_are_rejected_with_file_and_line(inbox) -> None:
    inbox.drop("a.jsonl", '{"id": 1}\n{"id": 2\n\n[3]\n{"id": 4}\n5\n')

    assert inbox.load(filesystem(str(inbox.path)) | read_jsonl()) == 2

    assert inbox.rows("id") == [1, 4]
    assert [(json.loads(row)["text"], cause.partition(" (")[0]) for row, cause in inbox.rejects()] == [
        ('{"id": 2', "line 2 of a.jsonl: it is no JSON: Expecting ',' delimiter: line 1 column 9"),
        ("[3]", "line 4 of a.jsonl: it holds a list, and an object is expected"),
        ("5", "line 6 of a.jsonl: it holds a int, and an object is expected"),
    ]


def test_blank_lines_are_nothing_and_garbage_behind_the_last_line_is_rejected(inbox) -> None:
    inbox.drop("a.jsonl", b'{"id": 1}\n\n  \t\n{"id": 2}\n\x00\x00\x00')

    assert inbox.load(filesystem(str(inbox.path)) | read_jsonl()) == 2

    assert [cause.partition(":")[0] for _, cause in inbox.rejects()] == ["line 5 of a.jsonl"]


def test_halves_of_a_record_on_two_lines_are_not_put_together(inbox) -> None:
    inbox.drop("a.jsonl", '{"id": 1\n"more": 2}\n{"id": 3}\n')

    inbox.load(filesystem(str(inbox.path)) | read_jsonl())

    assert inbox.rows("id") == [3]
    assert [cause.partition(":")[0] for _, cause in inbox.rejects()] == ["line 1 of a.jsonl", "line 2 of a.jsonl"]


def test_many_lines_are_read_into_typed_rows(inbox) -> None:
    """Only the first lines, from which the shape is learnt, are read as dictionaries."""
    text = "".join(json.dumps({"id": number, "name": "n" * 50, "price": number / 4}) + "\n" for number in range(20_000))
    inbox.drop("a.jsonl", text)

    inbox.load(filesystem(str(inbox.path)) | read_jsonl())

    assert inbox.rows("id")[-1] == 19_999
    assert dict(inbox.pipeline.last_trace.last_normalize_info.refusals) == {}


def test_lines_of_many_pages_of_files_are_read_into_typed_rows(inbox, monkeypatch) -> None:
    """Only the first lines of the first page are read as dictionaries, and its files do not use up what may be learnt."""
    as_dictionaries = []
    monkeypatch.setattr(json_lines, "parse_json", lambda text: as_dictionaries.append(text) or parse_json(text))
    for number in range(40):
        inbox.drop(f"{number:02}.jsonl", json.dumps({"id": number}) + "\n", at=number)

    inbox.load(filesystem(str(inbox.path), files_per_page=1) | read_jsonl())

    assert inbox.rows("id") == list(range(40))
    assert as_dictionaries == [b'[{"id": 0}]']


def test_a_limit_counts_the_pages_of_lines(inbox) -> None:
    for number in range(3):
        inbox.drop(f"{number}.jsonl", json.dumps({"id": number}) + "\n", at=number)

    inbox.load((filesystem(str(inbox.path), files_per_page=1) | read_jsonl()).add_limit(2))

    assert inbox.rows("id") == [0, 1]


def test_records_of_another_shape_are_read_all_the_same(inbox) -> None:
    inbox.drop("1.jsonl", '{"id": 1}\n' * 100, at=1)
    inbox.drop("2.jsonl", '{"id": 2, "more": {"x": 1}}\n' * 50_000, at=2)
    inbox.drop("3.jsonl", '{"id": "three"}\n', at=3)

    assert inbox.load(filesystem(str(inbox.path)) | read_jsonl()) == 50_101

    found = inbox.pipeline.dataset().query("SELECT id, id__v_text, more__x, count(*) FROM rows GROUP BY ALL ORDER BY ALL")
    assert found.fetchall() == [(1, None, None, 100), (2, None, 1, 50_000), (None, "three", None, 1)]
    assert sum(inbox.pipeline.last_trace.last_normalize_info.refusals.values()) >= 1


def test_many_small_files_are_decoded_together_and_their_lines_still_told_apart(inbox) -> None:
    for number in range(300):
        inbox.drop(f"{number:03}.jsonl", json.dumps({"id": number}) + ("\nbad\n" if number == 200 else "\n"))

    assert inbox.load(filesystem(str(inbox.path), load_once="name") | read_jsonl()) == 300

    assert inbox.rows("id") == list(range(300))
    assert [cause.partition(":")[0] for _, cause in inbox.rejects()] == ["line 2 of 200.jsonl"]


# --- JSON ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "arguments"),
    [
        ([{"id": 1}, {"id": 2}], {}),
        ({"data": {"items": [{"id": 1}, {"id": 2}]}}, {"data_selector": "data.items"}),
        ({"pages": [{"items": [{"id": 1}]}, {"items": [{"id": 2}]}]}, {"data_selector": "pages[*].items"}),
    ],
)
def test_a_document_holds_records_where_it_is_said(inbox, document, arguments) -> None:
    inbox.drop("a.json", json.dumps(document, indent=2))

    inbox.load(filesystem(str(inbox.path)) | read_json(**arguments))

    assert inbox.rows("id") == [1, 2]


def test_a_document_without_that_place_is_told(inbox) -> None:
    inbox.drop("a.json", '{"rows": []}')

    with pytest.raises(PipelineStepFailed, match=r"there is nothing at 'items'\. It has \['rows'\]"):
        inbox.load(filesystem(str(inbox.path)) | read_json(data_selector="items"))


# --- Parquet -------------------------------------------------------------------------------------------------------


def parquet(inbox, name: str, table: pa.Table, at: int, **options) -> None:
    path = inbox.drop(name, b"", at)
    pq.write_table(table, path, **options)
    inbox.drop(name, path.read_bytes(), at)


def test_parquet_files_keep_their_types_and_may_differ_in_columns(inbox) -> None:
    prices = pa.array([Decimal("1.50"), None], pa.decimal128(10, 2))
    parquet(inbox, "1.parquet", pa.table({"id": [1, 2], "price": prices}), at=1, row_group_size=1)
    parquet(inbox, "2.parquet", pa.table({"note": ["x"], "id": pa.array([3], pa.int16()), "tags": [["a", "b"]]}), at=2)

    assert inbox.load(filesystem(str(inbox.path)) | read_parquet()) == 3

    assert inbox.rows("id", "price", "note") == [(1, Decimal("1.50"), None), (2, None, None), (3, None, "x")]
    assert inbox.rows("value", table="rows__tags") == ["a", "b"]


def test_columns_to_read_that_a_parquet_file_does_not_have_are_an_error(inbox) -> None:
    parquet(inbox, "1.parquet", pa.table({"id": [1], "name": ["a"]}), at=1)

    with pytest.raises(PipelineStepFailed, match=r"1\.parquet cannot be read: it has no column 'nme', .* mean 'name'"):
        inbox.load(filesystem(str(inbox.path)) | read_parquet(columns=["id", "nme"]))


def test_a_column_of_parquet_files_that_changes_its_type_keeps_all_values(inbox) -> None:
    parquet(inbox, "1.parquet", pa.table({"id": [1]}), at=1)
    parquet(inbox, "2.parquet", pa.table({"id": ["two"]}), at=2)

    inbox.load(filesystem(str(inbox.path)) | read_parquet())

    assert inbox.rows("id", "id__v_text") == [(1, None), (None, "two")]


def test_parquet_rows_may_come_as_dictionaries_and_in_part(inbox) -> None:
    parquet(inbox, "1.parquet", pa.table({"id": [1, 2], "b": ["x", "y"]}), at=1)
    rows = filesystem(str(inbox.path)) | read_parquet(use_pyarrow=False, columns=["id"])

    inbox.load(rows.add_filter(lambda row: row["id"] > 1))

    assert inbox.rows("id") == [2]
    assert inbox.types() == {"id": "int64"}


@pytest.mark.parametrize(
    ("unit", "told"), [("s", "P1DT1H1M5S"), ("ms", "PT1M30.065S"), ("us", "PT0.090065S"), ("ns", "PT0.000090065S")]
)
@pytest.mark.parametrize("as_arrow", [True, False])
def test_spans_of_time_in_parquet_files_are_texts(inbox, unit, told, as_arrow) -> None:
    spans = pa.array([90_065, None], pa.duration(unit))
    parquet(inbox, "1.parquet", pa.table({"id": [1, 2], "span": spans}), at=1)

    inbox.load(filesystem(str(inbox.path)) | read_parquet(use_pyarrow=as_arrow))

    assert inbox.rows("id", "span") == [(1, told), (2, None)]


READ_PARQUET = """
import sys
import dlt_orchestrate as dlt
from dlt_orchestrate.sources.filesystem import filesystem, read_parquet

info = dlt.pipeline("files", destination="duckdb").run(filesystem(sys.argv[1]) | read_parquet())
print([name for name in ("requests", "urllib3", "sqlalchemy") if name in sys.modules])
"""


def test_to_read_local_files_takes_no_client_of_http(inbox, run_script) -> None:
    pq.write_table(pa.table({"id": [1, 2]}), inbox.path / "a.parquet")

    assert run_script(READ_PARQUET, str(inbox.path)).stdout.splitlines()[-1] == "[]"


def test_a_parquet_file_with_a_broken_footer_is_told(inbox) -> None:
    path = inbox.drop("a.parquet", b"")
    pq.write_table(pa.table({"id": [1]}), path)
    inbox.drop("a.parquet", path.read_bytes()[:-12] + b"x" * 8 + b"PAR1")

    with pytest.raises(PipelineStepFailed, match=r"a\.parquet cannot be read"):
        inbox.load(filesystem(str(inbox.path)) | read_parquet())


def test_a_parquet_file_without_its_end_is_told(inbox) -> None:
    path = inbox.drop("a.parquet", b"")
    pq.write_table(pa.table({"id": list(range(1_000))}), path)
    inbox.drop("a.parquet", path.read_bytes()[:-50])

    with pytest.raises(PipelineStepFailed, match=r"a\.parquet cannot be read: ArrowInvalid.*min_age_seconds"):
        inbox.load(filesystem(str(inbox.path)) | read_parquet())


# --- Excel ---------------------------------------------------------------------------------------------------------


def workbook(inbox) -> None:
    book = openpyxl.Workbook()
    book.active.append(["made by hand"])
    book.active.append(["id", "when", None])
    book.active.append([1, datetime(2024, 1, 31), "x"])
    book.active.append([None, None, None])
    book.active.append([2, None, "y"])
    other = book.create_sheet("other")
    other.append(["id"])
    other.append([3])
    path = inbox.drop("a.xlsx", b"")
    book.save(path)


def test_a_sheet_is_read_row_by_row(inbox) -> None:
    workbook(inbox)

    inbox.load(filesystem(str(inbox.path)) | read_excel(skiprows=1))

    assert inbox.rows("id", "when", "column_3") == [(1, datetime(2024, 1, 31), "x"), (2, None, "y")]


def test_another_sheet_by_its_name(inbox) -> None:
    workbook(inbox)

    inbox.load(filesystem(str(inbox.path)) | read_excel(sheet_name="other"))

    assert inbox.rows("id") == [3]


@pytest.mark.parametrize(
    ("name", "message"), [("third", "it has no sheet 'third'. It has 'Sheet', 'other'"), (None, "zip")]
)
def test_what_is_no_such_sheet_or_no_excel_file_is_told(inbox, name, message) -> None:
    workbook(inbox)
    if name is None:
        inbox.drop("a.xlsx", b"id,name\n")

    with pytest.raises(PipelineStepFailed, match=message):
        inbox.load(filesystem(str(inbox.path)) | read_excel(sheet_name=name))


def sheet(inbox, *rows: list, at: str = "Sheet") -> None:
    """A workbook whose first sheet is called `Sheet`, with rows in one of its sheets."""
    book = openpyxl.Workbook()
    target = book[at] if at in book.sheetnames else book.create_sheet(at)
    for row in rows:
        target.append(row)
    path = inbox.drop("a.xlsx", b"")
    book.save(path)


def test_cells_of_every_kind_arrive(inbox) -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5)
    span = timedelta(hours=30, milliseconds=500)
    sheet(inbox, ["at", "span", "clock", "ok", "error"], [moment, span, time(1, 2, 3), True, "#N/A"])

    inbox.load(filesystem(str(inbox.path)) | read_excel())

    assert inbox.rows("at", "span", "clock", "ok", "error") == [(moment, "P1DT6H0.5S", time(1, 2, 3), True, "#N/A")]


def test_empty_rows_above_the_names_are_left_out_and_cells_beside_them_kept(inbox) -> None:
    sheet(inbox, [], [None, "id"], ["x", 1, 2])

    inbox.load(filesystem(str(inbox.path)) | read_excel())

    assert inbox.rows("column_1", "id", "column_3") == [("x", 1, 2)]


def test_an_empty_first_sheet_before_others_is_told(inbox) -> None:
    sheet(inbox, ["id"], [1], at="data")

    with pytest.raises(PipelineStepFailed, match=r"its first sheet, 'Sheet', is empty.*sheet_name=\.\.\., one of .*'data'"):
        inbox.load(filesystem(str(inbox.path)) | read_excel())
    assert inbox.load(filesystem(str(inbox.path)) | read_excel(sheet_name="Sheet")) == 0


def test_of_merged_cells_the_first_has_the_value(inbox) -> None:
    book = openpyxl.Workbook()
    for row in (["region", "id"], ["north", 1], [None, 2]):
        book.active.append(row)
    book.active.merge_cells("A2:A3")
    path = inbox.drop("a.xlsx", b"")
    book.save(path)

    inbox.load(filesystem(str(inbox.path)) | read_excel())

    assert inbox.rows("id", "region") == [(1, "north"), (2, None)]


def test_a_workbook_with_a_broken_part_is_told(inbox) -> None:
    sheet(inbox, ["id"], [1])
    whole = zipfile.ZipFile(io.BytesIO((inbox.path / "a.xlsx").read_bytes()))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in whole.namelist():
            if name != "xl/workbook.xml":
                archive.writestr(name, whole.read(name))
    inbox.drop("a.xlsx", written.getvalue())

    with pytest.raises(PipelineStepFailed, match=r"a\.xlsx cannot be read: it is no workbook that can be opened"):
        inbox.load(filesystem(str(inbox.path)) | read_excel())


# --- CSV by DuckDB -------------------------------------------------------------------------------------------------


def test_duckdb_reads_csv_by_its_own_rules(inbox) -> None:
    inbox.drop("a.csv", "id;day\n7;2024-01-31\n")

    inbox.load(filesystem(str(inbox.path)) | read_csv_duckdb())
    assert inbox.types() == {"id": "int64", "day": "date32[day]"}

    inbox.load(filesystem(str(inbox.path)) | read_csv_duckdb(all_varchar=True), write_disposition="replace")
    assert inbox.rows("id", "day") == [(7, date(2024, 1, 31))]


def test_what_duckdb_cannot_read_names_the_file(inbox) -> None:
    inbox.drop("a.csv", "id,n\n1,2\n3\n")

    with pytest.raises(PipelineStepFailed, match=r"a\.csv cannot be read: InvalidInputException"):
        inbox.load(filesystem(str(inbox.path)) | read_csv_duckdb(header=True, sep=",", null_padding=False))
