"""Which texts are ISO 8601 date-times."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.schema.iso import parse_iso, text_shape

NEW_YEAR = datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-01T00:00:00", NEW_YEAR),
        ("2024-01-01 00:00:00", NEW_YEAR),
        ("2024-01-01T00:00", NEW_YEAR),
        ("2024-01-01T00", NEW_YEAR),
        ("20240101T000000", NEW_YEAR),
        ("20240101T000000Z", NEW_YEAR.replace(tzinfo=UTC)),
        ("2024-01-01T00:00:00.123Z", NEW_YEAR.replace(microsecond=123_000, tzinfo=UTC)),
        ("2024-01-01T00:00:00,5Z", NEW_YEAR.replace(microsecond=500_000, tzinfo=UTC)),
        ("2024-01-01T00:00:00-0500", NEW_YEAR.replace(hour=5, tzinfo=UTC)),
        ("2024-01-01T00:00:00+00:00", NEW_YEAR.replace(tzinfo=UTC)),
        ("2024-01-01T02:00:00+02", NEW_YEAR.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00", datetime(1, 1, 1)),
        ("2024-001T00:00:00Z", NEW_YEAR.replace(tzinfo=UTC)),
        ("2024-366T23:59:59", datetime(2024, 12, 31, 23, 59, 59)),
        ("2024-01-01T00:00:00.123456000", NEW_YEAR.replace(microsecond=123_456)),
    ],
)
def test_an_iso_date_time_is_read(text, moment):
    assert parse_iso(text) == moment
    assert text_shape(text) == ("aware" if moment.tzinfo else "naive")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-01-01",
        "2024-01",
        "20240101",
        "2024-W01-1",
        "2024-W01-1T00:00:00",
        "2024-01-01T24:00:00",
        "2024-13-01T00:00:00",
        "2024-02-30T00:00:00",
        "2023-366T00:00:00",
        "2024-000T00:00:00",
        "2024-01-01T00:00:00z",
        "2024-01-01t00:00:00Z",
        " 2024-01-01T00:00:00",
        "2024-01-01T00:00:00Z\n",
        "2024-01-01T00:00:00 UTC",
        "2024-01-01T00:00:60Z",
        "2024-01-01T00:00:00+25:00",
        "2024-01-01T00:00:00+00:99",
        "２０２４-01-01T00:00:00",
        "1704067200",
        "1704067200.123456",
        "12:30:00",
        "2024-01-01T00:00:00.1234567Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:30:00-01:00",
        "2024-01-01T00:00:00." + "0" * 100,
    ],
)
def test_anything_else_stays_text(text):
    assert parse_iso(text) is None
    assert text_shape(text) == "other"


@given(st.datetimes(timezones=st.none() | st.just(UTC)))
def test_what_python_prints_is_read_back(moment):
    assert parse_iso(moment.isoformat()) == moment
    assert parse_iso(moment.isoformat(" ")) == moment


@given(st.text(alphabet="0123456789-:T Z+.,W", max_size=40))
def test_no_text_makes_it_fail(text):
    moment = parse_iso(text)

    assert (moment is None) == (text_shape(text) == "other")
