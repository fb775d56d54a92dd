"""Values that a declaration only names: they are read when it runs, never while it is made."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dlt_orchestrate.config.inject import Placeholder
from dlt_orchestrate.config.providers import Environment
from dlt_orchestrate.config.redaction import learn, looks_secret
from dlt_orchestrate.config.resolver import Resolved, Resolver
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import ConfigFieldMissingError

Place = tuple[str | int, ...]

REFERENCE_KINDS = ("secret", "env")
"""The keys by which a mapping names a value."""
TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
"""A template in a text of YAML."""
_ENV = re.compile(r"""\s*env(?:\.(\w+)|\(\s*['"](\w+)['"]\s*(?:,\s*['"]([^'"]*)['"]\s*)?\))\s*""")


@dataclass(frozen=True)
class Late:
    """A value that is read when it is needed: an environment variable, or a key of `secrets.toml` or `config.toml`.

    Attributes:
        name: Of the variable or key, such as `GITHUB_TOKEN` or `sources.github.access_token`.
        default: What stands for it if it is missing.
        sections: Where it is looked up as the argument of a source is; None if the name is all of its key.
    """

    name: str
    is_secret: bool = True
    default: str | None = None
    sections: tuple[str, ...] | None = None

    def read(self, resolver: Resolver) -> Any:
        """The value; None if there is none."""
        resolved = self.found(resolver)
        value = self.default if resolved is None else resolved.value
        if self.is_secret or looks_secret(self.name):
            learn(value)
        return value

    def found(self, resolver: Resolver) -> Resolved | None:
        """The value where it is configured; None if it is not."""
        if self.sections is not None:
            return resolver.lookup(self.name, self.sections, Any, self.is_secret)
        value = os.environ.get(self.name)
        if value is None:
            return resolver.read(self.name, Any, self.is_secret)
        return Resolved(self.name, value, Environment.name, self.name, self.is_secret)

    def tried(self, resolver: Resolver) -> tuple[tuple[str, str], ...]:
        """The (provider, key) pairs where it may stand."""
        if self.sections is not None:
            return resolver.tried(self.name, self.sections, self.is_secret)
        exactly = ((Environment.name, self.name), *resolver.tried_exactly(self.name, self.is_secret))
        return tuple(dict.fromkeys(exactly))


@dataclass(frozen=True)
class LateText:
    """A text with values in it that are read when it is needed."""

    parts: tuple[str | Late, ...]


def named_value(value: Any) -> Late | None:
    """The value that `{secret: NAME}` or `{env: NAME}` names; None for anything else.

    >>> named_value({"secret": "GITHUB_TOKEN"}), named_value({"state": "open"})
    (Late(name='GITHUB_TOKEN', is_secret=True, default=None, sections=None), None)
    """
    if isinstance(value, Mapping):
        for kind in REFERENCE_KINDS:
            if value.keys() == {kind} and isinstance(value[kind], str):
                return Late(value[kind], is_secret=kind == "secret")
    return None


def named_by_template(inside: str) -> Late | None:
    """The variable that a template names, and does no more with; None for any other.

    >>> named_by_template(" env.API_TOKEN "), named_by_template("env.API_TOKEN.upper()")
    (Late(name='API_TOKEN', is_secret=True, default=None, sections=None), None)
    """
    found = _ENV.fullmatch(inside)
    if found is None:
        return None
    name = found[1] or found[2]
    return Late(name, is_secret=looks_secret(name), default=found[3])


def as_named(value: Any) -> Any:
    """What YAML says, with a `Late` wherever it names a secret or a variable, at any depth."""
    if isinstance(value, str):
        named = tuple(filter(None, map(named_by_template, TEMPLATE.findall(value))))
        return LateText(named) if named else value
    if isinstance(value, Mapping):
        return named_value(value) or {key: as_named(part) for key, part in value.items()}
    return list(map(as_named, value)) if isinstance(value, list) else value


def filled(value: Any, resolver: Resolver, *, owner: str, placeholders: bool = False) -> Any:
    """The value with what it names read, at any depth.

    Args:
        owner: Whose values they are, for messages: `Source 'github'`.
        placeholders: Whether an empty text stands for what is missing.

    Raises:
        ConfigFieldMissingError: Values are missing; it names all of them.
    """
    read = {one: one.read(resolver) for one in _named_in(value)}
    missing = [one for one, found in read.items() if found is None]
    if missing and not placeholders:
        raise ConfigFieldMissingError(
            owner=owner,
            fields=[one.name for one in missing],
            tried={one.name: one.tried(resolver) for one in missing},
            files_read=resolver.files_read,
            files_absent=resolver.files_absent,
        )
    return put_in(value, {one: Placeholder() if found is None else found for one, found in read.items()})


def with_placeholders(value: Any) -> Any:
    """The value with an empty text for all that it names; nothing is read."""
    return put_in(value, {one: Placeholder() for one in _named_in(value)})


def is_late(value: Any) -> bool:
    """Whether something in it is read when it is needed."""
    return next(_named_in(value), None) is not None


def put_in(value: Any, read: Mapping[Late, Any]) -> Any:
    """The value with what was read in place of what names it."""
    if isinstance(value, Late):
        return read[value]
    if isinstance(value, LateText):
        parts = [read[part] if isinstance(part, Late) else part for part in value.parts]
        is_placeholder = any(isinstance(part, Placeholder) for part in parts)
        return Placeholder("".join(map(str, parts))) if is_placeholder else "".join(map(str, parts))
    if isinstance(value, Mapping):
        return {key: put_in(part, read) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [put_in(part, read) for part in value]
    return value


def places_in(value: Any, place: Place = ()) -> Iterator[tuple[Place, Late]]:
    """All that a value names, each with the keys and positions that lead to it."""
    if isinstance(value, Late):
        yield place, value
    elif isinstance(value, LateText):
        yield from ((place, part) for part in value.parts if isinstance(part, Late))
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from places_in(part, (*place, key))
    elif isinstance(value, list | tuple):
        for position, part in enumerate(value):
            yield from places_in(part, (*place, position))


def _named_in(value: Any) -> Iterator[Late]:
    return (named for _, named in places_in(value))
