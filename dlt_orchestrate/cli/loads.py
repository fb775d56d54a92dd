"""`pipeline NAME loads`, `load`, `rejects` and `state`: what a destination remembers of a pipeline, also for scripts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import click

from dlt_orchestrate.cli.locate import Located, located
from dlt_orchestrate.cli.text import cell, print_table
from dlt_orchestrate.config.spelling import likely
from dlt_orchestrate.errors import UnknownResourceError
from dlt_orchestrate.pipeline.history import (
    LoadRecord,
    RejectRecord,
    known_resources,
    read_loads,
    read_rejects,
    rows_brought,
    schemas_of_pipeline,
)
from dlt_orchestrate.state.commits import CommitRecord
from dlt_orchestrate.state.values import decode, printable

LOADS_SHOWN = 20
REJECTS_SHOWN = 50
LATEST = "latest"
_LONGEST = 1_000

as_json = click.option("--json", "is_json", is_flag=True, help="Print JSON, for scripts.")


@click.command()
@located
@click.option(
    "--limit", type=click.IntRange(min=1), default=LOADS_SHOWN, show_default=True, help="Loads to list, newest first."
)
@as_json
def loads(place: Located, limit: int, is_json: bool) -> None:
    """List the loads: resources, windows, rows, rejects, host and time."""
    found = _loads(place)
    if is_json:
        print_json([_load_as_dict(load) for load in found[:limit]])
        return
    newest = f", the newest {limit} of them" if len(found) > limit else ""
    click.echo(f"Loads of pipeline {cell(place.pipeline_name)}: {len(found)}{newest}")
    rows = [
        (load.load_id, load.loaded_at, _resources(load), load.rows if load.commits else "?", load.rejected_rows, load.host)
        for load in found[:limit]
    ]
    if rows:
        print_table(["load id", "time", "resources", "rows", "rejected", "host"], rows, longest=_LONGEST)


@click.command()
@located
@click.argument("load_id")
@as_json
def load(place: Located, load_id: str, is_json: bool) -> None:
    """Tell one load in detail: what it did for each resource and table, and how far it moved the cursors.

    LOAD_ID may be `latest`.
    """
    found = _load(place, load_id)
    if is_json:
        print_json(_load_as_dict(found))
        return
    click.echo(f"Load {cell(found.load_id)} of pipeline {cell(place.pipeline_name)}")
    click.echo(f"  time      {cell(found.loaded_at)}")
    click.echo(f"  sources   {', '.join(map(cell, found.sources))}")
    click.echo(f"  rejected  {found.rejected_rows:,} row(s)")
    if not found.commits:
        click.echo("It left no commit records: dlt made it, or their retention is over.")
    for commit in found.commits:
        _print_commit(commit)


@click.command()
@located
@click.option("--resource", help="Only rows of this resource.")
@click.option("--load", "load_id", help="Only rows of this load; it may be `latest`.")
@click.option("--limit", type=click.IntRange(min=1), default=REJECTS_SHOWN, show_default=True, help="Rows, newest first.")
@click.option("--values", is_flag=True, help="Show the rows themselves, which may hold what is nobody's business.")
@as_json
def rejects(place: Located, resource: str | None, load_id: str | None, limit: int, values: bool, is_json: bool) -> None:
    """List rejected rows with column and cause; what they hold only if asked for."""
    if load_id is not None:
        load_id = _load(place, load_id).load_id
    with place.destination.reader(place.dataset_name) as reader:
        everything = read_rejects(reader, place.pipeline_name)
        matching = (r for r in everything if resource in (None, r.resource) and load_id in (None, r.load_id))
        found = list(itertools.islice(matching, limit))
        everything.close()
    if resource is not None and not found:
        _expect_resource(place, resource)
    if is_json:
        print_json([_reject_as_dict(reject, values=values) for reject in found])
        return
    click.echo(f"Rejected rows of pipeline {cell(place.pipeline_name)}, newest first: {len(found)}")
    headers = ["load id", "time", "resource", "table", "column", "cause", *(["row"] if values else [])]
    rows = [(r.load_id, r.rejected_at, r.resource, r.table, r.column, r.cause, *([r.row] if values else [])) for r in found]
    if rows:
        print_table(headers, rows, longest=_LONGEST)


@click.command()
@located
@as_json
def state(place: Located, is_json: bool) -> None:
    """Tell the cursors of each resource, the windows that were loaded, and other state."""
    stored = place.destination.read_state(place.scope)
    cursors = list(_cursors(stored.state))
    windows = [record for unit, record in sorted(stored.latest.items(), key=_in_order) if unit.window is not None]
    others = list(_other_state(stored.state))
    if is_json:
        print_json({"cursors": cursors, "windows": list(map(_commit_as_dict, windows)), "other": others})
        return
    click.echo(f"Incremental cursors: {len(cursors)}")
    if cursors:
        shown = [(c["source"], c["resource"], c["cursor"], c["last_value"], c["initial_value"]) for c in cursors]
        print_table(["source", "resource", "cursor", "last value", "initial value"], shown)
    click.echo(f"\nWindows: {len(windows)}")
    if windows:
        of_windows = [
            (r.unit.source, r.unit.resource, str(r.unit.window), r.number, rows_brought(r), r.load_id, r.committed_at)
            for r in windows
        ]
        headers = ["source", "resource", "window", "commit", "rows", "load id", "time"]
        print_table(headers, of_windows, longest=_LONGEST)
    click.echo(f"\nOther state: {len(others)}")
    if others:
        print_table(
            ["source", "resource", "key", "value"], [(o["source"], o["resource"], o["key"], o["value"]) for o in others]
        )


def print_json(value: Any) -> None:
    """Print a value as JSON, moments in ISO 8601."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_written))


