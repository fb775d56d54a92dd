"""Transformers: resources that take what another resource yields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

from dlt_orchestrate.declare.resource import NO_PARENT, Resource, resource


@overload
def transformer(function: Callable[..., Any], /, *, data_from: Any = None, **hints: Any) -> Resource: ...


@overload
def transformer(*, data_from: Any = None, **hints: Any) -> Callable[[Callable[..., Any]], Resource]: ...


def transformer(function: Callable[..., Any] | None = None, /, *, data_from: Any = None, **hints: Any) -> Any:
    """Declare a transformer: its function takes each yield of its parent (a whole page, if a page was yielded).

    Args:
        data_from: The parent; without one, write `parent | transformer`.
        hints: As in `resource`.

    >>> numbers = resource([1, 2, 3], name="numbers")
    >>> @transformer(data_from=numbers)
    ... def scaled(number, k=10):
    ...     yield {"value": number * k}
    >>> list(numbers | scaled(k=2))
    [{'value': 2}, {'value': 4}, {'value': 6}]
    """
    parent = NO_PARENT if data_from is None else data_from

    def declare(content: Callable[..., Any]) -> Resource:
        declared: Resource = resource(content, data_from=parent, **hints)
        return declared

    return declare if function is None else declare(function)
