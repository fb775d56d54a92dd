"""From the text or TOML value that a provider holds to the type that code asks for."""

from __future__ import annotations

import copy
import inspect
import types
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin, is_typeddict

from dlt_orchestrate.config.markers import ConfigMarker
from dlt_orchestrate.config.redaction import Secret

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_NEVER_A_TABLE = (
    *(str, bytes, bool, int, float, Decimal, date, datetime, time, timedelta, types.NoneType),
    *(list, tuple, set, frozenset, PurePath, Secret),
)


class NotOfThatType(ValueError):
    """A value does not fit an annotation; holds neither."""


def coerce(value: Any, annotation: Any) -> Any:
    """Convert a configured value to an annotation.

    Texts are read as Python or JSON writes values of that type: `"17"` as an integer, `'["a"]'` as a list. Nothing is
    guessed: a text that is no number is no number.

    Raises:
        NotOfThatType: The value cannot be read as such.

    >>> coerce("17", int), coerce('["a", "b"]', list[str]), coerce(17, str)
    (17, ['a', 'b'], '17')
    """
    if annotation in (Any, inspect.Parameter.empty):
        return copy.deepcopy(value) if isinstance(value, (dict, list)) else value
    members = members_of(annotation)
    if isinstance(value, Secret) and Secret not in members:
        value = value.reveal()
    if type(value) in members and not isinstance(value, (dict, list)):
        return value
    if isinstance(value, bool) and not {str, Any, object}.intersection(members):
        raise NotOfThatType  # pydantic would read true as the number 1
    adapter = _adapter(annotation)
    if adapter is None:
        raise NotOfThatType
    if isinstance(value, str):
        return _read_text(adapter, value)
    if str in members and (text := _as_text(value)) is not None:
        return text
    return _first_valid(value, adapter.validate_python)


def takes_tables(annotation: Any) -> bool:
    """Whether a value of that type can be written as a TOML table; if not, a table found under its key is a section.

    >>> takes_tables(str | None), takes_tables(dict[str, int])
    (False, True)
    """
    return not all(isinstance(member, type) and issubclass(member, _NEVER_A_TABLE) for member in members_of(annotation))


def allows_none(annotation: Any) -> bool:
    """Whether None is a value of that type by its annotation; Any does not count."""
    return types.NoneType in members_of(annotation)


def members_of(annotation: Any) -> frozenset[Any]:
    """The types that a value may have: the members of a union, or the one type; without their own parameters."""
    return _members(annotation) if _is_hashable(annotation) else _members.__wrapped__(annotation)


@lru_cache(maxsize=1024)
def _members(annotation: Any) -> frozenset[Any]:
    origin = get_origin(annotation)
    if origin is Annotated and all(isinstance(mark, ConfigMarker) for mark in annotation.__metadata__):
        return members_of(annotation.__origin__)
    if origin is Annotated:
        return frozenset({annotation})
    if origin in (Union, types.UnionType):
        return frozenset().union(*map(members_of, get_args(annotation)))
    if annotation is None:
        return frozenset({types.NoneType})
    return frozenset({annotation if origin is None else origin})


def type_name(annotation: Any) -> str:
    """An annotation as users write it.

    >>> type_name(int), type_name(dict[str, int] | None)
    ('int', 'dict[str, int] | None')
    """
    return annotation.__name__ if isinstance(annotation, type) and not get_args(annotation) else str(annotation)


def _read_text(adapter: TypeAdapter[Any], text: str) -> Any:
    """Read a text as Python takes it for that type, or else as JSON; the other way round where it looks like JSON."""
    if text.lstrip()[:1] in ("[", "{"):
        return _first_valid(text, adapter.validate_json, adapter.validate_python)
    return _first_valid(text, adapter.validate_python, adapter.validate_json)


def _first_valid(value: Any, *validators: Callable[[Any], Any]) -> Any:
    for validate in validators:
        with suppress(ValueError, TypeError, ArithmeticError, RuntimeError):  # the last: a name in it is not defined
            return validate(value)
    raise NotOfThatType  # not within a handler: the validator's exception quotes the value


def _as_text(value: Any) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case date() | time():
            return value.isoformat()
        case _:
            return None


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    return _cached_adapter(annotation) if _is_hashable(annotation) else _cached_adapter.__wrapped__(annotation)


@lru_cache(maxsize=256)
def _cached_adapter(annotation: Any) -> TypeAdapter[Any] | None:
    """What pydantic makes of an annotation; None where it makes nothing of it."""
    from pydantic import ConfigDict, PydanticUndefinedAnnotation, PydanticUserError, TypeAdapter

    with suppress(PydanticUserError, PydanticUndefinedAnnotation):
        return TypeAdapter(annotation)
    if is_typeddict(annotation):  # before Python 3.12 pydantic reads only those of typing_extensions
        return TypeAdapter(dict[str, Any])
    with suppress(PydanticUserError, PydanticUndefinedAnnotation):  # a class that pydantic does not know: its instances fit
        return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))
    return None


def _is_hashable(annotation: Any) -> bool:
    try:
        hash(annotation)
    except TypeError:  # as Annotated[int, {...}]
        return False
    return True
