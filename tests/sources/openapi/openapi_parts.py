"""Parts of OpenAPI documents, made of a few words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEASHOP = Path(__file__).parent / "teashop.yaml"


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
