"""Texts that are ISO 8601 date-times: which ones count, and what moment they name."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

TextShape = Literal["aware", "naive", "other"]
"""Whether a text is an ISO 8601 date-time with a zone, one without, or anything else."""

_DATE = r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2}|(?P<year>[0-9]{4})-(?P<day>[0-9]{3}))"
_TIME = r"[0-9]{2}(?::[0-9]{2}(?::[0-9]{2}(?:[.,](?P<fraction>[0-9]+))?)?)?"
_BASIC = r"[0-9]{8}T[0-9]{2}(?:[0-9]{2}(?:[0-9]{2}(?:[.,](?P<basic_fraction>[0-9]+))?)?)?"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-5][0-9])?)"

_DATE_TIME = re.compile(rf"(?:{_DATE}[T ](?P<time>{_TIME})|{_BASIC})(?P<zone>{_ZONE})?")

_SHORTEST, _LONGEST = len("20240101T00"), 64
_EXACT_DIGITS = 6


def parse_iso(text: str) -> datetime | None:
    """Read an ISO 8601 date-time: in UTC if it names a zone, naive if not; None if the text is anything else.

    A date alone, a week date, hour 24 and lower-case letters are no date-times here. Neither is a text that a
    timestamp in microseconds could not give back: more than six fraction digits that are not zeros, or a moment outside
    the years 1 to 9999 in UTC.

    >>> parse_iso("2024-01-01T01:30:00+01:00")
    datetime.datetime(2024, 1, 1, 0, 30, tzinfo=datetime.timezone.utc)
    >>> parse_iso("2024-01-01") is None
    True
    """
    if not _SHORTEST <= len(text) <= _LONGEST:
        return None
    match = _DATE_TIME.fullmatch(text)
    if match is None or not _is_exact(match["fraction"] or match["basic_fraction"]):
        return None
    try:
        moment = _ordinal_moment(match) if match["year"] else datetime.fromisoformat(text)
        return moment.astimezone(UTC) if match["zone"] else moment
    except (ValueError, OverflowError):
        return None


def duration_text(ticks: int, per_second: int) -> str:
    """A span of time in ISO 8601, exact.

    >>> duration_text(108_000, 1), duration_text(-1_500, 1_000), duration_text(0, 1)
    ('P1DT6H', '-PT1.5S', 'PT0S')
    """
    seconds, fraction = divmod(abs(ticks), per_second)
    days, hours, minutes = seconds // 86_400, seconds // 3_600 % 24, seconds // 60 % 60
    decimals = f"{fraction:0{len(str(per_second)) - 1}d}".rstrip("0") if fraction else ""
    second = f"{seconds % 60}{'.' if decimals else ''}{decimals}"
    clock = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else "", f"{second}S" if second != "0" else ""]
    time = "".join(clock)
    date = f"{days}D" if days else ""
    written = date + (f"T{time}" if time else "") if date or time else "T0S"
    return f"{'-' if ticks < 0 else ''}P{written}"


def text_shape(text: str) -> TextShape:
    """Tell whether a text is an ISO 8601 date-time.

    >>> text_shape("2024-01-01 00:00:00"), text_shape("20240101T000000Z"), text_shape("2024-01-01")
    ('naive', 'aware', 'other')
    """
    moment = parse_iso(text)
    if moment is None:
        return "other"
    return "naive" if moment.tzinfo is None else "aware"


def _is_exact(fraction: str | None) -> bool:
    return fraction is None or not fraction[_EXACT_DIGITS:].strip("0")


def _ordinal_moment(match: re.Match[str]) -> datetime:
    """A date given as year and day of the year, which `datetime.fromisoformat` does not read."""
    day = int(match["day"])
    clock = datetime.fromisoformat(f"{match['year']}-01-01T{match['time']}{match['zone'] or ''}")
    moment = clock + timedelta(days=day - 1)
    if day == 0 or moment.year != clock.year:
        raise ValueError(f"year {match['year']} has no day {day}")
    return moment
