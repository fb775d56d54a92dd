"""Columns that hints name and rows do not have: without them rows would be doubled or kept that nobody wants."""

from __future__ import annotations

from collections.abc import Iterator

from dlt_orchestrate.config.spelling import meant, nearest
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import HintedColumnMissingError
from dlt_orchestrate.schema.table import DEDUP_SORT, HARD_DELETE, TableHints

_MOST_LISTED = 20


@dataclass(frozen=True, slots=True)
class HintedColumns:
    """What a load has of the columns that the hints of one of its root tables name.

    Attributes:
        unseen: Those that no row has, not even with null, as the hints name them.
        columns: What the rows have, under the names of their columns.
        stored: Those that the table had before, as the hints name them.
        is_keyless: Whether every row lacks a value of the key that tells rows apart.
        was_keyed: Whether the rows of earlier loads carried that key.
        is_new: Whether some rows that lack it were not turned away by an earlier load.
        is_whole: Whether the rows are all of their extraction: what no row has may else come behind.
    """

    resource: str
    table: str
    hints: TableHints
    unseen: frozenset[str]
    columns: tuple[str, ...]
    stored: frozenset[str]
    is_keyless: bool
    was_keyed: bool
    is_new: bool
    is_whole: bool

    def warnings(self) -> Iterator[str]:
        """What a load without these columns leaves undone.

        Raises:
            HintedColumnMissingError: It would double rows, or keep those that nobody wants.
        """
        if self.is_keyless and self.is_whole:
            yield from self._without_key()
        if self.hints.is_merge and not self.is_keyless:
            yield from self._without_rest_of_merge()
        yield from self._without_effect()

    def _without_key(self) -> Iterator[str]:
        key = self.hints.required_key
        hint = "primary_key" if self.hints.primary_key else "merge_key"
        lacking = [name for name in key if name in self.unseen]
        if self.was_keyed:
            if lacking and self.is_new:
                problem = "which no row of this load has, and the rows of earlier loads had"
                raise self._error(
                    hint, lacking[0], problem, "If the source has renamed it, rename it back with add_map(...)."
                )
        elif not lacking:
            problem = "and no row has a value in all of its key"
            raise self._error(hint, ", ".join(key), problem, "Name columns that every row fills.", told=False)
        elif self._is_misnamed(lacking):
            problem = "which no row has, so that rows could not be told apart and would be loaded twice"
            raise self._error(hint, lacking[0], problem, "Name a column that the rows have.")
        else:
            yield (
                f"Resource {self.resource!r}, table {self.table!r}: {hint} names column {lacking[0]!r}, which no row has. "
                "Whole rows were compared instead: one that changes is added beside the one that is there. "
                f"{self._meant(lacking[0])}"
            )

    def _is_misnamed(self, lacking: list[str]) -> bool:
        """Whether the key cannot be meant for other rows, as where many resources share one declaration."""
        needs_key = self.hints.has_key_ids or not self.hints.primary_key
        return (
            needs_key
            or len(lacking) < len(self.hints.required_key)
            or any(nearest(name, self._others()) for name in lacking)
        )

    def _without_rest_of_merge(self) -> Iterator[str]:
        """Without what a merge asks for besides its key: groups that would not be replaced, an order that is not there."""
        sorting = self.hints.columns_hinted(DEDUP_SORT) if self.hints.primary_key else ()
        found = [("merge_key", name) for name in self.hints.merge_key] + [(DEDUP_SORT, name) for name in sorting]
        for hint, name in found:
            if name not in self.unseen:
                continue
            if self.is_whole and name not in self.stored:
                raise self._error(hint, name, "which no row has", "Name a column that the rows have.")
            if hint == DEDUP_SORT:
                yield self._warning(hint, name, "of rows with one key, the last one was kept")
        effect = "no row was deleted by it. If only deletions carry it, give it a data_type"
        for name in self.hints.columns_hinted(HARD_DELETE):
            if name in self.unseen and name not in self.stored and self.hints.columns[name].type is None:
                yield self._warning(HARD_DELETE, name, effect)

    def _without_effect(self) -> Iterator[str]:
        """Without what nothing hangs on in this load."""
        keys = {} if self.hints.is_merge else {"primary_key": self.hints.primary_key, "merge_key": self.hints.merge_key}
        for hint, names in {**keys, "unique": self.hints.columns_hinted("unique")}.items():
            for name in names:
                if name in self.unseen and name not in self.stored:
                    yield self._warning(hint, name, "it has no effect")

    def _error(self, hint: str, column: str, problem: str, advice: str, *, told: bool = True) -> HintedColumnMissingError:
        if told:
            advice = f"{self._meant(column)} {advice}"
        return HintedColumnMissingError(
            resource=self.resource, table=self.table, column=column, hint=hint, problem=problem, advice=advice
        )

    def _warning(self, hint: str, column: str, effect: str) -> str:
        return (
            f"Resource {self.resource!r}, table {self.table!r}: {hint} names column {column!r}, which no row has: "
            f"{effect}. {self._meant(column)}"
        )

    def _meant(self, column: str) -> str:
        others = self._others()
        more = ["..."] if len(others) > _MOST_LISTED else []
        return meant(column, others, listed=[*others[:_MOST_LISTED], *more])

    def _others(self) -> list[str]:
        """The columns of the rows that the key does not name."""
        return [name for name in dict.fromkeys(self.columns) if name not in self.hints.required_key]
