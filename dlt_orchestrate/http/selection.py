"""Which part of an answer is the records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dlt_orchestrate.schema.jsonpath import find

WHOLE = "$"

_RECORD_KEYS = frozenset("content data entities entries items objects payload records results rows values".split())
_MAX_DEPTH = 3


def select_rows(body: Any, selector: str) -> list[Any]:
    """The records at a path; a path that leads nowhere, or to null, holds none.

    >>> select_rows({"data": [{"id": 1}], "meta": {}}, "data")
    [{'id': 1}]
    >>> select_rows({"data": {"id": 1}}, "data"), select_rows({"data": None}, "data")
    ([{'id': 1}], [])
    """
    found = find(selector, body)
    if len(found) == 1 and isinstance(found[0], list):
        return found[0]
    return [value for value in found if value is not None]


def find_selector(body: Any) -> str:
    """Find the path of the records in an answer: a list, best one of a telling name, the outermost first.

    >>> find_selector({"warnings": [], "data": {"items": [{"id": 1}]}})
    'data.items'
    >>> find_selector([{"id": 1}]), find_selector({"id": 1})
    ('$', '$')
    """
    paths = list(_list_paths(body))
    telling = (path for path in paths if path[-1] in _RECORD_KEYS)
    best = next(telling, paths[0] if paths else ())
    return path_of(best)


def rival_lists(body: Any, selector: str) -> list[str]:
    """The lists of records that may be meant as well as the one that `find_selector` chose.

    >>> rival_lists({"a": [{"id": 1}], "b": [{"id": 2}], "tags": ["new"]}, "a")
    ['b']
    >>> rival_lists({"data": [{"id": 1}], "included": [{"id": 2}]}, "data")
    []
    """
    lists = {path_of(path): (path[-1] in _RECORD_KEYS, find(path_of(path), body)[0]) for path in _list_paths(body)}
    is_telling, _ = lists.get(selector, (True, []))
    return [
        path
        for path, (is_telling_too, rows) in lists.items()
        if path != selector and is_telling_too >= is_telling and any(isinstance(row, dict) for row in rows)
    ]


def path_of(keys: tuple[str, ...]) -> str:
    """The path made of these keys.

    >>> path_of(("data", "items")), path_of(("@odata.nextLink",)), path_of(())
    ('data.items', "['@odata.nextLink']", '$')
    """
    if not keys:
        return WHOLE
    return "".join(_step(key) for key in keys).removeprefix(".")


def _list_paths(body: Any) -> Iterator[tuple[str, ...]]:
    """The paths of all lists, outermost first."""
    level: list[tuple[tuple[str, ...], Any]] = [((), body)]
    for _ in range(_MAX_DEPTH):
        inner = [((*path, key), value) for path, outer in level if isinstance(outer, dict) for key, value in outer.items()]
        yield from (path for path, value in inner if isinstance(value, list))
        level = inner


def _step(key: str) -> str:
    if key and not set(key) & set(".[]'\"\\*$ "):
        return f".{key}"
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")
    return f"['{escaped}']"
