"""The requests that a document describes, each with what it takes and what it answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.http.detection import plain_name
from dlt_orchestrate.sources.openapi.document import Document, Node
from dlt_orchestrate.sources.openapi.schemas import Shape, shape_of

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_SUCCESS = ("200", "2XX", "2xx", "203", "206", "default")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a request.

    Attributes:
        place: `path`, `query`, `header` or `cookie`.
    """

    name: str
    place: str
    is_required: bool
    shape: Shape
    node: Node

    @property
    def plain_name(self) -> str:
        """Its name in lower case, without separators."""
        return plain_name(self.name)

    @property
    def default(self) -> Any:
        """The value that the document gives it; None if it gives none."""
        schema = self.shape.node
        for found in (schema.get("default"), self.node.get("example"), schema.get("example"), schema.get("const")):
            if isinstance(found, str | int | float):
                return found
        for many in (schema.get("enum"), schema.get("examples")):
            if isinstance(many, list) and many and isinstance(many[0], str | int | float):
                return many[0]
        return None

    def number(self, key: str) -> int | None:
        """A whole number that its schema holds, such as its `maximum`."""
        found = self.shape.node.get(key)
        return found if isinstance(found, int) and not isinstance(found, bool) else None


@dataclass(eq=False)
class Operation:
    """One request.

    Attributes:
        method: In capitals.
        path: As it is written, with `{name}` for its parameters.
        around: What holds for all methods of the path.
        node: What holds for this one.
    """

    document: Document
    method: str
    path: str
    around: Node
    node: Node

    @property
    def summary(self) -> str:
        """What it does, in one line."""
        text = self.node.get("summary") or self.node.get("description") or ""
        first = next(iter(str(text).strip().splitlines()), "").strip()
        return first.removesuffix(".")

    @property
    def is_deprecated(self) -> bool:
        return self.node.get("deprecated") is True

    @property
    def path_names(self) -> list[str]:
        """The names in its path, in their order."""
        return _PLACEHOLDER.findall(self.path)

    @property
    def segments(self) -> list[str]:
        """The parts of its path."""
        return [part for part in self.path.split("/") if part]

    @cached_property
    def parameters(self) -> list[Parameter]:
        """Its parameters; those of the path hold unless it names them itself."""
        found: dict[tuple[str, str], Parameter] = {}
        for holder in (self.around, self.node):
            for one in self.document.children(holder, "parameters"):
                name, place = str(one.get("name", "")), str(one.get("in", ""))
                shape = shape_of(self.document, one.get("schema"))
                found[name, place] = Parameter(name, place, one.get("required") is True, shape, one)
        return list(found.values())

    @property
    def query(self) -> list[Parameter]:
        """Its query parameters."""
        return [one for one in self.parameters if one.place == "query"]

    @cached_property
    def answer(self) -> Shape | None:
        """The body of its good answer; None if that is not JSON, or not told."""
        return self._body(self._good_answer)

    @property
    def answers_something_else(self) -> bool:
        """Whether its good answer is told, and is no JSON."""
        return self.answer is None and bool(self.document.child(self._good_answer, "content"))

    @cached_property
    def body(self) -> Shape | None:
        """The body that it takes, if that is JSON."""
        return self._body(self.document.child(self.node, "requestBody"))

    @property
    def answer_headers(self) -> list[str]:
        """The headers of its good answer."""
        return [str(name) for name in self.document.child(self._good_answer, "headers")]

    @property
    def dangling(self) -> list[str]:
        """References that lead nowhere, in what is read of it."""
        taken = [holder.get(key) for holder in (self.around, self.node) for key in ("parameters", "requestBody")]
        answers = self.document.child(self.node, "responses").items()
        return self.document.dangling(*taken, *(answer for status, answer in answers if str(status) in _SUCCESS))

    @property
    def servers(self) -> list[Node]:
        """The servers that it names instead of those of the document."""
        return self.document.children(self.node, "servers") or self.document.children(self.around, "servers")

    @property
    def security(self) -> Any:
        """What credentials it wants, if it says so itself."""
        return self.node.get("security")

    @cached_property
    def _good_answer(self) -> Node:
        answers = {str(status): answer for status, answer in self.document.child(self.node, "responses").items()}
        return self.document.resolved(next((answers[status] for status in _SUCCESS if status in answers), None))

    def _body(self, holder: Node) -> Shape | None:
        for name, media in self.document.entries(holder, "content"):
            kind = name.partition(";")[0].strip().lower()
            if kind in ("application/json", "*/*", "application/*", "text/json") or kind.endswith("+json"):
                return shape_of(self.document, media.get("schema"))
        return None


def operations_of(document: Document, *, with_search: bool) -> Iterator[Operation]:
    """The requests that read: GET, and, if wanted, POST with a path that ends as searches do."""
    paths: Mapping[str, Any] = document.child(document.root, "paths")
    for path, item in paths.items():
        around = document.resolved(item)
        for method in ("get", "post"):
            node = document.child(around, method)
            if method in around and (method == "get" or (with_search and _is_search(str(path), node))):
                yield Operation(document, method.upper(), str(path), around, node)


def _is_search(path: str, node: Node) -> bool:
    last = path.rstrip("/").rpartition("/")[2].lower()
    words = ("search", "query", "list", "filter")
    named = str(node.get("operationId", "")).lower()
    return any(word in last for word in words) or named.startswith(words)
