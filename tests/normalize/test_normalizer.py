"""The normalizer: keys, rejects, chunks, ids."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest
from comparison import PREFIX, contents, normalize_pages, normalizer, values
from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.flow.arrays import BUFFER_MADE
from dlt_orchestrate.flow.batch import TableKey, arrow_type
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.normalize.ids import ALPHABET, RowIds, new_prefix
from dlt_orchestrate.normalize.normalizer import Normalizer
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.naming import naming_for
from dlt_orchestrate.schema.table import ColumnHint, TableHints
from dlt_orchestrate.schema.types import ValueClass

ROOT = TableKey("things")
BOOL, BIGINT, DOUBLE, TEXT = ValueClass.BOOL, ValueClass.BIGINT, ValueClass.DOUBLE, ValueClass.TEXT
INT64 = st.integers(-(2**63), 2**63 - 1)
MERGE = {"write_disposition": "merge", "primary_key": ("id",)}


def split(batches):
    keyed = contents(batch for keyless, batch in batches if not keyless)
    keyless = contents(batch for keyless, batch in batches if keyless)
    return keyed, keyless


def test_rows_without_the_key_come_apart_from_those_with_it():
    records = [{"id": 1, "l": [1]}, {"n": 2, "l": [2]}, {"id": None, "n": 3}, {"id": 4}]

    batches, subject = normalize_pages([records], **MERGE)

    keyed, keyless = split(batches)
    assert values(keyed[ROOT]) == [{"id:bigint": "1"}, {"id:bigint": "4"}]
    assert values(keyless[ROOT]) == [{"n:bigint": "2"}, {"n:bigint": "3"}]
    assert values(keyless[TableKey("things", ("l",))]) == [{"value:bigint": "2"}]
    assert (subject.keyed_count, subject.keyless_count) == (2, 2)
    assert [(reject.column, reject.row) for reject in subject.keyless_rejects] == [
        ("id", '{"n": 2, "l": [2]}'),
        ("id", '{"id": null, "n": 3}'),
    ]
    assert "lacks primary key 'id'" in subject.keyless_rejects[0].cause


def test_the_id_of_a_keyless_row_is_made_from_its_content():
    rows = [{"a": 1, "b": None}, {"a": 2}, {"b": None, "a": 1}, {"a": 1.0}]

    first, _ = normalize_pages([rows], **MERGE)
    second, _ = normalize_pages([[row] for row in rows], **MERGE)

    ids = [row["id"] for row in split(first)[1][ROOT].rows]
    assert ids == [row["id"] for row in split(second)[1][ROOT].rows]
    assert len(set(ids)) == 4
    assert {len(row_id) for row_id in ids} == {14}
    alone, _ = normalize_pages([[{"a": 1}]], **MERGE)
    assert [row["id"] for row in split(alone)[1][ROOT].rows] == ids[:1]


@pytest.mark.parametrize(
    ("key", "record"),
    [
        ("id", {"ID": 1}),
        ("userID", {"user_id": 1}),
        ("user__id", {"user": {"id": 1}}),
        ("user__id", {"user__id": 1}),
        ("value", 5),
    ],
)
def test_a_key_is_found_whatever_its_spelling(key, record):
    subject = Normalizer(
        resource="things",
        hints=TableHints(write_disposition="merge", primary_key=(key,)),
        capabilities=Capabilities(),
        naming=naming_for("unicode_snake_case", Capabilities()).path,
        id_prefix=new_prefix,
    )

    subject.add(Page("things", [record, record]))
    subject.finish()

    assert (subject.keyed_count, subject.keyless_count) == (2, 0)


@pytest.mark.parametrize("empty", [{"id": {}}, {"id": [1]}, {"id": {"x": 1}}, {}])
def test_a_nested_value_is_no_key(empty):
    _, subject = normalize_pages([[{"id": 1}, empty]], **MERGE)

    assert (subject.keyed_count, subject.keyless_count) == (1, 1)


def test_every_part_of_a_key_is_needed():
    records = [{"a": 1, "b": 1}, {"a": 1}, {"b": 1}]

    _, subject = normalize_pages([records], write_disposition="merge", primary_key=("a", "b"))

    assert (subject.keyed_count, subject.keyless_count) == (1, 2)
    assert [reject.column for reject in subject.keyless_rejects] == ["b", "a"]


def test_without_merge_a_key_splits_nothing():
    batches, subject = normalize_pages([[{"id": 1}, {"n": 2}]], primary_key=("id",))

    assert [len(batch) for _, batch in batches] == [2]
    assert (subject.keyed_count, subject.keyless_count) == (2, 0)


def test_a_row_without_a_required_column_is_rejected():
    batches, subject = normalize_pages([[{"n": 1}, {"n": None}, {"m": 2}]], columns={"n": ColumnHint(nullable=False)})

    assert values(split(batches)[0][ROOT]) == [{"n:bigint": "1"}]
    assert [(reject.column, reject.row) for reject in subject.rejects] == [("n", '{"n": null}'), ("n", '{"m": 2}')]
    assert "not nullable" in subject.rejects[0].cause


def test_rejects_are_counted_without_end_and_kept_to_a_limit():
    subject = Normalizer(
        resource="things",
        hints=TableHints(),
        capabilities=Capabilities(),
        id_prefix=new_prefix,
        keep_reject_limit=2,
    )

    subject.add(Page("things", [{"v": {1}} for _ in range(5)]))
    subject.finish()

    assert subject.reject_count == 5
    assert len(subject.rejects) == 2


def test_rejected_rows_leave_no_gap_in_the_ids():
    batches, _ = normalize_pages([[{"v": 1}, {"v": {1}}, {"v": 2}]])

    assert [row["id"] for row in split(batches)[0][ROOT].rows] == [f"{PREFIX}------", f"{PREFIX}-----0"]


def test_root_tables_of_one_resource_are_kept_apart():
    subject = normalizer()
    batches = [
        *subject.add(Page("a", [{"x": 1}])),
        *subject.add(Page("b", [{"y": 1}])),
        *subject.add(Page("a", [{"x": 2}])),
    ]
    batches += subject.finish()

    assert {key: values(table) for key, table in split(batches)[0].items()} == {
        TableKey("a"): [{"x:bigint": "1"}, {"x:bigint": "2"}],
        TableKey("b"): [{"y:bigint": "1"}],
    }


def test_small_pages_are_gathered_and_large_ones_split():
    small, large = normalizer(), normalizer()

    gathered = [len(b) for n in range(30) for _, b in small.add(Page("things", [{"id": n}] * 100))]
    parted = [len(b) for _, b in large.add(Page("things", [{"id": 1}] * 5_500))]

    assert gathered == [1_000] * 3
    assert parted == [2_000, 2_000, 1_500]
    assert small.finish() == large.finish() == []


def test_wide_rows_make_a_chunk_earlier():
    subject = normalizer()

    assert [len(b) for _, b in subject.add(Page("things", [{str(n): n for n in range(300)}] * 70))] == [70]


def test_an_empty_page_gives_nothing():
    subject = normalizer()

    assert subject.add(Page("things", [])) == subject.add(Page("things", [None, []])) == subject.finish() == []
    assert subject.rows_seen == 0


def test_uniform_records_stay_on_the_fast_path():
    records = [
        {
            "id": n,
            "name": "x",
            "score": n / 2,
            "user": {"id": n, "tags": ["a", "b"]} if n % 2 else None,
            "labels": [{"n": n}],
        }
        for n in range(50)
    ]

    _, subject = normalize_pages([records])

    assert subject.refusals == {}


def test_what_leaves_the_fast_path_is_counted_by_reason():
    _, subject = normalize_pages([[{"v": Level}, {"v": 1}] for Level in (2**70, {1})])

    assert subject.refusals == {
        "column: int": 1,
        "column: int, set": 1,
        "chunk: a value that no column holds": 1,
    }


def test_a_bad_row_takes_only_its_neighbours_off_the_fast_path():
    records = [{"id": n, "l": [n]} for n in range(1_900)]
    records[700]["v"] = {1}

    batches, subject = normalize_pages([records])
    expected, _ = normalize_pages([records], oracle=True)

    assert split(batches) == split(expected)
    assert subject.refusals["chunk: a value that no column holds"] == 5


@pytest.mark.parametrize("start", [0, 1, 4_095, 4_096, 64**3 - 1])
def test_numbered_ids_count_in_ascii_order(start):
    ids = RowIds(PREFIX)
    ids.take(range(start))

    taken = ids.take(range(5_000)).to_pylist()

    assert taken == [PREFIX + "".join(digits(number)) for number in range(start, start + 5_000)]
    assert taken == sorted(taken)


def digits(number):
    return reversed([ALPHABET[number >> shift & 63] for shift in range(0, 36, 6)])


def test_prefixes_are_random_and_of_the_alphabet():
    prefixes = {new_prefix() for _ in range(50)}

    assert len(prefixes) == 50
    assert all(len(prefix) == 8 and set(prefix) <= set(ALPHABET) for prefix in prefixes)


@given(
    st.sampled_from([(BOOL, st.booleans()), (BIGINT, INT64), (DOUBLE, st.floats()), (TEXT, st.text())]).flatmap(
        lambda case: st.tuples(st.just(case[0]), st.lists(st.none() | case[1]))
    )
)
def test_arrays_made_from_buffers_equal_those_of_pyarrow(case):
    value_class, stored = case

    made = BUFFER_MADE[value_class](stored)

    made.validate(full=True)
    assert made.type == arrow_type(value_class)
    assert repr(made.to_pylist()) == repr(pa.array(stored, arrow_type(value_class)).to_pylist())


def test_a_small_load_does_not_import_pandas():
    script = """
import sys
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.normalize.normalizer import Normalizer
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.table import TableHints

subject = Normalizer(resource="r", hints=TableHints(), capabilities=Capabilities(), id_prefix=lambda: "x" * 8)
subject.add(Page("t", [{"id": 1, "name": "Alice", "x": 1.5, "b": True, "l": [{"a": None}], "u": None}, {"u": {"n": "é"}}]))
tables = [batch for _, batch in subject.finish()]
assert [len(batch) for batch in tables] == [2, 1], tables
assert tables[0].columns[(("u", "n"), "text")].to_pylist() == [None, "é"]
print("pandas" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "False"
