"""The pipeline's state as one JSON document, in the shape and encoding that `_dlt_pipeline_state` has in dlt.

{"_state_version": 1, "_state_engine_version": 4, "pipeline_name": "github", "default_schema_name": "github_source",
 "schema_names": ["github_source"], "dataset_name": "github_data", "destination_type": "duckdb",
 "sources": {"github_source": {"any_key": 1, "resources": {"issues": {"incremental": {"updated_at": {...}}}}}}}
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

from dlt_orchestrate.errors import StateConflictError

STATE_ENGINE_VERSION = 4

CURSORS = "incremental"
"""Where the state of a resource keeps its cursors, by their paths."""


def encode_state(document: Mapping[str, Any]) -> str:
    """Text for the column `state`: base64 of the compressed JSON."""
    return base64.b64encode(zlib.compress(json.dumps(document, sort_keys=True).encode())).decode("ascii")


def decode_state(text: str) -> dict[str, Any]:
    """Read the column `state`, ours or dlt's."""
    document: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text)))
    return document


def state_hash(document: Mapping[str, Any]) -> str:
    """Hash of what a document says, without its version."""
    content = {key: value for key, value in document.items() if key not in ("_state_version", "_version_hash")}
    return base64.b64encode(hashlib.sha3_256(json.dumps(content, sort_keys=True).encode()).digest()).decode("ascii")


def source_state(document: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The state that the resources of a source share."""
    found = document.get("sources", {}).get(source, {})
    return {key: copy.deepcopy(value) for key, value in found.items() if key != "resources"}


def resource_state(document: Mapping[str, Any], source: str, resource: str) -> dict[str, Any]:
    """The state of one resource."""
    found = document.get("sources", {}).get(source, {}).get("resources", {}).get(resource, {})
    return copy.deepcopy(dict(found))


def resources_with_state(document: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """The resources of a source that have a state."""
    return tuple(document.get("sources", {}).get(source, {}).get("resources", {}))


def without_source(document: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The document without anything that a source or its resources keep."""
    changed = copy.deepcopy(dict(document))
    changed.get("sources", {}).pop(source, None)
    return changed


def with_resource_state(
    document: Mapping[str, Any], source: str, resource: str, state: Mapping[str, Any]
) -> dict[str, Any]:
    """The document with a resource's state replaced."""
    changed = copy.deepcopy(dict(document))
    resources = changed.setdefault("sources", {}).setdefault(source, {}).setdefault("resources", {})
    resources.pop(resource, None)
    if state:
        resources[resource] = copy.deepcopy(dict(state))
    return changed


def with_source_state(
    document: Mapping[str, Any], source: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    """The document with a source's shared state merged in, key by key.

    Raises:
        StateConflictError: A key that changed from `before` to `after` has changed in the document, too.
    """
    changed = copy.deepcopy(dict(document))
    stored = changed.setdefault("sources", {}).setdefault(source, {})
    nothing = object()
    for key in dict.fromkeys([*before, *after]):
        was, becomes = before.get(key, nothing), after.get(key, nothing)
        if was == becomes:
            continue
        if stored.get(key, nothing) != was:
            raise StateConflictError(source=source, key=key)
        if becomes is nothing:
            stored.pop(key, None)
        else:
            stored[key] = copy.deepcopy(becomes)
    return changed
