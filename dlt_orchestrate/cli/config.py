"""`config explain MODULE:FUNCTION`: where the values of a source, a resource or a component come from."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from dlt_orchestrate.cli.text import cell
from dlt_orchestrate.config.explain import Explanation, explain, explain_named
from dlt_orchestrate.config.fields import fields_of
from dlt_orchestrate.config.references import as_named
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.spelling import likely
from dlt_orchestrate.config.yaml_problems import yaml_problem
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.resource import Resource, section_of
from dlt_orchestrate.declare.source import Source, SourceFactory
from dlt_orchestrate.errors import DeclarationError


@dataclass(frozen=True)
class Explained:
    """A source, a resource or a function, with what it takes from the configuration.

    Attributes:
        sections: Where its values stand; none for a component, which names the whole key.
    """

    title: str
    sections: tuple[str, ...]
    values: Sequence[Explanation]


@click.group()
def config() -> None:
    """Look at configuration and secrets."""


@config.command("explain")
@click.argument("function", metavar="MODULE:FUNCTION|FILE.YAML")
@click.option(
    "--pipeline", "pipeline_name", help="Look on behalf of this pipeline: keys that begin with its name go first."
)
def explain_command(function: str, pipeline_name: str | None) -> None:
    """Tell for each parameter of a source or resource its value, where it comes from, and what was tried.

    MODULE:FUNCTION is what Python would import, such as definitions.github:github_source. Of the YAML file of a component,
    such as acme/defs/shop/defs.yaml, what it names is told, such as {secret: NAME}. Secrets are masked.
    """
    resolver = Resolver.from_environment().for_pipeline(pipeline_name)
    is_file = function.endswith((".yaml", ".yml"))
    found = _in_file(Path(function), resolver) if is_file else _explained(_imported(function), function, resolver)
    for explained in found:
        sections = f", sections {'.'.join(explained.sections)}" if explained.sections else ""
        click.echo(f"{explained.title}{sections}\n")
        for explanation in explained.values:
            _print(explanation)
        if not explained.values:
            click.echo("  It takes nothing from the configuration.\n")
    click.echo(f"Files read: {', '.join(resolver.files_read) or 'none'}")
    click.echo(f"Files looked for and not found: {', '.join(resolver.files_absent) or 'none'}")


def _imported(name: str) -> Any:
    """What `MODULE:FUNCTION` names, imported with the current folder in the path."""
    module_name, colon, attribute = name.partition(":")
    if not (colon and module_name and attribute):
        raise click.UsageError(f"{name!r} is not of the form MODULE:FUNCTION, such as definitions.github:github_source.")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        near = likely([str(error.name)], _modules_beside(str(error.name)))
        raise DeclarationError(
            f"Module {module_name!r} cannot be imported: there is no module {error.name!r}. {near}{' ' if near else ''}"
            f"It is looked for from {Path.cwd()}."
        ) from error
    if not hasattr(module, attribute):
        there = [name for name, found in vars(module).items() if isinstance(found, SourceFactory | Source | Resource)]
        there += [name for name in vars(module) if not name.startswith("_") and name not in there]
        near = likely([attribute], there)
        raise DeclarationError(f"Module {module_name!r} has no {attribute!r}.{' ' if near else ''}{near}")
    return getattr(module, attribute)


def _modules_beside(name: str) -> set[str]:
    """The modules in the package that a missing one would be in; of one without a package, those in the current folder."""
    package, dot, _ = name.rpartition(".")
    within = getattr(sys.modules.get(package), "__path__", ()) if dot else [str(Path.cwd())]
    return {f"{package}{dot}{module.name}" for module in pkgutil.iter_modules(within)}


def _in_file(path: Path, resolver: Resolver) -> Iterator[Explained]:
    """The components of a YAML file, each with the values that its attributes name."""
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        problem = getattr(error, "strerror", None) or yaml_problem(error)
        raise DeclarationError(f"File {str(path)!r} cannot be read: {problem}.") from None
    for document in documents:
        if not isinstance(document, Mapping) or not isinstance(document.get("type"), str):
            raise DeclarationError(f"File {str(path)!r} is none of a component: it has no 'type'.")
        named = explain_named(as_named(document.get("attributes")), resolver)
        yield Explained(f"Component {document['type'].rpartition('.')[2]!r} in {path}", (), named)


def _explained(found: Any, name: str, resolver: Resolver) -> Iterator[Explained]:
    """What was named, explained; of a source also its resources."""
    if isinstance(found, SourceFactory):
        found = found()
    if isinstance(found, Source):
        sections = ("sources", found.section, found.name)
        yield Explained(f"Source {found.name!r}", sections, found.explained(resolver))
        for resource in _resources_of(found, resolver):
            yield from _of_resource(resource, resolver)
    elif isinstance(found, Resource):
        yield from _of_resource(found, resolver)
    elif callable(found):
        sections = ("sources", section_of(found), getattr(found, "__name__", ""))
        yield Explained(f"Function {name!r}", sections, explain(found, resolver, sections))
    else:
        raise DeclarationError(f"{name!r} is a {type(found).__name__}; expected a source, a resource or a function.")


def _resources_of(source: Source, resolver: Resolver) -> tuple[Resource, ...]:
    """Its resources, as definitions see them: missing values are replaced by empty ones."""
    try:
        return source.evaluate(resolver, placeholders=True)
    except Exception as error:  # noqa: BLE001 - the function is the user's; what is known without it was told
        click.echo(
            f"Its resources are not explained: the source's function failed with {type(error).__name__}.\n", err=True
        )
        return ()


def _of_resource(resource: Resource, resolver: Resolver) -> Iterator[Explained]:
    if resource.function is not None:
        fields = fields_of(resource.function)
        own = fields[1:] if resource.is_transformer else fields  # the first is what the parent yields
        yield Explained(f"Resource {resource.name!r}", resource.sections, explain(own, resolver, resource.sections))


def _print(explanation: Explanation) -> None:
    value = explanation.problem if explanation.value is None else cell(explanation.value)
    click.echo(f"  {explanation.field} = {value}")
    if explanation.provider is not None:
        key = f", key {explanation.key}" if explanation.key else ""
        click.echo(f"    from   {explanation.provider}{key}")
    for number, (provider, key) in enumerate(explanation.tried):
        click.echo(f"    {'tried' if number == 0 else '     '}  {provider}: {key}")
    click.echo()
