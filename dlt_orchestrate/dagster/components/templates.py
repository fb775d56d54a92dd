"""Templates in YAML: what they know, and what comes of them."""

from collections.abc import Callable, Mapping
from typing import Any

from dagster import ComponentLoadContext, ResolutionContext

from dlt_orchestrate.dagster.components.late import expect_no_secret
from dlt_orchestrate.dataclass import dataclass


@dataclass(frozen=True)
class ContextInYaml:
    """What templates know as `context`, as in Dagster's own components."""

    project_root: str
    load_component: Callable[..., Any]
    build_defs: Callable[..., Any]


def scope_of(context: ComponentLoadContext) -> ResolutionContext:
    """What templates of a file know."""
    known = ContextInYaml(str(context.project_root), context.load_component, context.build_defs)
    scope: ResolutionContext = context.resolution_context.with_scope(context=known).at_path("attributes")
    return scope


def rendered(value: Any, context: ResolutionContext, place: str) -> Any:
    """The value with its templates carried out, at any depth.

    Raises:
        ComponentError: A template would show a secret, or names a variable that is not set.
    """
    if isinstance(value, Mapping):
        return {key: rendered(part, context.at_path(key), f"{place}.{key}") for key, part in value.items()}
    if isinstance(value, list):
        return [rendered(part, context.at_path(at), f"{place}.{at}") for at, part in enumerate(value)]
    if not isinstance(value, str) or not ("{{" in value or "{%" in value):
        return value  # a native template would make a number of a text like '007'
    expect_no_secret(value, place)
    return context.resolve_value(value)
