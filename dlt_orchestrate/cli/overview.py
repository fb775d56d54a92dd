"""What a destination knows of a pipeline: its tables, state, loads and rejects, as values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.snapshot import Scope
from dlt_orchestrate.load.system_tables import COMMITS, LOADS, REJECTS
from dlt_orchestrate.pipeline.history import schemas_of_pipeline
from dlt_orchestrate.protocols.destination import Destination, Reader
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.table import Table
from dlt_orchestrate.state.values import decode, printable

_LOADS = f"""
    SELECT load_id, string_agg(DISTINCT schema_name, ', ' ORDER BY schema_name) AS sources, max(inserted_at) AS loaded_at
    FROM {LOADS} WHERE status = 0 AND schema_name IN ({{sources}}) GROUP BY load_id ORDER BY loaded_at DESC, load_id DESC
"""  # noqa: S608
_ROW_COUNTS = f"SELECT load_id, pipeline_name, row_counts FROM {COMMITS}"  # noqa: S608
_REJECTS = f"""
    SELECT resource_name, column_name, cause, count(*) AS row_count
    FROM {REJECTS} WHERE load_id IN (SELECT load_id FROM {COMMITS} WHERE pipeline_name = $1)
    GROUP BY resource_name, column_name, cause ORDER BY row_count DESC, resource_name, column_name, cause
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class TableFacts:
    """One table.

    Attributes:
        depth: 0 for a root table, 1 for a table nested in it, and so on.
        columns: Types by column, as the destination prints them.
    """

    name: str
    source: str
    depth: int
    rows: int
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class StateFacts:
    """One value of the state; of a cursor its last value.

    Attributes:
        resource: None for what the resources of the source share.
        key: For a cursor, the path in the records that it reads.
    """

    source: str
    resource: str | None
    key: str
    value: str
    is_cursor: bool


@dataclass(frozen=True, slots=True)
class LoadFacts:
    """One load.

    Attributes:
        rows: Rows it brought, by table; None if it left no commit record, as loads of dlt.
    """

    load_id: str
    sources: str
    loaded_at: datetime
    rows: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class RejectFacts:
    """Rows that were rejected for the same cause."""

    resource: str
    column: str | None
    cause: str
    rows: int


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it.

    Attributes:
        tables: Each followed by the tables nested in it.
        loads: Newest first.
    """

    pipeline_name: str
    location: str
    dataset_name: str
    tables: tuple[TableFacts, ...]
    state: tuple[StateFacts, ...]
    loads: tuple[LoadFacts, ...]
    rejects: tuple[RejectFacts, ...]

    @property
    def cursors(self) -> tuple[StateFacts, ...]:
        """The state that incremental resources keep."""
        return tuple(fact for fact in self.state if fact.is_cursor)


def read_overview(destination: Destination, pipeline_name: str, dataset_name: str) -> Overview:
    """Read everything, from the destination alone.

    Raises:
        LoadError: The destination cannot be read.
    """
    stored = destination.read_state(Scope(pipeline_name, dataset_name))
    schemas = schemas_of_pipeline(stored)
    with destination.reader(dataset_name) as reader:
        return Overview(
            pipeline_name=pipeline_name,
            location=destination.location,
            dataset_name=dataset_name,
            tables=tuple(_tables(reader, schemas)),
            state=tuple(_state(stored.state)),
            loads=tuple(_loads(reader, pipeline_name, [schema.name for schema in schemas])),
            rejects=tuple(_rejects(reader, pipeline_name)),
        )


def _tables(reader: Reader, schemas: Sequence[Schema]) -> Iterator[TableFacts]:
    present = reader.tables()
    for schema in schemas:
        for table, depth in _in_order(schema):
            if table.name in present:
                counted = reader.query(f"SELECT count(*) FROM {reader.qualified(table.name)}")  # noqa: S608
                rows = int(counted.column(0)[0].as_py())
                yield TableFacts(table.name, schema.name, depth, rows, present[table.name])


def _in_order(schema: Schema, parent: str | None = None, depth: int = 0) -> Iterator[tuple[Table, int]]:
    """The tables by name, each followed by those nested in it; without the system's."""
    for name, table in sorted(schema.tables.items()):
        if table.parent == parent and not name.startswith("_dlt_"):
            yield table, depth
            yield from _in_order(schema, name, depth + 1)


def _state(document: Mapping[str, Any]) -> Iterator[StateFacts]:
    for source, of_source in document.get("sources", {}).items():
        for key, value in of_source.items():
            if key != "resources":
                yield StateFacts(source, None, key, _text(value), is_cursor=False)
        for resource, of_resource in of_source.get("resources", {}).items():
            for path, cursor in of_resource.get("incremental", {}).items():
                yield StateFacts(source, resource, path, _text(cursor.get("last_value")), is_cursor=True)
            for key, value in of_resource.items():
                if key != "incremental":
                    yield StateFacts(source, resource, key, _text(value), is_cursor=False)


def _text(value: Any) -> str:
    decoded = decode(value)
    if isinstance(decoded, dict | list):
        return json.dumps(decoded, ensure_ascii=False, default=str)
    return str(printable(decoded))


def _loads(reader: Reader, pipeline_name: str, sources: Sequence[str]) -> Iterator[LoadFacts]:
    if not sources:
        return
    pipelines, rows = _commits(reader, pipeline_name)
    marks = ", ".join(f"${number}" for number in range(1, len(sources) + 1))
    for load in reader.query(_LOADS.format(sources=marks), sources).to_pylist():
        load_id = load["load_id"]
        if pipeline_name in pipelines.get(load_id, {pipeline_name}):
            yield LoadFacts(load_id, load["sources"], load["loaded_at"], rows.get(load_id))


def _commits(reader: Reader, pipeline_name: str) -> tuple[dict[str, set[str]], dict[str, dict[str, int]]]:
    """By load id, the pipelines that committed under it, and the rows by table that this pipeline did."""
    pipelines: dict[str, set[str]] = {}
    rows: dict[str, dict[str, int]] = {}
    if COMMITS in reader.tables():
        for record in reader.query(_ROW_COUNTS).to_pylist():
            pipelines.setdefault(record["load_id"], set()).add(record["pipeline_name"])
            if record["pipeline_name"] == pipeline_name:
                of_load = rows.setdefault(record["load_id"], {})
                for table, counts in json.loads(record["row_counts"]).items():
                    if table != REJECTS:
                        of_load[table] = of_load.get(table, 0) + counts["loaded"]
    return pipelines, rows


def _rejects(reader: Reader, pipeline_name: str) -> Iterator[RejectFacts]:
    if {REJECTS, COMMITS} <= reader.tables().keys():
        for cause in reader.query(_REJECTS, [pipeline_name]).to_pylist():
            yield RejectFacts(cause["resource_name"], cause["column_name"], cause["cause"], cause["row_count"])
