"""The reference: one record at a time, in plain Python. What this does is correct by definition.

    scalar                  a column named by the keys that lead to it; `value` where no key does
    dict                    its keys lengthen the path; an empty one leaves nothing
    list                    a nested table named by the keys from the root record; an empty one leaves nothing
    list in a list          a nested table `list` below a row without columns
    None                    a column that was seen; in a list a row whose `value` is null
    nested too deeply,      a column of JSON
    or hinted as JSON

`columns` does the same faster, and hands to this module what it cannot prove to be uniform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import field
from typing import Any

import pyarrow as pa

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.arrays import integers, strings
from dlt_orchestrate.flow.batch import OVERFLOW, FieldKey, KeyPath, Observed, TableBatch, TableKey
from dlt_orchestrate.normalize.arrays import column_of
from dlt_orchestrate.normalize.canonical import canonical_json
from dlt_orchestrate.normalize.classify import LEFTOVER, Unholdable, check_text, classify, nested
from dlt_orchestrate.normalize.ids import Ids
from dlt_orchestrate.normalize.places import Places
from dlt_orchestrate.normalize.rules import Rules
from dlt_orchestrate.schema.paths import ELEMENT, LIST
from dlt_orchestrate.schema.types import ValueClass

OnReject = Callable[[Any, Unholdable], None]


@dataclass(slots=True)
class Row:
    """One row of one table.

    Attributes:
        suffix: What the row's id adds to the id of its root row: "" for the root row itself, else ".<index>..."
        parent_suffix: The same for the parent; None for root rows.
        nulls: Paths that hold None.
    """

    table: TableKey
    suffix: str = ""
    parent_suffix: str | None = None
    list_index: int | None = None
    values: dict[FieldKey, Any] = field(default_factory=dict)
    nulls: set[KeyPath] = field(default_factory=set)


def normalize_rows(
    root: str, records: Sequence[Any], ids: Ids, rules: Rules, on_reject: OnReject, places: Places | None = None
) -> list[TableBatch]:
    """Normalize records, none of which is a list or None; those with a value that nothing holds go to `on_reject`."""
    places = places or Places(rules)
    accepted = []
    root_ids: list[str] = []
    for record, kept in zip(records, places.kept(root, records), strict=True):
        try:
            rows = rows_of(kept, root, rules)
            root_ids.append(ids.take([record])[0].as_py())
            accepted.append(rows)
        except Unholdable as reason:
            on_reject(record, reason)
    return _batches([(root_id, row) for root_id, rows in zip(root_ids, accepted, strict=True) for row in rows], rules)


def rows_of(record: Any, root: str, rules: Rules) -> list[Row]:
    """The rows that one record becomes, parents before the rows nested in them.

    Raises:
        Unholdable: No column holds a value of the record; its path is told.
    """
    walk = _Walk(rules)
    walk.element(walk.row(TableKey(root)), record, level=0)
    return walk.rows


class _Walk:
    """Takes one record apart."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.rows: list[Row] = []

    def row(self, table: TableKey) -> Row:
        row = Row(table)
        self.rows.append(row)
        return row

    def element(self, row: Row, element: Any, *, level: int) -> None:
        """Fill a row from what it stands for: the record, or an element of a list."""
        inner = self._inside(element, row.table.path)
        if isinstance(inner, dict):
            self._items(row, (), inner, level)
        elif isinstance(inner, list) and level < self.rules.deepest:
            self._list(row, (LIST,), inner, level)
        else:
            self._value(row, (ELEMENT,), element, level)

    def _items(self, row: Row, path: KeyPath, items: dict[str, Any], level: int) -> None:
        for key, value in items.items():
            self._value(row, OVERFLOW if key is LEFTOVER else (*path, self._key(key, path)), value, level)

    def _value(self, row: Row, path: KeyPath, value: Any, level: int) -> None:
        inner = self._inside(value, path)
        if inner is None:
            self._scalar(row, path, value)
        elif self.rules.keeps_whole(path, level=level, table=row.table.path):
            self._whole(row, path, value)
        elif isinstance(inner, dict):
            self._items(row, path, inner, level + 1)
        else:
            self._list(row, path, inner, level)

    def _list(self, row: Row, path: KeyPath, elements: list[Any], level: int) -> None:
        table = TableKey(row.table.root, row.table.path + path)
        for index, element in enumerate(elements):
            nested_row = self.row(table)
            nested_row.suffix, nested_row.parent_suffix = f"{row.suffix}.{index}", row.suffix
            nested_row.list_index = index
            self.element(nested_row, element, level=level + 1)

    def _scalar(self, row: Row, path: KeyPath, value: Any) -> None:
        try:
            classified = classify(value, self.rules.capabilities)
        except Unholdable as reason:
            raise reason.at(row.table.path + path) from None
        if classified is None:
            row.nulls.add(path)
        else:
            value_class, stored = classified
            row.values[FieldKey(path, value_class)] = stored

    def _whole(self, row: Row, path: KeyPath, value: Any) -> None:
        try:
            row.values[FieldKey(path, ValueClass.JSON)] = canonical_json(value, self.rules.capabilities)
        except Unholdable as reason:
            raise reason.at(row.table.path + path) from None

    def _inside(self, value: Any, path: KeyPath) -> dict[str, Any] | list[Any] | None:
        try:
            return nested(value)
        except Unholdable as reason:
            raise reason.at(path) from None

    def _key(self, key: str, path: KeyPath) -> str:
        try:
            return check_text(key, self.rules.capabilities)
        except Unholdable as reason:
            raise reason.at(path) from None


# --- rows into batches -----------------------------------------------------------------------------------------


def _batches(rows: Iterable[tuple[str, Row]], rules: Rules) -> list[TableBatch]:
    by_table: dict[TableKey, list[tuple[str, Row]]] = {}
    for root_id, row in rows:
        by_table.setdefault(row.table, []).append((root_id, row))
    return [_batch(table, members, rules) for table, members in by_table.items()]


def _batch(table: TableKey, members: list[tuple[str, Row]], rules: Rules) -> TableBatch:
    rows = [row for _, row in members]
    columns, observed = _columns(rows, rules)
    seen = {path for path, _ in columns}
    nulls = frozenset(path for row in rows for path in row.nulls if path not in seen)
    row_ids = strings([root_id + row.suffix for root_id, row in members])
    if not table.path:
        return TableBatch(table, row_ids, columns, observed, null_paths=nulls)
    return TableBatch(
        table,
        row_ids,
        columns,
        observed,
        parent_ids=strings([root_id + (row.parent_suffix or "") for root_id, row in members]),
        list_indexes=integers([row.list_index for row in rows]),
        root_ids=strings([root_id for root_id, _ in members]),
        null_paths=nulls,
    )


def _columns(rows: list[Row], rules: Rules) -> tuple[dict[FieldKey, pa.Array], dict[FieldKey, Observed]]:
    """A column for each field, in the order of their first values."""
    columns: dict[FieldKey, pa.Array] = {}
    observed: dict[FieldKey, Observed] = {}
    for key in dict.fromkeys(key for row in rows for key in row.values):
        column = column_of(key.value_class, [row.values.get(key) for row in rows], rules)
        assert column is not None
        columns[key], observed[key] = column.values, column.observed
    return columns, observed
