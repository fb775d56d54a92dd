"""The first rows of each table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from dlt_orchestrate.cli.overview import Overview
from dlt_orchestrate.cli.text import cell, print_table
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.protocols.destination import Destination

ROWS_READ = 100
_ROWS_PRINTED = 5
_COLUMNS_PRINTED = 6
_LONGEST_PRINTED = 28


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a table, column by column in its order; the system's columns last."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


def read_samples(destination: Destination, overview: Overview) -> Mapping[str, Sample]:
    """The first rows of each table, by table."""
    with destination.reader(overview.dataset_name) as reader:
        found = {}
        for table in overview.tables:
            columns = sorted(table.columns, key=lambda name: name.startswith("_dlt_"))
            # As text where Python has no such type, or would not show all of it.
            chosen = ", ".join(f"CAST({reader.quoted(name)} AS VARCHAR)" for name in columns)
            query = f"SELECT {chosen} FROM {reader.qualified(table.name)} LIMIT {ROWS_READ}"  # noqa: S608
            values = [column.to_pylist() for column in reader.query(query).columns]
            found[table.name] = Sample(tuple(columns), list(zip(*values, strict=True)))
        return found


def print_preview(overview: Overview, samples: Mapping[str, Sample]) -> None:
    """Print the first rows and columns of the root tables."""
    click.echo(f"Pipeline {cell(overview.pipeline_name)}, dataset {cell(overview.dataset_name)} in {overview.location}\n")
    for table in overview.tables:
        if table.depth > 0:
            continue
        sample = samples[table.name]
        shown = [name for name in sample.columns if not name.startswith("_dlt_")][:_COLUMNS_PRINTED]
        rows = [[cell(value, _LONGEST_PRINTED) for value in row[: len(shown)]] for row in sample.rows[:_ROWS_PRINTED]]
        click.echo(f"{table.name}: {table.rows:,} row(s), {len(table.columns)} columns")
        print_table(shown, rows)
        click.echo()
