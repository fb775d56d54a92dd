"""The keys that lead from a record to a value, and what stands among them where no key leads on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class NoKey(str):
    """A step that no key of a record leads along: named like its text, and equal to no key, whatever that one's text.

    >>> NoKey("list") == "list", NoKey("list") == NoKey("list"), {"list": 1}.get(NoKey("list"))
    (False, True, None)
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is NoKey and str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((NoKey, str.__hash__(self)))

    def __repr__(self) -> str:
        return f"NoKey({str.__repr__(self)})"


LIST = NoKey("list")
"""Leads from a list to a list in it."""


class Element(str):
    """Where an element of a list stands that is no record: in the column of its text, as the value of such a key would.

    >>> {ELEMENT: 8}["value"]
    8
    """

    __slots__ = ()


ELEMENT = Element("value")
"""Leads from an element of a list, or a record, to itself."""


def as_it_came(value: Any) -> Any:
    """A record, or a part of one, whose lists are written as tables are, as lists of objects, with its own elements again.

    >>> as_it_came({"tags": [{ELEMENT: 8}, {LIST: [{ELEMENT: 9}]}, {"value": 10}]})
    {'tags': [8, [9], {'value': 10}]}
    """
    match value:
        case list():
            return [as_it_came(element) for element in value]
        case dict() if len(value) == 1 and isinstance(key := next(iter(value)), Element | NoKey):
            return as_it_came(value[key])
        case dict():
            return {key: as_it_came(inner) for key, inner in value.items()}
        case _:
            return value


def order_of(path: tuple[str, ...]) -> tuple[tuple[str, bool], ...]:
    """What sorts paths: by the texts of their steps, of equal ones the key before what is none."""
    return tuple((str.__str__(step), type(step) is NoKey) for step in path)


def written(path: Iterable[str]) -> list[Any]:
    """A path as JSON keeps it: keys as texts, other steps as lists of a text.

    >>> written(("orders", "list", LIST))
    ['orders', 'list', ['list']]
    """
    return [[str.__str__(step)] if type(step) is NoKey else step for step in path]


def read(document: Iterable[Any]) -> tuple[str, ...]:
    """The path that was written.

    >>> read(["orders", "list", ["list"]]) == ("orders", "list", LIST)
    True
    """
    return tuple(NoKey(*step) if isinstance(step, list) else step for step in document)
