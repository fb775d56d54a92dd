"""A process may be killed at any durable action, in any mode: the destination is old or new; one more run ends right."""

from __future__ import annotations

import ast
from itertools import product
from pathlib import Path

import pytest

from soak.modes import MODES
from soak.places import PLACES
from soak.processes import Processes
from soak.walk import walk

CODE = Path(__file__).parents[2] / "dlt_orchestrate"
AROUND_THE_COMMIT = ["commit.before_record:2", "commit.before_commit:1", "commit.before_close:1"]


@pytest.fixture(scope="module")
def processes() -> Processes:
    return Processes()


def fault_points() -> set[str]:
    """The fault points of the code, but for those in destinations that are not here."""
    found = set()
    for file in CODE.rglob("*.py"):
        is_elsewhere = file.parent.parent.name == "destinations" and not any(file.parent.name.startswith(p) for p in PLACES)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "faultpoint":
                [name] = node.args
                assert isinstance(name, ast.Constant), (
                    f"{file}: the name of a fault point is written out, so that it is found"
                )
                found |= set() if is_elsewhere else {name.value}
    return found


def test_every_fault_point_of_the_code_is_walked(processes) -> None:
    walked = set()
    for place, version in product(PLACES, (1, 3)):
        with walk(place, "append", processes, version) as of_append:
            walked |= of_append.passed.keys()

    assert walked == fault_points()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mode", MODES)
def test_a_kill_around_the_commit_leaves_all_or_nothing(mode, place, processes) -> None:
    with walk(place, mode, processes) as of_mode:
        points = [point for point in AROUND_THE_COMMIT if point.split(":")[0] in of_mode.passed]

        assert of_mode.kill_at(points) == (len(points), [])


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_when_a_point_is_first_passed_leaves_all_or_nothing(place, processes) -> None:
    with walk(place, "upsert", processes) as of_mode:
        points = of_mode.first_passings()

        assert of_mode.kill_at(points, wipes=True) == (len(points), [])


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_in_the_very_first_load_leaves_a_place_that_the_next_run_fills(place, processes) -> None:
    points = ["commit.before_system_table:3", "commit.before_operation:2", "commit.before_commit:1"]

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
