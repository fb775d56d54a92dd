"""`openapi FILE_OR_URL`: a first configuration of a REST API source, drafted from an OpenAPI document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from dlt_orchestrate.sources.openapi import Draft, draft_from, read_document


@click.command()
@click.argument("document", metavar="FILE_OR_URL")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--format", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
@click.option("--base-url", help="Where the API is, instead of the first server that the document names.")
@click.option(
    "--only", multiple=True, metavar="PATTERN", help="Names, paths or tags to draft, such as 'users*'; repeatable."
)
@click.option(
    "--value", "values", multiple=True, metavar="NAME=VALUE", help="For a name in paths or parameters; repeatable."
)
@click.option("--search", is_flag=True, help="Draft POST requests that search, too.")
@click.option("--details", is_flag=True, help="Draft requests for one record by its key, too.")
def openapi(
    document: str,
    output: Path | None,
    force: bool,
    form: str,
    base_url: str | None,
    only: Sequence[str],
    values: Sequence[str],
    search: bool,
    details: bool,
) -> None:
    """Draft the configuration of a REST API source from an OpenAPI 3 document. What was guessed is marked."""
    if output is not None and output.exists() and not force:
        raise click.ClickException(f"{output} is there already; pass --force to write over it.")
    draft = draft_from(
        read_document(document),
        base_url=base_url,
        only=only,
        with_search=search,
        with_details=details,
        values=dict(map(_pair, values)),
    )
    text = draft.to_yaml() if form == "yaml" else draft.to_json() + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
    click.echo(_told(draft), err=True)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--value")
    return name, value


def _told(draft: Draft) -> str:
    """What came of the document, in a few words."""
    guesses = len(draft.client_checks) + sum(len(one.checks) for one in draft.resources)
    parts = [f"{len(draft.resources)} resources drafted, {guesses} guesses to check"]
    if draft.incomplete:
        names = sorted({name for one in draft.incomplete for name in one.missing})
        parts.append(f"{len(draft.incomplete)} need values of {', '.join(names)} (--value NAME=VALUE)")
    if draft.left_out:
        parts.append(f"{len(draft.left_out)} requests left out")
    return "; ".join(parts) + "."
