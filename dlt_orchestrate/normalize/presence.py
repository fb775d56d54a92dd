"""Whether records carry a field that a hint names: a primary key, or a column that must not be null."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from operator import itemgetter
from typing import Any
from uuid import UUID

from dlt_orchestrate.flow.batch import KeyPath
from dlt_orchestrate.flow.typed_records import fields_of, is_typed, values_of
from dlt_orchestrate.normalize.classify import Unholdable, classify, nested
from dlt_orchestrate.normalize.rules import Rules
from dlt_orchestrate.schema.naming import PATH_SEPARATOR
from dlt_orchestrate.schema.paths import ELEMENT

Naming = Callable[[KeyPath], str]

_PLAIN = frozenset({bool, int, float, str, bytes, date, datetime, Decimal, UUID})


class FieldProbe:
    """Looks for one hinted column in records, whatever the source's spelling of its keys.

    Attributes:
        name: The column as the hint names it.
    """

    def __init__(self, name: str, naming: Naming, rules: Rules) -> None:
        self.name = name
        self._naming = remembering(naming)
        self._identifier = naming((name,))
        self._rules = rules
        self._likely_key = name

    def every_record_carries(self, records: Sequence[Any]) -> bool:
        """Whether all records are quickly seen to carry the field; False means that each must be asked."""
        try:
            values = (
                values_of(records, self._likely_key)
                if is_typed(records)
                else list(map(itemgetter(self._likely_key), records))
            )
        except (KeyError, TypeError, IndexError):
            return False
        return set(map(type, values)) <= _PLAIN

    def every_row_carries(self, frame: Any) -> bool:
        """Whether an Arrow table has a flat column without nulls for the field; False means that each row must be asked."""
        from pyarrow.types import is_nested

        columns = [frame[name] for name in frame.column_names if self._naming((name,)) == self._identifier]
        return any(column.null_count == 0 and not is_nested(column.type) for column in columns)

    def is_carried_by(self, record: Any) -> bool:
        """Whether a record has a value in the field that is not null."""
        try:
            inside = nested(record)
        except Unholdable:
            return True  # it is rejected for that
        return self._is_within(inside if isinstance(inside, dict) else {ELEMENT: record}, ())

    def _is_within(self, items: Mapping[str, Any], path: KeyPath) -> bool:
        return any(self._is_at((*path, key), value) for key, value in items.items() if value is not None)

    def _is_at(self, path: KeyPath, value: Any) -> bool:
        name = self._naming(path)
        if not self._identifier.startswith(name):
            return False
        try:
            inside = nested(value)
            if inside is None:
                return name == self._identifier and self._remembers(path, value)
        except Unholdable:
            return True
        if self._rules.keeps_whole(path, level=len(path) - 1):
            return name == self._identifier
        return isinstance(inside, dict) and self._is_within(inside, path)

    def _remembers(self, path: KeyPath, value: Any) -> bool:
        if classify(value, self._rules.capabilities) is None:
            return False
        if len(path) == 1:
            self._likely_key = path[0]
        return True


class Sightings:
    """Tells which hinted columns no record has, not even with null, and what the records have instead.

    Attributes:
        unseen: The names in the hints, by the identifiers that they mean.
        columns: What the keys of the records read, in order, as long as something is unseen.
    """

    def __init__(self, names: Iterable[str], naming: Naming) -> None:
        self._naming = naming
        self.unseen = {naming((name,)): name for name in names}
        self.columns: dict[str, str] = {}

    def behind(self, earlier: Sightings | None) -> Sightings:
        """What neither these records nor those before them have."""
        if earlier is not None:
            self.unseen = {
                identifier: self.unseen[identifier] for identifier in self.unseen if identifier in earlier.unseen
            }
            self.columns = earlier.columns | self.columns
        return self

    def look_at(self, records: Sequence[Any]) -> None:
        """Look at the keys of records."""
        if self.unseen and records:
            fields = fields_of(type(records[0])) if is_typed(records) else None
            if fields:
                self.see(field.key for field in fields)
            else:  # a column may come in no record at all, so each is looked at, and most are dictionaries
                are_plain = set(map(type, records)) == {dict}
                self.see(dict.fromkeys(chain.from_iterable(records if are_plain else map(_keys, records))))

    def see(self, keys: Iterable[Any]) -> None:
        """Take in that records have these keys."""
        for key in keys:
            if self.unseen and key not in self.columns and len(self.columns) < _MOST_COLUMNS:
                self.columns[key] = found = self._naming((str(key),))
                # What lies inside of a value is not looked at: it may be there.
                for identifier in [
                    name for name in self.unseen if name == found or name.startswith(f"{found}{PATH_SEPARATOR}")
                ]:
                    del self.unseen[identifier]


_MOST_COLUMNS = 10_000
"""Keys that are remembered; where there are more, keys are data."""


def _keys(record: Any) -> Iterable[Any]:
    if isinstance(record, Mapping):
        return record.keys()
    try:
        inside = nested(record)
    except Unholdable:
        return ()
    return inside if isinstance(inside, dict) else (ELEMENT,)


def json_columns(names: Mapping[KeyPath, Iterable[str]], naming: Naming) -> Callable[[KeyPath, KeyPath], bool] | None:
    """Tells the paths whose column has one of the names that stand under the path of its table; None if there are none."""
    name_of = remembering(naming)
    identifiers = {(_table(path, name_of), name_of((name,))) for path, found in names.items() for name in found}
    if not identifiers:
        return None
    return lambda table, path: (_table(table, name_of), name_of(path)) in identifiers


def _table(path: KeyPath, name_of: Naming) -> str:
    return name_of(path) if path else ""


def remembering(naming: Naming) -> Naming:
    """The naming with a memory, since the same paths come with every record."""
    names: dict[KeyPath, str] = {}

    def name_of(path: KeyPath) -> str:
        if path not in names:
            names[path] = naming(path)
        return names[path]

    return name_of
