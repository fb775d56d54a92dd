"""The fast path: a chunk of records turned into columns in C-level loops, with the result of `rows`.

It takes only what it can prove: exact Python types, dicts with text keys, lists and tuples. A column of mixed or rarer
types is classified value by value; anything else refuses the whole chunk, which then goes to `rows`. Both are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import field
from itertools import chain, repeat
from operator import itemgetter
from types import NoneType
from typing import Any

import pyarrow as pa

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.arrays import integers
from dlt_orchestrate.flow.batch import OVERFLOW, FieldKey, KeyPath, Observed, TableBatch, TableKey
from dlt_orchestrate.flow.typed_records import Field, columns_of, fields_of, is_typed, keys_of, plain
from dlt_orchestrate.normalize.arrays import ClassColumn, column_of, columns_of_any, columns_of_plain
from dlt_orchestrate.normalize.canonical import canonical_json
from dlt_orchestrate.normalize.classify import LEFTOVER, Unholdable, check_text, nested
from dlt_orchestrate.normalize.ids import Ids, nested_ids
from dlt_orchestrate.normalize.places import Places
from dlt_orchestrate.normalize.rules import Rules
from dlt_orchestrate.schema.paths import ELEMENT, LIST
from dlt_orchestrate.schema.types import ValueClass

_NESTED = frozenset({dict, list, tuple})

FEW_RECORDS = 128
"""Records that are not worth being parted further to keep some of them on the fast path."""

_ROWS_AT_ONCE = 250
"""Rows whose values are fetched together: as many as the processor's cache holds."""

Place = tuple[int, ...]
"""The row where a field has its first value, and where its keys stand in that row: fields are ordered by it."""


class Refused(Exception):
    """The chunk holds something that only the reference can take apart.

    Attributes:
        is_local: Whether it lies in some rows, so that a part of the chunk may do without the reference.
    """

    def __init__(self, reason: str, *, is_local: bool = False) -> None:
        self.reason = reason
        self.is_local = is_local
        super().__init__(reason)


class _TooManyKeys(Exception):
    """A table would have more keys than places."""


def normalize_columns(
    root: str, records: Sequence[Any], ids: Ids, rules: Rules, refusals: Counter[str], places: Places | None = None
) -> list[TableBatch]:
    """Normalize a chunk of records, none of which is a list or None.

    Raises:
        Refused: No id was taken; `rows` must do it.
    """
    places = places or Places(rules)
    try:
        if not places.is_short:
            with suppress(_TooManyKeys):
                chunk = _Chunk(root, records, rules, refusals, places.most)
                if places.take_all(chunk.paths()):
                    return chunk.batches(ids.take(records))
            places.is_short = True
        if is_typed(records):
            raise Refused("chunk: more keys than places")
        with places.given_back_on(Refused, Unholdable):
            return _Chunk(root, places.kept(root, records), rules, refusals).batches(ids.take(records))
    except Unholdable as reason:
        raise Refused("chunk: a value that no column holds", is_local=True) from reason


@dataclass(slots=True)
class _Spread:
    """Which rows of a table a group of dicts belongs to, where not every row has one."""

    rows: list[int]
    table_length: int
    _index: pa.Array | None = None

    def over_table(self, values: pa.Array) -> pa.Array:
        """Stretch an array of the group to the rows of the table; the index is made once for all its columns."""
        if self._index is None:
            index: list[int | None] = [None] * self.table_length
            for position, row in enumerate(self.rows):
                index[row] = position
            self._index = integers(index)
        return values.take(self._index)


@dataclass(slots=True)
class _Group:
    """The dicts, or typed rows of one kind, that stand at one path of a table, and where.

    Attributes:
        spread: None if every row of the table has one.
        place: Where the dict at an index stands in its row: the positions of the keys that lead to it.
    """

    path: KeyPath
    dicts: Sequence[Any]
    spread: _Spread | None
    level: int
    place: Callable[[int], Place]

    def row(self, index: int) -> int:
        return self.spread.rows[index] if self.spread else index

    def place_of(self, key: str, index: int) -> Place:
        """Where a key stands in the row of the dict at `index`."""
        return (*self.place(index), keys_of(self.dicts[index]).index(key))


