"""What a function wants from the configuration: read off its signature, once for each function."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from dlt_orchestrate.config import coercion
from dlt_orchestrate.config.markers import ConfigMarker
from dlt_orchestrate.config.redaction import Secret
from dlt_orchestrate.dataclass import dataclass

EMPTY = inspect.Parameter.empty

# The default of a parameter without an annotation says what a configured value must be, if it is one of these.
_PLAIN_TYPES = (str, int, float, bool, list, dict, tuple, set, frozenset, Decimal, date, datetime, time, timedelta, Path)
_NAMED_TYPES: dict[str, Any] = {"str": str, "int": int, "float": float, "bool": bool, "str | None": str | None}
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Field:
    """One value that code wants from the configuration.

    Attributes:
        annotation: What the value is converted to; Any takes it as it stands.
        is_secret: Whether it must come from a place that is kept secret.
        default: The value without configuration: a plain one, a marker that asks for a value, or EMPTY (an argument
            that callers pass).
    """

    name: str
    annotation: Any = Any
    is_secret: bool = False
    default: Any = EMPTY

    @property
    def is_marked(self) -> bool:
        """Whether a marker asks for the value."""
        return isinstance(self.default, ConfigMarker)

    @property
    def is_argument(self) -> bool:
        """Whether there is neither a default nor a marker."""
        return self.default is EMPTY

    @property
    def is_optional(self) -> bool:
        """Whether None will do, by annotation."""
        return coercion.allows_none(self.annotation)


def fields_of(function: Callable[..., Any]) -> tuple[Field, ...]:
    """The parameters that configuration may fill.

    Left out are `*args` and `**kwargs`, and parameters whose default is an object of its own: a declaration such as
    `incremental(...)` (anything with `__dlt_declaration__`), a callable, an instance of some class.

    >>> def github(token: str = ConfigMarker(is_secret=True), per_page=100, *args: str): ...
    >>> [(field.name, field.annotation.__name__, field.is_secret) for field in fields_of(github)]
    [('token', 'str', True), ('per_page', 'int', False)]
    """
    return signature_of(function)[1]


def signature_of(function: Callable[..., Any]) -> tuple[inspect.Signature, tuple[Field, ...]]:
    """The signature of a function and the fields in it."""
    try:
        known = _known.get(function)
    except TypeError:  # neither hashable nor open to weak references, as some callables
        return _read_signature(function)
    if known is None:
        known = _known[function] = _read_signature(function)
    return known


_known: WeakKeyDictionary[Callable[..., Any], tuple[inspect.Signature, tuple[Field, ...]]] = WeakKeyDictionary()


def _read_signature(function: Callable[..., Any]) -> tuple[inspect.Signature, tuple[Field, ...]]:
    signature = inspect.signature(function)
    fields = (_field(parameter, function) for parameter in signature.parameters.values())
    return signature, tuple(field for field in fields if field is not None)


def _field(parameter: inspect.Parameter, function: Callable[..., Any]) -> Field | None:
    default = parameter.default
    if parameter.kind in _VARIADIC or getattr(default, "__dlt_declaration__", False):
        return None
    is_marked = isinstance(default, ConfigMarker)
    if default is EMPTY or default is None or is_marked:
        annotation = _annotation(parameter, function)
    elif callable(default):
        return None
    elif parameter.annotation is not EMPTY:
        annotation = _annotation(parameter, function)
    elif type(default) in _PLAIN_TYPES:
        annotation = type(default)
    else:
        return None
    is_secret = (is_marked and default.is_secret) or _names_a_secret(annotation)
    return Field(parameter.name, annotation, is_secret, default)


def _annotation(parameter: inspect.Parameter, function: Callable[..., Any]) -> Any:
    """The annotation as an object; Any without one, or where its names exist for type checkers only."""
    written = parameter.annotation
    if written is EMPTY:
        return Any
    if not isinstance(written, str):
        return written
    if written in _NAMED_TYPES:
        return _NAMED_TYPES[written]

    def holder() -> None: ...

    holder.__annotations__ = {"it": written}
    names = getattr(_innermost(function), "__globals__", {})
    try:
        return typing.get_type_hints(holder, globalns=names, include_extras=True)["it"]
    except (NameError, AttributeError, TypeError, SyntaxError):
        return Any


def _innermost(function: Any) -> Any:
    function = inspect.unwrap(function)
    while hasattr(function, "func"):  # functools.partial
        function = inspect.unwrap(function.func)
    return function


def _names_a_secret(annotation: Any) -> bool:
    if annotation is Secret:
        return True
    marks = getattr(annotation, "__metadata__", ())
    if any(isinstance(mark, ConfigMarker) and mark.is_secret for mark in marks):
        return True
    return any(map(_names_a_secret, typing.get_args(annotation)))
