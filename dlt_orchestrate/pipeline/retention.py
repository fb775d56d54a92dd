"""How long a dataset keeps the records of earlier loads, as configured."""

from __future__ import annotations

from datetime import timedelta

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.errors import ConfigValueCoercionError
from dlt_orchestrate.flow.package import Retention

SHORTEST_DAYS = {"loads": 1, "rejects": 1, "commits": 7}
"""Commit records hold the idempotency keys: an attempt that is made again within these days is recognized."""


def configured_retention(resolver: Resolver) -> Retention:
    """The settings `loads_days`, `rejects_days` and `commits_days` of section `retention`; without them all is kept.

    Raises:
        ConfigValueCoercionError: A setting is no number of days, or too few.
    """

    def read(name: str) -> timedelta | None:
        field = f"{name}_days"
        found = resolver.lookup(f"retention.{field}", (), int)
        if found is None:
            return None
        if found.value < SHORTEST_DAYS[name]:
            raise ConfigValueCoercionError(
                field=field, provider=found.provider, key=found.key, expected=f"number of {SHORTEST_DAYS[name]} or more"
            )
        return timedelta(days=found.value)

    return Retention(loads=read("loads"), rejects=read("rejects"), commits=read("commits"))
