"""Sources by import path, with arguments that are read in the step."""

import copy
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from dagster import ComponentLoadContext

from dlt_orchestrate.config.references import filled
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import Source, SourceFactory, source
from dlt_orchestrate.errors import ComponentError, DeclarationError


def imported(path: str, context: ComponentLoadContext, place: str) -> Any:
    """The object at an import path: `package.module:name`, `package.module.name`, or with a dot first for beside the file.

    Raises:
        ComponentError: There is no such module, or nothing of that name in it.
    """
    module_path, colon, name = path.rpartition(":")
    if not colon:
        module_path, _, name = path.rpartition(".")
    if not module_path.strip(".") or not name:
        raise ComponentError(
            place=place, problem=f"{path!r} is no import path. Write package.module:name, or .module:name for one beside it"
        )
    folder = context.path if context.path.is_dir() else context.path.parent
    beside = context.defs_relative_module_name(folder) if module_path.startswith(".") else ""
    full = f"{beside}{module_path}"
    try:
        found: Any = importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{full}.".startswith(f"{error.name}."):
            raise  # a module that it imports is missing
        raise ComponentError(place=place, problem=f"there is no module {full!r} for {path!r}") from None
    for part in name.split("."):
        if not hasattr(found, part):
            there = [known for known in vars(found) if not known.startswith("_")]
            raise ComponentError(place=place, problem=f"module {full!r} has no {part!r}. {meant(part, there)}")
        found = getattr(found, part)
    return found


class LateSource(Source):
    """A source whose arguments are read, and whose function is called, when it is evaluated."""

    @classmethod
    def of(cls, recipe: Source) -> "LateSource":
        """The same recipe, with what its arguments name left to be read."""
        return cls(recipe._function, recipe._settings, recipe._args, recipe._kwargs)

    def evaluate(self, resolver: Resolver, *, placeholders: bool = False) -> tuple[Resource, ...]:
        ready = copy.copy(self)
        ready._kwargs = filled(self._kwargs, resolver, owner=f"Source {self.name!r}", placeholders=placeholders)
        ready._function = _giving_resources(self._function, resolver, placeholders=placeholders)
        return Source.evaluate(ready, resolver, placeholders=placeholders)


def source_of(found: Any, args: Mapping[str, Any], place: str, *, name: str | None = None) -> Source:
    """The source that an import path leads to: one that is made already, or a function that makes one.

    Args:
        name: The name of a source that the function makes, in place of its own.

    Raises:
        ComponentError: It is neither, or does not take the arguments.
    """
    if isinstance(found, Source | Resource):
        if args:
            raise ComponentError(
                place=f"{place}args",
                problem="the source is made already, and takes no arguments. Let 'source' name the function that makes it",
            )
        return found if isinstance(found, Source) else _around(found)
    if not callable(found):
        raise ComponentError(
            place=f"{place}source",
            problem=f"it names a {type(found).__name__}, and should name a source or a function that gives one",
        )
    factory = found if isinstance(found, SourceFactory) else source(found)
    factory = factory if name is None else factory.with_args(name=name)
    try:
        return LateSource.of(factory(**args))
    except DeclarationError as error:
        raise ComponentError(place=f"{place}args", problem=str(error)) from None


def _around(resource: Resource) -> Source:
    def alone() -> Resource:
        return resource

    factory: SourceFactory = source(name=resource.name)(alone)
    return factory()


def _giving_resources(function: Callable[..., Any], resolver: Resolver, *, placeholders: bool) -> Callable[..., Any]:
    """The function, with the resources of the source that it returns in place of that source."""

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        return list(found.evaluate(resolver, placeholders=placeholders)) if isinstance(found, Source) else found

    return called