@dataclass(slots=True)
class _Table:
    key: TableKey
    length: int
    parent: _Table | None = None
    parent_rows: pa.Array | None = None
    list_indexes: pa.Array | None = None
    fields: dict[FieldKey, tuple[Place, pa.Array, Observed]] = field(default_factory=dict)
    nulls: set[KeyPath] = field(default_factory=set)
    keys: int = 0

    def add(self, key: FieldKey, place: Place, values: pa.Array, observed: Observed) -> None:
        if key in self.fields:
            raise Refused("chunk: one column is filled from two places")
        self.fields[key] = (place, values, observed)


def _no_place(_: int) -> Place:
    return ()


class _Chunk:
    """One chunk, taken apart."""

    def __init__(
        self, root: str, records: Sequence[Any], rules: Rules, refusals: Counter[str], most_keys: int | None = None
    ) -> None:
        """
        Args:
            most_keys: Keys of one table that are worth going on with; None for any number.

        Raises:
            Refused, Unholdable: Only the reference can take it apart.
            _TooManyKeys: A table has more.
        """
        self.rules = rules
        self.refusals = refusals
        self.most_keys = most_keys
        self.tables: dict[TableKey, _Table] = {}
        self.plain = plain if is_typed(records) else _as_it_is
        self.elements(self.table(TableKey(root), len(records)), records, level=0)

    def paths(self) -> dict[TableKey, set[KeyPath]]:
        """What takes a place in each table: columns, nulls, and the lists that made nested tables."""
        found = {key: {field.path for field in table.fields} | table.nulls for key, table in self.tables.items()}
        for key, table in self.tables.items():
            if table.parent is not None:
                above = table.parent.key
                found[above].add(key.path[len(above.path) :])
        return found

    def table(self, key: TableKey, length: int) -> _Table:
        if key in self.tables:
            raise Refused("chunk: one table is filled from two places")
        self.tables[key] = table = _Table(key, length)
        return table

    # --- taking apart ------------------------------------------------------------------------------------------

    def elements(self, table: _Table, elements: Sequence[Any], *, level: int) -> None:
        """Fill a table from what its rows stand for: records, or the elements of lists."""
        kinds = set(map(type, elements))
        taken = _records(kinds)
        if kinds == taken and len(kinds) == 1:
            self._group(table, _Group((), elements, None, level, _no_place))
            return
        for kind in taken:
            rows, dicts = _only({kind}, elements)
            self._group(table, _Group((), dicts, _Spread(rows, len(elements)), level, _no_place))
        if NoneType in kinds:
            table.nulls.add((ELEMENT,))
        if kinds & {list, tuple} and level < self.rules.deepest:
            taken |= {list, tuple}
            self._lists(table, (LIST,), *_only({list, tuple}, elements), level=level)
        group = _Group((), (), None, level, _no_place)
        self._leaves(table, group, (ELEMENT,), _without(taken, elements), kinds - taken, _no_place)

    def _group(self, table: _Table, group: _Group) -> None:
        fields = fields_of(type(group.dicts[0]))
        if fields is None:
            self._dicts(table, group)
        else:
            self._typed(table, group, fields)

    def _typed(self, table: _Table, group: _Group, fields: tuple[Field, ...]) -> None:
        """Typed rows: most of them need no look at their values, since the decoder has looked at their types."""
        from msgspec import UNSET, UnsetType

        self._check([key for key, _ in fields])
        for (key, only), values in zip(fields, columns_of(group.dicts, _ROWS_AT_ONCE), strict=True):
            kinds = set(map(type, values)) if only is None else {only}
            if UnsetType in kinds:
                values, kinds = [None if value is UNSET else value for value in values], kinds - {UnsetType}
            self._count_keys(table, 1 if kinds else 0)
            self._column(table, group, key, values, kinds, has_null=NoneType in kinds)

    def _count_keys(self, table: _Table, count: int) -> None:
        table.keys += count
        if self.most_keys is not None and table.keys > self.most_keys:
            raise _TooManyKeys

    def _dicts(self, table: _Table, group: _Group) -> None:
        shared = _shared_columns(group.dicts)
        is_uniform = set(map(len, group.dicts)) == {len(shared)}
        keys = list(shared) if is_uniform else list(dict.fromkeys(chain.from_iterable(group.dicts)))
        self._count_keys(table, len(keys))
        self._check(keys)
        for key in keys:
            values = shared.pop(key, None)
            is_complete = values is not None
            if values is None:
                values = [d.get(key) for d in group.dicts]
            kinds = set(map(type, values))
            has_null = NoneType in kinds and (is_complete or any(key in d and d[key] is None for d in group.dicts))
            self._column(table, group, key, values, kinds, has_null=has_null)

    def _check(self, keys: Iterable[Any]) -> None:
        for key in keys:
            if key is LEFTOVER:
                continue
            if type(key) is not str:
                raise Refused("chunk: a key that is no text")
            check_text(key, self.rules.capabilities)

    def _column(
        self, table: _Table, group: _Group, key: str, values: list[Any], kinds: set[type], *, has_null: bool
    ) -> None:
        """One key of a group: its dicts and lists are taken apart, the rest becomes columns."""
        path = OVERFLOW if key is LEFTOVER else (*group.path, key)
        if has_null:
            table.nulls.add(path)
        inner = (kinds & _NESTED) | _records(kinds)
        if inner and not self.rules.keeps_whole(path, level=group.level, table=table.key.path):
            self._inner(table, group, key, values, inner)
            values, kinds = _without(inner, values), kinds - inner
        self._leaves(table, group, path, values, kinds, lambda index: group.place_of(key, index))

    def _inner(self, table: _Table, group: _Group, key: str, values: list[Any], kinds: set[type]) -> None:
        path = (*group.path, key)
        for kind in _records(kinds):
            at, dicts = _only({kind}, values)
            rows = at if group.spread is None else [group.spread.rows[index] for index in at]
            spread = None if len(rows) == table.length else _Spread(rows, table.length)
            place = _inner_place(group, key, at)
            self._group(table, _Group(path, dicts, spread, group.level + 1, place))
        if kinds & {list, tuple}:
            at, lists = _only({list, tuple}, values)
            rows = at if group.spread is None else [group.spread.rows[index] for index in at]
            self._lists(table, path, rows, lists, level=group.level)

    def _lists(self, table: _Table, path: KeyPath, rows: list[int], lists: list[Any], *, level: int) -> None:
        """A nested table from the lists that stand in some rows of a table."""
        elements = list(chain.from_iterable(lists))
        if not elements:
            return
        lengths = list(map(len, lists))
        child = self.table(TableKey(table.key.root, table.key.path + path), len(elements))
        child.parent = table
        child.parent_rows = integers(list(chain.from_iterable(map(repeat, rows, lengths))))
        child.list_indexes = integers(list(chain.from_iterable(map(range, lengths))))
        self.elements(child, elements, level=level + 1)

    # --- columns -----------------------------------------------------------------------------------------------

    def _leaves(
        self,
        table: _Table,
        group: _Group,
        path: KeyPath,
        values: Sequence[Any],
        kinds: set[type],
        place: Callable[[int], Place],
    ) -> None:
        """Add the columns of one path: a column for each class among its values."""
        if NoneType in kinds:
            kinds = kinds - {NoneType}
        if kinds:
            for column in self._columns(values, kinds):
                first = (group.row(column.first), *place(column.first))
                array = group.spread.over_table(column.values) if group.spread else column.values
                table.add(FieldKey(path, column.value_class), first, array, column.observed)

    def _columns(self, values: Sequence[Any], kinds: set[type]) -> list[ClassColumn]:
        whole = (kinds & _NESTED) | _records(kinds)
        if whole:
            return [*self._whole(values, whole), *self._columns(_without(whole, values), kinds - whole)]
        if not kinds:
            return []
        columns = columns_of_plain(values, kinds, self.rules)
        if columns is not None:
            return columns
        self.refusals[f"column: {', '.join(sorted(kind.__name__ for kind in kinds))}"] += 1
        if any(_has_inside(value) for value in values if type(value) in kinds):
            raise Refused("chunk: an object with fields")
        return columns_of_any(values, self.rules)

    def _whole(self, values: Sequence[Any], kinds: set[type]) -> list[ClassColumn]:
        texts = [canonical_json(self.plain(v), self.rules.capabilities) if type(v) in kinds else None for v in values]
        column = column_of(ValueClass.JSON, texts, self.rules)
        return [] if column is None else [column]

    # --- batches -----------------------------------------------------------------------------------------------

    def batches(self, root_ids: pa.Array) -> list[TableBatch]:
        """The tables, parents before the tables nested in them, with their ids."""
        made: dict[TableKey, TableBatch] = {}
        for key, table in self.tables.items():
            made[key] = _root_batch(table, root_ids) if table.parent is None else _nested_batch(table, made)
        return list(made.values())


