"""The repair desk: taking away what resources have loaded, or what is remembered of it, in one commit.

A repair is planned first, from what the destination holds, and can be shown. Carrying it out compares the commit numbers
that it was planned on, so that a load which was committed in between makes it fail and nothing is changed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from dlt_orchestrate.config.spelling import likely, meant
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError, TableConflictError, UnknownResourceError
from dlt_orchestrate.flow.operation import DropTable
from dlt_orchestrate.flow.package import LoadPackage, Reset, Retention, WindowReset
from dlt_orchestrate.flow.snapshot import Scope, Snapshot
from dlt_orchestrate.load.resets import plan_resets
from dlt_orchestrate.pipeline.history import known_resources, read_commits, tables_of_others
from dlt_orchestrate.protocols.clock import Clock
from dlt_orchestrate.protocols.destination import Destination, Reader
from dlt_orchestrate.schema import types
from dlt_orchestrate.schema.types import ColumnType
from dlt_orchestrate.state.commits import CommitRecord, UnitKey, Window, new_load_id
from dlt_orchestrate.state.document import resource_state, resources_with_state, source_state

Tables = Literal["drop", "empty", "keep"]

PATTERN_PREFIX = "re:"
"""Begins a name that is a regular expression, which must match a whole name."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants taken away.

    Attributes:
        resources: Names, or regular expressions behind `re:`.
        everything: All resources of the sources instead, with the state that they share.
        source: The source that is meant; None for all that have such resources.
        tables: Whether tables are dropped, emptied or left as they are.
        state: Whether cursors and other state go.
        windows: Only these windows of the resources: their rows, and that they were loaded.
        shared: Whether rows of other pipelines may go with them, in tables that these load, too.
    """

    resources: tuple[str, ...] = ()
    everything: bool = False
    source: str | None = None
    tables: Tables = "drop"
    state: bool = True
    windows: tuple[Window, ...] = ()
    shared: bool = False


@dataclass(frozen=True, slots=True)
class TableRepair:
    """What happens to one table.

    Attributes:
        action: `drop` the table, `empty` it, or `delete` the rows of windows.
        rows: Rows that it holds now; None where only some of them go.
    """

    table: str
    action: Literal["drop", "empty", "delete"]
    rows: int | None


@dataclass(frozen=True, slots=True)
class StateRepair:
    """A state that is forgotten.

    Attributes:
        resource: None for what the resources of the source share.
        keys: What it holds; for cursors the paths that they read.
    """

    source: str
    resource: str | None
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repair:
    """What is taken away, as planned or, with a load id, as done.

    Attributes:
        windows: The loaded windows that count as not loaded afterwards.
        load_id: Under which it was committed; None if it was not.
        package: What is committed; None for nothing.
    """

    tables: tuple[TableRepair, ...] = ()
    states: tuple[StateRepair, ...] = ()
    windows: tuple[UnitKey, ...] = ()
    package: LoadPackage | None = None
    load_id: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to take away."""
        return not (self.tables or self.states or self.windows)

    def asdict(self) -> dict[str, Any]:
        """As plain values, such as JSON holds."""
        return {
            "load_id": self.load_id,
            "tables": [{"table": t.table, "action": t.action, "rows": t.rows} for t in self.tables],
            "states": [{"source": s.source, "resource": s.resource, "keys": list(s.keys)} for s in self.states],
            "windows": [
                {"source": unit.source, "resource": unit.resource, "start": unit.window.start, "end": unit.window.end}
                for unit in self.windows
                if unit.window is not None
            ],
        }

    def __str__(self) -> str:
        lines = [_line_of_table(table) for table in self.tables]
        lines += [f"forget the state of {_called(state)}: {', '.join(state.keys)}" for state in self.states]
        lines += [f"forget that window {unit.window} of resource {unit.resource!r} was loaded" for unit in self.windows]
        return "\n".join(lines) or "nothing"


