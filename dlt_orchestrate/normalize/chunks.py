"""Records gathered into chunks: large enough for loops in C to pay, small enough to stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dlt_orchestrate.flow.typed_records import fields_of

ENOUGH_ROWS = 1_000
ENOUGH_VALUES = 20_000
MOST_ROWS = 2_000


class Chunker:
    """Collects the records of pages; where pages end leaves no trace.

    >>> chunker = Chunker()
    >>> [len(chunk) for chunk in chunker.add([{"id": n} for n in range(2_500)])], len(chunker.rest())
    ([2000], 500)
    """

    def __init__(self) -> None:
        self._records: list[Any] = []
        self._values = 0

    def add(self, records: Sequence[Any]) -> Iterator[list[Any]]:
        """Take records; gives the chunks that are complete."""
        for start in range(0, len(records), MOST_ROWS):
            part = records[start : start + MOST_ROWS]
            self._records += part
            self._values += _values_in(part)
            while len(self._records) >= ENOUGH_ROWS or (self._values >= ENOUGH_VALUES and self._records):
                yield self._cut()

    def goes_with(self, records: Sequence[Any]) -> bool:
        """Whether records can stand in one chunk with those held: typed rows of two kinds, or with dictionaries, cannot."""
        if not records or not self._records:
            return True
        return fields_of(type(self._records[-1])) is fields_of(type(records[0]))

    def rest(self) -> list[Any]:
        """What is left after the last page."""
        self._values = 0
        records, self._records = self._records, []
        return records

    def _cut(self) -> list[Any]:
        if len(self._records) <= MOST_ROWS:
            return self.rest()
        chunk, self._records = self._records[:MOST_ROWS], self._records[MOST_ROWS:]
        self._values = _values_in(self._records)
        return chunk


def _values_in(records: Sequence[Any]) -> int:
    kinds = set(map(type, records))
    if len(kinds) == 1 and (fields := fields_of(*kinds)) is not None:
        return len(records) * len(fields)  # typed rows of one kind
    return sum(map(len if kinds == {dict} else _width, records))


def _width(record: Any) -> int:
    return len(record) if type(record) is dict else len(fields_of(type(record)) or ".")


def flat(records: Sequence[Any]) -> Sequence[Any]:
    """The records without None, and lists of records taken apart at every level.

    >>> flat([{"a": 1}, None, [1, [2]]])
    [{'a': 1}, 1, 2]
    """
    if set(map(type, records)) <= {dict}:
        return records
    return list(_flattened(records))


def _flattened(records: Iterable[Any]) -> Iterator[Any]:
    for record in records:
        if isinstance(record, list | tuple):
            yield from _flattened(record)
        elif record is not None:
            yield record
