"""Fitting values into a column: exactly, or not at all. Nothing is lost, rounded or counted twice."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlt_orchestrate.flow.batch import arrow_type
from dlt_orchestrate.load.cast import column_arrow_type, fit, fits_always
from dlt_orchestrate.normalize.arrays import column_of
from dlt_orchestrate.normalize.rules import Rules
from dlt_orchestrate.schema.iso import parse_iso
from dlt_orchestrate.schema.types import ColumnType, ValueClass

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_numerals = st.sampled_from(["NaN", "123456789012345678901234567890123456789.5", "-1E+100"])
_spoken = st.sampled_from(
    "3 007 -0 +1 1.5 1.50 1e5 1e+16 nan inf True true 2024-01-02 2024-01-02T03:04:05Z 2024-01-02T03:04:05 "
    "2024-01-02T03:04:05.1234567Z 9999-12-31T23:59:59-10:00 0000-01-01T00:00:00Z 01:02:03 01:02:03.5 300 -129 "
    "9223372036854775808 -9223372036854775808 12345678901234567890.123456789 YQ==".split()
)
_moments = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30))

VALUES: dict[ValueClass, st.SearchStrategy[Any]] = {
    ValueClass.BOOL: st.booleans(),
    ValueClass.BIGINT: st.one_of(
        st.integers(-(2**63), 2**63 - 1), st.integers(-300, 300), st.sampled_from([-(2**63), 2**53, 2**53 + 1, -128])
    ),
    ValueClass.WIDE: st.integers(2**63, 10**38 - 1).flatmap(lambda n: st.sampled_from([n, -n])),
    ValueClass.DOUBLE: st.floats(),
    ValueClass.DECIMAL: st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**30), max_value=10**30),
    ValueClass.NUMERAL: _numerals,
    ValueClass.TEXT: st.one_of(_spoken, st.text(st.characters(exclude_categories=("Cs",)), max_size=12)),
    ValueClass.TIMESTAMP: _moments.map(lambda moment: moment.replace(tzinfo=UTC)),
    ValueClass.NAIVE_TIMESTAMP: _moments,
    ValueClass.DATE: st.dates(),
    ValueClass.TIME: st.times(),
    ValueClass.BINARY: st.binary(max_size=8),
    ValueClass.JSON: st.sampled_from(['{"a":1}', "[1,2]", "[]"]),
}

COLUMN_TYPES = [
    ColumnType("text"),
    ColumnType("json"),
    ColumnType("bool"),
    ColumnType("bigint"),
    ColumnType("bigint", 8),
    ColumnType("bigint", 32),
    ColumnType("double"),
    ColumnType("decimal", 38, 9),
    ColumnType("decimal", 38, 0),
    ColumnType("decimal", 10, 2),
    ColumnType("wei"),
    ColumnType("timestamp"),
    ColumnType("timestamp", timezone=False),
    ColumnType("date"),
    ColumnType("time"),
    ColumnType("binary"),
]


@pytest.mark.parametrize("column_type", COLUMN_TYPES, ids=str)
@pytest.mark.parametrize("value_class", list(ValueClass))
@settings(max_examples=8)
@given(drawn=st.data())
def test_every_value_is_held_exactly_or_left_over_whole(value_class, column_type, drawn) -> None:
    values = drawn.draw(st.lists(st.none() | VALUES[value_class], min_size=1, max_size=8))
    coerces = drawn.draw(st.booleans())
    column = column_of(value_class, values, Rules())
    if column is None:
        return

    fitted, rest = fit(column.values, value_class, column_type, coerces=coerces)

    assert fitted.type == column_arrow_type(column_type)
    assert rest is None or rest.type == arrow_type(value_class)
    left = rest.to_pylist() if rest is not None else [None] * len(values)
    for original, held, over in zip(column.values.to_pylist(), fitted.to_pylist(), left, strict=True):
        assert [held, over].count(None) == (2 if original is None else 1)
        if over is not None:
            assert same(over, original)
        elif held is not None:
            assert says_the_same(held, original, value_class, column_type), (held, original)
    promise = fits_always(value_class, column.observed, column_type, coerces=coerces)
    if column.observed.count and promise is not None:
        assert promise == (rest is None)


def says_the_same(held: Any, original: Any, value_class: ValueClass, column_type: ColumnType) -> bool:
    """Whether a stored value tells all that the original told."""
    match column_type.kind, value_class:
        case "text", _:
            return isinstance(held, str) and (held == original or bool(held) or original in ("", b""))
        case "json", _:
            return isinstance(held, str)
        case "decimal", ValueClass.TEXT | ValueClass.DOUBLE:
            return held == Decimal(str(original))
        case "bool", ValueClass.TEXT:
            return str(held).lower() == original.lower()
        case "binary", ValueClass.TEXT:
            return base64.b64encode(held).decode() == original
        case ("bool" | "bigint", ValueClass.DOUBLE | ValueClass.DECIMAL | ValueClass.BIGINT):
            return held == original and type(held) is (bool if column_type.kind == "bool" else int)
        case "double", ValueClass.DECIMAL:
            return Decimal(repr(held)) == original
        case ("bigint" | "wei" | "date" | "time", ValueClass.TEXT):
            return printed(held) == original
        case "double", ValueClass.TEXT:
            return repr(held) == original or repr(held) == f"{original}.0"
        case "timestamp", ValueClass.TEXT:
            return moment_of(held) == moment_of(
                parse_iso(original) or datetime.combine(date.fromisoformat(original), time())
            )
        case "timestamp", ValueClass.BIGINT | ValueClass.DOUBLE:
            return moment_of(held).timestamp() == original
        case "timestamp", ValueClass.DATE:
            return held.replace(tzinfo=None) == datetime.combine(original, time())
        case "timestamp", _:
            return moment_of(held) == moment_of(original)
        case _:
            return same(held, original)


def printed(held: Any) -> str:
    if isinstance(held, Decimal):
        text = format(held, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    return held.isoformat() if isinstance(held, date | time) else str(held)


def moment_of(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def same(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)


@pytest.mark.parametrize(
    ("value", "value_class", "text"),
    [
        (True, ValueClass.BOOL, "True"),
        (1.0, ValueClass.DOUBLE, "1.0"),
        (Decimal("1.50"), ValueClass.DECIMAL, "1.5"),
        (2**70, ValueClass.WIDE, str(2**70)),
        (EPOCH + timedelta(microseconds=1), ValueClass.TIMESTAMP, "1970-01-01T00:00:00.000001+00:00"),
        (datetime(2024, 1, 2, 3, 4, 5), ValueClass.NAIVE_TIMESTAMP, "2024-01-02T03:04:05"),
        (date(2024, 1, 2), ValueClass.DATE, "2024-01-02"),
        (time(1, 2, 3), ValueClass.TIME, "01:02:03"),
        (b"a\x00", ValueClass.BINARY, "YQA="),
    ],
)
def test_a_text_column_takes_values_as_they_print(value, value_class, text) -> None:
    column = column_of(value_class, [value, None], Rules())

    assert fit(column.values, value_class, ColumnType("text"))[0].to_pylist() == [text, None]


def test_only_a_declared_decimal_takes_floats_and_numbers_in_any_spelling() -> None:
    money = ColumnType("decimal", 12, 2)
    texts = column_of(ValueClass.TEXT, ["7.50", "7.5", "1e2", "7.501"], Rules()).values
    floats = column_of(ValueClass.DOUBLE, [19.99, 0.125, float("nan")], Rules()).values

    assert fit(texts, ValueClass.TEXT, money)[0].to_pylist() == [None, Decimal("7.50"), None, None]
    declared = fit(texts, ValueClass.TEXT, money, coerces=True)
    assert declared[0].to_pylist() == [Decimal("7.50"), Decimal("7.50"), Decimal("100.00"), None]
    assert fit(floats, ValueClass.DOUBLE, money)[0].null_count == 3
    assert fit(floats, ValueClass.DOUBLE, money, coerces=True)[0].to_pylist() == [Decimal("19.99"), None, None]


def test_a_text_whose_moment_lies_beyond_year_9999_is_left_over() -> None:
    texts = column_of(ValueClass.TEXT, ["2024-01-01T00:00:00Z", "9999-12-31T23:59:59-10:00"], Rules()).values

    fitted, rest = fit(texts, ValueClass.TEXT, ColumnType("timestamp"))

    assert fitted.to_pylist() == [datetime(2024, 1, 1, tzinfo=UTC), None]
    assert rest.to_pylist() == [None, "9999-12-31T23:59:59-10:00"]


def test_the_least_integer_of_64_bits_fits_its_column() -> None:
    column = column_of(ValueClass.BIGINT, [-(2**63)], Rules())

    fitted, rest = fit(column.values, ValueClass.BIGINT, ColumnType("bigint"))

    assert (fitted.to_pylist(), rest) == ([-(2**63)], None)


def test_seconds_that_microseconds_cannot_tell_do_not_become_moments() -> None:
    column = column_of(ValueClass.DOUBLE, [1.5, 1.23456789], Rules())

    fitted, rest = fit(column.values, ValueClass.DOUBLE, ColumnType("timestamp"), coerces=True)

    assert fitted.to_pylist() == [EPOCH + timedelta(seconds=1.5), None]
    assert rest.to_pylist() == [None, 1.23456789]
