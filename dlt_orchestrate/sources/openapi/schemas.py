"""What a JSON schema says of a value: an object with these properties, a list of those, or something plain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Any, Literal

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.sources.openapi.document import Document, Node

Kind = Literal["object", "array", "plain", "unknown"]

_MOST_MERGED = 500
_MOST_WALKED = 1000
_COMBINED = ("allOf", "anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class Shape:
    """One value.

    Attributes:
        properties: Of an object, by name; each still to be looked at.
        items: Of a list.
        type: The name of its plain type, such as `string`.
        format: Such as `uri`.
    """

    document: Document
    kind: Kind
    properties: Mapping[str, Any] = field(default_factory=dict)
    items: Any = None
    type: str = ""
    format: str = ""
    node: Node = field(default_factory=dict)

    def under(self, name: str) -> Shape:
        """The value under a name."""
        return shape_of(self.document, self.properties.get(name))

    @property
    def item(self) -> Shape:
        """The values of a list."""
        return shape_of(self.document, self.items)


def shape_of(document: Document, schema: Any) -> Shape:
    """Look at a schema. Alternatives are taken together: a property of any of them may be there; a list goes first."""
    if id(schema) not in document.looked_at:
        document.looked_at[id(schema)] = (schema, _shape_of(document, schema))
    shape: Shape = document.looked_at[id(schema)][1]
    return shape


def _shape_of(document: Document, schema: Any) -> Shape:
    merged = _merged(document, document.resolved(schema), set())
    kinds = _types(merged)
    if "array" in kinds or (not kinds and "items" in merged):
        return Shape(document, "array", items=merged.get("items"), node=merged)
    if "object" in kinds or "properties" in merged:
        return Shape(document, "object", properties=_properties(document, merged), node=merged)
    if kinds:
        return Shape(document, "plain", type=kinds[0], format=str(merged.get("format", "")), node=merged)
    return Shape(document, "unknown", node=merged)


def walk(shape: Shape, depth: int, keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Shape]]:
    """The properties of an object and of the objects in it, outermost first, each with its keys; of very many the first."""
    left = _MOST_WALKED
    level = [(keys, shape)]
    for _ in range(depth):
        inner: list[tuple[tuple[str, ...], Shape]] = []
        for outer, value in level:
            for name in value.properties:
                if not left:
                    return
                left -= 1
                found = ((*outer, name), value.under(name))
                yield found
                if found[1].kind == "object":
                    inner.append(found)
        level = inner


def _types(schema: Node) -> list[str]:
    """The types of a value, without null."""
    written = schema.get("type")
    names = written if isinstance(written, list) else [written] if isinstance(written, str) else []
    return [str(name) for name in names if name != "null"]


def _merged(document: Document, schema: Node, seen: set[int]) -> Node:
    """A schema with all that it is combined of; what it says itself goes first.

    Args:
        seen: The schemas that have a part in it already: they may be combined of each other.
    """
    parts = [one for key in _COMBINED for one in document.children(schema, key)]
    if not parts:
        return schema
    seen.add(id(schema))
    merged = {key: value for key, value in schema.items() if key not in _COMBINED}
    properties = _properties(document, schema)
    for one in parts:
        if id(one) in seen or len(seen) > _MOST_MERGED:
            continue
        seen.add(id(one))
        part = _merged(document, one, seen)
        properties = {**_properties(document, part), **properties}
        if not _types(merged) or "array" in _types(part):
            merged.update({key: part[key] for key in ("type", "items", "format") if key in part and _types(part)})
    if properties:
        merged["properties"] = properties
    return merged


def _properties(document: Document, schema: Node) -> dict[str, Any]:
    return {str(name): value for name, value in document.child(schema, "properties").items()}
