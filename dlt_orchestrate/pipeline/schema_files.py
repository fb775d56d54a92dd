"""Schemas as YAML files: read before a run as hints that people may edit, written after a commit for people to read."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.discovery import declared_schema
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.errors import SchemaDocumentError, SchemaFileError
from dlt_orchestrate.faults import faultpoint
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.conventions import DEFAULT_CONVENTION
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.naming import Naming, naming_for
from dlt_orchestrate.schema.system import PREFIX
from dlt_orchestrate.schema.table import Column, Table

logger = logging.getLogger("dlt_orchestrate.pipeline")


@dataclass(frozen=True, slots=True)
class SchemaFiles:
    """The folders of schema files; in each, one file for each source, `<source>.schema.yaml`.

    Attributes:
        imports: Where hints are read from. What resources declare goes before them, and they before what is inferred.
        exports: Where the stored schemas are written to.
    """

    imports: Path | None = None
    exports: Path | None = None

    def read(self, source: str) -> Schema | None:
        """The hints for a source; None if there is no file.

        Raises:
            SchemaFileError: The file holds no schema of that source, or the folders cannot be made.
        """
        for folder in (self.imports, self.exports):
            if folder is not None:
                _make(folder)
        path = _file(self.imports, source)
        if path is None or not path.exists():
            return None
        try:
            schema = Schema.from_yaml(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, SchemaDocumentError) as error:
            problem = error.problem if isinstance(error, SchemaDocumentError) else str(error)
            raise SchemaFileError(
                path=str(path), problem=problem, advice="Mend the file, or remove it: the next run writes a new one."
            ) from error
        if schema.name != source:
            raise SchemaFileError(
                path=str(path),
                problem=f"it is the schema of {schema.name!r}, and {source!r} is loaded",
                advice="Change its name, or move the file away.",
            )
        return schema

    def export(self, schemas: Iterable[Schema]) -> None:
        """Write the schemas that differ from their files. What was loaded stays loaded if that fails: it is logged."""
        for schema in schemas:
            path = _file(self.exports, schema.name)
            if path is not None:
                _write(path, schema.to_pretty_yaml(), only_new=False)

    def begin_import(self, source: str, resources: Iterable[Resource], naming: str) -> None:
        """Write a file for people to edit where there is none yet: what the resources declare."""
        path = _file(self.imports, source)
        if path is not None and not path.exists():
            declared = declared_schema(source, resources, naming=naming).succeeding(Schema(source))
            _write(path, declared.to_pretty_yaml(), only_new=True)


def with_imported_hints(found: Resource, imported: Schema | None, naming: Naming) -> Resource:
    """A clone of a resource with what an imported schema says of its table; what is declared goes first."""
    table_name = found.table_name
    if imported is None or not isinstance(table_name, str):
        return found
    table = imported.tables.get(naming.table((table_name,)))
    if table is None:
        return found
    written = {naming.path((name,)): name for name in found.columns}
    declared = found.columns
    hints = {
        written.get(name, name): {**hint, **declared.get(written.get(name, name), {})}
        for name, hint in _hints(table, has_key=bool(found.primary_key), has_merge_key=bool(found.merge_key)).items()
    }
    return found.clone().apply_hints(columns=hints) if hints else found


def _hints(table: Table, *, has_key: bool, has_merge_key: bool) -> dict[str, dict[str, Any]]:
    """The columns of data as a user would declare them; keys only where none is declared."""
    left_out = {"name", "x-path", *(["primary_key"] if has_key else []), *(["merge_key"] if has_merge_key else [])}

    def hint(column: Column) -> dict[str, Any]:
        return {key: value for key, value in column.to_dict().items() if key not in left_out}

    return {name: hint(column) for name, column in table.columns.items() if not name.startswith(PREFIX)}


def _file(folder: Path | None, source: str) -> Path | None:
    return folder / f"{naming_for(DEFAULT_CONVENTION, Capabilities()).dataset(source)}.schema.yaml" if folder else None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SchemaFileError(
            path=str(folder), problem=f"the folder cannot be made ({error.strerror})", advice="Choose another folder."
        ) from error


def _write(path: Path, text: str, *, only_new: bool) -> None:
    """Put a file in place in one step, so that nobody reads half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.exists() and (only_new or path.read_text(encoding="utf-8") == text):
            return
        faultpoint("schema_file.before_write")
        temporary.write_text(text, encoding="utf-8")
        faultpoint("schema_file.before_replace")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        logger.warning("The schema file %s was not written: %s. What was loaded is loaded.", path, error.strerror)
