"""What the text of CSV files becomes: every value keeps what was written, whatever a file does."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import DeclarationError, PipelineStepFailed
from dlt_orchestrate.sources.filesystem import filesystem, read_csv
from dlt_orchestrate.sources.filesystem.blocks import Quoting, blocks, records
from dlt_orchestrate.sources.filesystem.csv_types import CsvTypes

CELLS = st.text(alphabet='a1,"\n\r ;é', max_size=6)


def test_a_column_has_the_type_that_all_its_texts_are_written_as(inbox) -> None:
    inbox.drop(
        "a.csv",
        "number,code,price,paid,day,at,local,note\n"
        "1,007,1.50,true,2024-01-31,2024-01-31T01:00:00+01:00,2024-01-31 12:30:00,x\n"
        "-2,010,2,False,2024-02-01,2024-01-31T01:00:00.5Z,2024-01-31T12:30,\n",
    )

    inbox.load(filesystem(str(inbox.path)) | read_csv())

    columns = ("number", "code", "price", "paid", "day", "at", "local", "note")
    noon = datetime(2024, 1, 31, 12, 30)
    assert inbox.rows(*columns) == [
        (-2, "010", 2.0, False, date(2024, 2, 1), datetime(2024, 1, 31, 1, 0, 0, 500_000, UTC), noon, None),
        (1, "007", 1.5, True, date(2024, 1, 31), datetime(2024, 1, 31, 0, 0, tzinfo=UTC), noon, "x"),
    ]


@pytest.mark.parametrize(
    "texts",
    [
        ["007", "1"],
        ["+1"],
        ["0x10"],
        ["1.0000000000000000001"],
        ["123456789012345678901"],
        [".5"],
        ["1e999"],
        ["nan"],
        ["2024-02-30"],
        ["2024-1-1"],
        ["yes"],
        [" 1"],
    ],
)
def test_what_another_type_would_not_give_back_stays_text(inbox, texts) -> None:
    inbox.drop("a.csv", "\n".join(["id,value", *(f"{at},{text}" for at, text in enumerate(texts))]))

    inbox.load(filesystem(str(inbox.path)) | read_csv())

    assert inbox.rows("value") == sorted(texts)


def test_nothing_is_null_and_enclosed_nothing_is_an_empty_text(inbox) -> None:
    inbox.drop("a.csv", 'id,note\n1,\n2,""\n3,NA\n')

    inbox.load(filesystem(str(inbox.path)) | read_csv(na_values=["NA"]))

    assert inbox.rows("id", "note") == [(1, None), (2, ""), (3, None)]


def test_a_later_text_of_another_kind_leaves_the_numbers_beside_it_alone(inbox) -> None:
    inbox.drop("1.csv", "id,price\n1,1.50\n", at=1)
    inbox.drop("2.csv", "id,price\n2,2.50\n3,n/a\n4,3.50\n", at=2)

    inbox.load(filesystem(str(inbox.path)) | read_csv())

    assert inbox.rows("id", "price", "price__v_text") == [(1, 1.5, None), (2, 2.5, None), (3, None, "n/a"), (4, 3.5, None)]


def test_a_column_of_texts_stays_one_in_later_runs(inbox) -> None:
    files = filesystem(str(inbox.path), load_once="name") | read_csv()
    inbox.drop("1.csv", "zip\n01067\n")
    inbox.load(files)
    inbox.drop("2.csv", "zip\n1e3\n")

    inbox.load(files)

    assert inbox.rows("zip") == ["01067", "1e3"]


def test_types_can_be_given(inbox) -> None:
    inbox.drop("a.csv", "id,zip\n1,10115\n")

    inbox.load(filesystem(str(inbox.path)) | read_csv(dtype={"zip": "text"}))

    assert inbox.types() == {"id": "int64", "zip": "string"}


def test_an_unknown_type_is_named(inbox) -> None:
    inbox.drop("a.csv", "id\n1\n")

    with pytest.raises(
        PipelineStepFailed, match=r"column 'id' cannot have type 'int'\. It can be: bigint, double"
    ) as failed:
        inbox.load(filesystem(str(inbox.path)) | read_csv(dtype={"id": "int"}))
    assert isinstance(failed.value.__cause__, DeclarationError)


def test_columns_come_and_go_between_files(inbox) -> None:
    inbox.drop("1.csv", "id,a\n1,x\n", at=1)
    inbox.drop("2.csv", "b,id\ny,2\n", at=2)

    inbox.load(filesystem(str(inbox.path)) | read_csv())

    assert inbox.rows("id", "a", "b") == [(1, "x", None), (2, None, "y")]


# --- bad lines -----------------------------------------------------------------------------------------------------


def test_bad_lines_are_rejected_with_file_and_line_and_the_others_loaded(inbox) -> None:
    inbox.drop("a.csv", b'id,note\n1,"two\nlines"\n\n2\n3,\xff\n4,ok,more\n5,5" pipe\n')

    rows = inbox.load(filesystem(str(inbox.path)) | read_csv())

    assert rows == 2
    assert inbox.rows("id", "note") == [(1, "two\nlines"), (5, '5" pipe')]
    causes = [(json.loads(row)["line"], json.loads(row)["text"], cause) for row, cause in inbox.rejects()]
    assert sorted(causes) == [
        (5, "2", "line 5 of a.csv: 1 field(s), where 2 are expected"),
        (6, "3,\\xff", "line 6 of a.csv: it is not written in UTF-8"),
        (7, "4,ok,more", "line 7 of a.csv: 3 field(s), where 2 are expected"),
    ]


def test_a_quotation_mark_that_is_never_closed_costs_its_line_only(inbox) -> None:
    inbox.drop("a.csv", 'id,note\n1,"o""k"\n2,"open\n3,ok\n4,ok\n')

    inbox.load(filesystem(str(inbox.path)) | read_csv())

    assert inbox.rows("id", "note") == [(1, 'o"k'), (3, "ok"), (4, "ok")]
    assert [cause for _, cause in inbox.rejects()] == ["line 3 of a.csv: a quotation mark is never closed"]


def test_bad_lines_may_fail_the_load(inbox) -> None:
    inbox.drop("a.csv", "id\n1\n2,3\n")

    with pytest.raises(PipelineStepFailed, match=r"a\.csv cannot be read: line 3: 2 field\(s\), where 1 are expected"):
        inbox.load(filesystem(str(inbox.path)) | read_csv(on_bad_lines="error"))


def test_more_bad_lines_than_a_load_may_have_fail_it(inbox) -> None:
    inbox.drop("a.csv", "id\n" + "1,2\n" * 30 + "1\n" * 1_000)

    with pytest.raises(PipelineStepFailed, match="30 of 1030 rows"):
        inbox.load(filesystem(str(inbox.path)) | read_csv())


# --- how files are written -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        ("id;name\n1;Zoë\n".encode(), {"sep": ";"}),
        ("id\tname\r\n1\tZoë\r\n".encode(), {"sep": None}),
        ("id,name\r1,Zoë\r".encode(), {}),
        ("\ufeffid,name\n1,Zoë\n".encode(), {}),
        ("id,name\n1,Zoë\n".encode("latin-1"), {"encoding": "latin-1"}),
        ("id,name\n1,Zoë\n".encode("utf-16"), {}),
        ("1,Zoë\n".encode(), {"header": None, "names": ["id", "name"]}),
        ("made by a machine\n\nid,name\n1,Zoë".encode(), {"skiprows": 2}),
        ("id,name\n1,'Zoë'\n".encode(), {"quotechar": "'"}),
        ("id,secret,name\n1,x,Zoë\n".encode(), {"usecols": ["id", "name"]}),
    ],
)
def test_delimiters_encodings_and_headers(inbox, content, arguments) -> None:
    inbox.drop("a.csv", content)

    inbox.load(filesystem(str(inbox.path)) | read_csv(**arguments))

    assert inbox.types() == {"id": "int64", "name": "string"}
    assert inbox.rows("id", "name") == [(1, "Zoë")]


def test_columns_without_a_name_and_names_that_come_twice_are_told_apart(inbox) -> None:
    inbox.drop("a.csv", "id,,id\n1,2,3\n")

    inbox.load(filesystem(str(inbox.path)) | read_csv())

    assert inbox.rows("id", "column_2", "id_2") == [(1, 2, 3)]


def test_a_file_in_another_encoding_than_said_is_named(inbox) -> None:
    inbox.drop("a.csv", b"id\n\x81\n")

    with pytest.raises(PipelineStepFailed, match=r"a\.csv cannot be read: it is not written in cp1252"):
        inbox.load(filesystem(str(inbox.path)) | read_csv(encoding="cp1252"))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_that_does_not_say_so_is_told_and_read_when_it_is_named(inbox, encoding) -> None:
    inbox.drop("a.csv", "id,name\n1,Zoë\n".encode(encoding))

    with pytest.raises(PipelineStepFailed, match=r"line 1 is full of zero bytes.*encoding='utf-16-le'"):
        inbox.load(filesystem(str(inbox.path)) | read_csv())
    inbox.load(filesystem(str(inbox.path)) | read_csv(encoding=encoding))

    assert inbox.rows("id", "name") == [(1, "Zoë")]


# --- laws ----------------------------------------------------------------------------------------------------------


@given(rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=8), size=st.integers(1, 40))
def test_records_are_the_same_however_a_file_is_cut_into_blocks(rows, size) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    content = written.getvalue().encode()

    found = [
        (line, text)
        for block in blocks(io.BytesIO(content), file="a.csv", quoting=Quoting(), size=size)
        for line, text in records(block, Quoting())
    ]

    assert b"\n".join(text for _, text in found) + b"\n" == content
    lines = [1, *(1 + content[:at].count(b"\n") for at in _ends(found))]
    assert [line for line, _ in found] == lines[: len(found)]


@pytest.mark.parametrize("quoting", [Quoting(), None])
def test_a_line_without_end_is_one_line_and_its_rest_no_record(monkeypatch, quoting) -> None:
    monkeypatch.setattr("dlt_orchestrate.sources.filesystem.blocks.LONGEST_RECORD", 64)
    content = b"id\n" + b"x" * 500 + b",2\n3\n"

    found = list(blocks(io.BytesIO(content), file="a.csv", quoting=quoting, size=16))

    assert [(block.first_line, block.is_endless) for block in found if block.is_endless] == [(2, True)]
    assert [one for block in found if not block.is_endless for one in records(block, quoting)] == [(1, b"id"), (3, b"3")]


def _ends(found: list[tuple[int, bytes]]) -> list[int]:
    ends, at = [], 0
    for _, text in found:
        at += len(text) + 1
        ends.append(at)
    return ends


@given(
    values=st.lists(
        st.none() | st.integers().map(str) | st.floats().map(repr) | st.text(alphabet="0123.-e+x", max_size=5), min_size=1
    ),
    cut=st.integers(0, 20),
)
def test_a_typed_value_is_written_as_its_text_or_is_its_text(values, cut) -> None:
    texts = pa.array(values, pa.string())
    types = CsvTypes({}, {})

    found = []
    for part in (texts.slice(0, cut), texts.slice(cut)):
        if len(part):
            for table in types.typed(pa.table({"value": part})):
                found += table["value"].to_pylist()

    assert len(found) == len(values)
    for text, value in zip(values, found, strict=True):
        same = value == text if text is None or isinstance(value, str) else str(value) == text or value == float(text)
        assert same, (text, value)


def test_a_file_without_rows_makes_no_table(inbox) -> None:
    inbox.drop("a.csv", "id,name\n")
    inbox.drop("b.csv", "")

    assert inbox.load(filesystem(str(inbox.path)) | read_csv()) == 0


def test_steps_see_the_rows_as_tables(inbox) -> None:
    inbox.drop("a.csv", "id\n1\n2\n")

    @dlt.transformer(data_from=filesystem(str(inbox.path)) | read_csv())
    def sums(table):
        yield {"sum": sum(table["id"].to_pylist())}

    assert inbox.load(sums) == 1
    assert inbox.rows("sum") == [3]


# --- read otherwise than they are written ----------------------------------------------------------------------------


def told(inbox, reader) -> tuple[str, ...]:
    """Load the files into table `rows`; gives the warnings."""
    return inbox.pipeline.run((filesystem(str(inbox.path)) | reader).with_name("rows")).resources["rows"].warnings


@pytest.mark.parametrize(
    ("text", "options", "sep", "count"),
    [
        ("id;name;at\n1;a;x\n2;b;y\n", {}, ";", 2),
        ("id\tprice\n1\t2,50\n", {}, "\t", 1),
        ("id,name\n1,a\n", {"sep": ";"}, ",", 1),
        ("1|a\n2|b\n", {"header": False}, "|", 1),
    ],
)
def test_a_file_that_is_one_column_by_a_wrong_separator_is_told(inbox, text, options, sep, count) -> None:
    file = inbox.drop("a.csv", text)

    (warning,) = (one for one in told(inbox, read_csv(**options)) if "separator" in one)

    assert warning.startswith(f"File file://{file}: each line is one field")
    assert f"{sep!r} stands {count} time(s) in each, as if it were the separator" in warning
    assert f"pass sep={sep!r} to read_csv (in YAML, options: {{sep: {json.dumps(sep)}}}), or sep=None" in warning


@pytest.mark.parametrize("text", ["note\na; b\nc\n", "note\nx\n", "id,name\n1;2,a\n"])
def test_other_texts_of_one_column_are_no_reason_for_a_warning(inbox, text) -> None:
    inbox.drop("a.csv", text)

    assert told(inbox, read_csv()) == ()


def test_columns_to_keep_that_a_file_does_not_have_are_an_error_with_those_that_were_meant(inbox) -> None:
    inbox.drop("a.csv", "id,name\n1,a\n")

    with pytest.raises(PipelineStepFailed, match=r"a\.csv cannot be read: it has no column 'nme', which usecols names"):
        inbox.load(filesystem(str(inbox.path)) | read_csv(usecols=["nme"]))
    inbox.load(filesystem(str(inbox.path)) | read_csv(usecols=["name"]))

    assert inbox.rows("name") == ["a"]


def test_a_type_for_a_column_that_a_file_does_not_have_is_a_warning(inbox) -> None:
    file = inbox.drop("a.csv", "id,code\n1,007\n")

    assert told(inbox, read_csv(dtype={"cod": "text"})) == (
        f"File file://{file}: it has no column 'cod', to which dtype gives a type. Did you mean 'code'?",
    )
