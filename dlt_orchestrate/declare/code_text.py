"""The text of what is declared and of the code that it names: another text means that other rows may come."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from functools import lru_cache, partial
from types import CodeType
from typing import Any

from dlt_orchestrate.declare.incremental import Incremental

_PLAIN = frozenset({str, bool, int, float, bytes})


def text_of(value: Any) -> str:
    """The value as text that is the same in every process: functions by their code, never by their address."""
    if value is None or type(value) in _PLAIN:  # most are, and to ask what else a value is takes long
        return repr(value)
    if isinstance(value, Incremental):
        return text_of({name: part for name, part in vars(value).items() if name != "_cursor"})
    if is_dataclass(value) and not isinstance(value, type):
        return text_of({field.name: getattr(value, field.name) for field in fields(value)})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {text_of(part)}" for key, part in value.items()) + "}"
    if isinstance(value, AbstractSet):
        return "{" + ", ".join(sorted(map(text_of, value))) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return "[" + ", ".join(map(text_of, value)) + "]"
    if isinstance(value, partial):
        return f"partial({text_of((value.func, value.args, value.keywords))})"
    if callable(value):
        return _code(value)
    return repr(value)


def _code(function: Callable[..., Any]) -> str:
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__name__)}"
    try:
        return f"{name}: {source_of(function)}"
    except (OSError, TypeError):
        return name


def source_of(function: Callable[..., Any]) -> str:
    """The text of a function; OSError or TypeError if it has none."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return inspect.getsource(function) if code is None else _source_of_code(code, code.co_filename)


@lru_cache(maxsize=1_000)
def _source_of_code(code: CodeType, _file: str) -> str:
    """The text of what functions that are made in a loop have in common; equal code may stand in several files."""
    return inspect.getsource(code)
