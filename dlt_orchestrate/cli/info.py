"""The overview of a pipeline as text."""

from __future__ import annotations

import click

from dlt_orchestrate.cli.overview import LoadFacts, Overview
from dlt_orchestrate.cli.text import cell, print_table

LOADS_SHOWN = 10
_LONGEST_LIST = 1_000


def print_overview(overview: Overview, *, verbose: bool) -> None:
    """Print where the pipeline loads to, its tables, cursors, loads and rejects."""
    click.echo(f"Pipeline {cell(overview.pipeline_name)}")
    click.echo(f"  loads to  {overview.location}")
    click.echo(f"  dataset   {cell(overview.dataset_name)}")
    _print_tables(overview, verbose)
    _print_state(overview, verbose)
    _print_loads(overview, verbose)
    _print_rejects(overview)


def _print_tables(overview: Overview, verbose: bool) -> None:
    click.echo(f"\nTables: {len(overview.tables)}")
    if not overview.tables:
        return
    names = ["  " * table.depth + table.name for table in overview.tables]
    if not verbose:
        print_table(["table", "rows"], zip(names, [table.rows for table in overview.tables], strict=True))
        return
    rows: list[tuple[object, ...]] = []
    for name, table in zip(names, overview.tables, strict=True):
        rows.append((name, table.rows, None))
        rows += [(f"{'  ' * table.depth}  .{column}", None, kind) for column, kind in table.columns.items()]
    print_table(["table", "rows", "type"], rows)


def _print_state(overview: Overview, verbose: bool) -> None:
    click.echo(f"\nIncremental cursors: {len(overview.cursors)}")
    if overview.cursors:
        cursors = [(fact.source, fact.resource, fact.key, fact.value) for fact in overview.cursors]
        print_table(["source", "resource", "cursor", "last value"], cursors)
    other = [(fact.source, fact.resource, fact.key, fact.value) for fact in overview.state if not fact.is_cursor]
    if verbose and other:
        click.echo("\nOther state")
        print_table(["source", "resource", "key", "value"], other)


def _print_loads(overview: Overview, verbose: bool) -> None:
    shown = overview.loads[:LOADS_SHOWN]
    newest = f", the newest {LOADS_SHOWN} of them" if len(overview.loads) > LOADS_SHOWN else ""
    click.echo(f"\nLoads: {len(overview.loads)}{newest}")
    if shown:
        rows = [(load.load_id, load.sources, load.loaded_at, _rows(load, verbose)) for load in shown]
        print_table(["load id", "source", "time", "rows"], rows, longest=_LONGEST_LIST)


def _rows(load: LoadFacts, verbose: bool) -> object:
    """How many rows a load brought; by table if asked for."""
    if load.rows is None:
        return "?"
    if verbose:
        return ", ".join(f"{table} {rows:,}" for table, rows in load.rows.items() if rows) or "0"
    return sum(load.rows.values())


def _print_rejects(overview: Overview) -> None:
    click.echo(f"\nRejected rows: {sum(reject.rows for reject in overview.rejects):,}")
    if overview.rejects:
        causes = [(reject.resource, reject.column, reject.cause, reject.rows) for reject in overview.rejects]
        print_table(["resource", "column", "cause", "rows"], causes, longest=_LONGEST_LIST)
