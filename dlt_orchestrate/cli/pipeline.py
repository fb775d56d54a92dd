"""`pipeline NAME info` and `pipeline NAME show`: what a pipeline has loaded, read from its destination alone."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dlt_orchestrate.cli.info import print_overview
from dlt_orchestrate.cli.locate import find_dataset, find_destination
from dlt_orchestrate.cli.overview import read_overview
from dlt_orchestrate.cli.preview import print_preview, read_samples
from dlt_orchestrate.cli.show import page


def _located(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say where to look."""
    destination = click.option(
        "--destination", help="Its name, or the path of a DuckDB file; as configured, or ./NAME.duckdb, by default."
    )
    dataset = click.option("--dataset", help="The dataset; needed only if the pipeline has loaded into several.")
    return destination(dataset(command))


_verbose = click.option(
    "-v", "--verbose", is_flag=True, help="Tell more: columns with their types, rows by table and load."
)


@click.group()
@_verbose
@click.argument("name")
@click.pass_context
def pipeline(context: click.Context, name: str, verbose: bool) -> None:
    """Look at the pipeline NAME, as its destination knows it."""
    context.obj = {"name": name, "verbose": verbose}


@pipeline.command()
@_located
@_verbose
@click.pass_obj
def info(asked: dict[str, Any], destination: str | None, dataset: str | None, verbose: bool) -> None:
    """Tell where it loads to, its tables, cursors, loads and rejects."""
    place = find_destination(asked["name"], destination)
    overview = read_overview(place, asked["name"], find_dataset(place, asked["name"], dataset))
    print_overview(overview, verbose=verbose or asked["verbose"])


@pipeline.command()
@_located
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
    path = (output or Path(tempfile.mkdtemp(prefix="dlt-orchestrate-")) / f"{asked['name']}.html").absolute()
    path.write_text(page(overview, samples), encoding="utf-8")
    print_preview(overview, samples)
    click.echo(f"All of it, with the first rows of every table: {path}")
    if opens or (opens is None and sys.stdout.isatty()):
        webbrowser.open(path.as_uri())
