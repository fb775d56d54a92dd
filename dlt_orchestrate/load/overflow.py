"""What no column has room for: one object of JSON a row, which mirrors the row with nothing but what is left of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.arrays import strings
from dlt_orchestrate.flow.batch import KeyPath
from dlt_orchestrate.load.cast import printed
from dlt_orchestrate.schema.naming import PATH_SEPARATOR
from dlt_orchestrate.schema.types import ValueClass


@dataclass(frozen=True, slots=True)
class LeftOver:
    """Values that are left of one field.

    Attributes:
        path: The keys that lead to them; none for objects that hold what was left before.
    """

    path: KeyPath
    value_class: ValueClass
    values: pa.Array


def overflow_of(parts: Iterable[LeftOver], length: int) -> pa.Array:
    """The objects of some rows as texts, null where nothing is left."""
    filled = [part for part in parts if part.values.null_count < length]
    if len(filled) == 1 and not filled[0].path:
        return filled[0].values
    objects: list[dict[str, Any] | None] = [None] * length
    for part in filled:
        for row, value in enumerate(as_json(part.values, part.value_class)):
            if value is not None:
                left = objects[row]
                if left is None:
                    left = objects[row] = {}
                if part.path:
                    put(left, part.path, value)
                else:
                    merge(left, value)
    return strings([None if left is None else _text(left) for left in objects])


def put(record: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value below keys; lists grow."""
    *above, last = path
    for key in above:
        inner = record.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = record[PATH_SEPARATOR.join(path)] = {}
        record = inner
    before = record.get(last)
    record[last] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value


def merge(record: dict[str, Any], other: dict[str, Any]) -> None:
    """Put the leaves of another object, at other keys, into a record."""
    for key, value in other.items():
        inner = record.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            merge(inner, value)
        else:
            record[key] = value


def as_json(array: pa.Array, value_class: ValueClass) -> list[Any]:
    """Values as JSON can write them: those it has no form for as text."""
    match value_class:
        case ValueClass.BOOL | ValueClass.BIGINT | ValueClass.TEXT | ValueClass.NUMERAL:
            return list(array.to_pylist())
        case ValueClass.WIDE:
            return [None if value is None else int(value) for value in array.to_pylist()]
        case ValueClass.DOUBLE:
            return [value if value is None or math.isfinite(value) else _not_finite(value) for value in array.to_pylist()]
        case ValueClass.JSON:
            return [None if text is None else json.loads(text) for text in array.to_pylist()]
        case _:
            return list(printed(array, value_class).to_pylist())


def _not_finite(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _text(left: dict[str, Any]) -> str:
    return json.dumps(left, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
