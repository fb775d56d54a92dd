"""Inputs that go wrong elsewhere, each by name, on both engines."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

import pandas as pd
import pytest
from comparison import normalize, normalize_pages, values
from pydantic import BaseModel

from dlt_orchestrate.flow.batch import FieldKey, TableKey
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.paths import LIST
from dlt_orchestrate.schema.table import ColumnHint
from dlt_orchestrate.schema.types import JSON, ValueClass

ROOT = TableKey("things")


@pytest.fixture(params=[False, True], ids=["fast", "reference"])
def oracle(request):
    return request.param


def column(records, oracle, **options):
    """The rows of the root table, and None where the row is empty."""
    return [next(iter(row.items()), None) for row in values(normalize(records, oracle=oracle, **options)[ROOT])]


class Level(IntEnum):
    HIGH = 3


class Colour(StrEnum):
    RED = "red"


class Pair(NamedTuple):
    left: int
    right: int


class Point(BaseModel):
    x: int
    inner: dict[str, int] = {}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, ("v:bool", "True")),
        (1, ("v:bigint", "1")),
        (2**63 - 1, ("v:bigint", str(2**63 - 1))),
        (2**63, ("v:wide", f"Decimal('{2**63}')")),
        (10**38, ("v:numeral", repr(str(10**38)))),
        (1.0, ("v:double", "1.0")),
        (float("nan"), ("v:double", "nan")),
        (float("-inf"), ("v:double", "-inf")),
        ("007", ("v:text", "'007'")),
        (UUID(int=1), ("v:text", "'00000000-0000-0000-0000-000000000001'")),
        (Decimal("NaN"), ("v:numeral", "'NaN'")),
        (Decimal("1E-39"), ("v:numeral", "'1E-39'")),
        (Decimal("9" * 39), ("v:numeral", repr("9" * 39))),
        (date(2024, 1, 2), ("v:date", "datetime.date(2024, 1, 2)")),
        (time(1, 2), ("v:time", "datetime.time(1, 2)")),
        (time(1, 2, tzinfo=UTC), ("v:text", "'01:02:00+00:00'")),
        (datetime(2024, 1, 2), ("v:naive_timestamp", "datetime.datetime(2024, 1, 2, 0, 0)")),
        (b"a", ("v:binary", "b'a'")),
        (bytearray(b"a"), ("v:binary", "b'a'")),
        (memoryview(b"abc")[::2], ("v:binary", "b'ac'")),
        (Level.HIGH, ("v:bigint", "3")),
        (Colour.RED, ("v:text", "'red'")),
        (pd.NaT, None),
        (pd.Timestamp("2024-01-01T00:00:00.123456789Z"), ("v:text", "'2024-01-01T00:00:00.123456789+00:00'")),
        (pd.Timestamp("2024-01-01"), ("v:naive_timestamp", "datetime.datetime(2024, 1, 1, 0, 0)")),
    ],
)
def test_a_value_has_one_class_and_is_stored_as_it_is(value, stored, oracle):
    assert column([{"v": value}], oracle) == [stored]


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=2))])
def test_a_moment_is_stored_in_utc(zone, oracle):
    moment = datetime(2024, 1, 1, 2, tzinfo=UTC).astimezone(zone)

    ((_, stored),) = column([{"v": moment}], oracle)

    assert "2024, 1, 1, 2, 0" in stored
    assert "UTC" in stored


@pytest.mark.parametrize(
    ("mixed", "classes"),
    [
        ([1, 2.5], ["v:bigint", "v:double"]),
        ([2**53 + 1, 2.5], ["v:bigint", "v:double"]),
        ([1, True], ["v:bigint", "v:bool"]),
        ([1, 2**64], ["v:bigint", "v:wide"]),
        (["a", b"b"], ["v:text", "v:binary"]),
        ([b"a", "b"], ["v:binary", "v:text"]),
        ([date(2024, 1, 1), datetime(2024, 1, 1, 5)], ["v:date", "v:naive_timestamp"]),
        ([datetime(2024, 1, 1, 5), datetime(2024, 1, 1, 5, tzinfo=UTC)], ["v:naive_timestamp", "v:timestamp"]),
        (["12", 12, 1.5], ["v:text", "v:bigint", "v:double"]),
        ([UUID(int=1), "x"], ["v:text", "v:text"]),
    ],
)
def test_classes_in_one_column_stay_apart(mixed, classes, oracle):
    found = column([{"v": value} for value in mixed], oracle)

    assert [name for name, _ in found] == classes


def test_classes_are_ordered_by_their_first_value(oracle):
    table = normalize([{"a": None, "b": 1}, {"b": "x", "a": 2.0}, {"a": 1}], oracle=oracle)[ROOT]

    assert [(".".join(key.path), str(key.value_class)) for key in table.field_order] == [
        ("b", "bigint"),
        ("b", "text"),
        ("a", "double"),
        ("a", "bigint"),
    ]


def test_keys_that_will_share_a_name_are_columns_of_their_own(oracle):
    record = {"a": 1, "A": 2, "a ": 3, "a.b": 4, "a__b": 5, "c": {"b": 6}, "c__b": 7}

    assert values(normalize([record], oracle=oracle)[ROOT]) == [
        {"a:bigint": "1", "A:bigint": "2", "a :bigint": "3", "a.b:bigint": "4", "a__b:bigint": "5", "c.b:bigint": "6"}
        | {"c__b:bigint": "7"}
    ]


def test_a_null_dict_an_empty_dict_and_a_missing_key_leave_no_column(oracle):
    table = normalize([{"id": 1, "d": None}, {"id": 2, "d": {}}, {"id": 3, "l": []}], oracle=oracle)[ROOT]

    assert values(table) == [{"id:bigint": "1"}, {"id:bigint": "2"}, {"id:bigint": "3"}]
    assert table.null_paths == {("d",)}


def test_a_column_of_nulls_is_seen_and_not_made(oracle):
    table = normalize([{"id": 1, "x": None, "d": {"y": None}}], oracle=oracle)[ROOT]

    assert table.null_paths == {("x",), ("d", "y")}
    assert table.field_order == [FieldKey(("id",), ValueClass.BIGINT)]


def test_scalars_dicts_and_lists_at_one_key_stand_side_by_side(oracle):
    records = [{"v": 1}, {"v": {"k": 2}}, {"v": [3, None, {"k": 4}, [5]]}, {"v": None}]

    tables = normalize(records, oracle=oracle)

    assert values(tables[ROOT]) == [{"v:bigint": "1"}, {"v.k:bigint": "2"}, {}, {}]
    assert values(tables[TableKey("things", ("v",))]) == [{"value:bigint": "3"}, {}, {"k:bigint": "4"}, {}]
    assert tables[TableKey("things", ("v",))].null_paths == set()
    assert values(tables[TableKey("things", ("v", LIST))]) == [{"value:bigint": "5"}]


def test_nested_rows_are_linked_by_ids_that_tell_their_place(oracle):
    tables = normalize([{"m": [[1, 2], []]}, {"m": [[3]]}], oracle=oracle)

    first, second = (row["id"] for row in tables[ROOT].rows)
    assert [(row["id"], row["parent"], row["index"], row["root"]) for row in tables[TableKey("things", ("m",))].rows] == [
        (f"{first}.0", repr(first), "0", repr(first)),
        (f"{first}.1", repr(first), "1", repr(first)),
        (f"{second}.0", repr(second), "0", repr(second)),
    ]
    assert [(row["id"], row["parent"], row["root"]) for row in tables[TableKey("things", ("m", LIST))].rows] == [
        (f"{first}.0.0", repr(f"{first}.0"), repr(first)),
        (f"{first}.0.1", repr(f"{first}.0"), repr(first)),
        (f"{second}.0.0", repr(f"{second}.0"), repr(second)),
    ]


def test_one_nested_table_can_be_filled_from_two_places(oracle):
    tables = normalize([{"l": [{"a": [1]}]}, {"l": {"a": [2]}}], oracle=oracle)

    table = tables[TableKey("things", ("l", "a"))]
    assert values(table) == [{"value:bigint": "1"}, {"value:bigint": "2"}]
    assert [row["parent"].count(".") for row in table.rows] == [1, 0]


def test_a_key_named_value_shares_its_column_with_scalars(oracle):
    tables = normalize([False, {"value": True, "l": [1, {"value": 2}]}], oracle=oracle)

    assert values(tables[ROOT]) == [{"value:bool": "False"}, {"value:bool": "True"}]
    assert values(tables[TableKey("things", ("l",))]) == [{"value:bigint": "1"}, {"value:bigint": "2"}]


def test_root_scalars_lists_and_nones(oracle):
    tables = normalize([1, None, [{"a": 2}, [3.5]], {}], oracle=oracle)

    assert values(tables[ROOT]) == [{"value:bigint": "1"}, {"a:bigint": "2"}, {"value:double": "3.5"}, {}]


@pytest.mark.parametrize("record", [MappingProxyType({"x": 1, "inner": {}}), Point(x=1)])
def test_mappings_and_models_are_dicts(record, oracle):
    assert values(normalize([record, {"o": record}], oracle=oracle)[ROOT]) == [{"x:bigint": "1"}, {"o.x:bigint": "1"}]


def test_tuples_are_lists(oracle):
    tables = normalize([{"p": Pair(1, 2)}], oracle=oracle)

    assert values(tables[TableKey("things", ("p",))]) == [{"value:bigint": "1"}, {"value:bigint": "2"}]


@pytest.mark.parametrize(
    ("max_nesting", "root", "nested"),
    [
        (0, {"a:json": '\'{"b":{"c":1}}\'', "l:json": '\'[{"m":{"n":2}}]\''}, None),
        (1, {"a.b:json": "'{\"c\":1}'"}, {"m:json": "'{\"n\":2}'"}),
        (2, {"a.b.c:bigint": "1"}, {"m.n:bigint": "2"}),
    ],
)
def test_values_nested_too_deeply_are_json(max_nesting, root, nested, oracle):
    tables = normalize([{"a": {"b": {"c": 1}}, "l": [{"m": {"n": 2}}]}], max_nesting=max_nesting, oracle=oracle)

    assert values(tables[ROOT]) == [root]
    table = tables.get(TableKey("things", ("l",)))
    assert (values(table) if table else None) == ([nested] if nested else None)


def test_a_list_in_a_list_at_the_last_level_is_json(oracle):
    tables = normalize([{"l": [[1, None]]}], max_nesting=1, oracle=oracle)

    assert values(tables[TableKey("things", ("l",))]) == [{"value:json": "'[1,null]'"}]


def test_a_json_hint_keeps_dicts_and_lists_whole(oracle):
    records = [{"meta": {"b": [Decimal("1.50"), float("nan")], "a": 2**70}}, {"meta": []}, {"meta": "text"}]

    assert column(records, oracle, columns={"meta": ColumnHint(type=JSON)}) == [
        ("meta:json", '\'{"a":1180591620717411303424,"b":["1.50","NaN"]}\''),
        ("meta:json", "'[]'"),
        ("meta:text", "'text'"),
    ]


def test_nesting_without_end_becomes_json(oracle):
    record: dict = {}
    for _ in range(100):
        record = {"k": record, "n": 1}

    found = values(normalize([record], oracle=oracle)[ROOT])[0]

    assert ".".join(["k"] * 65) + ":json" in found
    assert len(found) == 66


def loop():
    record: dict = {"id": 1}
    record["self"] = record
    return record


@pytest.mark.parametrize(
    ("value", "path", "cause"),
    [
        ({1, 2}, "v", "type set; make it a list"),
        (1j, "v", "type complex"),
        (timedelta(1), "v", "type timedelta"),
        ([{"k": object()}], "v.k", "type object"),
        ("\ud800", "v", "surrogate"),
        ({1: "a", "1": "b"}, "v", "two keys"),
        ({"\ud800": 1}, "v", "surrogate"),
        pytest.param(10**5000, "v", "more digits", id="an endless integer"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), "v", "years 1 to 9999"),
        ("x\0y", "v", "NUL"),
        (date(1800, 1, 1), "v", "years 1900 to 2100"),
        (datetime(2200, 1, 1), "v", "years 1900 to 2100"),
        (loop(), "v" + ".self" * 64, "deeper than"),
    ],
)
def test_a_record_that_no_column_holds_is_rejected_whole_and_alone(value, path, cause, oracle):
    narrow = Capabilities(holds_nul_in_text=False, earliest_year=1900, latest_year=2100)
    records = [{"id": 1}, {"id": 2, "v": value}, {"id": 3, "v": "good"}]

    batches, subject = normalize_pages([records], oracle=oracle, capabilities=narrow)

    (reject,) = subject.rejects
    assert (reject.resource, reject.table, reject.column) == ("things", "things", path)
    assert cause in reject.cause
    assert "2" in reject.row
    assert sum(len(batch) for _, batch in batches) == 2
    assert subject.reject_count == 1
    assert subject.rows_seen == 3


def test_the_first_text_tells_its_shape(oracle):
    records = [{"a": "2024-01-01T00:00:00Z", "b": "2024-01-01 00:00:00", "c": "2024-01-01"}, {"a": "x", "b": "x", "c": "x"}]

    observed = normalize(records, oracle=oracle)[ROOT].observed

    assert [seen.first_text for seen in observed.values()] == ["aware", "naive", "other"]


def test_ranges_and_digits_are_observed(oracle):
    records = [{"i": -5, "w": 10**20, "d": Decimal("12.5")}, {"i": 7, "w": -(10**30), "d": Decimal("0.125")}]

    i, w, d = normalize(records, oracle=oracle)[ROOT].observed.values()

    assert (i.low, i.high) == (-5, 7)
    assert (w.low, w.high, w.digits) == (-(10**30), 10**20, 31)
    assert (d.digits, d.scale) == (2, 3)
