"""What a dataset tells of the loads and rejects of a pipeline, read from its system tables alone."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from datetime import datetime

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.snapshot import Snapshot
from dlt_orchestrate.load.system_tables import COMMITS, LOADS, REJECTS, commit_record
from dlt_orchestrate.protocols.destination import Reader
from dlt_orchestrate.schema.document import Schema
from dlt_orchestrate.schema.system import PREFIX
from dlt_orchestrate.state.commits import CommitRecord
from dlt_orchestrate.state.document import resources_with_state


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One load.

    Attributes:
        sources: The sources whose schemas it was made with.
        commits: What it did for each resource and window; () if it left no commit records, as loads of dlt, or if their
            retention is over.
        rejected_rows: Rows that it rejected.
    """

    load_id: str
    sources: tuple[str, ...]
    loaded_at: datetime
    commits: tuple[CommitRecord, ...] = ()
    rejected_rows: int = 0

    @property
    def rows(self) -> int | None:
        """Rows that it brought, nested ones included; None if it left no commit records."""
        if not self.commits:
            return None
        return sum(map(rows_brought, self.commits))

    @property
    def host(self) -> str | None:
        """Where it ran."""
        return self.commits[0].host if self.commits else None


def rows_brought(commit: CommitRecord) -> int:
    """Rows of data that a commit brought, nested ones included."""
    return sum(counts["loaded"] for table, counts in commit.row_counts.items() if not table.startswith(PREFIX))


@dataclass(frozen=True, slots=True)
class RejectRecord:
    """A row that was rejected; its value is left out of the repr, since that may be nobody's business.

    Attributes:
        row: The record as JSON text, as far as it could be written.
        column: None if the whole row is at fault.
    """

    load_id: str
    resource: str
    table: str
    column: str | None
    cause: str
    rejected_at: datetime
    row: str

    def __repr__(self) -> str:
        return f"RejectRecord({self.load_id!r}, {self.resource!r}, column={self.column!r}, cause={self.cause!r})"


def schemas_of_pipeline(stored: Snapshot) -> list[Schema]:
    """The schemas of the sources that this pipeline loads; others may share the dataset."""
    committed = sorted({unit.source for unit in stored.latest})
    # The state names the sources that there were when it last changed.
    names = dict.fromkeys([*(stored.state.get("schema_names") or ()), *committed])
    return [stored.schemas[name] for name in names if name in stored.schemas]


def known_resources(snapshot: Snapshot) -> dict[str, set[str]]:
    """Every resource that left something, by source: a commit, a table or a state."""
    known: dict[str, set[str]] = {schema.name: set() for schema in schemas_of_pipeline(snapshot)}
    for unit in snapshot.latest:
        known.setdefault(unit.source, set()).add(unit.resource)
    for source in snapshot.state.get("sources", {}):
        known.setdefault(source, set()).update(resources_with_state(snapshot.state, source))
    for source, names in known.items():
        schema = snapshot.schemas.get(source)
        for table in schema.tables.values() if schema is not None else ():
            if table.parent is None and not table.name.startswith(PREFIX):
                names.add(table.resource or table.name)
    return known


def read_commits(reader: Reader, pipeline_name: str) -> list[CommitRecord]:
    """Every commit record of a pipeline, the earliest first."""
    if COMMITS not in reader.tables():
        return []
    sql = f"SELECT * FROM {reader.qualified(COMMITS)} WHERE pipeline_name = $1 ORDER BY committed_at, commit_number"  # noqa: S608
    return [commit_record(row) for row in reader.query(sql, [pipeline_name]).to_pylist()]


