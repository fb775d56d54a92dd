"""The stored schema: tables of one source as a value, and as the JSON document that `_dlt_version` keeps."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dlt_orchestrate.schema.table import Column, Table
from dlt_orchestrate.schema.types import ColumnType

ENGINE_VERSION = 11
"""Version of the document's shape, as dlt 1.31 writes it."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables of one source by name.

    Attributes:
        name: The source's name.
        version: Rises by one with every change.
    """

    name: str
    tables: Mapping[str, Table] = field(default_factory=dict)
    version: int = 0
    naming: str = "snake_case"

    @property
    def content_hash(self) -> str:
        """Hash of everything but the version: equal for equal tables."""
        return _hash(_tables_document(self.tables))

    def nested_tables(self, root: str) -> tuple[Table, ...]:
        """Every table nested below `root`, parents before their children."""
        found: list[Table] = []
        level = {root}
        while level:
            children = [t for t in self.tables.values() if t.parent in level]
            found += children
            level = {t.name for t in children}
        return tuple(found)

    def fingerprints(self) -> dict[str, str]:
        """A hash of each table's columns and links, by table."""
        return {name: _hash(_table_document(table)) for name, table in self.tables.items()}


def schema_to_json(schema: Schema) -> str:
    """Write a schema as the document kept in `_dlt_version.schema`."""
    return json.dumps(
        {
            "version": schema.version,
            "version_hash": schema.content_hash,
            "engine_version": ENGINE_VERSION,
            "name": schema.name,
            "tables": _tables_document(schema.tables),
            "settings": {"detections": ["iso_timestamp"]},
            "normalizers": {"names": schema.naming, "json": {"module": "dlt_orchestrate.normalize"}},
            "previous_hashes": [],
        },
        ensure_ascii=False,
    )


def schema_from_json(text: str) -> Schema:
    """Read a stored schema document, ours or dlt's; what it holds beyond ours is left out."""
    document = json.loads(text)
    names = document.get("normalizers", {}).get("names")
    return Schema(
        name=document["name"],
        version=document["version"],
        naming=names.rpartition(".")[2] if names and isinstance(names, str) else "snake_case",
        tables={name: _table_from(name, table) for name, table in document.get("tables", {}).items()},
    )


def _tables_document(tables: Mapping[str, Table]) -> dict[str, Any]:
    return {name: _table_document(table) for name, table in sorted(tables.items())}


def _table_document(table: Table) -> dict[str, Any]:
    return _without_nothing(
        {
            "columns": {name: _column_document(column) for name, column in table.columns.items()},
            "write_disposition": table.write_disposition if table.parent is None else None,
            "x-merge-strategy": table.strategy if table.strategy != "delete-insert" else None,
            "resource": table.resource,
            "parent": table.parent,
            "description": table.description,
            "references": table.references,
            "x-path": list(table.path),
            "x-chosen-by-rows": table.is_chosen_by_rows or None,
        }
    )


def _column_document(column: Column) -> dict[str, Any]:
    kind = column.type
    return _without_nothing(
        {
            "name": column.name,
            "nullable": column.nullable,
            "data_type": kind.kind if kind else None,
            "precision": kind.precision if kind else None,
            "scale": kind.scale if kind else None,
            "timezone": kind.timezone if kind else None,
            "primary_key": column.primary_key or None,
            "merge_key": column.merge_key or None,
            "description": column.description,
            "x-path": list(column.path),
            **column.hints,
        }
    )


def _table_from(name: str, document: Mapping[str, Any]) -> Table:
    columns = {key: _column_from(key, column) for key, column in document.get("columns", {}).items()}
    return Table(
        name=name,
        columns=columns,
        parent=document.get("parent"),
        resource=document.get("resource"),
        write_disposition=document.get("write_disposition", "append"),
        strategy=document.get("x-merge-strategy", "delete-insert"),
        path=tuple(document.get("x-path", ())),
        description=document.get("description"),
        references=document.get("references"),
        is_chosen_by_rows=bool(document.get("x-chosen-by-rows")),
    )


_OWN_KEYS = frozenset("name nullable data_type precision scale timezone primary_key merge_key description x-path".split())


def _column_from(name: str, document: Mapping[str, Any]) -> Column:
    kind = document.get("data_type")
    return Column(
        name=name,
        type=ColumnType(kind, document.get("precision"), document.get("scale"), document.get("timezone")) if kind else None,
        nullable=document.get("nullable", True),
        primary_key=bool(document.get("primary_key")),
        merge_key=bool(document.get("merge_key")),
        description=document.get("description"),
        path=tuple(document.get("x-path", ())),
        hints={key: value for key, value in document.items() if key not in _OWN_KEYS},
    )


def _without_nothing(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None and value != []}


def _hash(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return base64.b64encode(hashlib.sha3_256(text.encode()).digest()).decode("ascii")
