"""Paths into JSON values: the plain part of JSONPath, which is all that selectors and cursors need.

A path is made of keys and indices: `data.items`, `[*].user.login`, `$.rows[0]['created.at']`. A path that is one plain
key, by far the most frequent, costs one look-up in a dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from dlt_orchestrate.errors import InvalidPathError

Find = Callable[[Any], list[Any]]
"""Finds every value at a path; an absent value is an empty list, a null is found."""

Step = str | int | None
"""A key, an index, or None for all elements of a list or all values of a dictionary."""

_STEP = re.compile(
    r"""
    \.? \[ \s* (?:
        (?P<all> \* ) | (?P<index> -?\d+ ) | '(?P<single> (?:[^'\\]|\\.)* )' | "(?P<double> (?:[^"\\]|\\.)* )"
    ) \s* \]
    | \.? (?P<key> [^.\[\]'"]+ )
    """,
    re.VERBOSE | re.DOTALL,
)


def find(path: str, value: Any) -> list[Any]:
    """Find every value at `path`.

    >>> find("data.items[*].id", {"data": {"items": [{"id": 1}, {"id": 2}, {}]}})
    [1, 2]
    >>> find("cursor", {"cursor": None}), find("cursor", {})
    ([None], [])
    """
    return compile_path(path)(value)


@lru_cache(maxsize=1024)
def compile_path(path: str) -> Find:
    """Turn a path into a function that finds its values.

    Raises:
        InvalidPathError: The path is not made of keys, `[*]`, `[0]` and `['key']`.

    >>> names = compile_path("$.user['first.name']")
    >>> names({"user": {"first.name": "Ada"}})
    ['Ada']
    """
    steps = parse_path(path)
    if len(steps) == 1 and isinstance(steps[0], str):
        return _finder_of_key(steps[0])
    return _finder_of_steps(steps)


def lists_on_the_way(path: str, value: Any) -> list[list[Any] | None]:
    """What stands in the lists that each step of a path goes into; None for a key, and for a step into no list.

    >>> lists_on_the_way("groups[*].items[0]", {"groups": [{"items": [1, 2]}, {"items": [3]}]})
    [None, [{'items': [1, 2]}, {'items': [3]}], None, [1, 2, 3]]
    """
    found, lists = [value], list[list[Any] | None]()
    for step in parse_path(path):
        into = [] if isinstance(step, str) else [outer for outer in found if isinstance(outer, list)]
        lists.append([inner for outer in into for inner in outer] if into else None)
        found = [inner for outer in found for inner in _take(step, outer)]
    return lists


def assign(path: str, target: dict[str, Any], value: Any) -> None:
    """Set the value at a path of keys, making the dictionaries on the way.

    >>> query = {"page": {"size": 50}}
    >>> assign("page.after", query, "abc")
    >>> query
    {'page': {'size': 50, 'after': 'abc'}}
    """
    steps = parse_path(path)
    keys = [step for step in steps if isinstance(step, str)]
    if not keys or len(keys) < len(steps):
        raise InvalidPathError(path=path)
    for key in keys[:-1]:
        if not isinstance(target.get(key), dict):
            target[key] = {}
        target = target[key]
    target[keys[-1]] = value


@lru_cache(maxsize=1024)
def parse_path(path: str) -> tuple[Step, ...]:
    """Split a path into its steps; `$` alone, the whole value, has none.

    >>> parse_path("data.items[*]['a.b'][0]")
    ('data', 'items', None, 'a.b', 0)
    """
    rest = path.strip()
    if rest == "$":
        return ()
    position = 1 if rest.startswith(("$.", "$[")) else 0
    if position == len(rest) or rest.startswith("."):
        raise InvalidPathError(path=path)
    steps: list[Step] = []
    while position < len(rest):
        match = _STEP.match(rest, position)
        if match is None or (steps and match["key"] is not None and rest[position] != "."):
            raise InvalidPathError(path=path)
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["all"] is not None or match["key"] == "*":
        return None
    if match["index"] is not None:
        return int(match["index"])
    if match["key"] is not None:
        return match["key"]
    quoted = match["single"] if match["single"] is not None else match["double"]
    return re.sub(r"\\(.)", r"\1", quoted)


def _finder_of_key(key: str) -> Find:
    def find_key(value: Any) -> list[Any]:
        return [value[key]] if isinstance(value, dict) and key in value else []

    return find_key


def _finder_of_steps(steps: tuple[Step, ...]) -> Find:
    def find_steps(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = [inner for outer in found for inner in _take(step, outer)]
        return found

    return find_steps


def _take(step: Step, value: Any) -> list[Any]:
    if step is None:
        return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if isinstance(step, str):
        return [value[step]] if isinstance(value, dict) and step in value else []
    return [value[step]] if isinstance(value, list) and -len(value) <= step < len(value) else []
