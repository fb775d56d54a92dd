"""Placeholders in a request: `{resources.issues.number}` for a field of a parent's row, `{incremental.start_value}`.

Other braces stand for themselves, so that GraphQL and JSON need no escaping; `{{resources.x.y}}` is the text
`{resources.x.y}`. In a path every pair of braces is a placeholder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from dlt_orchestrate.dataclass import dataclass

PARENTS, CURSOR = "resources", "incremental"
CURSOR_VALUES = ("start_value", "end_value", "last_value", "initial_value")

_BRACES = re.compile(r"\{\{(?P<escaped>[^{}]*)\}\}|\{(?P<name>[^{}]*)\}")
_DOTTED = re.compile(r"[A-Za-z_]\w*\.[^\s{}:,\"']+")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What stands between braces, as it is written."""

    name: str

    @property
    def root(self) -> str:
        """`resources`, `incremental`, or something else."""
        return self.name.partition(".")[0].strip()

    @property
    def rest(self) -> str:
        """What follows the first dot."""
        return self.name.partition(".")[2].strip()


class NoValue(Exception):
    """A placeholder within a text stands for null."""

    def __init__(self, placeholder: Placeholder) -> None:
        self.placeholder = placeholder
        super().__init__(placeholder.name)


Values = Callable[[Placeholder], Any]
"""Gives the value of a placeholder."""


@dataclass(frozen=True, slots=True)
class Template:
    """A text with placeholders in it.

    >>> Template.of("a {incremental.start_value}, {b}").parts
    ('a ', Placeholder(name='incremental.start_value'), ', {b}')
    >>> Template.of("posts/{id}", all_braces=True).parts
    ('posts/', Placeholder(name='id'))
    """

    parts: tuple[str | Placeholder, ...]

    @classmethod
    def of(cls, text: str, *, all_braces: bool = False) -> Template:
        """Find the placeholders of a text.

        Args:
            all_braces: Whether whatever stands between braces is one, as in a path.
        """
        parts: list[str | Placeholder] = []
        literal, end = "", 0
        for found in _BRACES.finditer(text):
            literal += text[end : found.start()]
            end = found.end()
            if found["escaped"] is not None:
                literal += f"{{{found['escaped']}}}"
            elif all_braces or _DOTTED.fullmatch(found["name"].strip()):
                parts += [literal] if literal else []
                parts.append(Placeholder(found["name"].strip()))
                literal = ""
            else:
                literal += found[0]
        literal += text[end:]
        return cls((*parts, literal) if literal else tuple(parts))

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        return tuple(part for part in self.parts if isinstance(part, Placeholder))

    @property
    def only(self) -> Placeholder | None:
        """The placeholder that is all of the text; None if there is more to it."""
        (*_, last) = self.parts or ("",)
        return last if isinstance(last, Placeholder) and len(self.parts) == 1 else None

    def with_values(self, values: Mapping[str, Any]) -> Template:
        """A path with values in the place of their names, quoted; a text among them may hold placeholders.

        >>> Template.of("posts/{id}/{resources.a.b}", all_braces=True).with_values({"id": "a b"}).parts
        ('posts/', 'a%20b', '/', Placeholder(name='resources.a.b'))
        """
        parts: list[str | Placeholder] = []
        for part in self.parts:
            if isinstance(part, str) or part.name not in values:
                parts.append(part)
                continue
            value = values[part.name]
            within = Template.of(value).parts if isinstance(value, str) else (text_of(value),)
            parts += [quote(text) if isinstance(text, str) else text for text in within]
        return Template(tuple(parts))

    def rendered(self, values: Values) -> Any:
        """The text with values in it; of a text that is one placeholder the value itself, of whatever type.

        Raises:
            NoValue: A placeholder within the text stands for null.
        """
        if self.only is not None:
            return values(self.only)
        return "".join(part if isinstance(part, str) else self._text(part, values) for part in self.parts)

    def _text(self, placeholder: Placeholder, values: Values) -> str:
        value = values(placeholder)
        if value is None:
            raise NoValue(placeholder)
        return text_of(value)


def text_of(value: Any) -> str:
    """A value as it stands in a text; booleans as JSON writes them."""
    return json.dumps(value) if isinstance(value, bool) else str(value)


def is_path_part(value: Any) -> bool:
    """Whether a value may stand in a path: it is no null, list or object, and leads to no other level.

    >>> is_path_part("owner/name"), is_path_part(7), is_path_part("../admin"), is_path_part("")
    (True, True, False, False)
    """
    if value is None or isinstance(value, Mapping | list | tuple):
        return False
    return {"", ".", ".."}.isdisjoint(text_of(value).split("/"))


def compiled(value: Any) -> Any:
    """A value of JSON with a `Template` for each text in it, at any depth; keys stay as they are."""
    if isinstance(value, str):
        return Template.of(value)
    if isinstance(value, Mapping):
        return {key: compiled(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [compiled(part) for part in value]
    return value


def rendered(value: Any, values: Values) -> Any:
    """What `compiled` made, with values in it."""
    if isinstance(value, Template):
        return value.rendered(values)
    if isinstance(value, dict):
        return {key: rendered(part, values) for key, part in value.items()}
    if isinstance(value, list):
        return [rendered(part, values) for part in value]
    return value


def placeholders_in(value: Any) -> Iterator[Placeholder]:
    """The placeholders in what `compiled` made."""
    if isinstance(value, Template):
        yield from value.placeholders
    elif isinstance(value, dict):
        for part in value.values():
            yield from placeholders_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from placeholders_in(part)


def parent_field(rest: str, resources: Iterator[str] | tuple[str, ...]) -> tuple[str, str]:
    """The resource and the field that `issues.user.id` names; of a name with dots in it the longest that is known.

    >>> parent_field("traffic.daily.date", ("traffic", "traffic.daily"))
    ('traffic.daily', 'date')
    >>> parent_field("isues.number", ("issues",))
    ('isues', 'number')
    """
    for name in sorted(resources, key=len, reverse=True):
        if rest.startswith(f"{name}."):
            return name, rest[len(name) + 1 :]
    name, _, field = rest.partition(".")
    return name, field
