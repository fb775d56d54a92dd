"""The tables of one resource, each taken apart by its own hints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.flow.batch import KeyPath
from dlt_orchestrate.flow.package import Reject
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.normalize.normalizer import NormalizedBatch, Normalizer
from dlt_orchestrate.normalize.places import HasPlace
from dlt_orchestrate.normalize.presence import Naming, Sightings
from dlt_orchestrate.normalize.rules import Bounds
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.table import ColumnHint, TableHints


class TableNormalizers:
    """Takes the pages of one resource apart, with a `Normalizer` for each root table.

    Attributes:
        hints: What is declared of each root table, as the latest page of it says.
        wanted: Root tables that shall be there even without rows.
    """

    def __init__(
        self,
        *,
        resource: str,
        hints: TableHints,
        capabilities: Capabilities,
        id_prefix: Callable[[], str],
        naming: Naming,
        bounds_of: Callable[[str], Bounds] | None = None,
        has_place: HasPlace | None = None,
        is_hashed_by_dlt: Callable[[str], bool] | None = None,
        keep_reject_limit: int = 1001,
        cursor_keys: KeyPath = (),
    ) -> None:
        """
        Args:
            hints: Those of tables of which the pages say nothing.
            is_hashed_by_dlt: Tells root tables whose versions have the ids that dlt gives them.
            bounds_of: The bounds of a root table and those nested in it.
            has_place, keep_reject_limit, cursor_keys: As of `Normalizer`.
        """
        self.hints: dict[str, TableHints] = {}
        self.wanted: set[str] = set()
        self._resource = resource
        self._default = hints
        self._capabilities = capabilities
        self._id_prefix = id_prefix
        self._naming = naming
        self._bounds_of = bounds_of
        self._has_place = has_place
        self._is_hashed_by_dlt = is_hashed_by_dlt
        self._keep_reject_limit = keep_reject_limit
        self._cursor_keys = cursor_keys
        self._normalizers: dict[str, Normalizer] = {}

    @property
    def rows_seen(self) -> int:
        """Records so far, rejected ones included; those still being gathered are not."""
        return sum(normalizer.rows_seen for normalizer in self._normalizers.values())

    @property
    def rejects(self) -> list[Reject]:
        """The first rows of each table that cannot be loaded."""
        return [reject for normalizer in self._normalizers.values() for reject in normalizer.rejects]

    @property
    def keyless_rejects(self) -> list[Reject]:
        """The first rows of each table that lack the declared key, ready to be rejected if other rows carry it."""
        return [reject for normalizer in self._normalizers.values() for reject in normalizer.keyless_rejects]

    def rejected_rows(self, by_content: Collection[str]) -> int:
        """How many rows cannot be loaded, those that lack a key included, but for tables that are matched by content."""
        return sum(
            normalizer.reject_count + (0 if root in by_content else normalizer.keyless_counts[root])
            for root, normalizer in self._normalizers.items()
        )

    @property
    def refusals(self) -> Counter[str]:
        """How often the fast path was left, by reason."""
        return sum((normalizer.refusals for normalizer in self._normalizers.values()), Counter[str]())

    @property
    def keyless_tables(self) -> list[str]:
        """Root tables of which no row carries the declared key."""
        return [
            root
            for root, normalizer in self._normalizers.items()
            if normalizer.keyless_counts[root] and not normalizer.keyed_counts[root]
        ]

    @property
    def sightings(self) -> dict[str, Sightings]:
        """For each root table with rows, which of the columns that its hints name no record has had."""
        return {root: normalizer.sightings for root, normalizer in self._normalizers.items() if normalizer.has_begun}

    def add(self, page: Page) -> list[NormalizedBatch]:
        """Take a page; gives the batches that are complete.

        Raises:
            DeclarationError: The hints of its table have changed in a way that concerns the rows before it.
        """
        root = page.table_name
        hints = page.hints or self._default
        if page.is_wanted:
            self.wanted.add(root)
        known = self.hints.get(root)
        if known is not hints:
            if known is None or _structure(known) != _structure(hints):
                self._begin(root, hints)
            self.hints[root] = hints
        if page.frame is None and not page.rows:
            return []
        return self._normalizers[root].add(page)

    def finish(self) -> list[NormalizedBatch]:
        """The batches of what was still being gathered."""
        return [batch for normalizer in self._normalizers.values() for batch in normalizer.finish()]

    def _begin(self, root: str, hints: TableHints) -> None:
        if root in self._normalizers and self._normalizers[root].has_begun:
            raise DeclarationError(
                f"Resource {self._resource!r}, table {root!r}: hints that came with a later item change its key, its "
                "strategy, its nesting, or columns that are JSON or not nullable, and rows of it were taken before. Give "
                "such hints on the resource, or with the first item of the table."
            )
        self._normalizers[root] = Normalizer(
            resource=self._resource,
            hints=hints,
            capabilities=self._capabilities,
            naming=self._naming,
            bounds=self._bounds_of(root) if self._bounds_of else None,
            has_place=self._has_place,
            keep_reject_limit=self._keep_reject_limit,
            cursor_keys=self._cursor_keys,
            id_prefix=self._id_prefix,
            versions_hashed_by_dlt=self._is_hashed_by_dlt is not None and self._is_hashed_by_dlt(root),
        )


def _structure(hints: TableHints) -> tuple[Any, ...]:
    """What of the hints decides how records are taken apart."""
    columns = {
        path: found
        for path, table in {(): hints, **hints.nested}.items()
        if (found := {name: _shape(column) for name, column in table.columns.items() if any(_shape(column))})
    }
    key_of_versions = hints.primary_key if hints.keeps_versions else None
    return hints.required_key, key_of_versions, hints.max_nesting, columns


def _shape(column: ColumnHint) -> tuple[bool, bool]:
    """Whether every row must have a value for a column, and whether nested values stay whole there."""
    return column.nullable is False, column.type is not None and column.type.kind == "json"
