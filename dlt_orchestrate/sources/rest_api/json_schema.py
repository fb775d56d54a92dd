"""The schema of a configuration, for editors: completion and complaints while a YAML file is written."""

from __future__ import annotations

from typing import Any

from dlt_orchestrate.sources.rest_api.models import RESTAPIConfig
from dlt_orchestrate.sources.rest_api.schemes import REFERENCE_SCHEMA

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON schema of a configuration, with the paginators and auth schemes that are known by now."""
    return {"$schema": DIALECT, **_with_references(RESTAPIConfig.model_json_schema())}


def json_schema_in_place() -> dict[str, Any]:
    """The same as a part of another schema: without references to definitions, which stand at the root of a schema."""
    schema = _with_references(RESTAPIConfig.model_json_schema())
    definitions = schema.pop("$defs")
    found: dict[str, Any] = _resolved(schema, definitions)
    return found


def _resolved(value: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        name = str(value.get("$ref", "")).removeprefix("#/$defs/")
        if name in definitions:
            return _resolved(
                {**definitions[name], **{key: part for key, part in value.items() if key != "$ref"}}, definitions
            )
        return {key: _resolved(part, definitions) for key, part in value.items()}
    return [_resolved(part, definitions) for part in value] if isinstance(value, list) else value


def _with_references(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, where the base address may be named, too."""
    base_url = schema["$defs"]["ClientConfig"]["properties"]["base_url"]
    base_url["anyOf"] = [{"type": base_url.pop("type")}, REFERENCE_SCHEMA]
    return schema