def read_loads(reader: Reader, pipeline_name: str, sources: Sequence[str]) -> list[LoadRecord]:
    """The loads of a pipeline, newest first.

    Args:
        sources: The sources that the pipeline loads; of loads without commit records nothing else tells whose they are.
    """
    if not sources or LOADS not in reader.tables():
        return []
    commits: dict[str, list[CommitRecord]] = {}
    for record in read_commits(reader, pipeline_name):
        commits.setdefault(record.load_id, []).append(record)
    foreign = _loads_of_others(reader, pipeline_name) - commits.keys()
    rejected = _rejected_rows(reader)
    found: dict[str, LoadRecord] = {}
    sql = f"SELECT load_id, schema_name, inserted_at FROM {reader.qualified(LOADS)} WHERE status = 0 ORDER BY inserted_at"  # noqa: S608
    for row in reader.query(sql).to_pylist():
        load_id, source = row["load_id"], row["schema_name"]
        if source in sources and load_id not in foreign:
            earlier = found.get(load_id)
            of_load = tuple(sorted({*(earlier.sources if earlier else ()), source}))
            found[load_id] = LoadRecord(
                load_id, of_load, row["inserted_at"], tuple(commits.get(load_id, ())), rejected.get(load_id, 0)
            )
    return sorted(found.values(), key=lambda load: (load.loaded_at, load.load_id), reverse=True)


def read_rejects(reader: Reader, pipeline_name: str) -> Generator[RejectRecord, None, None]:
    """The rejected rows of a pipeline, newest first."""
    if not {REJECTS, COMMITS} <= reader.tables().keys():
        return
    sql = (
        f"SELECT * FROM {reader.qualified(REJECTS)} WHERE load_id IN "  # noqa: S608
        f"(SELECT load_id FROM {reader.qualified(COMMITS)} WHERE pipeline_name = $1) "
        "ORDER BY rejected_at DESC, load_id DESC"
    )
    for batch in reader.stream(sql, [pipeline_name]):
        for row in batch.to_pylist():
            yield RejectRecord(
                load_id=row["load_id"],
                resource=row["resource_name"],
                table=row["table_name"],
                column=row.get("column_name"),
                cause=row["cause"],
                rejected_at=row["rejected_at"],
                row=row["row"],
            )


def pipelines_in(reader: Reader) -> list[str]:
    """The pipelines that have loaded into a dataset, as its records of commits tell."""
    if COMMITS not in reader.tables():
        return []
    found = reader.query(f"SELECT DISTINCT pipeline_name FROM {reader.qualified(COMMITS)} ORDER BY 1")  # noqa: S608
    return [str(row["pipeline_name"]) for row in found.to_pylist()]


def tables_of_others(reader: Reader, pipeline_name: str) -> dict[str, str]:
    """The tables that other pipelines have loaded rows into, with one of these pipelines."""
    if COMMITS not in reader.tables():
        return {}
    sql = f"SELECT pipeline_name, row_counts FROM {reader.qualified(COMMITS)} WHERE pipeline_name <> $1"  # noqa: S608
    found: dict[str, str] = {}
    for batch in reader.stream(sql, [pipeline_name]):
        for row in batch.to_pylist():
            counted = json.loads(row["row_counts"])
            brought = (table for table, counts in counted.items() if counts["loaded"] and not table.startswith(PREFIX))
            found |= dict.fromkeys(brought, row["pipeline_name"])
    return found


def _loads_of_others(reader: Reader, pipeline_name: str) -> set[str]:
    """The loads that other pipelines committed."""
    if COMMITS not in reader.tables():
        return set()
    sql = f"SELECT DISTINCT load_id FROM {reader.qualified(COMMITS)} WHERE pipeline_name <> $1"  # noqa: S608
    return {row["load_id"] for row in reader.query(sql, [pipeline_name]).to_pylist()}


def _rejected_rows(reader: Reader) -> dict[str, int]:
    """How many rows each load rejected."""
    if REJECTS not in reader.tables():
        return {}
    sql = f"SELECT load_id, count(*) AS row_count FROM {reader.qualified(REJECTS)} GROUP BY load_id"  # noqa: S608
    return {row["load_id"]: row["row_count"] for row in reader.query(sql).to_pylist()}
