"""`pipeline NAME …`: what a pipeline has loaded, as its destination knows it, and mending it there."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

import click

from dlt_orchestrate.cli.info import print_overview
from dlt_orchestrate.cli.loads import load, loads, rejects, state
from dlt_orchestrate.cli.locate import find_dataset, find_destination, place_options
from dlt_orchestrate.cli.overview import read_overview
from dlt_orchestrate.cli.preview import print_preview, read_samples
from dlt_orchestrate.cli.repair import drop, prune_command, reset
from dlt_orchestrate.cli.show import page
from dlt_orchestrate.cli.takeover import take_over
from dlt_orchestrate.load.scratch import folder_name

_verbose = click.option(
    "-v", "--verbose", is_flag=True, help="Tell more: columns with their types, rows by table and load."
)


@click.group()
@_verbose
@click.argument("name")
@click.pass_context
def pipeline(context: click.Context, name: str, verbose: bool) -> None:
    """Look at the pipeline NAME, as its destination knows it, and mend what is there."""
    context.obj = {"name": name, "verbose": verbose}


@pipeline.command()
@place_options
@_verbose
@click.pass_obj
def info(asked: dict[str, Any], destination: str | None, dataset: str | None, verbose: bool) -> None:
    """Tell where it loads to, its tables, cursors, loads and rejects."""
    place = find_destination(asked["name"], destination)
    overview = read_overview(place, asked["name"], find_dataset(place, asked["name"], dataset))
    print_overview(overview, verbose=verbose or asked["verbose"])


@pipeline.command()
@place_options
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write; a new one by default.")
@click.option("--open/--no-open", "opens", default=None, help="Open it in the browser; by default if this is a terminal.")
@click.pass_obj
def show(
    asked: dict[str, Any], destination: str | None, dataset: str | None, output: Path | None, opens: bool | None
) -> None:
    """Write one page with tables, rows and state; print the first rows and where the page is."""
    place = find_destination(asked["name"], destination)
    overview = read_overview(place, asked["name"], find_dataset(place, asked["name"], dataset))
    samples = read_samples(place, overview)
    path = (output or Path(tempfile.mkdtemp(prefix="dlt-orchestrate-")) / f"{folder_name(asked['name'])}.html").resolve()
    path.write_text(page(overview, samples), encoding="utf-8")
    print_preview(overview, samples)
    click.echo(f"All of it, with the first rows of every table: {path}")
    if opens or (opens is None and sys.stdout.isatty()):
        webbrowser.open(path.as_uri())


for command in (loads, load, rejects, state, drop, reset, prune_command, take_over):
    pipeline.add_command(command)
