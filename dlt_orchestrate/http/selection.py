"""Which part of an answer is the records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.schema.jsonpath import find, lists_on_the_way, parse_path

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


@dataclass(frozen=True, slots=True)
class Listing:
    """What a page lists. That is what APIs count and page through, whatever a selector takes out of it.

    Attributes:
        entries: Elements of the list that the selector goes through first; the records where it goes through none.
        most: How many elements there are where the selector is widest, so at least as many as the API has counted.
        is_exact: Whether the records are the entries, one for one.
    """

    entries: Sequence[Any]
    most: int
    is_exact: bool = True

    @classmethod
    def of(cls, rows: Sequence[Any]) -> Listing:
        """Of a page that lists its records, and nothing else."""
        return cls(rows, len(rows))


def listing(body: Any, selector: str, rows: Sequence[Any]) -> Listing:
    """What a page lists that holds these records.

    >>> listing({"items": [{"sub": 1}, {}, {"sub": 3}]}, "items[*].sub", [1, 3])
    Listing(entries=[{'sub': 1}, {}, {'sub': 3}], most=3, is_exact=False)
    >>> listing([{"pages": 2}, [{"id": 1}]], "[1]", [{"id": 1}])
    Listing(entries=[{'id': 1}], most=1, is_exact=True)
    """
    steps = parse_path(selector)
    if all(isinstance(step, str) for step in steps):
        return Listing.of(rows)
    if None not in steps and any(isinstance(found, list) for found in find(selector, body)):
        return Listing.of(rows)  # the indices lead through what is wrapped around the list
    lists = lists_on_the_way(selector, body)
    most = max(len(rows), *(len(elements or ()) for elements in lists))
    if None not in steps:
        return Listing(rows, most, is_exact=False)
    through = steps.index(None)
    entries = lists[through]
    return Listing(rows if entries is None else entries, most, is_exact=through == len(steps) - 1)


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
