"""Tables that several resources fill: whose rows they hold, and when they may be replaced."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dlt_orchestrate.errors import TableConflictError
from dlt_orchestrate.flow.snapshot import Snapshot
from dlt_orchestrate.protocols.destination import Catalog
from dlt_orchestrate.state.commits import UnitKey


class Filler(NamedTuple):
    """A resource, whatever the window, as one that fills a table."""

    source: str
    resource: str

    @classmethod
    def of(cls, unit: UnitKey) -> Filler:
        return cls(unit.source, unit.resource)


Fillers = Mapping[str, frozenset[Filler]]
"""The resources that have rows in each table."""


def stored_fillers(snapshot: Snapshot, sources: Iterable[str]) -> Fillers:
    """The resources of a pipeline that may have rows in each stored table.

    The latest commit of a resource names its tables. Where it names one no longer, or where the resource has no commit
    (the dataset was taken over), the stored schema of its source tells.
    """
    found: dict[str, set[Filler]] = {}
    named: set[tuple[str, Filler]] = set()
    for unit, record in snapshot.latest.items():
        for table, counts in record.row_counts.items():
            named.add((table, Filler.of(unit)))
            if counts.get("total"):
                found.setdefault(table, set()).add(Filler.of(unit))
    for source in sources:
        schema = snapshot.schemas.get(source)
        for stored in schema.tables.values() if schema else ():
            if stored.resource is not None and (stored.name, Filler(source, stored.resource)) not in named:
                found.setdefault(stored.name, set()).add(Filler(source, stored.resource))
    return {table: frozenset(fillers) for table, fillers in found.items()}


def expect_replaceable(replaced: Mapping[str, set[Filler]], stored: Fillers, snapshot: Snapshot, catalog: Catalog) -> None:
    """Refuse to replace a table with rows of a resource that does not replace them in the same commit.

    Root rows do not say which resource they are of, so that a replaced table is emptied as a whole.

    Args:
        replaced: The tables that the commit replaces, with the resources that do.

    Raises:
        TableConflictError: Rows would be lost.
    """
    for table, replacing in replaced.items():
        others = others_with_rows(table, replacing, stored, snapshot, catalog)
        if others:
            raise TableConflictError(
                table=table,
                problem=f"write_disposition='replace' of {names(replacing)} would delete its rows, of which some are of "
                f"{names(others)}. Nothing was changed. Load all resources that fill the table in one run with "
                "commit='run' and write_disposition='replace', or give each a table of its own (table_name), or use "
                "'append' or 'merge'. If nothing loads the other rows any more, empty the table first.",
            )


def others_with_rows(
    table: str, removing: set[Filler], stored: Fillers, snapshot: Snapshot, catalog: Catalog
) -> frozenset[Filler]:
    """The resources that would lose rows if some others had the table emptied."""
    others = stored.get(table, frozenset()) - removing
    rows = catalog.row_count(table) if others else 0
    return others if rows and not _are_all_of(removing, table, rows, snapshot) else frozenset()


def _are_all_of(fillers: set[Filler], table: str, rows: int, snapshot: Snapshot) -> bool:
    """Whether one commit of these resources left no rows but its own, and nothing was loaded since."""
    records = [(Filler.of(unit), record) for unit, record in snapshot.latest.items() if table in record.row_counts]
    newest = max((record for _, record in records), key=lambda record: record.committed_at, default=None)
    if newest is None or newest.row_counts[table]["total"] != rows:
        return False
    loaded = [
        record.row_counts[table]["loaded"]
        for filler, record in records
        if record.load_id == newest.load_id and filler in fillers
    ]
    return sum(loaded) == rows


def names(fillers: Iterable[Filler]) -> str:
    """The resources as messages name them."""
    return ", ".join(f"resource {filler.resource!r} (source {filler.source!r})" for filler in sorted(fillers))
