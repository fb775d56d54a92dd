"""Pages of one resource into table batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from dlt_orchestrate.flow.batch import KeyPath, TableBatch, TableKey
from dlt_orchestrate.flow.cursor import value_at
from dlt_orchestrate.flow.package import Reject
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.flow.typed_records import TypedRecords, is_typed, plain
from dlt_orchestrate.normalize.canonical import record_text
from dlt_orchestrate.normalize.chunks import Chunker, flat
from dlt_orchestrate.normalize.classify import Unholdable
from dlt_orchestrate.normalize.columns import FEW_RECORDS, Refused, normalize_columns
from dlt_orchestrate.normalize.ids import ContentIds, DltContentIds, Ids, RowIds
from dlt_orchestrate.normalize.places import HasPlace, Places
from dlt_orchestrate.normalize.presence import FieldProbe, Naming, Sightings, json_columns
from dlt_orchestrate.normalize.rows import normalize_rows
from dlt_orchestrate.normalize.rules import Bounds, Rules
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.table import TableHints


class NormalizedBatch(NamedTuple):
    """A batch of rows that carry the declared key, or of rows that lack it.

    Attributes:
        keyless: The rows of this batch, or the root rows it belongs to, lack a part of the declared primary key; their
            ids are made from their content.
    """

    keyless: bool
    batch: TableBatch


class _RootTable:
    """What is remembered of one root table between pages."""

    def __init__(self, name: str, row_ids: Ids, content_ids: Ids, new_places: Callable[[], Places]) -> None:
        self.name = name
        self.chunker = Chunker()
        self.row_ids = row_ids
        self.content_ids = content_ids
        self.places = new_places()
        self.keyless_places = new_places()


class Normalizer:
    """Takes the pages of one resource apart; decides neither names nor types.

    Attributes:
        rows_seen: Records so far, rejected ones included; those still being gathered are not.
        rejects: The first rows that cannot be loaded; `reject_count` counts all.
        keyless_rejects: The first rows that lack the declared key, ready to be rejected if other rows carry it.
        keyed_counts, keyless_counts: Accepted rows that carry the declared key and that lack it, by root table.
        refusals: How often the fast path was left, by reason.
        sightings: Which of the columns that decide how rows are written no record has had.
    """

    def __init__(
        self,
        *,
        resource: str,
        hints: TableHints,
        capabilities: Capabilities,
        id_prefix: Callable[[], str],
        naming: Naming | None = None,
        bounds: Bounds | None = None,
        has_place: HasPlace | None = None,
        versions_hashed_by_dlt: bool = False,
        keep_reject_limit: int = 1001,
        cursor_keys: KeyPath = (),
        oracle: bool = False,
    ) -> None:
        """
        Args:
            naming: The identifier of a path of keys; joins them with two underscores if not given.
            bounds: How much a load may make of the records.
            has_place: Tells keys that become columns besides, since there is a column for them.
            id_prefix: Gives the random part of the ids of one root table.
            versions_hashed_by_dlt: Whether the ids of versions are those that dlt would give.
            keep_reject_limit: Most rejects that are kept.
            cursor_keys: The keys that lead to the cursor's field in a record; () without one.
            oracle: Whether to do without the fast path.
        """
        self.resource = resource
        self.rows_seen = 0
        self.reject_count = 0
        self.rejects: list[Reject] = []
        self.keyless_rejects: list[Reject] = []
        self.keyed_counts: Counter[str] = Counter()
        self.keyless_counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self._id_prefix = id_prefix
        self._keep = keep_reject_limit
        self._cursor_keys = cursor_keys
        self._oracle = oracle
        self._version_ids = DltContentIds if versions_hashed_by_dlt else ContentIds
        self._roots: dict[str, _RootTable] = {}
        naming = naming or "__".join
        bounds = bounds or Bounds()
        self._rules = _rules_of(hints, capabilities, naming, bounds)
        key = hints.required_key
        self._key_name = "primary key" if hints.primary_key else "merge key"
        self.sightings = Sightings(hints.deciding_columns, naming)
        self._key = [FieldProbe(name, naming, self._rules) for name in key]
        self._new_places = partial(Places, self._rules, bounds, _with_hinted(has_place, hints, naming))
        self._hints = hints
        self._required = [
            FieldProbe(name, naming, self._rules)
            for name, hint in hints.columns.items()
            if hint.nullable is False and name not in key
        ]

    @property
    def has_begun(self) -> bool:
        """Whether records have come, among them those still being gathered."""
        return bool(self._roots)

    @property
    def keyed_count(self) -> int:
        """Accepted rows that carry the declared key; all rows if none is declared."""
        return self.keyed_counts.total()

    @property
    def keyless_count(self) -> int:
        """Accepted rows that lack a part of the declared key."""
        return self.keyless_counts.total()

    def add(self, page: Page) -> list[NormalizedBatch]:
        """Take a page; gives the batches that are complete."""
        root = self._root(page.table_name)
        if page.frame is not None:
            return [*self._chunk(root, root.chunker.rest(), self._rules), *self._frame(root, page.frame)]
        batches: list[NormalizedBatch] = []
        rows = page.rows if type(page.rows) is TypedRecords else flat(page.rows)
        if not root.chunker.goes_with(rows):
            batches += self._chunk(root, root.chunker.rest(), self._rules)
        for records in root.chunker.add(rows):
            batches += self._chunk(root, records, self._rules)
        return batches

    def finish(self) -> list[NormalizedBatch]:
        """The batches of what was still being gathered."""
        return [batch for root in self._roots.values() for batch in self._chunk(root, root.chunker.rest(), self._rules)]

    def _root(self, name: str) -> _RootTable:
        if name not in self._roots:
            self._roots[name] = _RootTable(name, self._row_ids(), ContentIds(self._rules.capabilities), self._new_places)
        return self._roots[name]

    def _row_ids(self) -> Ids:
        """Versions are told apart by their content, of those with one key only one is kept; other rows are numbered."""
        if self._hints.keeps_versions:
            return self._version_ids(self._rules.capabilities, are_distinct=not self._hints.primary_key)
        return RowIds(self._id_prefix())

    # --- records -----------------------------------------------------------------------------------------------

    def _chunk(self, root: _RootTable, records: Sequence[Any], rules: Rules) -> list[NormalizedBatch]:
        self.rows_seen += len(records)
        self.sightings.look_at(records)
        records = self._plain_if_needed(root, records)
        records = self._with_required_fields(root, records)
        with_key, without = self._split_by_key(root, records)
        keyed = self._counted(root, with_key, rules, root.row_ids, root.places, self.keyed_counts)
        keyless = self._counted(root, without, rules, root.content_ids, root.keyless_places, self.keyless_counts)
        return [*(NormalizedBatch(False, batch) for batch in keyed), *(NormalizedBatch(True, batch) for batch in keyless)]

    def _counted(
        self, root: _RootTable, records: Sequence[Any], rules: Rules, ids: Ids, places: Places, counts: Counter[str]
    ) -> list[TableBatch]:
        if not records:
            return []
        batches = self._normalized(root, records, rules, ids, places)
        counts[root.name] += _root_rows(batches)
        return batches

    def _normalized(
        self, root: _RootTable, records: Sequence[Any], rules: Rules, ids: Ids, places: Places
    ) -> list[TableBatch]:
        """The records by the fast path; the part of them that it refuses by the reference, in halves down to a few."""
        if not self._oracle:
            try:
                return normalize_columns(root.name, records, ids, rules, self.refusals, places)
            except Refused as refused:
                self.refusals[refused.reason] += 1
                if is_typed(records):
                    return self._normalized(root, [plain(record) for record in records], rules, ids, places)
                if refused.is_local and len(records) > FEW_RECORDS:
                    half = len(records) // 2
                    parts = (records[:half], records[half:])
                    return [batch for part in parts for batch in self._normalized(root, part, rules, ids, places)]
        return normalize_rows(root.name, records, ids, rules, self._on_reject(root), places)

    def _frame(self, root: _RootTable, frame: Any) -> list[NormalizedBatch]:
        """An Arrow table: whole if every row carries what hints ask for and ids are numbers, else as records."""
        from dlt_orchestrate.normalize.arrow import as_declared, flat_columns, normalize_arrow, python_rows

        rules = replace(self._rules, detects_text=False)
        probes = (*self._required, *self._key)
        has_room = root.places.take_all({TableKey(root.name): [(name,) for name in flat_columns(frame)]})
        needs_records = self._oracle or self._hints.keeps_versions or not has_room
        if needs_records or not all(probe.every_row_carries(frame) for probe in probes):
            return [
                NormalizedBatch(found.keyless, as_declared(found.batch, frame))
                for start in range(0, frame.num_rows, _FRAME_RECORDS)
                for found in self._chunk(root, python_rows(frame.slice(start, _FRAME_RECORDS)), rules)
            ]
        self.rows_seen += frame.num_rows
        self.sightings.see(frame.column_names)
        batches = normalize_arrow(root.name, frame, root.row_ids, rules, self.refusals, self._on_reject(root), root.places)
        self.keyed_counts[root.name] += _root_rows(batches)
        return [NormalizedBatch(False, batch) for batch in batches]

    # --- rows that lack something ------------------------------------------------------------------------------

    def _plain_if_needed(self, root: _RootTable, records: Sequence[Any]) -> Sequence[Any]:
        """Typed rows as dictionaries, where some must be looked at one by one, or are put together in another way."""
        if not is_typed(records):
            return records
        probes = (*self._required, *self._key)
        needs_records = self._oracle or self._hints.keeps_versions or root.places.is_short
        if not needs_records and all(probe.every_record_carries(records) for probe in probes):
            return records
        return [plain(record) for record in records]

    def _with_required_fields(self, root: _RootTable, records: Sequence[Any]) -> Sequence[Any]:
        for probe in self._required:
            if not probe.every_record_carries(records):
                records, without = _split(records, [probe])
                for record in without:
                    cause = f"column {probe.name!r} has no value here, and is declared as not nullable"
                    self._reject(root, record, probe.name, cause)
        return records

    def _split_by_key(self, root: _RootTable, records: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        if all(probe.every_record_carries(records) for probe in self._key):
            return records, ()
        keyed, keyless = _split(records, self._key)
        for record in keyless[: self._keep - len(self.keyless_rejects)]:
            missing = next(probe.name for probe in self._key if not probe.is_carried_by(record))
            cause = f"the row lacks {self._key_name} {missing!r}, which other rows carry"
            self.keyless_rejects.append(self._rejection(root, record, missing, cause))
        return keyed, keyless

    def _on_reject(self, root: _RootTable) -> Callable[[Any, Unholdable], None]:
        def reject(record: Any, reason: Unholdable) -> None:
            self._reject(root, record, ".".join(reason.path) or None, reason.cause)

        return reject

    def _reject(self, root: _RootTable, record: Any, column: str | None, cause: str) -> None:
        self.reject_count += 1
        if len(self.rejects) < self._keep:
            self.rejects.append(self._rejection(root, record, column, cause))

    def _rejection(self, root: _RootTable, record: Any, column: str | None, cause: str) -> Reject:
        return Reject(self.resource, root.name, record_text(record), column, cause, value_at(record, self._cursor_keys))


_FRAME_RECORDS = 2_000
"""Rows of an Arrow table that are made into records at once."""


def _rules_of(hints: TableHints, capabilities: Capabilities, naming: Naming, bounds: Bounds) -> Rules:
    deepest = bounds.levels if hints.max_nesting is None else min(hints.max_nesting, bounds.levels)
    if bounds.field_bytes is not None and bounds.field_bytes < capabilities.max_field_bytes:
        capabilities = replace(capabilities, max_field_bytes=bounds.field_bytes)
    whole = {
        path: [name for name, hint in found.columns.items() if hint.type and hint.type.kind == "json"]
        for path, found in {(): hints, **hints.nested}.items()
    }
    return Rules(capabilities, deepest, json_columns(whole, naming))


def _with_hinted(has_place: HasPlace | None, hints: TableHints, naming: Naming) -> HasPlace:
    """What hints name has a place, too."""
    hinted = {naming((name,)) for name in (*hints.columns, *hints.primary_key, *hints.merge_key)}

    def known(table: TableKey, path: KeyPath) -> bool:
        is_hinted = bool(hinted) and not table.path and naming(path) in hinted
        return is_hinted or (has_place is not None and has_place(table, path))

    return known


def _root_rows(batches: Iterable[TableBatch]) -> int:
    return sum(len(batch) for batch in batches if not batch.key.path)


def _split(records: Sequence[Any], probes: Sequence[FieldProbe]) -> tuple[list[Any], list[Any]]:
    """The records that carry every field, and the others."""
    carry: list[Any] = []
    lack: list[Any] = []
    for record in records:
        (carry if all(probe.is_carried_by(record) for probe in probes) else lack).append(record)
    return carry, lack
