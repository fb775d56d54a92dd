"""Values that YAML only names: they are read in the step, never while definitions load."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dagster import EnvVar

from dlt_orchestrate.config.inject import Placeholder
from dlt_orchestrate.config.redaction import learn, looks_secret
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.errors import ComponentError, ConfigFieldMissingError

_TEMPLATE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_ENV = re.compile(r"""\s*env(?:\.(\w+)|\(\s*['"](\w+)['"]\s*(?:,\s*['"]([^'"]*)['"]\s*)?\))\s*""")
_ENV_NAME = re.compile(r"""\benv(?:\.(?P<attribute>\w+)|\(\s*['"](?P<called>\w+)['"])""")


@dataclass(frozen=True)
class Late:
    """A value that is read in the step: an environment variable, or a key of `secrets.toml` or `config.toml`.

    Attributes:
        name: Of the variable or key, such as `GITHUB_TOKEN` or `sources.github.access_token`.
        default: What stands for it if it is missing.
    """

    name: str
    is_secret: bool = True
    default: str | None = None

    def read(self, resolver: Resolver) -> Any:
        """The value; None if there is none."""
        found = os.environ.get(self.name)
        if found is None:
            resolved = resolver.read(self.name, Any, self.is_secret)
            found = self.default if resolved is None else resolved.value
        if self.is_secret or looks_secret(self.name):
            learn(found)
        return found


@dataclass(frozen=True)
class LateText:
    """A text with values in it that are read in the step."""

    parts: tuple[str | Late, ...]


Render = Callable[[str, str], Any]
"""Carries out the templates of a text that stands at a place, and gives what comes of them."""


def late(value: Any, place: str, render: Render = lambda text, _: text) -> Any:
    """The value with a `Late` wherever it names a secret or a variable, at any depth; other templates are carried out.

    Named are they as `{secret: NAME}`, `{env: NAME}`, `{{ env.NAME }}` or by a template that gives an `EnvVar`.

    Raises:
        ComponentError: A template does more with a variable than to name it.

    >>> late({"token": {"secret": "GITHUB_TOKEN"}}, "args")
    {'token': Late(name='GITHUB_TOKEN', is_secret=True, default=None)}
    """
    if isinstance(value, str):
        value = _of_text(value, place, render)
    if isinstance(value, EnvVar):
        return Late(value.env_var_name)
    if isinstance(value, Mapping):
        for kind in ("secret", "env"):
            if value.keys() == {kind} and isinstance(value[kind], str):
                return Late(value[kind], is_secret=kind == "secret")
        return {key: late(part, f"{place}.{key}", render) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [late(part, f"{place}.{index}", render) for index, part in enumerate(value)]
    return value


def filled(value: Any, resolver: Resolver, *, owner: str, placeholders: bool = False) -> Any:
    """The value with what it names read.

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
            tried={
                one.name: (("environment variables", one.name), *resolver.tried_exactly(one.name, one.is_secret))
                for one in missing
            },
            files_read=resolver.files_read,
            files_absent=resolver.files_absent,
        )
    return _put_in(value, {one: Placeholder() if found is None else found for one, found in read.items()})


def is_late(value: Any) -> bool:
    """Whether something in it is read in the step."""
    return next(_named_in(value), None) is not None


def expect_no_secret(template: str, place: str) -> None:
    """Refuse a template that would show a secret in the definitions, or a variable that is not set.

    Raises:
        ComponentError: It does.
    """
    for found in _ENV_NAME.finditer(template):
        name = found["attribute"] or found["called"]
        if looks_secret(name):
            raise ComponentError(
                place=place,
                problem=f"{{{{ env.{name} }}}} would be read while definitions load, and shown. "
                "Secrets belong in 'args' and 'destination', where they are read in the step",
            )
        if found["attribute"] and name not in os.environ:
            raise ComponentError(
                place=place,
                problem=f"the environment has no variable {name}. Set it, or write {{{{ env('{name}', 'a default') }}}}",
            )


def _of_text(text: str, place: str, render: Render) -> Any:
    parts: list[str | Late] = []
    end = 0
    for template in _TEMPLATE.finditer(text):
        if _ENV_NAME.search(template[1]) is None:
            continue
        found = _ENV.fullmatch(template[1])
        if found is None:
            raise ComponentError(
                place=place,
                problem=f"{template[0]} does more with a variable than to name it, and this value is read in the step. "
                "Write {secret: NAME} or {{ env.NAME }}, and do the rest in the source",
            )
        name = found[1] or found[2]
        parts += [text[end : template.start()], Late(name, is_secret=looks_secret(name), default=found[3])]
        end = template.end()
    if not parts:
        return render(text, place)
    texts = [part for part in (*parts, text[end:]) if part != ""]
    if len(texts) == 1:
        return texts[0]
    return LateText(tuple(part if isinstance(part, Late) else str(render(part, place)) for part in texts))


def _named_in(value: Any) -> Iterator[Late]:
    if isinstance(value, Late):
        yield value
    elif isinstance(value, LateText):
        yield from (part for part in value.parts if isinstance(part, Late))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _named_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _named_in(part)


def _put_in(value: Any, read: Mapping[Late, Any]) -> Any:
    if isinstance(value, Late):
        return read[value]
    if isinstance(value, LateText):
        return "".join(str(read[part]) if isinstance(part, Late) else part for part in value.parts)
    if isinstance(value, Mapping):
        return {key: _put_in(part, read) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_put_in(part, read) for part in value]
    return value
