"""Filling the arguments of a function from the configuration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dlt_orchestrate.config import coercion
from dlt_orchestrate.config.fields import Field, signature_of
from dlt_orchestrate.config.markers import ConfigMarker
from dlt_orchestrate.config.redaction import Secret, learn, looks_secret
from dlt_orchestrate.config.resolver import Resolved, Resolver
from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.errors import ConfigError, ConfigFieldMissingError, InvalidArgumentsError


class Placeholder(str):
    """An empty text that stands for a value which is not configured where definitions are made."""

    __slots__ = ()


def bind_with_config(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    resolver: Resolver,
    sections: Sequence[str],
    owner: str,
    placeholders: bool = False,
) -> inspect.BoundArguments:
    """Bind arguments as a call would, with configured values for what the caller left out; defaults are applied.

    An argument that was passed stays, except a marker, and None where a marker is the default: these ask for a value. A
    plain default gives way to a configured value. A value that may be None by its annotation is never missing.

    Args:
        sections: Where its values stand, from the outermost, such as `("sources", module, function)`.
        owner: What the function is, for messages: `Source 'github'`.
        placeholders: Fill what is missing or unusable with an empty value of its type, for definitions: those need no
            configuration.

    Raises:
        InvalidArgumentsError: The arguments do not fit the signature, or a required one is neither passed nor configured.
        ConfigFieldMissingError: Values are missing; it names all of them.
        ConfigValueCoercionError, ValueNotSecretError, ConfigFileError: As in `Resolver.lookup`.
    """
    signature, fields = signature_of(function)
    try:
        bound = signature.bind_partial(*args, **kwargs)
    except TypeError as error:
        raise wrong_arguments(owner, error, signature.parameters, kwargs) from None
    missing: list[Field] = []
    for field in fields:
        wanted = wanted_of(field, bound.arguments)
        if wanted is None:
            continue
        found = _look_up(wanted, resolver, sections, forgiving=placeholders)
        if found is not None:
            bound.arguments[field.name] = found.value
        elif wanted.is_marked and wanted.is_optional:
            bound.arguments[field.name] = None
        elif wanted.is_marked or wanted.is_argument:
            bound.arguments[field.name] = _placeholder(wanted)
            missing.append(wanted)
    if missing and not placeholders:
        raise _missing(missing, resolver, sections, owner)
    bound.apply_defaults()
    return bound


def wanted_of(field: Field, passed: Mapping[str, Any]) -> Field | None:
    """What to look up: None where a value was passed; what a passed marker says where one was."""
    if field.name not in passed:
        return field
    value = passed[field.name]
    if isinstance(value, ConfigMarker):
        return replace(field, default=value, is_secret=field.is_secret or value.is_secret)
    if value is None and field.is_marked:
        return field
    _learn_if_secret(field, value)
    return None


def _look_up(field: Field, resolver: Resolver, sections: Sequence[str], *, forgiving: bool) -> Resolved | None:
    try:
        found = resolver.lookup(field.name, sections, field.annotation, field.is_secret)
    except ConfigError:
        if not forgiving:
            raise
        return None
    if found is not None:
        _learn_if_secret(field, found.value)
    return found


def _learn_if_secret(field: Field, value: Any) -> None:
    if field.is_secret or looks_secret(field.name):
        learn(value)


def _missing(
    missing: Sequence[Field], resolver: Resolver, sections: Sequence[str], owner: str
) -> ConfigFieldMissingError | InvalidArgumentsError:
    arguments = [field.name for field in missing if field.is_argument]
    if arguments:
        problem = f"missing required argument {', '.join(map(repr, arguments))}"
        return InvalidArgumentsError(owner=owner, problem=problem, missing=arguments)
    return ConfigFieldMissingError(
        owner=owner,
        fields=[field.name for field in missing],
        tried={field.name: resolver.tried(field.name, sections, field.is_secret) for field in missing},
        files_read=resolver.files_read,
        files_absent=resolver.files_absent,
    )


def _placeholder(field: Field) -> Any:
    """An empty value of the field's type; an empty text where the type is open, None where it has no empty value."""
    members = coercion.members_of(field.annotation)
    if members & {str, Any}:
        return Placeholder()
    if Secret in members:
        return Secret("")
    for empty_type in (bool, int, float, list, dict, tuple, set, frozenset):
        if empty_type in members:
            return empty_type()
    return None


def wrong_arguments(owner: str, error: TypeError, parameters: Iterable[str], given: Iterable[str]) -> InvalidArgumentsError:
    """The error for arguments that a function does not take, with the parameter that was probably meant.

    Args:
        error: What Python says.
        parameters: Names of the parameters that the user may give.
        given: Names of the arguments.
    """
    known = list(parameters)
    unknown = next((name for name in given if name not in known), None)
    told = str(error) if unknown is None else f"{error}. {meant(unknown, known)}".rstrip(".")
    return InvalidArgumentsError(owner=owner, problem=told)
