"""A loopback API whose answers a test writes as a function, and documents made of a few words."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "http"))

from loopback import Api

from dlt_orchestrate.sources.openapi import Document, read_document

TEASHOP = Path(__file__).parent / "teashop.yaml"


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    yield server
    server.close()


@pytest.fixture
def document(tmp_path: Path) -> Callable[..., Document]:
    """Makes a document: of paths, and whatever else."""

    def make(paths: dict[str, Any], **others: Any) -> Document:
        path = tmp_path / "openapi.json"
        root = {"openapi": "3.0.3", "info": {"title": "Shop", "version": "1"}, **others, "paths": paths}
        path.write_text(json.dumps(root))
        return read_document(str(path))

    return make


def get(schema: Any, *query: str | dict[str, Any], headers: Any = None, **others: Any) -> dict[str, Any]:
    """A path with one GET request."""
    parameters = [
        {"name": one, "in": "query", "schema": {"type": "string"}} if isinstance(one, str) else one for one in query
    ]
    answer = {"content": {"application/json": {"schema": schema}}, "headers": headers or {}}
    return {"get": {"parameters": parameters, "responses": {"200": answer}, **others}}


def number(name: str, **schema: Any) -> dict[str, Any]:
    """A query parameter that takes a number."""
    return {"name": name, "in": "query", "schema": {"type": "integer", **schema}}


def listed(**around: Any) -> dict[str, Any]:
    """A list of records under `items`, and what stands around it by the names of types."""
    record = {"type": "object", "properties": {"id": {"type": "integer"}, "name": {"type": "string"}}}
    return {"type": "object", "properties": {"items": {"type": "array", "items": record}, **around}}


TEXT, WHOLE, FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
