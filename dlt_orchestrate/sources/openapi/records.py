"""Where the records of an answer stand, what tells one from another, and when they changed."""

from __future__ import annotations

from collections.abc import Mapping

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.http.detection import plain_name
from dlt_orchestrate.http.selection import WHOLE, path_of
from dlt_orchestrate.sources.openapi.names import singular
from dlt_orchestrate.sources.openapi.schemas import Shape, walk

_RECORD_KEYS = frozenset("content data entities entries items objects payload records results rows value values".split())
_NO_RECORDS = frozenset("errors included links messages meta metadata warnings".split())
_KEYS = ("id", "uuid", "guid", "_id", "gid", "sid", "oid")
_CHANGED = (
    "updatedat modifiedat lastmodified updated modified lastupdated lastmodifiedat updatedon modifiedon updatedtime "
    "lastmodifieddate updatedate systemmodstamp changedat lastupdatetime datemodified dateupdated"
).split()
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Records:
    """The records of an answer.

    Attributes:
        selector: Where they stand.
        shape: One of them.
        is_list: Whether there are several.
        rivals: Other lists of records that may be meant.
    """

    selector: str
    shape: Shape
    is_list: bool
    rivals: tuple[str, ...] = ()


def records_of(answer: Shape, name: str) -> Records | None:
    """Find the records; None if the answer holds none.

    Args:
        name: Of the resource: a list of that name is the one that is meant.
    """
    if answer.kind == "array":
        return Records(WHOLE, answer.item, is_list=True) if _may_be_record(answer.item) else None
    if answer.kind != "object":
        return None
    lists = [
        (keys, value.item)
        for keys, value in walk(answer, _DEPTH)
        if value.kind == "array" and _may_be_record(value.item) and plain_name(keys[-1]) not in _NO_RECORDS
    ]
    if not lists or _is_record(answer):
        return Records(WHOLE, answer, is_list=False) if answer.properties else None
    ranked = sorted(lists, key=lambda found: _rank(found[0], name))
    (keys, item), *others = ranked
    rivals = tuple(
        path_of(other) for other, shape in others if _rank(other, name) == _rank(keys, name) and shape.properties
    )
    return Records(path_of(keys), item, is_list=True, rivals=rivals)


def primary_key_of(record: Shape, name: str) -> tuple[str, bool] | None:
    """The field that tells records apart, and whether that is sure; None if none looks like it.

    >>> from dlt_orchestrate.sources.openapi.document import Document
    >>> from dlt_orchestrate.sources.openapi.schemas import shape_of
    >>> document = Document("", {})
    >>> for fields in (("name", "id"), ("userId", "orderId"), ("name",)):
    ...     schema = {"properties": {field: {"type": "string"} for field in fields}}
    ...     print(primary_key_of(shape_of(document, schema), "orders"))
    ('id', True)
    ('orderId', True)
    None
    """
    plain = plain_fields(record)
    for key in _KEYS:
        if key in record.properties:
            return key, True
    word = plain_name(singular(name.rpartition("_")[2]))
    for suffix in ("id", "uuid", "key", "code", "number", "slug", ""):
        if suffix and f"{word}{suffix}" in plain:
            return plain[f"{word}{suffix}"], suffix in ("id", "uuid")
    for key in ("key", "code", "sku", "slug", "number", "login", "symbol"):
        if key in plain:
            return plain[key], False
    return None


def changed_at(record: Shape) -> str | None:
    """The field that tells when a record changed; None if none looks like it."""
    plain = plain_fields(record)
    return next((plain[name] for name in _CHANGED if name in plain), None)


def plain_fields(record: Shape) -> Mapping[str, str]:
    """The names of plain fields, by their spelling without separators."""
    return {plain_name(name): name for name in record.properties if record.under(name).kind in ("plain", "unknown")}


def _rank(keys: tuple[str, ...], name: str) -> tuple[bool, bool, int]:
    last = plain_name(keys[-1])
    is_named = last in (plain_name(name), plain_name(name.rpartition("_")[2]))
    return (not (is_named or last in _RECORD_KEYS), len(keys) > 1 and not is_named, len(keys))


def _may_be_record(item: Shape) -> bool:
    return item.kind in ("object", "unknown")


def _is_record(answer: Shape) -> bool:
    """Whether an answer is one record with lists in it, and no envelope."""
    return "id" in answer.properties
