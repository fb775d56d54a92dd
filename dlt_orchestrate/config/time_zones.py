"""Names of time zones, where a configuration gives one."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from dlt_orchestrate.config.spelling import likely


def expect_time_zone(name: Any) -> None:
    """Raise if there is no time zone of this name.

    Raises:
        ValueError: There is none.

    >>> expect_time_zone("Europe/Vienna")
    >>> expect_time_zone("Europe/Wien")
    Traceback (most recent call last):
    ValueError: there is no time zone 'Europe/Wien'. Did you mean 'Europe/Vienna'?
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        near = likely([str(name)], available_timezones())
        advice = "Give one of the IANA database, such as 'Europe/Vienna' or 'UTC'; zoneinfo.available_timezones() has all"
        raise ValueError(f"there is no time zone {name!r}. {near or advice}") from None
