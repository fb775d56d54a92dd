"""The version of an asset's code: it changes when the resource's function or what is declared of it changes."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.recipe import DECLARED_AS
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.declare.source import Source

_PLAIN = frozenset({str, bool, int, float, bytes})


def code_version(source: Source, resource: Resource) -> str | None:
    """A hash of the resource's function (of the source's, if it has none), its pipe and its hints.

    Arguments and configuration are no part of it: they are values, and may be secret. None if the code has no text, as on
    a prompt.
    """
    function = resource.function or source.function
    try:
        text = _source(function)
    except (OSError, TypeError):
        return None
    made_for = (told,) if (told := getattr(function, DECLARED_AS, None)) is not None else ()
    declared = (resource.declared, resource.incremental, resource.steps, resource.limit, *made_for)
    return hashlib.sha256(f"{text}\n{_text(declared)}".encode()).hexdigest()[:16]


def _text(value: Any) -> str:
    """The value as text that is the same in every process: functions by their code, never by their address."""
    if value is None or type(value) in _PLAIN:  # most are, and to ask what else a value is takes long
        return repr(value)
    if isinstance(value, Incremental):
        return _text({name: part for name, part in vars(value).items() if name != "_cursor"})
    if is_dataclass(value) and not isinstance(value, type):
        return _text({field.name: getattr(value, field.name) for field in fields(value)})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_text(part)}" for key, part in value.items()) + "}"
    if isinstance(value, AbstractSet):
        return "{" + ", ".join(sorted(map(_text, value))) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return "[" + ", ".join(map(_text, value)) + "]"
    if callable(value):
        return _code(value)
    return repr(value)


def _code(function: Callable[..., Any]) -> str:
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"
    try:
        return f"{name}: {_source(function)}"
    except (OSError, TypeError):
        return name


def _source(function: Callable[..., Any]) -> str:
    """The text of a function; OSError or TypeError if it has none."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return inspect.getsource(function) if code is None else _source_of_code(code, code.co_filename)


@lru_cache(maxsize=1_000)
def _source_of_code(code: CodeType, _file: str) -> str:
    """The text of what functions that are made in a loop have in common; equal code may stand in several files."""
    return inspect.getsource(code)
