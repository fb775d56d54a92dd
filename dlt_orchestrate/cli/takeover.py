"""`pipeline NAME take-over`: what a dataset that dlt made would go on from, and what stands in the way."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from dlt_orchestrate.cli.locate import Located, located
from dlt_orchestrate.cli.text import cell, print_table
from dlt_orchestrate.flow.snapshot import Snapshot
from dlt_orchestrate.pipeline.history import schemas_of_pipeline
from dlt_orchestrate.schema.table import PARENT_ID


@click.command("take-over")
@located
def take_over(place: Located) -> None:
    """Tell what the next run goes on from in a dataset that dlt made, and what stands in its way; changes nothing.

    Ends with 1 if something does.
    """
    stored = place.destination.read_state(place.scope)
    with place.destination.reader(place.dataset_name) as reader:
        present = reader.tables()
    click.echo(f"Dataset {cell(place.dataset_name)} of {place.destination.location}, pipeline {cell(place.pipeline_name)}")
    click.echo(f"  {'was made by dlt; the next run takes it over' if not stored.latest else 'is loaded by this package'}")
    for schema in schemas_of_pipeline(stored):
        tables = [table.name for table in schema.tables.values() if table.name in present]
        click.echo(f"\nSource {cell(schema.name)}: names by {schema.naming}, {len(tables)} table(s)")
        cursors = list(_cursors(stored, schema.name))
        if cursors:
            print_table(["resource", "cursor", "goes on from"], cursors)
    problems = [*_problems(stored, present), *_waiting(place.pipeline_name)]
    for problem in problems:
        click.echo(f"\nIn the way: {problem}")
    if problems:
        raise click.exceptions.Exit(1)
    click.echo("\nNothing stands in the way.")


def _cursors(stored: Snapshot, source: str) -> Iterator[tuple[str, str, object]]:
    from dlt_orchestrate.state.values import decode, printable

    for resource, state in stored.state.get("sources", {}).get(source, {}).get("resources", {}).items():
        for path, cursor in state.get("incremental", {}).items():
            yield resource, path, printable(decode(cursor.get("last_value")))


def _problems(stored: Snapshot, present: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Tables that loads cannot go on with."""
    for schema in schemas_of_pipeline(stored):
        for table in schema.tables.values():
            columns = present.get(table.name)
            if columns is not None and table.parent is not None and PARENT_ID not in columns:
                yield f"table {table.name!r} is nested in {table.parent!r} and has no column {PARENT_ID!r}."


def _waiting(pipeline_name: str) -> Iterator[str]:
    """Packages that dlt has extracted and not loaded: loaded by dlt after the next run, they would come twice."""
    home = Path(os.environ.get("DLT_DATA_DIR") or Path.home() / ".dlt")
    folder = home / "pipelines" / pipeline_name / "load"
    for kind in ("new", "normalized"):
        try:
            packages = sorted(path.name for path in (folder / kind).iterdir() if path.is_dir())
        except OSError:
            continue
        for package in packages:
            yield (
                f"dlt has package {package} waiting in {folder / kind}. Load it with dlt first, or drop it: the next run "
                "extracts its rows again."
            )
