"""`pipeline NAME drop`, `reset` and `prune`: taking away what was loaded, or what is remembered of it, in one commit."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import click

from dlt_orchestrate.cli.loads import as_json, print_json
from dlt_orchestrate.cli.locate import Located, located
from dlt_orchestrate.flow.package import Retention
from dlt_orchestrate.pipeline.pipeline import Pipeline
from dlt_orchestrate.pipeline.repair import Repair, Tables, Wish, carry_out, plan_repair, prune
from dlt_orchestrate.pipeline.retention import SHORTEST_DAYS, configured_retention
from dlt_orchestrate.protocols.clock import SystemClock
from dlt_orchestrate.state.commits import Window


def _repairing(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments and options that `drop` and `reset` share."""
    for decorate in reversed(
        (
            located,
            click.argument("resources", nargs=-1),
            click.option("--all", "everything", is_flag=True, help="All resources, with the state that they share."),
            click.option("--source", help="The source that is meant; all that have such resources by default."),
            click.option("--state-only", is_flag=True, help="Leave the tables alone."),
            click.option("--tables-only", is_flag=True, help="Leave cursors and other state alone."),
            click.option("--shared", is_flag=True, help="Take away rows of other pipelines in the same tables, too."),
            click.option("--dry-run", is_flag=True, help="Tell what would happen, and change nothing."),
            click.option("-y", "--yes", is_flag=True, help="Do not ask."),
            as_json,
        )
    ):
        command = decorate(command)
    return command


@click.command()
@_repairing
@click.option(
    "--window",
    "windows",
    nargs=2,
    multiple=True,
    metavar="START END",
    help="Only this window: the rows that its loads brought, and that it was loaded. Can be given several times.",
)
def drop(place: Located, windows: tuple[tuple[str, str], ...], **told: Any) -> None:
    """Drop tables and state of RESOURCES, so that the next run loads them anew.

    A resource is named exactly, or by a regular expression behind re: that its whole name must match.
    """
    _repair(place, "drop", tuple(Window(*window) for window in windows), **told)


@click.command()
@_repairing
def reset(place: Located, **told: Any) -> None:
    """Delete the rows and the state of RESOURCES; their tables stay, with columns and types."""
    _repair(place, "empty", (), **told)


def _repair(
    place: Located,
    tables: Tables,
    windows: tuple[Window, ...],
    *,
    resources: tuple[str, ...],
    everything: bool,
    source: str | None,
    state_only: bool,
    tables_only: bool,
    shared: bool,
    dry_run: bool,
    yes: bool,
    is_json: bool,
) -> None:
    if not resources and not everything:
        raise click.UsageError("Name the resources, or pass --all.")
    if state_only and tables_only:
        raise click.UsageError("--state-only and --tables-only leave nothing to do: leave one of them out.")
    wish = Wish(resources, everything, source, "keep" if state_only else tables, not tables_only, windows, shared)
    planned = plan_repair(place.destination, place.pipeline_name, place.dataset_name, wish, SystemClock())
    if not is_json:
        _print_plan(place, planned)
        if windows and planned.is_empty:
            loaded = ", ".join(map(str, _windows_loaded(place))) or "none"
            click.echo(f"Windows that were loaded: {loaded}.")
    if not (dry_run or planned.is_empty):
        _confirm(yes)
        planned = carry_out(place.destination, planned)
    if is_json:
        print_json(planned.asdict())
    elif planned.load_id is not None:
        click.echo(f"Done, as load {planned.load_id}.")
    elif not planned.is_empty:
        click.echo("Nothing was changed.")


def _print_plan(place: Located, planned: Repair) -> None:
    if planned.is_empty:
        click.echo("There is nothing to take away.")
        return
    click.echo(f"In dataset {place.dataset_name} of {place.destination.location}, pipeline {place.pipeline_name}:")
    for line in str(planned).splitlines():
        click.echo(f"  {line}")


def _windows_loaded(place: Located) -> list[Window]:
    stored = place.destination.read_state(place.scope)
    return sorted({unit.window for unit in stored.latest if unit.window is not None}, key=str)


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask on. Pass --yes to go ahead, or --dry-run only to look.")
    click.confirm("Go ahead?", abort=True, err=True)


@click.command("prune")
@located
@click.option("--loads-days", type=click.IntRange(min=SHORTEST_DAYS["loads"]), help="Keep load records this long.")
@click.option("--rejects-days", type=click.IntRange(min=SHORTEST_DAYS["rejects"]), help="Keep rejected rows this long.")
@click.option("--commits-days", type=click.IntRange(min=SHORTEST_DAYS["commits"]), help="Keep commit records this long.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@as_json
def prune_command(
    place: Located,
    loads_days: int | None,
    rejects_days: int | None,
    commits_days: int | None,
    yes: bool,
    is_json: bool,
) -> None:
    """Remove old records of the dataset, by the options, else as section [retention] of the configuration says."""
    asked = [loads_days, rejects_days, commits_days]
    if any(days is not None for days in asked):
        retention = Retention(*(timedelta(days=days) if days is not None else None for days in asked))
    else:
        retention = configured_retention(Pipeline(place.pipeline_name).resolver())
    wanted = {"load records": retention.loads, "rejected rows": retention.rejects, "commit records": retention.commits}
    if not any(wanted.values()):
        raise click.UsageError(
            "Nothing says how long records are to be kept. Pass --loads-days, --rejects-days or --commits-days, or set "
            "them in section [retention] of the configuration."
        )
    if not is_json:
        for name, kept in wanted.items():
            if kept is not None:
                click.echo(f"{name.capitalize()} older than {kept.days} day(s) go from dataset {place.dataset_name}.")
    _confirm(yes)
    gone = prune(place.destination, place.pipeline_name, place.dataset_name, retention, SystemClock())
    if is_json:
        print_json(dict(gone))
    else:
        click.echo("Removed: " + ", ".join(f"{rows:,} row(s) of {table}" for table, rows in gone.items()) + ".")
