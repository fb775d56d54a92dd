"""Settings of one resource, from section `load` and others of the configuration: for the resource, its source or all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.errors import ConfigValueCoercionError
from dlt_orchestrate.flow.package import RejectLimits


def setting(
    name: str, resource: Resource, resolver: Resolver, annotation: type, expected: str, reading: Callable[[Any], Any]
) -> Any:
    """The value of a setting such as `schema.max_columns`; None if it is not set.

    Args:
        expected: What it must be, for messages.
        reading: The value that a found one stands for; None if it is none.

    Raises:
        ConfigValueCoercionError: It is not what it must be.
    """
    found = resolver.lookup(name, resource.sections, annotation)
    if found is None:
        return None
    value = reading(found.value)
    if value is None:
        field = name.rpartition(".")[2]
        raise ConfigValueCoercionError(field=field, provider=found.provider, key=found.key, expected=expected)
    return value


def at_least(least: float) -> Callable[[Any], Any]:
    """A reading that takes numbers from `least` on."""
    return lambda number: number if number >= least else None


def configured_reject_limits(resource: Resource, resolver: Resolver) -> RejectLimits:
    """`max_rejected_rows`, `max_rejected_share` and `rejects_hold_cursor` of section `load`.

    Raises:
        ConfigValueCoercionError: A setting is none of the values that it may have.
    """
    found = {
        "max_rows": setting("load.max_rejected_rows", resource, resolver, int, "number of rows, 0 or more", at_least(0)),
        "max_share": setting(
            "load.max_rejected_share",
            resource,
            resolver,
            float,
            "share of rows from 0.0 to 1.0",
            lambda share: share if 0 <= share <= 1 else None,
        ),
        "hold_cursor": setting("load.rejects_hold_cursor", resource, resolver, bool, "true or false", lambda it: it),
    }
    return RejectLimits(**{name: value for name, value in found.items() if value is not None})
