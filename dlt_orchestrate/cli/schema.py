"""`schema PIPELINE_OR_FILE`: a stored schema, or one from a file, as YAML, JSON or a diagram."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from dlt_orchestrate.cli.locate import find_dataset, find_destination
from dlt_orchestrate.config.spelling import likely
from dlt_orchestrate.errors import DeclarationError, SchemaDocumentError, SchemaFileError
from dlt_orchestrate.flow.snapshot import Scope
from dlt_orchestrate.pipeline.history import schemas_of_pipeline
from dlt_orchestrate.schema.document import Schema

_FORMATS: dict[str, Callable[[Schema], str]] = {
    "yaml": Schema.to_pretty_yaml,
    "json": Schema.to_pretty_json,
    "mermaid": Schema.to_mermaid,
    "dot": Schema.to_dot,
    "dbml": Schema.to_dbml,
}
_ENDINGS = (".yaml", ".yml", ".json")


@click.command()
@click.argument("origin", metavar="PIPELINE_OR_FILE")
@click.option(
    "--format", "form", type=click.Choice(list(_FORMATS)), default="yaml", show_default=True, help="What to print."
)
@click.option("--source", help="The source whose schema is meant; needed only if the pipeline has loaded several.")
@click.option("--destination", help="Its name, or the path of a DuckDB file; as configured, or ./NAME.duckdb, by default.")
@click.option("--dataset", help="The dataset; needed only if the pipeline has loaded into several.")
def schema(origin: str, form: str, source: str | None, destination: str | None, dataset: str | None) -> None:
    """Print the schema of a pipeline, as its destination knows it, or of a file in YAML or JSON."""
    found = _of_file(Path(origin)) if origin.endswith(_ENDINGS) else _of_pipeline(origin, source, destination, dataset)
    click.echo(_FORMATS[form](found).rstrip("\n"))


def _of_file(path: Path) -> Schema:
    try:
        return Schema.from_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, SchemaDocumentError) as error:
        problem = (
            error.problem if isinstance(error, SchemaDocumentError) else getattr(error, "strerror", None) or str(error)
        )
        raise SchemaFileError(path=str(path), problem=problem, advice="Name a schema that was exported.") from error


def _of_pipeline(name: str, source: str | None, destination: str | None, dataset: str | None) -> Schema:
    """The stored schema of the source that was asked for, else of the only one.

    Raises:
        DeclarationError: It has loaded several sources and none is named, or not the one that is.
    """
    place = find_destination(name, destination)
    stored = place.read_state(Scope(name, find_dataset(place, name, dataset)))
    schemas = {known.name: known for known in schemas_of_pipeline(stored)}
    if source is None and len(schemas) == 1:
        return next(iter(schemas.values()))
    if source is None or source not in schemas:
        problem = "has loaded several sources." if source is None else f"has not loaded a source {source!r}."
        near = f" {found}" if source is not None and (found := likely([source], schemas)) else ""
        raise DeclarationError(
            f"Pipeline {name!r} {problem}{near} Name one of these with --source: {', '.join(map(repr, schemas)) or 'none'}."
        )
    return schemas[source]
