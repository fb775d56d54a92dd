"""While a run goes on, Arrow and Python's collector handle memory in a way that suits it; afterwards as before."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pyarrow as pa
import pytest

import dlt_orchestrate as dlt
from dlt_orchestrate.errors import PipelineStepFailed

SAW = []


@pytest.fixture(autouse=True)
def fresh(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    SAW.clear()
    monkeypatch.delenv("ARROW_DEFAULT_MEMORY_POOL", raising=False)


@dlt.resource
def things(fails: bool = False):
    SAW.append((pa.default_memory_pool().backend_name, gc.get_freeze_count() > 0))
    yield [{"id": 1}]
    if fails:
        raise ValueError("the source ends here")


def settings() -> tuple[str, int]:
    return pa.default_memory_pool().backend_name, gc.get_freeze_count()


def load(**arguments: bool) -> None:
    dlt.pipeline("p", destination="duckdb", dataset_name="d").run(things(**arguments))


@pytest.mark.skipif(not hasattr(os, "confstr"), reason="there is no glibc")
@pytest.mark.skipif("mimalloc" not in pa.supported_memory_backends(), reason="Arrow has no pool of its own")
def test_a_run_takes_memory_from_the_system_and_gives_the_settings_back() -> None:
    pa.set_memory_pool(pa.mimalloc_memory_pool())

    load()
    with pytest.raises(PipelineStepFailed, match="the source ends here"):
        load(fails=True)

    assert SAW == [("system", True)] * 2
    assert settings() == ("mimalloc", 0)


def test_objects_that_the_program_set_apart_stay_apart() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        load()

        assert gc.get_freeze_count() >= frozen - frozen // 10  # some of them may be gone, but not all were taken back
    finally:
        gc.unfreeze()


class Cycle:
    """Refers to itself: only the collector finds that nobody else does."""

    def __init__(self, blocks: int) -> None:
        self.itself = self
        self.held = [float(number) for number in range(blocks)]


def left_behind(blocks: int) -> weakref.ref[Cycle]:
    cycle = Cycle(blocks)
    gc.collect(1)  # it grows old
    return weakref.ref(cycle)


def test_what_is_left_behind_does_not_pile_up_while_runs_follow_each_other() -> None:
    load()
    left = []
    for _ in range(8):
        left.append(left_behind(sys.getallocatedblocks() // 8))
        load()

    assert sum(one() is not None for one in left) < len(left) // 2


def test_a_pool_that_the_environment_names_stays(project: Path) -> None:
    script = (
        "import dlt_orchestrate as dlt\n"
        "def things():\n"
        "    import pyarrow as pa\n"
        "    print(pa.default_memory_pool().backend_name)\n"
        "    yield {'id': 1}\n"
        "dlt.pipeline('p', destination='duckdb', dataset_name='d').run(things(), table_name='things')\n"
    )
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "mimalloc"}

    ran = subprocess.run([sys.executable, "-c", script], cwd=project, env=environment, capture_output=True, text=True)

    assert ran.stdout.splitlines() == ["mimalloc"], ran.stderr
