"""Batches wait for the commit in memory or in files, with the same result; folders of dead runs go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.load import spool as spooling
from dlt_orchestrate.load.scratch import Scratch, sweep
from dlt_orchestrate.load.spool import DEFAULT_MEMORY_BYTES, PLAIN_BYTES, Spool
from dlt_orchestrate.normalize.normalizer import Normalizer
from dlt_orchestrate.schema.capabilities import Capabilities
from dlt_orchestrate.schema.table import TableHints

PAGES = [
    [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "name": "x"}],
    [{"id": 3.5, "name": 7, "tags": [{"deep": True}]}],
    [{"id": 4, "other": None}, {"id": "5"}],
]


def spooled(scratch: Scratch, memory_bytes: int) -> list[tuple]:
    prefixes = iter(["prefix00", "prefix01"])
    normalizer = Normalizer(resource="r", hints=TableHints(), capabilities=Capabilities(), id_prefix=lambda: next(prefixes))
    spool = Spool(scratch, memory_bytes)
    for page in PAGES:
        for part in [*normalizer.add(Page("r", page)), *normalizer.finish()]:
            spool.add(part.batch)
    return [
        (
            table.key,
            table.fields,
            table.observed,
            table.null_paths,
            table.row_count,
            [row for batch in table.read() for row in batch.to_pylist()],
            [row for batch in table.read() for row in batch.to_pylist()],
        )
        for table in spool.finish()
    ]


@pytest.mark.parametrize("plain_bytes", [PLAIN_BYTES, 0])
def test_a_spool_that_spills_gives_what_one_in_memory_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_bytes: int
) -> None:
    monkeypatch.setattr(spooling, "PLAIN_BYTES", plain_bytes)
    with Scratch(tmp_path / "none") as scratch:
        in_memory = spooled(scratch, DEFAULT_MEMORY_BYTES)
    assert not (tmp_path / "none").exists()

    with Scratch(tmp_path / "scratch") as scratch:
        on_disk = spooled(scratch, 1)
        assert len(list((tmp_path / "scratch").rglob("*.arrows"))) >= len(PAGES)

    assert [strip(table) for table in on_disk] == [strip(table) for table in in_memory]
    assert [table[4] for table in in_memory] == [5, 3]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_only_what_is_spooled_behind_many_bytes_is_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "PLAIN_BYTES", 100_000)
    normalizer = Normalizer(resource="r", hints=TableHints(), capabilities=Capabilities(), id_prefix=lambda: "prefix00")
    with Scratch(tmp_path) as scratch:
        spool = Spool(scratch, memory_bytes=1)
        for _ in range(4):
            for part in [*normalizer.add(Page("r", [{"text": "x" * 500}] * 100)), *normalizer.finish()]:
                spool.add(part.batch)
        (table,) = spool.finish()
        sizes = [segment.path.stat().st_size for segment in table.segments if segment.path]

        assert [size > 50_000 for size in sizes] == [True, True, False, False]
        assert [array.to_pylist() for array in table.values(table.fields[0])] == [["x" * 500] * 100] * 4


def strip(table: tuple) -> tuple:
    """Without the nulls of fields that a batch had not heard of yet."""
    *facts, rows, again = table
    assert rows == again
    return (*facts, [{name: value for name, value in row.items() if value is not None} for row in rows])


HOLDER = """
import sys
from pathlib import Path
from dlt_orchestrate.load.scratch import Scratch
with Scratch(Path(sys.argv[1])) as scratch:
    print(scratch.new_file(".arrows").parent.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that keeps a scratch folder for as long as it lives."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def test_folders_of_living_runs_stay_and_those_of_dead_runs_are_swept(tmp_path: Path, holder) -> None:
    folder = tmp_path / holder.stdout.readline().strip()
    (folder / "rows.arrows").write_bytes(b"rows")

    assert sweep(tmp_path) == []
    assert (folder / "rows.arrows").exists()

    holder.kill()
    holder.wait()
    with Scratch(tmp_path) as scratch:
        own = scratch.new_file(".arrows").parent
        assert [path.name for path in tmp_path.iterdir()] == [own.name]


def test_a_run_that_spools_nothing_sweeps_all_the_same(tmp_path: Path, holder) -> None:
    folder = tmp_path / holder.stdout.readline().strip()
    holder.kill()
    holder.wait()

    with Scratch(tmp_path):
        assert not folder.exists()


def test_a_folder_whose_maker_died_before_it_had_a_lock_is_swept(tmp_path: Path) -> None:
    (tmp_path / "run-1-cafe").mkdir()

    assert sweep(tmp_path) == [tmp_path / "run-1-cafe"]
    assert not list(tmp_path.iterdir())


def test_a_run_that_spools_nothing_to_disk_makes_no_folder(tmp_path: Path) -> None:
    with Scratch(tmp_path / "scratch"):
        pass

    assert not (tmp_path / "scratch").exists()


def test_batches_of_one_schema_share_a_file(tmp_path: Path) -> None:
    with Scratch(tmp_path) as scratch:
        spool = Spool(scratch, 10_000)
        normalizer = Normalizer(resource="r", hints=TableHints(), capabilities=Capabilities(), id_prefix=lambda: "prefix00")
        frame = pa.table({"id": list(range(500))})
        for _ in range(4):
            for part in normalizer.add(Page("r", frame=frame)):
                spool.add(part.batch)
        files = list(tmp_path.rglob("*.arrows"))
        (table,) = spool.finish()

        assert 1 <= len(files) <= 4
        assert table.row_count == sum(batch.num_rows for batch in table.read()) == 2_000
