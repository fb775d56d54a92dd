"""Which keys of a table become columns and nested tables: those that come first. What other keys hold is left together.

Keys that are data, such as ids, would each make a column. So a table has a limited number of places; a key takes one with
its first value, null or list. What comes under further keys is taken out of the row and put, as one object of JSON, under
`LEFTOVER`. Whether a key has a place depends on the order of rows and keys in the load, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from types import NoneType
from typing import Any

from dlt_orchestrate.flow.batch import OVERFLOW, KeyPath, TableKey
from dlt_orchestrate.normalize.canonical import canonical_json
from dlt_orchestrate.normalize.classify import LEFTOVER, JsonText, Unholdable, nested
from dlt_orchestrate.normalize.rules import Rules

VALUE = "value"
"""The column of a scalar that no key leads to."""

LIST = "list"
"""The key of a list that stands in a list."""

HasPlace = Callable[[TableKey, KeyPath], bool]
"""Whether a key has a place from before: a stored column or table, or a hint."""

_SCALARS = frozenset({NoneType, bool, int, float, str, bytes, Decimal, datetime, date, time})


def _nowhere(_table: TableKey, _path: KeyPath) -> bool:
    return False


class Places:
    """The places of one root table and the tables nested in it, taken while the rows of a load come by.

    Attributes:
        is_short: Whether records must be looked at one by one, since not every key of them has a place.
    """

    def __init__(self, rules: Rules, most: int | None = None, has_place: HasPlace = _nowhere) -> None:
        """
        Args:
            most: Places of each table; None for as many columns as the destination allows.
            has_place: Tells keys that have a place besides.
        """
        self.most = rules.capabilities.max_columns if most is None else most
        self.is_short = False
        self._rules = rules
        self._has_place = has_place
        self._taken: dict[TableKey, set[KeyPath]] = {}
        self._spared: dict[TableKey, set[KeyPath]] = {}

    def take_all(self, found: Mapping[TableKey, Collection[KeyPath]]) -> bool:
        """Give every path a place; False, and nothing is done, if there is not room for all."""
        fresh = {table: self._fresh(table, paths) for table, paths in found.items()}
        if any(len(self._taken.get(table, ())) + len(paths) > self.most for table, paths in fresh.items()):
            return False
        for table, paths in fresh.items():
            for path in paths:
                self._admits(table, path)
        return True

    def _fresh(self, table: TableKey, paths: Iterable[KeyPath]) -> list[KeyPath]:
        known: list[set[KeyPath]] = [held[table] for held in (self._taken, self._spared) if table in held]
        return [path for path in paths if path != OVERFLOW and not any(path in held for held in known)]

    def kept(self, root: str, records: Sequence[Any]) -> Sequence[Any]:
        """The records with what has a place, and the rest of each under `LEFTOVER`.

        A record with a value that no column holds is given back as it is, to be rejected for that.
        """
        table = TableKey(root)
        return [self._record(table, record) for record in records]

    def _record(self, table: TableKey, record: Any) -> Any:
        try:
            return self._element(table, record, 0)
        except Unholdable:
            return record

    def _element(self, table: TableKey, element: Any, level: int) -> Any:
        inner = nested(element)
        if isinstance(inner, dict):
            left: dict[str, Any] = {}
            kept = self._items(table, (), inner, level, left)
            if left:
                kept[LEFTOVER] = JsonText(canonical_json(left, self._rules.capabilities))
            return kept
        if isinstance(inner, list) and level < self._rules.deepest:
            return self._list(table, (LIST,), inner, level)
        self._force(table, (VALUE,))
        return element

    def _items(
        self, table: TableKey, path: KeyPath, items: Mapping[str, Any], level: int, left: dict[str, Any]
    ) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, value in items.items():
            at = (*path, key)
            inner = None if type(value) in _SCALARS else nested(value)
            if inner is None or self._rules.keeps_whole(at, level=level, table=table.path):
                (kept if self._admits(table, at) else left)[key] = value
            elif isinstance(inner, dict):
                left_inside: dict[str, Any] = {}
                kept[key] = self._items(table, at, inner, level + 1, left_inside)
                if left_inside:
                    left[key] = left_inside
            elif not inner or self._admits(table, at):
                kept[key] = self._list(table, at, inner, level)
            else:
                left[key] = value
        return kept

    def _list(self, table: TableKey, path: KeyPath, elements: list[Any], level: int) -> list[Any]:
        if elements:
            self._force(table, path)
        child = TableKey(table.root, table.path + path)
        return [self._element(child, element, level + 1) for element in elements]

    def _admits(self, table: TableKey, path: KeyPath) -> bool:
        """Whether a path has a place, which it takes if there is one left."""
        taken = self._taken.setdefault(table, set())
        if path in taken or path in self._spared.get(table, ()):
            return True
        if self._has_place(table, path):
            self._spared.setdefault(table, set()).add(path)
            return True
        if len(taken) >= self.most:
            return False
        taken.add(path)
        return True

    def _force(self, table: TableKey, path: KeyPath) -> None:
        """A place for what no key leads to, also beyond the limit."""
        if not self._admits(table, path):
            self._spared.setdefault(table, set()).add(path)