def _as_it_is(value: Any) -> Any:
    """A value of a record that is a dictionary; it may be nested more deeply than Python can follow."""
    return value


def _root_batch(table: _Table, row_ids: pa.Array) -> TableBatch:
    columns, observed, nulls = _fields(table)
    return TableBatch(table.key, row_ids, columns, observed, null_paths=nulls)


def _nested_batch(table: _Table, made: dict[TableKey, TableBatch]) -> TableBatch:
    assert table.parent is not None
    parent = made[table.parent.key]
    parent_ids = parent.row_ids.take(table.parent_rows)
    columns, observed, nulls = _fields(table)
    return TableBatch(
        table.key,
        nested_ids(parent_ids, table.list_indexes),
        columns,
        observed,
        parent_ids=parent_ids,
        list_indexes=table.list_indexes,
        root_ids=parent_ids if parent.root_ids is None else parent.root_ids.take(table.parent_rows),
        null_paths=nulls,
    )


def _fields(table: _Table) -> tuple[dict[FieldKey, pa.Array], dict[FieldKey, Observed], frozenset[KeyPath]]:
    order = sorted(table.fields, key=lambda key: table.fields[key][0])
    columns = {key: table.fields[key][1] for key in order}
    observed = {key: table.fields[key][2] for key in order}
    return columns, observed, frozenset(table.nulls.difference(key.path for key in columns))


