"""The bounds of a window are read as values of a column, exactly or not at all."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.load.bounds import bound_of
from dlt_orchestrate.schema import types
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.moments import NotOnScale

_MONEY = ColumnType("decimal", 10, 2)


@pytest.mark.parametrize(
    ("text", "column_type", "value"),
    [
        ("2026-01-01T01:00:00+01:00", types.TIMESTAMP, datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T00:00:00", types.TIMESTAMP, datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01", types.TIMESTAMP, datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T01:00:00.000001+01:00", types.NAIVE_TIMESTAMP, datetime(2026, 1, 1, 0, 0, 0, 1)),
        ("2026-01-01T00:00:00+01:00", types.DATE, date(2026, 1, 1)),
        ("2026-01-01", types.DATE, date(2026, 1, 1)),
        ("-9223372036854775809", types.BIGINT, -9223372036854775809),
        ("0.1", types.DOUBLE, 0.1),
        ("1.50", _MONEY, Decimal("1.50")),
        ("1.5000", _MONEY, Decimal("1.50")),
        ("2e3", _MONEY, Decimal("2000.00")),
        ("-0.01", _MONEY, Decimal("-0.01")),
        ("9" * 38, ColumnType("wei"), Decimal("9" * 38)),
        ("anything", types.TEXT, "anything"),
    ],
)
def test_a_bound_becomes_a_value_of_the_column(text: str, column_type: ColumnType, value: Any) -> None:
    found = bound_of(text, column_type)

    assert found == value
    assert type(found) is type(value)
    assert str(found) == str(value)


@pytest.mark.parametrize(
    ("text", "column_type"),
    [
        ("2026-01-01T00:00:00.0000001Z", types.TIMESTAMP),
        ("10", types.TIMESTAMP),
        ("2026-01-01T12:00:00Z", types.DATE),
        ("2026-01-01", types.BIGINT),
        ("1.5", types.BIGINT),
        ("9007199254740993", types.DOUBLE),
        ("inf", types.DOUBLE),
        ("1.005", _MONEY),
        ("123456789", _MONEY),
        ("NaN", _MONEY),
        ("1e999999999", _MONEY),
        ("true", types.BOOL),
        ("{}", types.JSON),
    ],
)
def test_a_bound_that_the_column_cannot_hold_is_refused(text: str, column_type: ColumnType) -> None:
    with pytest.raises(NotOnScale):
        bound_of(text, column_type)


@pytest.mark.parametrize(
    ("text", "example", "value"),
    [
        ("2026-01-01T00:00:00+00:00", "2025-05-05", "2026-01-01"),
        ("2026-01-01T00:00:00+00:00", "2025-05-05T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00+00:00", "2025-05-05 00:00:00.000+02:00", "2026-01-01 02:00:00.000+02:00"),
        ("2026-01-01", "abc", "2026-01-01"),
    ],
)
def test_a_bound_of_a_text_column_takes_the_shape_of_its_texts(text: str, example: str, value: str) -> None:
    assert bound_of(text, types.TEXT, example) == value


@pytest.mark.parametrize("example", ["2025-05-05", "2025-05-05T10:00Z", "2025-05-05T10:00:00Z"])
def test_a_shape_that_would_round_a_bound_is_refused(example: str) -> None:
    with pytest.raises(NotOnScale):
        bound_of("2026-01-01T10:00:30.5+00:00", types.TEXT, example)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20), st.integers(0, 12))
def test_a_decimal_bound_never_changes_its_value(bound: Decimal, scale: int) -> None:
    try:
        found = bound_of(str(bound), ColumnType("decimal", 38, scale))
    except NotOnScale:
        exponent = bound.normalize(Context(prec=80)).as_tuple().exponent
        assert isinstance(exponent, int)
        assert exponent < -scale
    else:
        assert found == bound
