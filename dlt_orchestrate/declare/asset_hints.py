"""What is declared of the asset that a resource becomes: plain values, which the Dagster storey reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field, fields
from datetime import timedelta
from typing import Any

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.config.time_zones import expect_time_zone
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@dataclass(frozen=True)
class Freshness:
    """How old the last load may be.

    Attributes:
        fail: From this age on the asset is stale.
        warn: From this age on there is a warning; None for none.
    """

    fail: timedelta
    warn: timedelta | None = None


@dataclass(frozen=True)
class AssetHints:
    """Hints of an asset; what is empty is left to the translator and to `ingest_assets`.

    Attributes:
        group: The group of the catalog that shows it.
        owners: E-mail addresses, or teams as `team:data`.
        tags: Tags of the asset.
        kinds: Kinds beside those that it has anyway.
        schedule: Five cron fields: the asset is materialized at each tick, by Dagster's automation.
        timezone: Name of the time zone that `schedule` speaks of; UTC if not given.
        automation: A condition of Dagster's in place of `schedule`, or the name of one: `eager`, `on_missing`, or
            `when_data_changes`.
        freshness: How old the last load may be.
    """

    group: str | None = None
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()
    schedule: str | None = None
    timezone: str | None = None
    automation: Any = None
    freshness: Freshness | None = None

    @classmethod
    def of(cls, declared: Any, *, resource: str) -> AssetHints:
        """Read hints as they are declared: a mapping, or hints.

        Raises:
            DeclarationError: A hint is not known, or none that can be read.

        >>> AssetHints.of({"schedule": "0 * * * *", "freshness": "24h"}, resource="issues").freshness
        Freshness(fail=datetime.timedelta(days=1), warn=None)
        """
        if declared is None or isinstance(declared, AssetHints):
            return declared or cls()
        if not isinstance(declared, Mapping):
            raise _unreadable(resource, f"they are a {type(declared).__name__}, and should be a mapping")
        known = [known.name for known in fields(cls)]
        if unknown := [name for name in declared if name not in known]:
            raise _unreadable(resource, f"{unknown[0]!r} is not known. {meant(str(unknown[0]), known)}".rstrip("."))
        given = {name: value for name, value in declared.items() if value is not None}
        if "schedule" in given and "automation" in given:
            raise _unreadable(resource, "'schedule' and 'automation' both say when it is materialized; give one of them")
        for name, gather in (("owners", tuple), ("kinds", frozenset)):
            if name in given:
                given[name] = gather(_names(given[name], name, resource))
        if "timezone" in given:
            try:
                expect_time_zone(given["timezone"])
            except ValueError as error:
                raise _unreadable(resource, str(error)) from None
        if "freshness" in given:
            given["freshness"] = _freshness(given["freshness"], resource)
        return cls(**given)

    def over(self, other: AssetHints) -> AssetHints:
        """These hints, and those of another one where these say nothing; tags and kinds are put together."""
        own = {part.name: getattr(self, part.name) for part in fields(self) if getattr(self, part.name)}
        theirs = {part.name: getattr(other, part.name) for part in fields(self)}
        if self.schedule or self.automation:
            theirs |= {"schedule": None, "timezone": None, "automation": None}
        both = {"tags": {**other.tags, **self.tags}, "kinds": self.kinds | other.kinds}
        return AssetHints(**{**theirs, **own, **both})


def duration(value: Any) -> timedelta:
    """A span of time, also as text: a number with `s`, `m`, `h`, `d` or `w`.

    Raises:
        ValueError: It is neither, or not longer than nothing.

    >>> duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(value, str) and (found := _DURATION.fullmatch(value.strip())):
        value = timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
    if not isinstance(value, timedelta) or value <= timedelta():
        raise ValueError(f"{value!r} is no span of time. Write it as '30m', '24h' or '7d', or give a timedelta")
    return value


def _freshness(value: Any, resource: str) -> Freshness:
    if isinstance(value, Freshness):
        return value
    spans = value if isinstance(value, Mapping) else {"fail": value}
    if "fail" not in spans or not spans.keys() <= {"fail", "warn"}:
        raise _unreadable(
            resource, f"freshness has {', '.join(map(repr, spans))}, and should have 'fail' and may have 'warn'"
        )
    try:
        read = {name: duration(span) for name, span in spans.items() if span is not None}
    except ValueError as error:
        raise _unreadable(resource, f"freshness: {error}") from None
    if "warn" in read and read["warn"] >= read["fail"]:
        raise _unreadable(resource, f"freshness warns after {spans['warn']}, which is not before it fails, {spans['fail']}")
    return Freshness(**read)


def _names(value: Any, hint: str, resource: str) -> Iterable[str]:
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    if not all(isinstance(name, str) for name in names):
        raise _unreadable(resource, f"{hint} is {value!r}, and should be a list of names")
    return names


def _unreadable(resource: str, problem: str) -> DeclarationError:
    return DeclarationError(f"Resource {resource!r}: its asset hints cannot be read: {problem}.")
