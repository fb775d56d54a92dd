"""`rest-api schema` and `rest-api check FILE`: configurations of REST APIs in YAML, for editors and before they run."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.group("rest-api")
def rest_api() -> None:
    """Look at configurations of REST APIs."""


@rest_api.command("schema")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file to write it to.")
def schema_command(output: Path | None) -> None:
    """Print the JSON schema of a configuration.

    Editors complete and check a YAML file by it: begin it with `# yaml-language-server: $schema=rest_api.schema.json`.
    """
    from dlt_orchestrate.sources.rest_api.json_schema import json_schema

    text = json.dumps(json_schema(), indent=2)
    if output is None:
        click.echo(text)
    else:
        output.write_text(f"{text}\n", encoding="utf-8")


@rest_api.command("check")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def check_command(file: Path) -> None:
    """Tell all that is wrong in a configuration, or what it declares; without network and secrets."""
    from dlt_orchestrate.config.resolver import Resolver
    from dlt_orchestrate.sources.rest_api import rest_api_source

    source = rest_api_source(file, name=file.stem)
    for resource in source.evaluate(Resolver([]), placeholders=True):
        parent = f", for each row of {resource.upstream.name}" if resource.upstream is not None else ""
        cursor = f", new by {resource.incremental.cursor_path}" if resource.incremental is not None else ""
        skipped = "" if resource.selected else ", read for its children only"
        click.echo(f"{resource.name}: {resource.write_disposition} into {resource.table_name}{parent}{cursor}{skipped}")
