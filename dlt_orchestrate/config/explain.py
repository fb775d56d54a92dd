"""Where every value comes from, and what was tried: the facts behind `config explain`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dlt_orchestrate.config.fields import Field, fields_of
from dlt_orchestrate.config.inject import wanted_of
from dlt_orchestrate.config.redaction import MASK, looks_secret, redact
from dlt_orchestrate.config.references import Late, places_in
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import ConfigError, place_text


@dataclass(frozen=True, slots=True)
class Explanation:
    """One field: its value and where that comes from.

    Attributes:
        value: As text, masked if it is a secret; None where there is none.
        provider: The provider that has it; `code` where the caller gives it; `default` where nothing is configured and the
            code has a default; None where the value is missing or unusable.
        key: As users write it in that provider.
        tried: The (provider, key) pairs in the order they were asked, up to the one that answered.
        problem: Why there is no value; empty where there is one.
    """

    field: str
    value: str | None
    provider: str | None
    key: str | None
    tried: tuple[tuple[str, str], ...]
    is_secret: bool
    problem: str = ""


def explain(
    wanted: Callable[..., Any] | Iterable[Field],
    resolver: Resolver,
    sections: Sequence[str],
    passed: Mapping[str, Any] | None = None,
) -> list[Explanation]:
    """Explain the fields of a function, or the fields given, without calling anything.

    Args:
        passed: The arguments that the code passes: nothing is looked up for them, unless they are markers.
    """
    fields = fields_of(wanted) if callable(wanted) else wanted
    return [_explained(field, resolver, sections, passed or {}) for field in fields]


def explain_named(declared: Any, resolver: Resolver) -> list[Explanation]:
    """Explain what a declaration only names, such as `{secret: NAME}`: each value by its place."""
    return [_explained_name(place_text(place), named, resolver) for place, named in places_in(declared)]


def _explained_name(place: str, named: Late, resolver: Resolver) -> Explanation:
    is_secret = named.is_secret or looks_secret(named.name)
    try:
        tried = named.tried(resolver)
        found = named.found(resolver)
    except ConfigError as error:
        return Explanation(place, None, None, None, (), is_secret, problem=redact(str(error)))
    if found is not None:
        at = tried.index((found.provider, found.key))
        return Explanation(place, _shown(found.value, is_secret), found.provider, found.key, tried[: at + 1], is_secret)
    if named.default is None:
        return Explanation(place, None, None, None, tried, is_secret, problem="missing")
    return Explanation(place, _shown(named.default, is_secret), "default", None, tried, is_secret)


def _explained(declared: Field, resolver: Resolver, sections: Sequence[str], passed: Mapping[str, Any]) -> Explanation:
    field = wanted_of(declared, passed)
    if field is None:
        is_secret = declared.is_secret or looks_secret(declared.name)
        return Explanation(declared.name, _shown(passed[declared.name], is_secret), "code", None, (), is_secret)
    is_secret = field.is_secret or looks_secret(field.name)
    try:
        tried = resolver.tried(field.name, sections, field.is_secret)
        found = resolver.lookup(field.name, sections, field.annotation, field.is_secret)
    except ConfigError as error:
        return Explanation(field.name, None, None, None, (), is_secret, problem=redact(str(error)))
    if found is not None:
        at = tried.index((found.provider, found.key))
        shown = _shown(found.value, is_secret)
        return Explanation(field.name, shown, found.provider, found.key, tried[: at + 1], is_secret)
    if field.is_argument or (field.is_marked and not field.is_optional):
        return Explanation(field.name, None, None, None, tried, is_secret, problem="missing")
    default = None if field.is_marked else field.default
    return Explanation(field.name, _shown(default, is_secret), "default", None, tried, is_secret)


def _shown(value: Any, is_secret: bool) -> str:
    return MASK if is_secret and value is not None else redact(repr(value))
