"""What counts as one record, besides a dictionary: an object with named fields."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeGuard


def is_page(item: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether a yield holds several records; a named tuple is one record.

    >>> is_page([{"id": 1}]), is_page({"id": 1})
    (True, False)
    """
    return isinstance(item, list | tuple) and not hasattr(item, "_fields")


def has_fields(item: Any) -> bool:
    """Whether a value is a record that knows its fields: an instance of a pydantic model or dataclass, a named tuple."""
    kind = type(item)
    return hasattr(kind, "__pydantic_fields__") or dataclasses.is_dataclass(kind) or _is_named_tuple(item)


def as_record(item: Any) -> Any:
    """An object with fields as the dictionary of them; anything else as it is.

    Instances of pydantic models become what pydantic makes of them, under the names by which they are written.
    """
    kind: Any = type(item)
    if kind is dict:
        return item
    if hasattr(kind, "model_dump"):
        from dlt_orchestrate.declare.models import read_model

        return read_model(kind).dumped(item)
    if dataclasses.is_dataclass(kind):
        return {field.name: getattr(item, field.name) for field in dataclasses.fields(item)}
    return item._asdict() if _is_named_tuple(item) else item


def _is_named_tuple(item: Any) -> bool:
    return isinstance(item, tuple) and hasattr(item, "_fields")