def plan_repair(destination: Destination, pipeline_name: str, dataset_name: str, wish: Wish, clock: Clock) -> Repair:
    """Plan what a wish takes away of what the destination holds now.

    Raises:
        UnknownResourceError: No resource has such a name.
        DeclarationError: The wish does not hold together.
        TableConflictError: Rows of a resource that is not meant would be lost.
        LoadError: The destination cannot be read.
    """
    _expect_consistent(wish)
    snapshot = destination.read_state(Scope(pipeline_name, dataset_name))
    if not snapshot.exists:
        return Repair()
    wanted = _meant(wish, snapshot)
    with destination.reader(dataset_name) as reader:
        records = read_commits(reader, pipeline_name)
        package = replace(
            _package(destination, pipeline_name, dataset_name, clock),
            resets=() if wish.windows else tuple(_resets(wish, wanted)),
            window_resets=tuple(_window_resets(wish, wanted, records)),
        )
        package = replace(package, reset_bases=_bases(package, snapshot))
        planned = plan_resets(package, snapshot, _ReaderCatalog(reader))
        tables = tuple(_tables(planned.operations, reader))
        if not wish.shared:
            _expect_of_this_pipeline(tables, pipeline_name, tables_of_others(reader, pipeline_name))
    return Repair(
        tables=tables,
        states=tuple(_states(package.resets, snapshot)),
        windows=tuple(unit for unit in planned.forgotten if unit.window is not None),
        package=package,
    )


def prune(
    destination: Destination, pipeline_name: str, dataset_name: str, retention: Retention, clock: Clock
) -> Mapping[str, int]:
    """Remove the records of a dataset that a retention lets go, of all its pipelines, and nothing else.

    Returns:
        How many rows of each system table went.

    Raises:
        LoadError: The destination cannot be written.
    """
    package = _package(destination, pipeline_name, dataset_name, clock)
    return destination.commit(replace(package, retention=retention)).pruned


def carry_out(destination: Destination, repair: Repair) -> Repair:
    """Commit a repair, if there is anything to do.

    Raises:
        CommitConflictError: A load was committed since the repair was planned; nothing was changed.
        LoadError: The destination cannot be written.
    """
    if repair.is_empty or repair.package is None:
        return repair
    return replace(repair, load_id=destination.commit(repair.package).load_id)


# --- what is meant ---------------------------------------------------------------------------------------------------


def _expect_consistent(wish: Wish) -> None:
    if wish.tables == "keep" and not wish.state and not wish.windows:
        raise DeclarationError("Nothing is to be taken away: neither tables nor state. Leave one of the two out.")
    if wish.everything and wish.resources:
        raise DeclarationError("Both some resources and all of them are named. Leave one of the two out.")
    if wish.windows and wish.everything:
        raise DeclarationError("Windows belong to resources. Name these.")


def _meant(wish: Wish, snapshot: Snapshot) -> dict[str, frozenset[str] | None]:
    """The resources that are meant by source; None for all that a source ever had."""
    known = known_resources(snapshot)
    if wish.source is not None and wish.source not in known:
        raise DeclarationError(f"There is no source {wish.source!r} in the dataset. {meant(wish.source, known)}")
    sources = [wish.source] if wish.source is not None else list(known)
    if wish.everything:
        return dict.fromkeys(sources)
    found: dict[str, set[str]] = {}
    for asked in wish.resources:
        matching = {source: names for source in sources if (names := _matching(asked, known[source]))}
        if not matching:
            everywhere = sorted({name for source in sources for name in known[source]})
            raise UnknownResourceError(
                source=wish.source or ", ".join(sources),
                asked=[asked],
                known=everywhere,
                likely=likely([asked.removeprefix(PATTERN_PREFIX)], everywhere),
            )
        for source, names in matching.items():
            found.setdefault(source, set()).update(names)
    return {source: frozenset(names) for source, names in found.items()}


def _matching(asked: str, known: Iterable[str]) -> set[str]:
    if not asked.startswith(PATTERN_PREFIX):
        return {name for name in known if name == asked}
    try:
        pattern = re.compile(asked.removeprefix(PATTERN_PREFIX))
    except re.error as error:
        raise DeclarationError(f"{asked!r} is no regular expression: {error}.") from error
    return {name for name in known if pattern.fullmatch(name)}


def _resets(wish: Wish, wanted: Mapping[str, frozenset[str] | None]) -> Iterable[Reset]:
    for source, resources in wanted.items():
        yield Reset(source, resources, wish.tables, wish.state)


def _window_resets(
    wish: Wish, wanted: Mapping[str, frozenset[str] | None], records: Sequence[CommitRecord]
) -> Iterable[WindowReset]:
    """The windows that are meant and were loaded, with the loads that brought their rows.

    Raises:
        DeclarationError: Records of a window were pruned, and with them which loads brought its rows.
    """
    loads: dict[UnitKey, list[str]] = {}
    numbers: dict[UnitKey, set[int]] = {}
    for record in records:
        unit = record.unit
        if unit.window in wish.windows and unit.source in wanted and unit.resource in (wanted[unit.source] or ()):
            loads.setdefault(unit, []).append(record.load_id)
            numbers.setdefault(unit, set()).add(record.number)
    for unit, load_ids in loads.items():
        if wish.tables != "keep" and len(numbers[unit]) < max(numbers[unit]):
            raise DeclarationError(
                f"Window {unit.window} of resource {unit.resource!r} cannot be dropped with its rows: the records of some "
                "of its loads were pruned, which told the rows they brought. Nothing was changed. Drop its state only, and "
                "load it again, which replaces its rows."
            )
        shared = (
            (record.unit, record.load_id, table)
            for record in records
            if record.load_id in load_ids and (record.unit.source, record.unit.resource) != (unit.source, unit.resource)
            for table, counts in record.row_counts.items()
            if counts.get("loaded")
        )
        yield WindowReset(unit, () if wish.tables == "keep" else tuple(dict.fromkeys(load_ids)), tuple(shared))


