"""What a dataset shows from outside, and what it must show: every row, child, cursor, commit and load record."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dlt_orchestrate.state.document import decode_state
from soak.modes import Expected, Mode
from soak.places import Tables
from soak.world import Record, World, moment

NESTED = {"orders": {"tags": {}, "lines": {"parts": {}}}, "visits": {}}
"""The tables that a record is taken apart into, below each root table."""

KINDS = ("lost", "doubled", "orphaned", "half-visible", "empty", "stuck", "records")
"""What can be wrong: rows are not there; there too often; without what they belong to; a state between two versions is
seen; nothing is seen where something was; a run after the kill fails or does not end; books do not agree with rows."""


class WrongError(Exception):
    """A dataset shows what it must never show."""

    def __init__(self, kind: str, what: str) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {what}")


@dataclass(frozen=True)
class Part:
    """What one resource has committed: its records, put together again from all tables, its cursor, shared state."""

    rows: tuple[str, ...]
    cursor: str | None
    shared: Any = None


@dataclass(frozen=True)
class Picture:
    """Everything that loads of the same records have in common."""

    orders: Part
    visits: Part

    def parts(self) -> tuple[Part, Part]:
        return self.orders, self.visits


def expected_in_part(world: World, mode: Mode, version: int) -> Iterable[Picture]:
    """What may be seen of the orders between versions n and n + 1, where these are committed in parts."""
    whole = expected(world, mode, version)
    for changes in range(1, len(world.changed(version + 1)) + 1) if mode.partial is not None else ():
        assert mode.partial is not None
        rows = _texts(mode.partial(world, version, changes))
        yield Picture(Part(rows, whole.orders.cursor if mode.is_paged else moment(version + 1)), whole.visits)


def expected(world: World, mode: Mode, version: int) -> Picture:
    """What must be there after versions 1 to n."""
    keeps_cursor = version > 0 and not mode.windowed
    orders = _texts(mode.expected(world, version))
    visits = tuple(sorted(_text({**visit, "is_current": True}) for visit in world.visits(version)))
    return Picture(
        Part(orders, moment(version) if keeps_cursor and not mode.is_full else None),
        Part(visits, moment(version) if keeps_cursor else None, version or None),
    )


def _texts(orders: Expected) -> tuple[str, ...]:
    return tuple(sorted(_text({**order, "is_current": is_current}) for order, is_current in orders))


def picture(tables: Tables) -> Picture:
    """What is there.

    Raises:
        WrongError: Rows belong to nothing, or stand there twice under one id.
    """
    state = _state(tables).get("sources", {}).get("shop", {})
    parts = {}
    for root, below in NESTED.items():
        cursors = state.get("resources", {}).get(root, {}).get("incremental", {})
        shared = state.get("version") if root == "visits" else None
        rows = tuple(sorted(_text(record) for record in _records(tables, root, below)))
        parts[root] = Part(rows, cursors.get("at", {}).get("last_value"), shared)
    return Picture(**parts)


def expect_one_of(seen: Picture, allowed: Iterable[Picture], *, each_alone: bool = False) -> None:
    """Compare with the versions that may be seen.

    Args:
        each_alone: Each resource commits for itself, so that they may stand at different versions.

    Raises:
        WrongError: It is none of them.
    """
    versions = list(allowed)
    candidates = list(zip(*(version.parts() for version in versions), strict=True))
    if all(part in of_part for part, of_part in zip(seen.parts(), candidates, strict=True)) and (
        each_alone or seen in versions
    ):
        return
    for part, of_part in zip(seen.parts(), candidates, strict=True):
        if not part.rows and all(version.rows for version in of_part):
            raise WrongError("empty", f"no rows, where every version has some: {of_part[0].rows[0]}, ...")
    if len(versions) > 1:
        raise WrongError("half-visible", f"{_difference(seen, versions[0])}; and {_difference(seen, versions[1])}")
    for part, want in zip(seen.parts(), versions[0].parts(), strict=True):
        lost, extra = Counter(want.rows) - Counter(part.rows), Counter(part.rows) - Counter(want.rows)
        if lost:
            raise WrongError("lost", _difference(seen, versions[0]))
        if extra:
            raise WrongError("doubled", f"{list(extra)}")
    raise WrongError("records", _difference(seen, versions[0]))


def expect_books_agree(tables: Tables) -> int:
    """Compare rows with the records of loads and commits; returns the number of loads.

    Raises:
        WrongError: They do not agree.
    """
    loads = [row["load_id"] for row in tables.get("_dlt_loads", [])]
    known = set(loads)
    if len(loads) != len(known) or any(row["status"] for row in tables.get("_dlt_loads", [])):
        raise WrongError("records", f"load records {loads}")
    for name, rows in tables.items():
        column = "load_id" if name in ("_dlt_commits", "_dlt_rejects") else "_dlt_load_id"
        strangers = {row[column] for row in rows if column in row} - known
        if strangers:
            raise WrongError("orphaned", f"rows of {name} belong to loads {strangers} that have no record")
    numbers: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    newest: dict[str, tuple[datetime, Mapping[str, Any]]] = {}
    for row in tables.get("_dlt_commits", []):
        unit = tuple(row[name] for name in ("pipeline_name", "source_name", "resource_name", "window_start", "window_end"))
        numbers[unit].append(row["commit_number"])
        counts = json.loads(row["row_counts"])
        for table, of_table in counts.items():
            counted = (row["committed_at"], of_table)
            newest[table] = max(newest.get(table, counted), counted, key=_when)
    if any(sorted(found) != list(range(1, len(found) + 1)) for found in numbers.values()):
        raise WrongError("records", f"commit numbers {dict(numbers)}")
    if known != {row["load_id"] for row in tables.get("_dlt_commits", [])}:
        raise WrongError("records", "load records and commit records name different loads")
    for table, (_, of_table) in newest.items():
        if table in tables and of_table["total"] != len(tables[table]):
            raise WrongError("records", f"the newest commit counts {of_table['total']} of {len(tables[table])} {table}")
    return len(loads)


def _when(found: tuple[datetime, Mapping[str, Any]]) -> datetime:
    return found[0]


def _records(tables: Tables, root: str, below: Mapping[str, Any]) -> list[Record]:
    """The records of a root table with what is nested in them; nothing may be left over."""
    children: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    for name in _names_below(root, below):
        by_parent: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in sorted(tables.get(name, []), key=lambda row: row["_dlt_list_idx"]):
            by_parent[row["_dlt_parent_id"]].append(row)
        children[name] = by_parent
    for name in (root, *children):
        ids = Counter(row["_dlt_id"] for row in tables.get(name, []))
        if twice := [row_id for row_id, number in ids.items() if number > 1]:
            raise WrongError("doubled", f"rows of {name} share the ids {twice}")
    found = [
        {**_whole(row, root, below, children), "is_current": row.get("_dlt_valid_to") is None}
        for row in tables.get(root, [])
    ]
    for name, by_parent in children.items():
        if by_parent:
            raise WrongError("orphaned", f"rows of {name} have no parent: {dict(by_parent)}")
    return found


def _names_below(table: str, below: Mapping[str, Any]) -> Iterable[str]:
    for name, deeper in below.items():
        yield f"{table}__{name}"
        yield from _names_below(f"{table}__{name}", deeper)


def _whole(
    row: Mapping[str, Any], table: str, below: Mapping[str, Any], children: Mapping[str, dict[str, list[Any]]]
) -> Record:
    own = {name: value for name, value in row.items() if not name.startswith("_dlt_") and value is not None}
    if set(own) == {"value"}:
        return own["value"]
    nested = {}
    for name, deeper in below.items():
        rows = children[f"{table}__{name}"].pop(row["_dlt_id"], [])
        if [child["_dlt_list_idx"] for child in rows] != list(range(len(rows))):
            raise WrongError("orphaned", f"{table}__{name} has gaps or doubles: {rows}")
        nested[name] = [_whole(child, f"{table}__{name}", deeper, children) for child in rows]
    return {**own, **nested}


def _text(record: Record) -> str:
    """One way to write a record, whatever types its columns have: 3 is 3.0, moments are as the source writes them."""
    return json.dumps(_plain(record), sort_keys=True)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: plain for key, inner in value.items() if (plain := _plain(inner)) not in (None, [])}
        case list():
            return [_plain(inner) for inner in value]
        case bool():
            return value
        case int() | float():
            return float(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            return value if value is None or isinstance(value, str) else str(value)


def _state(tables: Tables) -> dict[str, Any]:
    rows = tables.get("_dlt_pipeline_state", [])
    return decode_state(max(rows, key=lambda row: row["version"])["state"]) if rows else {}


def _difference(seen: Picture, want: Picture) -> str:
    told = []
    for name, part, of_want in zip(("orders", "visits"), seen.parts(), want.parts(), strict=True):
        lost, extra = Counter(of_want.rows) - Counter(part.rows), Counter(part.rows) - Counter(of_want.rows)
        told += [f"{name} lacks {dict(lost)}"] * bool(lost) + [f"{name} has {dict(extra)} too many"] * bool(extra)
        books = ((part.cursor, of_want.cursor), (part.shared, of_want.shared))
        told += [f"{name} stands at {found}, not {wanted}" for found, wanted in books if found != wanted]
    return "; ".join(told) or "nothing"
