"""An OpenAPI document: where it is read from, and what its references lead to.

Source: OpenAPI Specification 3.0.4 and 3.1.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import yaml

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import OpenApiDocumentError, RequestFailedError
from dlt_orchestrate.http.origin import origin_of
from dlt_orchestrate.http.session import default_session

_LONGEST_CHAIN = 50
"""References that lead to references."""
_EXAMPLES = frozenset(("example", "examples", "default", "const", "enum"))

Node = Mapping[str, Any]
EMPTY: Node = {}


@dataclass(eq=False)
class Document:
    """One document, with the files that it refers to.

    Attributes:
        location: The path or the address that it was read from.
        root: What stands in it.
        looked_at: What was made of its parts so far, by the id of each part, with the part itself: so its id stays its own.
    """

    location: str
    root: Node
    looked_at: dict[int, tuple[Any, Any]] = field(default_factory=dict)
    _files: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return str(self.child(self.root, "info").get("title") or "API")

    @property
    def version(self) -> str:
        return str(self.child(self.root, "info").get("version") or "")

    @property
    def address(self) -> str | None:
        """The address that it was read from, if it was one."""
        return self.location if is_address(self.location) else None

    def child(self, node: Node, key: str) -> Node:
        """The mapping that stands under a key, behind all references; empty if there is none."""
        return self.resolved(node.get(key))

    def children(self, node: Node, key: str) -> list[Node]:
        """The mappings in the list that stands under a key, behind all references."""
        found = node.get(key)
        return [self.resolved(one) for one in found] if isinstance(found, list) else []

    def entries(self, node: Node, key: str) -> Iterator[tuple[str, Node]]:
        """The named mappings that stand under a key, behind all references."""
        for name, value in self.child(node, key).items():
            yield str(name), self.resolved(value)

    def resolved(self, node: Any) -> Node:
        """A mapping behind its reference; empty for what is none, and for references that lead nowhere or in a circle.

        What stands beside a reference, as OpenAPI 3.1 allows, goes before what it leads to.
        """
        beside: dict[str, Any] = {}
        for _ in range(_LONGEST_CHAIN):
            if not isinstance(node, Mapping):
                return EMPTY
            reference = node.get("$ref")
            if not isinstance(reference, str):
                return {**node, **beside} if beside else node
            beside = {**{key: value for key, value in node.items() if key != "$ref"}, **beside}
            node = self._target(reference)
        return EMPTY

    def dangling(self, *nodes: Any) -> list[str]:
        """The references in these parts, and in what they lead to, that lead nowhere; as far as files were read."""
        if not self._has_dangling:
            return []
        references = filter(None, map(self._reference_in, self._nodes(nodes, behind_references=True)))
        dangling = (reference for reference in references if self._target(reference) is None)
        return list(dict.fromkeys(reference.removeprefix(self.location) for reference in dangling))

    @cached_property
    def _has_dangling(self) -> bool:
        """Whether any reference in it leads nowhere: few documents have one, and to look for it everywhere takes long."""
        references = filter(None, map(self._reference_in, self._nodes((self.root, *self._files.values()))))
        return any(self._target(reference) is None for reference in references)

    def _nodes(self, roots: Iterable[Any], *, behind_references: bool = False) -> Iterator[Any]:
        """Mappings and lists at every level, each once, but for examples, which may hold anything."""
        pending, seen = [*roots], set[int]()
        while pending:
            node = pending.pop()
            if id(node) in seen or not isinstance(node, Mapping | list):
                continue
            seen.add(id(node))
            yield node
            pending += node if isinstance(node, list) else [node[key] for key in node.keys() - _EXAMPLES]
            if behind_references and (reference := self._reference_in(node)) is not None:
                pending.append(self._target(reference))

    def _reference_in(self, node: Any) -> str | None:
        """The reference that a mapping is, if it leads into a file that was read."""
        reference = node.get("$ref") if isinstance(node, Mapping) else None
        if not isinstance(reference, str):
            return None
        location = urldefrag(reference).url
        return reference if location == self.location or location in self._files else None

    def _target(self, reference: str) -> Any:
        """What a reference leads to."""
        location, pointer = urldefrag(reference)
        node: Any = self.root if location == self.location else self._file(location)
        for step in pointer.split("/")[1:]:
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, Mapping):
                node = node[key] if key in node else node.get(int(key)) if key.isdigit() else None
            else:
                return None
        return node

    def _file(self, location: str) -> Any:
        if location not in self._files:
            if is_address(location) and not (self.address and origin_of(location) == origin_of(self.address)):
                raise OpenApiDocumentError(
                    location=redact_url(self.location),
                    problem=f"it refers to another origin, {redact_url(location)}",
                    advice="Bundle it into one file first.",
                )
            self._files[location] = _read(location)
        return self._files[location]


def read_document(location: str) -> Document:
    """Read a document from a file or an address, as JSON or YAML.

    Raises:
        OpenApiDocumentError: It cannot be read, or is no document of OpenAPI 3.
    """
    root = _read(location)
    problem = _problem_of(root)
    if problem is not None:
        raise OpenApiDocumentError(location=redact_url(location), problem=problem[0], advice=problem[1])
    return Document(location, root)


def is_address(location: str) -> bool:
    """Whether it is read over the network."""
    return location.startswith(("http://", "https://"))


def _problem_of(root: Any) -> tuple[str, str] | None:
    if not isinstance(root, Mapping):
        return "it holds no mapping", "Name an OpenAPI document, in JSON or YAML."
    if "swagger" in root:
        return (
            f"it is written in Swagger {root['swagger']}, the format before OpenAPI 3",
            "Convert it first, for instance with `npx swagger2openapi FILE`, or ask the API for its OpenAPI 3 document.",
        )
    version = str(root.get("openapi", ""))
    if not version.startswith("3."):
        found = f"it names version {version!r}" if version else "it has no key 'openapi' that names its version"
        return found, "Name an OpenAPI document of version 3.0 or 3.1."
    if not isinstance(root.get("paths"), Mapping) or not root["paths"]:
        return "it holds no paths", "Name the document that describes the endpoints of the API."
    return None


def _text(location: str) -> str:
    if is_address(location):
        try:
            response = default_session().get(location, headers={"Accept": "application/json, application/yaml, */*;q=0.5"})
            response.raise_for_status()
        except RequestFailedError as error:
            raise OpenApiDocumentError(location=redact_url(location), problem=str(error).rstrip("."), advice="") from None
        return response.content.decode("utf-8-sig", "replace")
    try:
        return Path(location).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise OpenApiDocumentError(
            location=location, problem=f"it cannot be read: {problem}", advice="Check the path."
        ) from None


def _parsed(text: str, location: str) -> Any:
    try:
        return json.loads(text) if text.lstrip().startswith("{") else _of_yaml(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or " ".join(str(error).split())
        raise OpenApiDocumentError(
            location=redact_url(location),
            problem=f"it is neither JSON nor YAML{where}: {what}",
            advice="Name an OpenAPI document.",
        ) from None


def _of_yaml(text: str) -> Any:
    """What a text of YAML holds, by the fast one of the safe loaders if it is there."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _read(location: str) -> Any:
    """What stands in a file, each reference in it with the file that it leads to."""
    root = _parsed(_text(location), location)
    pending, seen = [root], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen or not isinstance(node, dict | list):
            continue
        seen.add(id(node))
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            address, _, pointer = node["$ref"].partition("#")
            node["$ref"] = f"{_joined(location, address)}#{pointer}"
        pending += node.values() if isinstance(node, dict) else node
    return root


def _joined(home: str, address: str) -> str:
    if not address:
        return home
    if is_address(home) or is_address(address):
        return urljoin(home, address)
    return str(Path(home).parent / unquote(address))
