"""Whatever happens in whatever order, the destination is the model at some commit: all tables at one, the cursor, too."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

import dlt_orchestrate as dlt
from dlt_orchestrate import faults
from dlt_orchestrate.errors import CommitConflictError, PipelineStepFailed
from soak.oracle import Part, _text, expect_books_agree, picture
from soak.places import DATASET

POINTS = [
    "extract.after_page",
    "commit.before_begin",
    "commit.before_system_table",
    "commit.before_operation",
    "commit.before_record",
    "commit.before_commit",
    "commit.before_close",
    "commit.after_commit",
]
HINTS: dict[str, dict[str, Any]] = {
    "append": {},
    "replace": {"write_disposition": "replace"},
    "delete-insert": {"write_disposition": "merge", "primary_key": "id"},
    "upsert": {"write_disposition": {"disposition": "merge", "strategy": "upsert"}, "primary_key": "id"},
}
Record = dict[str, Any]


@dataclass(frozen=True)
class Version:
    """What the destination holds after some commit.

    Attributes:
        number: How many commits there were.
    """

    rows: tuple[Record, ...] = ()
    cursor: int | None = None
    number: int = 0


@dataclass(frozen=True)
class Extracted:
    """What a load will bring, and the commit it was extracted on."""

    rows: tuple[Record, ...]
    cursor: int | None
    base: int
    begins_anew: bool = False


@dataclass
class Late:
    """A worker that has extracted and not committed."""

    pipeline: dlt.Pipeline
    extracted: Extracted


@dataclass
class Shape:
    """What the records of the source look like, from now on."""

    columns: list[str] = field(default_factory=list)
    total: Any = 1


class Loads(RuleBasedStateMachine):
    """One resource with a nested list, loaded by workers that fail, forget, sleep and start anew."""

    destination_name = "memory"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.home = os.environ["HOME"]
        os.environ["HOME"] = str(self.folder)
        self.destination: Any = (
            dlt.destinations.memory()
            if self.destination_name == "memory"
            else dlt.destinations.duckdb(self.folder / "shop.duckdb")
        )
        self.source_rows: dict[int, Record] = {}
        self.clock = 0
        self.shape = Shape()
        self.version = Version()
        self.late: list[Late] = []

    @initialize(mode=st.sampled_from(sorted(HINTS)))
    def begin(self, mode: str) -> None:
        self.mode = mode

    # --- the source changes --------------------------------------------------------------------------------------

    @rule(numbers=st.sets(st.integers(1, 6), min_size=1, max_size=3), tags=st.lists(st.sampled_from("abc"), max_size=2))
    def rows_come_and_change(self, numbers: set[int], tags: list[str]) -> None:
        self.clock += 1
        for number in numbers:
            extra = {name: f"{name}{self.clock}" for name in self.shape.columns}
            self.source_rows.pop(number, None)
            self.source_rows[number] = {"id": number, "at": self.clock, "total": self.shape.total, "tags": tags, **extra}

    @rule(total=st.sampled_from([1, 2, 2.5, 2**40, "none"]))
    def a_column_gets_other_values(self, total: Any) -> None:
        self.shape.total = total

    @precondition(lambda self: len(self.shape.columns) < 3)
    @rule()
    def a_column_comes(self) -> None:
        self.shape.columns.append(f"c{self.clock}")

    @precondition(lambda self: self.shape.columns)
    @rule()
    def a_column_goes(self) -> None:
        self.shape.columns.pop(0)

    # --- workers -------------------------------------------------------------------------------------------------

    @rule()
    def a_worker_loads(self) -> None:
        extracted = self._extracted()
        self._pipeline().run(self._source())
        self.version = self._after(extracted)

    @rule(point=st.sampled_from(POINTS), nth=st.integers(1, 4), keyed=st.booleans())
    def a_worker_fails_and_another_goes_on(self, point: str, nth: int, keyed: bool) -> None:
        before, new = self.version, self._after(self._extracted())
        key = f"{self.clock} {new.number}" if keyed else None
        faults.passed.clear()
        os.environ[faults.FAULT_VARIABLE] = f"{point}:raise:{nth}"
        try:
            self._pipeline().run(self._source(), idempotency_key=key)
        except PipelineStepFailed as failure:
            expect(failure, faults.FaultInjected)
            self.version = before if self._seen() == self._part(before) else new
        else:
            self.version = new
        finally:
            del os.environ[faults.FAULT_VARIABLE]
        self.the_destination_is_the_model()

        has_committed = self.version.number > before.number
        again = self.version if has_committed and keyed else self._after(self._extracted())
        info = self._pipeline().run(self._source(), idempotency_key=key)
        self.version = again
        if has_committed and keyed:
            assert info.resources["orders"].repeated

    @rule()
    def a_worker_begins_anew(self) -> None:
        extracted = replace(self._extracted(begins_anew=True), begins_anew=True)
        self._pipeline().run(self._source(), refresh="drop_sources")
        self.version = self._after(extracted)

    @precondition(lambda self: len(self.late) < 2)
    @rule()
    def a_worker_extracts_and_falls_asleep(self) -> None:
        pipeline = self._pipeline()
        extracted = self._extracted()
        pipeline.extract(self._source())
        self.late.append(Late(pipeline, extracted))

    @precondition(lambda self: self.late)
    @rule()
    def a_worker_wakes_up_and_commits(self) -> None:
        late = self.late.pop(0)
        new = self._after(late.extracted)
        try:
            late.pipeline.load()
        except PipelineStepFailed as failure:
            expect(failure, CommitConflictError)
            assert late.extracted.base != self.version.number, "nobody was faster"
        else:
            assert late.extracted.base == self.version.number or new == self.version
            self.version = new

    @rule()
    def the_disk_is_lost(self) -> None:
        shutil.rmtree(self.folder / ".dlt", ignore_errors=True)

    # --- what must hold ------------------------------------------------------------------------------------------

    @invariant()
    def the_destination_is_the_model(self) -> None:
        assert self._seen() == self._part(self.version)

    def teardown(self) -> None:
        for late in self.late:
            late.pipeline._drop_pending()
        os.environ["HOME"] = self.home
        shutil.rmtree(self.folder)

    # --- details -------------------------------------------------------------------------------------------------

    def _pipeline(self) -> dlt.Pipeline:
        return dlt.pipeline("shop", destination=self.destination, dataset_name=DATASET)

    def _source(self) -> Any:
        rows = list(self.source_rows.values())

        @dlt.resource(name="orders", **HINTS[self.mode])
        def all_orders() -> Any:
            yield from ([row] for row in rows)

        @dlt.resource(name="orders", **HINTS[self.mode])
        def new_orders(at: Any = dlt.sources.incremental("at", initial_value=0)) -> Any:
            yield from ([row] for row in rows if row["at"] >= at.last_value)

        @dlt.source(name="shop")
        def shop() -> Any:
            return all_orders if self.mode == "replace" else new_orders

        return shop()

    def _extracted(self, *, begins_anew: bool = False) -> Extracted:
        """What a worker would extract now."""
        cursor = None if begins_anew else self.version.cursor
        rows = tuple(row for row in self.source_rows.values() if cursor is None or row["at"] > cursor)
        newest = max((row["at"] for row in rows), default=cursor)
        return Extracted(rows, None if self.mode == "replace" else newest, self.version.number)

    def _after(self, extracted: Extracted) -> Version:
        """The next version, if what was extracted is committed."""
        changes = extracted.begins_anew or extracted.rows or self.mode == "replace"
        if not changes:
            return self.version
        kept = () if extracted.begins_anew or self.mode == "replace" else self.version.rows
        if self.mode in ("delete-insert", "upsert"):
            arrived = {row["id"] for row in extracted.rows}
            kept = tuple(row for row in kept if row["id"] not in arrived)
        return Version((*kept, *extracted.rows), extracted.cursor, self.version.number + 1)

    def _part(self, version: Version) -> tuple[Part, int]:
        rows = tuple(sorted(_text({**row, "is_current": True}) for row in version.rows))
        return Part(rows, version.cursor), version.number

    def _seen(self) -> tuple[Part, int]:
        """What is there, read as anybody may read it."""
        if self.version.number == 0 and DATASET not in self._datasets():
            return Part((), None), 0
        with self.destination.reader(DATASET) as reader:
            tables = {name: reader.query(f"SELECT * FROM {reader.qualified(name)}").to_pylist() for name in reader.tables()}
        for row in tables.get("orders", []):
            variants = [row.pop(name) for name in list(row) if name.startswith("total__v_")]
            row["total"] = _number(next((value for value in variants if value is not None), row.get("total")))
        loads = expect_books_agree(tables)
        return picture(tables).orders, loads

    def _datasets(self) -> list[str]:
        is_missing = self.destination_name == "duckdb" and not (self.folder / "shop.duckdb").exists()
        return [] if is_missing else list(self.destination.datasets())


class LoadsIntoDuckDB(Loads):
    destination_name = "duckdb"


def _number(value: Any) -> Any:
    """A column that was a text first holds numbers as texts."""
    return float(value) if isinstance(value, str) and value != "none" else value


def expect(failure: PipelineStepFailed, kind: type[Exception]) -> None:
    """A run fails for the reason that is expected, and no other."""
    if not isinstance(failure.__cause__, kind):
        raise failure


def explore(machine: type[Loads], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=examples, stateful_step_count=steps, suppress_health_check=list(HealthCheck)),
    )


def test_the_destination_is_the_model_whatever_happens(project) -> None:
    explore(Loads, examples=4, steps=12)


def test_a_duckdb_file_is_the_model_whatever_happens(project) -> None:
    explore(LoadsIntoDuckDB, examples=30, steps=12)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [Loads, LoadsIntoDuckDB])
def test_the_destination_is_the_model_whatever_happens_for_long(machine, project) -> None:
    explore(machine, examples=300, steps=30)
