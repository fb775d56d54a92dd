"""Which keys of a table become columns and nested tables: those that come first. What other keys hold is left together.

Keys that are data, such as ids, would each make a column. So a table has a limited number of places; a key takes one with
its first value, null or list. What comes under further keys is taken out of the row and put, as one object of JSON, under
`LEFTOVER`. Whether a key has a place depends on the order of rows and keys in the load, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from itertools import chain
from types import NoneType
from typing import Any

from dlt_orchestrate.flow.batch import OVERFLOW, KeyPath, TableKey
from dlt_orchestrate.normalize.canonical import canonical_json
from dlt_orchestrate.normalize.classify import LEFTOVER, JsonText, Unholdable, nested
from dlt_orchestrate.normalize.rules import Bounds, Rules
from dlt_orchestrate.schema.paths import ELEMENT, LIST

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

    def __init__(self, rules: Rules, bounds: Bounds | None = None, has_place: HasPlace = _nowhere) -> None:
        """
        Args:
            bounds: Places of each table, new nested tables, and the length of keys.
            has_place: Tells keys that have a place besides.
        """
        bounds = bounds or Bounds()
        self.most = rules.capabilities.max_columns if bounds.columns is None else bounds.columns
        self.is_short = False
        self._most_tables = bounds.tables
        self._longest_key = bounds.key_length
        self._new_tables: set[TableKey] = set()
        self._stored_tables: set[TableKey] = set()
        self._rules = rules
        self._has_place = has_place
        self._taken: dict[TableKey, set[KeyPath]] = {}
        self._spared: dict[TableKey, set[KeyPath]] = {}

    def take_all(self, found: Mapping[TableKey, Collection[KeyPath]]) -> bool:
        """Give every path a place; False, and nothing is done, if there is not room for all."""
        fresh = {table: self._fresh(table, paths) for table, paths in found.items()}
        if any(len(self._taken.get(table, ())) + len(paths) > self.most for table, paths in fresh.items()):
            return False
        if self._longest_key is not None and any(map(self._is_too_long, chain.from_iterable(fresh.values()))):
            return False
        if not self._takes_tables(found):
            return False
        for table, paths in fresh.items():
            for path in paths:
                self._admits(table, path)
        return True

    def _fresh(self, table: TableKey, paths: Iterable[KeyPath]) -> list[KeyPath]:
        known: list[set[KeyPath]] = [held[table] for held in (self._taken, self._spared) if table in held]
        return [path for path in paths if path != OVERFLOW and not any(path in held for held in known)]

    @contextmanager
    def given_back_on(self, *errors: type[Exception]) -> Iterator[None]:
        """Give back the places that are taken in the block if it fails: the same records will come once more.

        Places that later ones among them have taken would be there for earlier ones then.
        """
        held = (self._taken, self._spared)
        before = [{table: set(paths) for table, paths in places.items()} for places in held]
        tables = (set(self._new_tables), set(self._stored_tables))
        try:
            yield
        except errors:
            self._taken, self._spared = before
            self._new_tables, self._stored_tables = tables
            raise

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
        if isinstance(inner, list) and level < self._rules.deepest and (not inner or self._takes_table(table, (LIST,))):
            return self._list(table, (LIST,), inner, level)
        self._force(table, (ELEMENT,))
        return element if inner is None else JsonText(canonical_json(inner, self._rules.capabilities))

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
            elif not inner or (self._takes_table(table, at) and self._admits(table, at)):
                kept[key] = self._list(table, at, inner, level)
            else:
                left[key] = value
        return kept

    def _list(self, table: TableKey, path: KeyPath, elements: list[Any], level: int) -> list[Any]:
        if elements:
            self._force(table, path)
        child = TableKey(table.root, table.path + path)
        return [self._element(child, element, level + 1) for element in elements]

    def _takes_tables(self, found: Iterable[TableKey]) -> bool:
        """Whether all tables may be there; False, and none is taken, if there are too many new ones."""
        known = self._new_tables | self._stored_tables
        fresh = {table for table in found if table.path and table not in known}
        if self._most_tables is None or not fresh:
            return True
        everything = known | set(found)
        stored = {table for table in fresh if self._is_stored(table, everything)}
        if len(self._new_tables) + len(fresh - stored) > self._most_tables:
            return False
        self._stored_tables |= stored
        self._new_tables |= fresh - stored
        return True

    def _is_stored(self, table: TableKey, known: Collection[TableKey]) -> bool:
        cuts = range(len(table.path) - 1, -1, -1)
        above = (TableKey(table.root, table.path[:cut]) for cut in cuts)
        parent = next((key for key in above if key in known or not key.path), TableKey(table.root))
        return self._has_place(parent, table.path[len(parent.path) :])

    def _takes_table(self, table: TableKey, path: KeyPath) -> bool:
        """Whether a list may make a nested table, or add to one."""
        child = TableKey(table.root, table.path + path)
        if self._most_tables is None or child in self._new_tables or child in self._stored_tables:
            return True
        if self._has_place(table, path):
            self._stored_tables.add(child)
            return True
        if len(self._new_tables) >= self._most_tables:
            return False
        self._new_tables.add(child)
        return True

    def _is_too_long(self, path: KeyPath) -> bool:
        return self._longest_key is not None and any(len(key) > self._longest_key for key in path)

    def _admits(self, table: TableKey, path: KeyPath) -> bool:
        """Whether a path has a place, which it takes if there is one left."""
        taken = self._taken.setdefault(table, set())
        if path in taken or path in self._spared.get(table, ()):
            return True
        if self._has_place(table, path):
            self._spared.setdefault(table, set()).add(path)
            return True
        if len(taken) >= self.most or self._is_too_long(path):
            return False
        taken.add(path)
        return True

    def _force(self, table: TableKey, path: KeyPath) -> None:
        """A place for what no key leads to, also beyond the limit."""
        if not self._admits(table, path):
            self._spared.setdefault(table, set()).add(path)
