"""Arrow tables come through the same tables, ids and nested tables as records."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from comparison import contents, normalizer, values
from hypothesis import given, settings
from hypothesis import strategies as st

from dlt_orchestrate.errors import TableConflictError
from dlt_orchestrate.flow.batch import TableKey
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.table import ColumnHint
from dlt_orchestrate.schema.types import JSON

ROOT = TableKey("things")
NS = 1_704_067_200_123_456_789


def normalize_frame(frame, **options):
    subject = normalizer(**options)
    batches = [*subject.add(Page("things", frame=frame)), *subject.finish()]
    return contents(batch for _, batch in batches), subject


def array(values, kind):
    return pa.array(values, kind)


FLAT = [
    (array([True, None], pa.bool_()), [{"v:bool": "True"}, {}]),
    (array([1, None], pa.int8()), [{"v:bigint": "1"}, {}]),
    (array([2**32 - 1, None], pa.uint32()), [{"v:bigint": str(2**32 - 1)}, {}]),
    (array([5, None], pa.uint64()), [{"v:bigint": "5"}, {}]),
    (array([5, 2**64 - 1], pa.uint64()), [{"v:bigint": "5"}, {"v:wide": f"Decimal('{2**64 - 1}')"}]),
    (array([1.5, float("nan")], pa.float32()), [{"v:double": "1.5"}, {"v:double": "nan"}]),
    (array([1.5, None], pa.float16()), [{"v:double": "1.5"}, {}]),
    (array(["x", None], pa.string()), [{"v:text": "'x'"}, {}]),
    (array(["x", None], pa.large_string()), [{"v:text": "'x'"}, {}]),
    (array(["x", None], pa.string_view()), [{"v:text": "'x'"}, {}]),
    (array(["x", None], pa.string()).dictionary_encode(), [{"v:text": "'x'"}, {}]),
    (array([b"x", None], pa.binary(1)), [{"v:binary": "b'x'"}, {}]),
    (array([b"x", None], pa.large_binary()), [{"v:binary": "b'x'"}, {}]),
    (array([date(2024, 1, 1), None], pa.date32()), [{"v:date": "datetime.date(2024, 1, 1)"}, {}]),
    (array([date(2024, 1, 1), None], pa.date64()), [{"v:date": "datetime.date(2024, 1, 1)"}, {}]),
    (array([time(1), None], pa.time32("s")), [{"v:time": "datetime.time(1, 0)"}, {}]),
    (array([1000, 1001], pa.time64("ns")), [{"v:time": "datetime.time(0, 0, 0, 1)"}, {"v:text": "'00:00:00.000001001'"}]),
    (array([0, None], pa.timestamp("s")), [{"v:naive_timestamp": "datetime.datetime(1970, 1, 1, 0, 0)"}, {}]),
    (
        array([NS, NS - 789], pa.timestamp("ns")),
        [
            {"v:text": "'2024-01-01T00:00:00.123456789'"},
            {"v:naive_timestamp": "datetime.datetime(2024, 1, 1, 0, 0, 0, 123456)"},
        ],
    ),
    (array([NS, None], pa.timestamp("ns", "Asia/Tokyo")), [{"v:text": "'2024-01-01T00:00:00.123456789+00:00'"}, {}]),
    (array([Decimal("1.50"), None], pa.decimal32(5, 2)), [{"v:decimal": f"Decimal('1.5{'0' * 37}')"}, {}]),
    (array([Decimal("1.50"), None], pa.decimal64(15, 2)), [{"v:decimal": f"Decimal('1.5{'0' * 37}')"}, {}]),
    (array([Decimal("1.50"), None], pa.decimal128(5, 2)), [{"v:decimal": f"Decimal('1.5{'0' * 37}')"}, {}]),
    (array([Decimal("1.5"), None], pa.decimal256(76, 38)), [{"v:decimal": f"Decimal('1.5{'0' * 37}')"}, {}]),
    (array([Decimal(1), None], pa.decimal256(50, 0)), [{"v:decimal": f"Decimal('1.{'0' * 38}')"}, {}]),
    (array([Decimal(10**40), None], pa.decimal256(50, 0)), [{"v:numeral": repr(str(10**40))}, {}]),
    (pa.nulls(2), [{}, {}]),
    (array([None, None], pa.int64()), [{}, {}]),
    (array([uuid.UUID(int=1).bytes, None], pa.uuid()), [{"v:text": f"'{uuid.UUID(int=1)}'"}, {}]),
    (array(['{"a":1}', None], pa.json_()), [{"v:json": "'{\"a\":1}'"}, {}]),
]


@pytest.mark.parametrize(("column", "rows"), FLAT, ids=[str(column.type) for column, _ in FLAT])
@pytest.mark.parametrize("oracle", [False, True], ids=["cast", "as records"])
def test_a_flat_column_is_kept_exactly(column, rows, oracle):
    tables, subject = normalize_frame(pa.table({"v": column}), oracle=oracle)

    assert values(tables[ROOT]) == rows
    assert tables[ROOT].null_paths == (set() if any(rows) else {("v",)})
    assert subject.rows_seen == subject.keyed_count == 2


def test_decimals_are_not_widened():
    """To widen them, and to cast them to their column later, takes as long as to load them."""
    column = array([Decimal("1.50"), None], pa.decimal128(5, 2))

    ((_, batch),) = normalizer().add(Page("things", frame=pa.table({"v": column})))

    assert [found.equals(column) for found in batch.columns.values()] == [True]


@pytest.mark.parametrize(("column", "rows"), FLAT)
def test_a_part_of_a_table_gives_the_values_of_that_part(column, rows):
    filler = pa.nulls(3, column.type)
    whole = pa.table({"v": pa.concat_arrays([filler, column, filler])})

    cast, _ = normalize_frame(whole.slice(3, len(column)))

    assert values(cast[ROOT]) == rows


def test_a_zoned_timestamp_is_stored_in_utc():
    column = array([datetime(2024, 1, 1, 5, tzinfo=UTC)], pa.timestamp("ms", "Europe/Berlin"))

    tables, _ = normalize_frame(pa.table({"v": column}))

    ((stored),) = values(tables[ROOT])[0].values()
    assert stored == "datetime.datetime(2024, 1, 1, 5, 0, tzinfo=zoneinfo.ZoneInfo(key='UTC'))"


ITEM = pa.struct({"k": pa.timestamp("ns")})

STRUCTS = pa.table(
    {
        "id": [1, 2, 3],
        "user": pa.array([{"name": "2024-01-01T00:00:00Z", "n": {"x": 1}}, None, {"name": None, "n": None}]),
        "tags": pa.array([["a", None], [], None]),
        "items": pa.array(
            [[{"k": NS}], None, [{"k": None}, {"k": NS - 789}]], pa.list_(pa.struct({"k": pa.timestamp("ns")}))
        ),
        "map": pa.array([[("x", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        "pair": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)),
        "last": ["a", "b", "c"],
    }
)


@pytest.mark.parametrize("oracle", [False, True], ids=["cast", "as records"])
def test_structs_become_columns_and_lists_become_tables(oracle):
    tables, _ = normalize_frame(STRUCTS, oracle=oracle)

    assert values(tables[ROOT]) == [
        {"id:bigint": "1", "user.name:text": "'2024-01-01T00:00:00Z'", "user.n.x:bigint": "1", "last:text": "'a'"},
        {"id:bigint": "2", "last:text": "'b'"},
        {"id:bigint": "3", "last:text": "'c'"},
    ]
    assert [".".join(key.path) for key in tables[ROOT].field_order] == ["id", "user.name", "user.n.x", "last"]
    assert {seen.first_text for seen in tables[ROOT].observed.values()} == {"other"}
    assert {key.path: values(table) for key, table in tables.items() if key.path} == {
        ("tags",): [{"value:text": "'a'"}, {}],
        ("items",): [
            {"k:text": "'2024-01-01T00:00:00.123456789'"},
            {},
            {"k:naive_timestamp": "datetime.datetime(2024, 1, 1, 0, 0, 0, 123456)"},
        ],
        ("map",): [{"key:text": "'x'", "value:bigint": "1"}],
        ("pair",): [{"value:bigint": str(n)} for n in (1, 2, 3, 4)],
    }


def test_casting_and_going_row_by_row_give_the_same():
    cast, _ = normalize_frame(STRUCTS)
    as_records, _ = normalize_frame(STRUCTS, oracle=True)
    sliced, _ = normalize_frame(pa.concat_tables([STRUCTS.slice(0, 1), STRUCTS.slice(1)]))

    assert cast == as_records == sliced


LEAF_TYPES = st.sampled_from(
    [
        (pa.bool_(), st.booleans()),
        (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
        (pa.uint64(), st.integers(0, 2**64 - 1)),
        (pa.float64(), st.floats()),
        (pa.string(), st.text(max_size=3)),
        (pa.binary(), st.binary(max_size=3)),
        (pa.decimal128(38, 20), st.decimals(-(10**17), 10**17, places=5)),
        (pa.decimal256(76, 40), st.decimals(-(10**17), 10**17, places=5)),
        (pa.timestamp("ns"), st.integers(-(10**18), 10**18)),
        (pa.timestamp("s", "Asia/Tokyo"), st.integers(-(10**11), 10**12)),
        (pa.time64("ns"), st.integers(0, 10**9)),
        (pa.date32(), st.integers(-(10**6), 10**7)),
        (pa.duration("ns"), st.integers(0, 10**9)),
    ]
)


def deeper(kinds):
    return kinds.map(lambda kind: (pa.list_(kind[0]), st.lists(kind[1] | st.none(), max_size=2))) | kinds.map(
        lambda kind: (pa.struct({"x": kind[0]}), st.fixed_dictionaries({"x": kind[1] | st.none()}))
    )


@st.composite
def frames(draw):
    kinds = draw(st.lists(st.recursive(LEAF_TYPES, deeper, max_leaves=3), min_size=1, max_size=3))
    length = draw(st.integers(0, 4))
    columns = [draw(st.lists(values | st.none(), min_size=length, max_size=length)) for _, values in kinds]
    arrays = [pa.array(column, kind) for column, (kind, _) in zip(columns, kinds, strict=True)]
    return pa.table(arrays, names=[f"c{n}" for n in range(len(kinds))])


@settings(max_examples=80)
@given(frames())
def test_any_table_is_cast_to_what_its_rows_become_one_by_one(frame):
    expected, reference = normalize_frame(frame, oracle=True)

    found, subject = normalize_frame(frame)

    assert found == expected
    assert {key: t.field_order for key, t in found.items()} == {key: t.field_order for key, t in expected.items()}
    assert [reject.column for reject in subject.rejects] == [reject.column for reject in reference.rejects]
    assert subject.keyed_count == reference.keyed_count


def test_nesting_and_json_hints_hold_for_structs():
    flat, _ = normalize_frame(STRUCTS.select(["user"]), max_nesting=1)
    whole, _ = normalize_frame(STRUCTS.select(["tags"]), columns={"tags": ColumnHint(type=JSON)})

    assert values(flat[ROOT])[0] == {"user.name:text": "'2024-01-01T00:00:00Z'", "user.n:json": "'{\"x\":1}'"}
    assert values(whole[ROOT]) == [{"tags:json": "'[\"a\",null]'"}, {"tags:json": "'[]'"}, {}]


def test_ids_run_on_from_records_to_tables():
    subject = normalizer()

    batches = [
        *subject.add(Page("things", [{"id": 1}])),
        *subject.add(Page("things", frame=pa.table({"id": [2, 3]}))),
        *subject.add(Page("things", [{"id": 4}])),
        *subject.finish(),
    ]

    rows = contents(batch for _, batch in batches)[ROOT].rows
    assert values(contents(batch for _, batch in batches)[ROOT]) == [{"id:bigint": str(n)} for n in (1, 2, 3, 4)]
    assert [row["id"][-1] for row in rows] == ["-", "0", "1", "2"]


@pytest.mark.parametrize(
    "column",
    [
        array([0, 2**40], pa.timestamp("s")),
        array([0, -(10**6)], pa.date32()),
        array([None, timedelta(1)], pa.duration("ns")),
        array(["good", "x\0y"], pa.string()),
        array([{"t": None}, {"t": timedelta(1)}], pa.struct({"t": pa.duration("s")})),
    ],
)
def test_rows_with_a_value_that_nothing_holds_are_rejected_alone(column):
    narrow = Capabilities(holds_nul_in_text=False, earliest_year=1, latest_year=5000)

    tables, subject = normalize_frame(pa.table({"id": [1, 2], "v": column}), capabilities=narrow)

    found = [row["id:bigint"] for row in values(tables[ROOT])]
    kept_as_text = [row for row in values(tables[ROOT]) if any("since 1970" in text for text in row.values())]
    assert found == (["1", "2"] if kept_as_text else ["1"])
    assert subject.reject_count == (0 if kept_as_text else 1)
    assert subject.rows_seen == 2


def test_a_bad_row_leaves_the_other_rows_of_a_table_as_they_are():
    moments = [0] * 1_000
    moments[300] = 10**11
    frame = pa.table(
        {"id": list(range(1_000)), "v": pa.array(moments, pa.timestamp("s")), "l": [[n] for n in range(1_000)]}
    )
    narrow = Capabilities(latest_year=5000)

    tables, subject = normalize_frame(frame, capabilities=narrow)
    expected, _ = normalize_frame(frame, capabilities=narrow, oracle=True)

    assert tables == expected
    assert len(tables[ROOT].rows) == len({row["id"] for row in tables[ROOT].rows}) == 999
    assert (subject.reject_count, subject.rows_seen) == (1, 1_000)


def test_keys_and_required_columns_hold_for_tables():
    frame = pa.table({"ID": [1, None, 3], "n": [1, 2, None], "t": ["2024-01-01T00:00:00Z"] * 3})
    subject = normalizer(write_disposition="merge", primary_key=("ID",), columns={"n": ColumnHint(nullable=False)})

    batches = [*subject.add(Page("things", frame=frame)), *subject.finish()]

    keyed = contents(batch for keyless, batch in batches if not keyless)[ROOT]
    assert values(keyed) == [{"ID:bigint": "1", "n:bigint": "1", "t:text": "'2024-01-01T00:00:00Z'"}]
    assert {seen.first_text for seen in keyed.observed.values()} == {"other"}
    assert (subject.keyed_count, subject.keyless_count, subject.reject_count) == (1, 1, 1)


def test_two_columns_of_one_name_are_an_error():
    frame = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])

    with pytest.raises(TableConflictError, match="more than one column 'a'"):
        normalize_frame(frame)


def test_an_empty_table_gives_nothing():
    tables, subject = normalize_frame(pa.table({"a": pa.array([], pa.int64())}))

    assert (tables, subject.rows_seen) == ({}, 0)
