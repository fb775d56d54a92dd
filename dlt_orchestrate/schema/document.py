"""The schema of one source: its tables as a value, and as the document that `_dlt_version` keeps and files hold."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import field, replace
from functools import cache, cached_property, lru_cache
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import SchemaDocumentError
from dlt_orchestrate.schema import paths, system
from dlt_orchestrate.schema.conventions import canonical_name
from dlt_orchestrate.schema.table import LIST_INDEX, LOAD_ID, PARENT_ID, ROOT_ID, ROW_ID, Column, Table
from dlt_orchestrate.schema.types import DATA_TYPES, ColumnType

ENGINE_VERSION = 11
"""Version of the document's shape, as dlt 1.31 writes it."""

PREVIOUS_HASHES = 10
"""How many earlier hashes a document remembers."""

_DLT_NAMING = "snake_case"
_DLT_JSON = "dlt.common.normalizers.json.relational"
_OWN_NAMING = "x-naming"
"""Holds the naming convention where dlt does not know it; dlt then reads the one that agrees on all ASCII names."""

_HAS_DATA = {"x-normalizer": {"seen-data": True}}
"""What dlt writes into the tables that data came for, and asks for when it lists them."""

_SETTINGS = {
    "detections": ["iso_timestamp"],
    "default_hints": {
        "not_null": [ROW_ID, ROOT_ID, PARENT_ID, LIST_INDEX, LOAD_ID],
        "parent_key": [PARENT_ID],
        "root_key": [ROOT_ID],
        "unique": [ROW_ID],
        "row_key": [ROW_ID],
    },
}