def _written(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


# --- loads -----------------------------------------------------------------------------------------------------------


def _loads(place: Located) -> list[LoadRecord]:
    stored = place.destination.read_state(place.scope)
    sources = [schema.name for schema in schemas_of_pipeline(stored)]
    with place.destination.reader(place.dataset_name) as reader:
        return read_loads(reader, place.pipeline_name, sources)


def _load(place: Located, load_id: str) -> LoadRecord:
    """One load, by its id or as the latest.

    Raises:
        ClickException: There is none.
    """
    found = next((one for one in _loads(place) if load_id in (one.load_id, LATEST)), None)
    if found is None:
        raise click.ClickException(
            f"Pipeline {place.pipeline_name!r} has no load {load_id!r} in dataset {place.dataset_name!r}. "
            f"`dlt-orchestrate pipeline {place.pipeline_name} loads` lists those that there are."
        )
    return found


def _expect_resource(place: Located, name: str) -> None:
    """Raise if no resource of this name was ever loaded."""
    by_source = known_resources(place.destination.read_state(place.scope))
    known = sorted(set().union(*by_source.values()))
    if name not in known:
        raise UnknownResourceError(source=", ".join(by_source), asked=[name], known=known, likely=likely([name], known))


def _resources(load: LoadRecord) -> str:
    """What it loaded: resources with their windows; of loads without commit records the sources."""
    if not load.commits:
        return f"source {', '.join(load.sources)}"
    units = (commit.unit for commit in load.commits)
    return ", ".join(f"{unit.resource} {unit.window}" if unit.window else unit.resource for unit in units)


def _print_commit(commit: CommitRecord) -> None:
    unit = commit.unit
    window = f", window {unit.window}" if unit.window else ""
    click.echo(f"\nResource {cell(unit.resource)} of source {cell(unit.source)}{window}: commit {commit.number}")
    click.echo(f"  host      {cell(commit.host)}")
    if commit.cursor_before is not None or commit.cursor_after is not None:
        before, after = (cell(_plain(value)) or "none" for value in (commit.cursor_before, commit.cursor_after))
        click.echo(f"  cursor    {before} -> {after}")
    if commit.idempotency_key is not None:
        click.echo(f"  attempt   {cell(commit.idempotency_key, _LONGEST)}")
    if commit.earlier is not None:
        click.echo(
            f"  part      {commit.earlier.loads + 1} of an extraction in parts, which has read {commit.earlier.rows:,} "
            "record(s) so far"
        )
    if commit.row_counts:
        names = ("loaded", "inserted", "updated", "deleted", "total")
        rows = [(table, *(counts.get(name, 0) for name in names)) for table, counts in commit.row_counts.items()]
        print_table(["table", *names], rows)


def _in_order(item: tuple[Any, Any]) -> tuple[str, str, str]:
    unit = item[0]
    return unit.source, unit.resource, unit.window.start if unit.window else ""


def _load_as_dict(load: LoadRecord) -> dict[str, Any]:
    return {
        "load_id": load.load_id,
        "loaded_at": load.loaded_at,
        "sources": list(load.sources),
        "host": load.host,
        "rows": load.rows,
        "rejected_rows": load.rejected_rows,
        "resources": list(map(_commit_as_dict, load.commits)),
    }


def _commit_as_dict(commit: CommitRecord) -> dict[str, Any]:
    window = commit.unit.window
    return {
        "source": commit.unit.source,
        "resource": commit.unit.resource,
        "window": {"start": window.start, "end": window.end} if window else None,
        "commit_number": commit.number,
        "load_id": commit.load_id,
        "committed_at": commit.committed_at,
        "host": commit.host,
        "idempotency_key": commit.idempotency_key,
        "part": commit.earlier.loads + 1 if commit.earlier is not None else None,
        "cursor_before": _plain(commit.cursor_before),
        "cursor_after": _plain(commit.cursor_after),
        "tables": dict(commit.row_counts),
    }


def _reject_as_dict(reject: RejectRecord, *, values: bool) -> dict[str, Any]:
    return {
        "load_id": reject.load_id,
        "rejected_at": reject.rejected_at,
        "resource": reject.resource,
        "table": reject.table,
        "column": reject.column,
        "cause": reject.cause,
        **({"row": reject.row} if values else {}),
    }


# --- state -----------------------------------------------------------------------------------------------------------


def _cursors(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for source, of_source in document.get("sources", {}).items():
        for resource, of_resource in of_source.get("resources", {}).items():
            for path, cursor in of_resource.get("incremental", {}).items():
                yield {
                    "source": source,
                    "resource": resource,
                    "cursor": path,
                    "last_value": _plain(cursor.get("last_value")),
                    "initial_value": _plain(cursor.get("initial_value")),
                }


def _other_state(document: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for source, of_source in document.get("sources", {}).items():
        for key, value in of_source.items():
            if key != "resources":
                yield {"source": source, "resource": None, "key": key, "value": _plain(value)}
        for resource, of_resource in of_source.get("resources", {}).items():
            for key, value in of_resource.items():
                if key != "incremental":
                    yield {"source": source, "resource": resource, "key": key, "value": _plain(value)}


def _plain(value: Any) -> Any:
    """A value of the state without the marks of types."""
    return printable(decode(value))