def _shared_columns(dicts: Sequence[dict[Any, Any]]) -> dict[Any, list[Any]]:
    """The values of the keys of the narrowest dict, if every dict has these keys; else nothing.

    Values are fetched row by row, some rows at a time, since those of a row lie together in memory.
    """
    columns: dict[Any, list[Any]] = {key: [] for key in min(dicts, key=len)}
    if not columns:
        return {}
    fetch = itemgetter(*columns) if len(columns) > 1 else lambda d: tuple(map(d.__getitem__, columns))
    try:
        for start in range(0, len(dicts), _ROWS_AT_ONCE):
            rows = map(fetch, dicts[start : start + _ROWS_AT_ONCE])
            for column, values in zip(columns.values(), zip(*rows, strict=True), strict=True):
                column += values
    except KeyError:
        return {}
    return columns


def _inner_place(group: _Group, key: str, at: list[int]) -> Callable[[int], Place]:
    return lambda index: group.place_of(key, at[index])


def _records(kinds: Iterable[type]) -> set[type]:
    """Of some types, that of dicts and those of typed rows."""
    return {kind for kind in kinds if kind is dict or fields_of(kind) is not None}


def _only(kinds: set[type], values: Sequence[Any]) -> tuple[list[int], list[Any]]:
    """The values of some types and their indexes."""
    if len(kinds) == 1:
        (kind,) = kinds
        at = [index for index, value in enumerate(values) if type(value) is kind]
    else:
        at = [index for index, value in enumerate(values) if type(value) in kinds]
    return at, [values[index] for index in at]


def _without(kinds: Iterable[type], values: Sequence[Any]) -> list[Any]:
    """The values with None for those of some types."""
    unwanted = frozenset(kinds)
    return [None if type(value) in unwanted else value for value in values]


def _has_inside(value: Any) -> bool:
    return nested(value) is not None