# --- the plan --------------------------------------------------------------------------------------------------------


def _package(destination: Destination, pipeline_name: str, dataset_name: str, clock: Clock) -> LoadPackage:
    now = clock.now()
    return LoadPackage(
        load_id=new_load_id(now),
        pipeline_name=pipeline_name,
        dataset_name=dataset_name,
        created_at=now,
        host=socket.gethostname(),
        loads=(),
        destination_type=destination.name,
    )


def _bases(package: LoadPackage, snapshot: Snapshot) -> dict[UnitKey, int]:
    return {unit: record.number for unit, record in snapshot.latest.items() if package.resets_unit(unit)}


def _tables(operations: Iterable[tuple[UnitKey, object]], reader: Reader) -> Iterable[TableRepair]:
    seen: set[str] = set()
    for _, operation in operations:
        table = getattr(operation, "table", None)
        if table is None or table in seen:
            continue
        seen.add(table)
        if hasattr(operation, "range"):
            yield TableRepair(table, "delete", None)
        else:
            action: Literal["drop", "empty"] = "drop" if isinstance(operation, DropTable) else "empty"
            yield TableRepair(table, action, _row_count(reader, table))


def _expect_of_this_pipeline(tables: Iterable[TableRepair], pipeline_name: str, others: Mapping[str, str]) -> None:
    """Refuse to take rows away from another pipeline that loads into the same table."""
    for repair in tables:
        if repair.table in others and repair.action != "delete":
            raise TableConflictError(
                table=repair.table,
                problem=f"pipeline {others[repair.table]!r} has loaded rows into it, too, which would go with those of "
                f"pipeline {pipeline_name!r}. Nothing was changed. To take them away as well, pass --shared (shared=True).",
            )


def _states(resets: Iterable[Reset], snapshot: Snapshot) -> Iterable[StateRepair]:
    for reset in resets:
        if not reset.state:
            continue
        for resource in resources_with_state(snapshot.state, reset.source):
            state = resource_state(snapshot.state, reset.source, resource)
            if reset.covers(reset.source, resource) and state:
                yield StateRepair(reset.source, resource, _keys(state))
        shared = source_state(snapshot.state, reset.source)
        if reset.resources is None and shared:
            yield StateRepair(reset.source, None, tuple(sorted(shared)))


def _keys(state: Mapping[str, Any]) -> tuple[str, ...]:
    cursors = [f"cursor {path}" for path in sorted(state.get("incremental", {}))]
    return (*cursors, *sorted(key for key in state if key != "incremental"))


class _ReaderCatalog:
    """What planning resets asks of a destination, read outside of any transaction."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._tables = reader.tables()

    def columns(self, table: str) -> Mapping[str, ColumnType] | None:
        """The columns of a table; of their types nothing is asked."""
        found = self._tables.get(table)
        return None if found is None else dict.fromkeys(found, types.TEXT)

    def row_count(self, table: str) -> int:
        return _row_count(self._reader, table) if table in self._tables else 0

    def integer_range(self, table: str, column: str) -> tuple[int, int] | None:
        raise NotImplementedError

    def any_text(self, table: str, column: str) -> str | None:
        raise NotImplementedError


def _row_count(reader: Reader, table: str) -> int:
    return int(reader.query(f"SELECT count(*) FROM {reader.qualified(table)}").column(0)[0].as_py())  # noqa: S608


# --- as text ---------------------------------------------------------------------------------------------------------


def _line_of_table(repair: TableRepair) -> str:
    match repair.action:
        case "drop":
            return f"drop table {repair.table!r} with {repair.rows:,} row(s)"
        case "empty":
            return f"delete the {repair.rows:,} row(s) of table {repair.table!r}"
        case "delete":
            return f"delete the rows of the windows from table {repair.table!r}"


def _called(state: StateRepair) -> str:
    return f"resource {state.resource!r} (source {state.source!r})" if state.resource else f"source {state.source!r}"
