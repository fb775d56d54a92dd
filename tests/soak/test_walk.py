"""A process may be killed at any durable action, in any mode: the destination is old or new; one more run ends right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from soak.modes import MODES
from soak.places import PLACES
from soak.processes import Processes
from soak.walk import walk

CODE = Path(__file__).parents[2] / "dlt_orchestrate"
SLICE = ["append", "replace", "upsert", "scd2", "merge-window", "drop-sources"]
AROUND_THE_COMMIT = ["commit.before_record:2", "commit.before_close:1", "commit.after_commit:1"]


@pytest.fixture(scope="module")
def processes() -> Processes:
    return Processes()


_CALL = re.compile(r'(?<!def )\bfaultpoint\((?:"([^"]+)"\))?')


def fault_points(place: str) -> set[str]:
    """The fault points of the code, but for those of other destinations."""
    found = set()
    for file in CODE.rglob("*.py"):
        room = file.relative_to(CODE).parts
        if room[0] == "destinations" and not room[1].startswith(place):
            continue
        for call in _CALL.finditer(file.read_text(encoding="utf-8")):
            assert call[1], f"{file}: a fault point's name is written out, so that it is found"
            found.add(call[1])
    return found


@pytest.mark.parametrize("place", PLACES)
def test_every_fault_point_of_the_code_is_walked(place, processes) -> None:
    walked = set()
    for mode, version in (("append", 1), ("append", 3), ("append-checkpoints", 1)):
        with walk(place, mode, processes, version) as of_mode:
            walked |= of_mode.passed.keys()

    assert walked == fault_points(place)


@pytest.mark.parametrize(
    ("mode", "place"),
    [*((mode, "duckdb") for mode in SLICE), *((mode, "postgres") for mode in ("append", "scd2"))],
)
def test_a_kill_around_the_commit_leaves_all_or_nothing(mode, place, processes) -> None:
    with walk(place, mode, processes) as of_mode:
        points = [point for point in AROUND_THE_COMMIT if point.split(":")[0] in of_mode.passed]

        assert of_mode.kill_at(points) == (len(points), [])


@pytest.mark.parametrize("mode", ["append-checkpoints", "append-positions", "merge-checkpoints"])
def test_a_kill_around_a_checkpoint_leaves_what_was_committed_before_and_the_next_run_goes_on(mode, processes) -> None:
    with walk("duckdb", mode, processes) as of_mode:
        last = f"extract.before_checkpoint:{of_mode.passed['extract.before_checkpoint']}"

        assert of_mode.kill_at([last, "extract.after_checkpoint:1"], wipes=True) == (2, [])


def test_a_kill_when_a_point_is_first_passed_leaves_all_or_nothing(processes) -> None:
    with walk("duckdb", "delete-insert", processes) as of_mode:
        points = of_mode.first_passings()

        assert of_mode.kill_at(points, wipes=True) == (len(points), [])


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_in_the_very_first_load_leaves_a_place_that_the_next_run_fills(place, processes) -> None:
    points = ["commit.before_operation:2", "commit.before_commit:1"]

    with walk(place, "append", processes, version=1) as of_mode:
        assert of_mode.kill_at(points) == (len(points), [])


@pytest.mark.slow
@pytest.mark.parametrize("wipes", [False, True], ids=["same disk", "empty disk"])
@pytest.mark.parametrize("version", [1, 3], ids=["first load", "later load"])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mode", MODES)
def test_a_kill_anywhere_leaves_all_or_nothing(mode, place, version, wipes, processes) -> None:
    with walk(place, mode, processes, version) as of_mode:
        points = of_mode.passings()

        assert of_mode.kill_at(points, wipes=wipes) == (len(points), [])
