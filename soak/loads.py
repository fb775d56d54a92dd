"""One load of the shop, as a process of its own does it."""

from __future__ import annotations

import os
import shutil
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dlt_orchestrate as dlt
from dlt_orchestrate import faults
from dlt_orchestrate.errors import PipelineStepFailed
from dlt_orchestrate.load.spool import Spool
from soak.modes import MODES
from soak.oracle import Picture, WrongError, expect_books_agree, expect_one_of, expected, expected_in_part, picture
from soak.places import DATASET, Place, Tables
from soak.world import World

PIPELINE = "shop"
RESOURCES = ("orders", "visits")


@dataclass(frozen=True)
class Load:
    """A load of one version, on top of the version before.

    Attributes:
        folder: The disk of the machine that loads: its home, working directory and scratch.
        spool_bytes: Memory for batches before they go to scratch files.
        key: The idempotency key, if the load has one.
        schema_files: Whether schemas are written to files, too.
    """

    place: Place
    folder: Path
    seed: int
    mode: str
    version: int
    commit: Any = "run"
    key: str | None = None
    spool_bytes: int = 1
    schema_files: bool = False

    @property
    def each_alone(self) -> bool:
        return bool(self.commit == "resource")

    def allowed(self) -> tuple[Picture, ...]:
        """What may be seen while it loads: the version before, its own, and parts of it, if it is committed in parts."""
        world, mode, before = World(self.seed), MODES[self.mode], self.version - 1
        return (
            expected(world, mode, before), expected(world, mode, self.version), *expected_in_part(world, mode, before)
        )  # fmt: skip

    def of(self, version: int) -> Load:
        return replace(self, version=version)


def pipeline_of(load: Load) -> dlt.Pipeline:
    """The pipeline, in the surroundings of the machine that loads."""
    load.folder.mkdir(parents=True, exist_ok=True)
    os.environ["HOME"] = str(load.folder)
    os.chdir(load.folder)
    Spool.__init__.__defaults__ = (load.spool_bytes,)  # type: ignore[misc]
    files = {"export_schema_path": load.folder / "schemas"} if load.schema_files else {}
    return dlt.pipeline(PIPELINE, destination=load.place.destination(), dataset_name=DATASET, **files)


def run(load: Load, fault: str | None = None) -> dict[str, int]:
    """Load, failing where a fault says so; returns how often each fault point was passed."""
    os.environ[faults.FAULT_VARIABLE] = fault or "none:raise"
    faults.passed.clear()
    mode = MODES[load.mode]
    source = mode.source(World(load.seed), load.version)
    pipeline_of(load).run(source, commit=load.commit, idempotency_key=load.key, **mode.arguments(load.version))
    return dict(faults.passed)


def run_all_before(load: Load) -> None:
    """Load the versions before this one."""
    for version in range(1, load.version):
        run(load.of(version))


def prepare_and_commit(load: Load, name: str, resources: tuple[str, ...] = RESOURCES) -> tuple[str, BaseException | None]:
    """Extract, tell that all is prepared, wait for the word to go, commit.

    A file NAME.prepared tells the one, a file `go` beside it the other; both stand beside the disk of the load.

    Returns:
        The load's id, and the error of the commit.
    """
    pipeline = pipeline_of(load)
    mode = MODES[load.mode]
    source = mode.source(World(load.seed), load.version).with_resources(*resources)
    pipeline.extract(source, **mode.arguments(load.version))
    folder = load.folder.parent
    (folder / f"{name}.prepared").touch()
    while not (folder / "go").exists():
        time.sleep(0.005)
    try:
        return pipeline.load().loads_ids[0], None
    except PipelineStepFailed as failure:
        return "", failure.exception


def run_and_read(load: Load, fault: str | None, complaints: Path) -> None:
    """Load while another thread reads snapshots; what it must not see it writes down at once, since this may be killed."""
    with reading(load, complaints):
        run(load, fault)


@contextmanager
def reading(load: Load, complaints: Path) -> Iterator[None]:
    """Read snapshots in a thread, again and again; each counts as one byte in a file, each complaint as a file.

    It is opened before the thread begins: a load sets variables of the environment, and a `duckdb.connect` that reads
    the environment in another thread at that moment may end with a segmentation fault, as any `getenv` in C may.
    """
    ended = threading.Event()
    allowed = load.allowed()

    def read(look: Callable[[], Tables]) -> None:
        try:
            with complaints.with_suffix(".reads").open("ab", buffering=0) as reads:
                known: Tables = {}
                while not ended.wait(0.005):
                    tables = look()
                    if tables != known or (load.version > 1 and not tables):
                        expect_one_of(picture(tables), allowed, each_alone=load.each_alone)
                        expect_books_agree(tables)
                        known = tables
                    reads.write(b".")
        except Exception as error:  # noqa: BLE001 - whatever it is, a reader must not meet it
            complaints.write_text(error_text(error), encoding="utf-8")

    with load.place.looking() as look:
        thread = threading.Thread(target=read, args=(look,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(10)


def look(load: Load, allowed: tuple[Picture, ...]) -> tuple[int, int]:
    """Look at what is there; returns the number of loads, and which of the allowed pictures it is.

    Raises:
        WrongError: It is none of them.
    """
    load.place.settle()
    with load.place.looking() as take:
        tables = take()
    loads = expect_books_agree(tables)
    seen = picture(tables)
    expect_one_of(seen, allowed, each_alone=load.each_alone)
    return loads, allowed.index(seen) if seen in allowed else -1


@dataclass(frozen=True)
class Rerun:
    """What came of a load that was run again.

    Attributes:
        passed: How often it passed each fault point.
        seconds: How long it took, without the look.
        loads: Number of loads that the destination knows now.
    """

    passed: dict[str, int]
    seconds: float
    loads: int


def rerun_and_look(load: Load, allowed: tuple[Picture, ...], complaints: Path | None = None) -> Rerun:
    """Load without a fault, with a reader beside it if there is a place for its complaints, and look."""
    started = time.monotonic()
    with reading(load, complaints) if complaints else nullcontext():
        passed = run(load)
    seconds = time.monotonic() - started
    if left := [str(path) for path in load.folder.rglob("run-*")]:
        raise WrongError("stuck", f"scratch of a dead run stays: {left}")
    return Rerun(passed, seconds, look(load, allowed)[0])


def wipe(folder: Path) -> None:
    """An empty disk, as a new machine has it."""
    shutil.rmtree(folder, ignore_errors=True)


def error_text(error: BaseException) -> str:
    kind = error.kind if isinstance(error, WrongError) else "stuck"
    return f"{kind}\n{''.join(traceback.format_exception(error))}"


Work = Callable[..., Any]