@dataclass(frozen=True)
class Schema:
    """Tables of one source by name.

    Attributes:
        name: The source's name.
        tables: The tables of data; those of the system stand in the stored form only.
        version: Rises by one with every change.
        naming: The name of the naming convention of its tables and columns.
        previous_hashes: Hashes of the versions before, the latest first.
    """

    name: str
    tables: Mapping[str, Table] = field(default_factory=dict)
    version: int = 0
    naming: str = _DLT_NAMING
    previous_hashes: tuple[str, ...] = ()

    @cached_property
    def content_hash(self) -> str:
        """Hash of everything but the version: equal for equal tables."""
        return _hash(_joined({name: table.canonical_json for name, table in sorted(self.tables.items())}))

    @property
    def version_hash(self) -> str:
        """The hash under its name in the stored form."""
        return self.content_hash

    def succeeding(self, before: Schema) -> Schema:
        """This schema as the next version after another."""
        earlier = (before.content_hash, *before.previous_hashes) if before.version else ()
        return replace(self, version=before.version + 1, previous_hashes=earlier[:PREVIOUS_HASHES])

    def nested_tables(self, root: str) -> tuple[Table, ...]:
        """Every table nested below `root`, tables before those that may hang below them."""
        found: list[Table] = []
        level = {root}
        while level:
            children = [t for t in self.tables.values() if t.parent in level]
            found += children
            level = {t.name for t in children}
        return tuple(sorted(found, key=lambda table: len(self.tables_above(table))))

    def tables_above(self, table: Table) -> tuple[str, ...]:
        """Every table that rows of a nested table may hang below, the root last.

        That is not the parent alone: where a key holds an object in some records, and a list in others, the lists in it
        are rows below the table of that list, or below the one above it.
        """
        chain: dict[str, None] = {}
        parent = table.parent
        while parent is not None and parent not in chain:
            chain[parent] = None
            parent = self.tables[parent].parent if parent in self.tables else None
        if not chain or not table.path:
            return tuple(chain)
        beside = [
            other.name
            for other in self.tables.values()
            if other.name not in chain
            and 1 < len(other.path) < len(table.path)
            and other.path == table.path[: len(other.path)]
        ]
        return (*beside, *chain)

    def fingerprints(self) -> dict[str, str]:
        """A hash of each table's columns and links, by table."""
        return {name: _hash(table.canonical_json) for name, table in self.tables.items()}

    # --- as code for dlt asks ------------------------------------------------------------------------------------

    def get_table(self, table_name: str) -> dict[str, Any]:
        """The stored form of a table.

        Raises:
            KeyError: There is no such table.
        """
        return {**self._table_of_any_kind(table_name).to_dict(), **_system_documents().get(table_name, {})}

    def get_table_columns(self, table_name: str, include_incomplete: bool = False) -> dict[str, dict[str, Any]]:
        """The stored forms of a table's columns by name; those without a type only if asked for.

        Raises:
            KeyError: There is no such table.
        """
        columns = self._table_of_any_kind(table_name).columns
        return {name: column.to_dict() for name, column in columns.items() if column.type or include_incomplete}

    def data_tables(self, seen_data_only: bool = False) -> list[dict[str, Any]]:  # noqa: ARG002 - all of them have
        """The stored forms of the tables of data."""
        return [table.to_dict() for table in self.tables.values()]

    def data_table_names(self, seen_data_only: bool = False) -> list[str]:  # noqa: ARG002 - all of them have
        return list(self.tables)

    def dlt_tables(self) -> list[dict[str, Any]]:
        """The stored forms of the system's tables."""
        return list(_system_documents().values())

    def dlt_table_names(self) -> list[str]:
        return list(_system_tables())

    def _table_of_any_kind(self, name: str) -> Table:
        found = self.tables.get(name) or _system_tables().get(name)
        if found is None:
            raise KeyError(f"Schema {self.name!r} has no table {name!r}. It has {', '.join(map(repr, self.tables))}.")
        return found

    # --- stored forms --------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The stored form; dlt reads it, too."""
        tables = {name: {**self.tables[name].to_dict(), **_HAS_DATA} for name in sorted(self.tables)}
        return self._stored_with({**_system_documents(), **tables})

    def to_json(self) -> str:
        """The stored form as text; the texts of tables are made once, since most stay as they are from load to load."""
        tables = {name: _closed_with(self.tables[name].stored_json, _HAS_DATA) for name in sorted(self.tables)}
        parts = {key: json.dumps(value, ensure_ascii=False) for key, value in self._stored_with({}).items()}
        return _joined({**parts, "tables": _joined({**_system_texts(), **tables})})

    def _stored_with(self, tables: dict[str, Any]) -> dict[str, Any]:
        names = _DLT_NAMING if self.naming not in _NAMINGS_OF_DLT else self.naming
        return {
            "version": self.version,
            "version_hash": self.version_hash,
            "engine_version": ENGINE_VERSION,
            "name": self.name,
            "tables": tables,
            "settings": _SETTINGS,
            "normalizers": {"names": names, "json": {"module": _DLT_JSON}},
            "previous_hashes": list(self.previous_hashes),
            **({} if names == self.naming else {_OWN_NAMING: self.naming}),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Schema:
        """Read a stored form, ours or dlt's; what it holds beyond ours is left out.

        Raises:
            SchemaDocumentError: It is none.
        """
        try:
            return _schema_from(document)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise SchemaDocumentError(problem=_problem(error)) from error

    def to_pretty_json(self, remove_defaults: bool = True) -> str:
        """The stored form, indented; `remove_defaults` as in `to_pretty_yaml`."""
        return json.dumps(self._printed(remove_defaults), ensure_ascii=False, indent=2)

    def to_pretty_yaml(self, remove_defaults: bool = True) -> str:
        """The stored form as YAML.

        Args:
            remove_defaults: Whether to leave out names that stand as keys already, and the keys of the source, which a
                file that people edit can do without.
        """
        import yaml

        written = json.dumps(self._printed(remove_defaults), ensure_ascii=False)
        # PyYAML writes these line breaks as they are, and reads them as others; escaped, they stay.
        is_plain = not any(line_break in written for line_break in "\x85\u2028\u2029")
        # Read from JSON, every value is an object of its own: YAML would write one that stands twice as a reference.
        text: str = yaml.safe_dump(json.loads(written), sort_keys=False, allow_unicode=is_plain, width=1_000)
        return text

    def _printed(self, remove_defaults: bool) -> dict[str, Any]:
        document = self.to_dict()
        if remove_defaults:
            document["tables"] = {name: _plain_table(table) for name, table in document["tables"].items()}
        return document

    @classmethod
    def from_yaml(cls, text: str) -> Schema:
        """Read what `to_pretty_yaml` wrote, here or in dlt; JSON is YAML, too.

        Raises:
            SchemaDocumentError: It is no stored schema.
        """
        import yaml

        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise SchemaDocumentError(problem=f"it is no YAML: {' '.join(str(error).split())}") from error
        return cls.from_dict(document)

    # --- diagrams ------------------------------------------------------------------------------------------------

    def to_mermaid(self) -> str:
        """An entity relationship diagram for Mermaid."""
        from dlt_orchestrate.schema.diagram import mermaid

        return mermaid(self)

    def to_dot(self) -> str:
        """A diagram for Graphviz."""
        from dlt_orchestrate.schema.diagram import dot

        return dot(self)

    def to_dbml(self) -> str:
        """The tables in DBML."""
        from dlt_orchestrate.schema.diagram import dbml

        return dbml(self)


def schema_to_json(schema: Schema) -> str:
    """Write a schema as the document kept in `_dlt_version.schema`."""
    return schema.to_json()


@lru_cache(maxsize=8)
def schema_from_json(text: str) -> Schema:
    """Read a stored schema document, ours or dlt's; what it holds beyond ours is left out.

    A run reads the same text twice, before extraction and in the commit: the second time it is known.
    """
    return Schema.from_dict(json.loads(text))


_NAMINGS_OF_DLT = frozenset({"snake_case", "direct", "duck_case", "sql_ci_v1", "sql_cs_v1", "s3_tables"})


def _system_tables() -> dict[str, Table]:
    return {
        name: Table(name, {column.name: column for column in columns}, resource=name)
        for name, columns in system.DLT_TABLES.items()
    }


def _system_documents() -> dict[str, Any]:
    """The stored forms of the system's tables; `skip` says that no resource writes them."""
    return {
        name: {**table.to_dict(), **(_HAS_DATA if name == system.STATE else {"write_disposition": "skip"})}
        for name, table in _system_tables().items()
    }


@cache
def _system_texts() -> dict[str, str]:
    return {name: json.dumps(document, ensure_ascii=False) for name, document in _system_documents().items()}


def _joined(parts: Mapping[str, str]) -> str:
    """An object in JSON, its values being JSON already; as `json.dumps` writes it.

    >>> _joined({"a": "[1]", "b": "null"})
    '{"a": [1], "b": null}'
    """
    return f"{{{', '.join(f'{json.dumps(key, ensure_ascii=False)}: {text}' for key, text in parts.items())}}}"


def _closed_with(text: str, more: Mapping[str, Any]) -> str:
    """An object in JSON that has something in it, with more behind that."""
    return f"{text[:-1]}, {json.dumps(more, ensure_ascii=False)[1:]}"


def _schema_from(document: Mapping[str, Any]) -> Schema:
    normalizers = document.get("normalizers") or {}
    naming = document.get(_OWN_NAMING) or normalizers.get("names")
    return Schema(
        name=_text(document["name"], "the name"),
        version=int(document.get("version", 0)),
        naming=canonical_name(naming) if naming and isinstance(naming, str) else _DLT_NAMING,
        tables={
            name: _table_from(_text(name, "the name of a table"), table)
            for name, table in (document.get("tables") or {}).items()
            if not name.startswith(system.PREFIX)
        },
        previous_hashes=tuple(document.get("previous_hashes") or ()),
    )


def _table_from(name: str, document: Mapping[str, Any]) -> Table:
    columns = {key: _column_from(name, key, column or {}) for key, column in (document.get("columns") or {}).items()}
    return Table(
        name=name,
        columns=columns,
        parent=document.get("parent"),
        resource=document.get("resource"),
        write_disposition=document.get("write_disposition", "append"),
        strategy=document.get("x-merge-strategy", "delete-insert"),
        path=paths.read(document.get("x-path", ())),
        description=document.get("description"),
        references=document.get("references"),
        is_chosen_by_rows=bool(document.get("x-chosen-by-rows")),
    )


_OWN_KEYS = frozenset("name nullable data_type precision scale timezone primary_key merge_key description x-path".split())


def _column_from(table: str, name: Any, document: Mapping[str, Any]) -> Column:
    kind = document.get("data_type")
    if kind is not None and kind not in DATA_TYPES:
        raise ValueError(f"column {name!r} of table {table!r} has the data type {kind!r}, which there is not")
    return Column(
        name=_text(name, f"the name of a column of table {table!r}"),
        type=ColumnType(kind, document.get("precision"), document.get("scale"), document.get("timezone")) if kind else None,
        nullable=document.get("nullable", True),
        primary_key=bool(document.get("primary_key")),
        merge_key=bool(document.get("merge_key")),
        description=document.get("description"),
        path=paths.read(document.get("x-path", ())),
        hints={key: value for key, value in document.items() if key not in _OWN_KEYS},
    )


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{what} is {value!r}, a {type(value).__name__}; put it in quotes")
    return value


def _problem(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"
    return str(error) if isinstance(error, ValueError) else f"it does not have the shape of a schema ({error})"


def _plain_table(document: Mapping[str, Any]) -> dict[str, Any]:
    """A table without what the key it stands under says, and without the keys of the source."""
    columns = {name: _plain(column) for name, column in document["columns"].items()}
    return {**_plain(document), "columns": columns}


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("name", "x-path")}


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha3_256(text.encode()).digest()).decode("ascii")
