"""One load, killed at every fault point that it passes, each time from the same beginning."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dlt_orchestrate.load.scratch import folder_name
from soak import loads
from soak.kills import Kill
from soak.loads import Load
from soak.places import PLACES
from soak.processes import Processes

SEED = 15
VERSION = 3
"""It changes, adds and removes orders, widens a column and brings a new one."""


class Walk:
    """A load of one version into a place that holds the versions before.

    Attributes:
        passed: How often the load passes each fault point when nothing happens to it.
    """

    def __init__(self, load: Load, processes: Processes) -> None:
        self._load = load
        self._processes = processes
        with self._beginning() as same:
            ended = processes.run(loads.run, same)
        assert ended.error is None, ended.error
        self.passed: dict[str, int] = ended.value

    def first_passings(self) -> list[str]:
        """The first passing of every fault point, as `NAME:NTH`."""
        return [f"{name}:1" for name in self.passed]

    def passings(self) -> list[str]:
        """Every passing of every fault point."""
        return [f"{name}:{nth}" for name, times in self.passed.items() for nth in range(1, times + 1)]

    def kill_at(self, points: Iterable[str], *, wipes: bool = False) -> tuple[int, list[str]]:
        """Kill at each of these points, look, run again, compare; returns the number of kills and what went wrong."""
        outcomes = [self._kill_at(point, wipes=wipes) for point in points]
        return sum(was_killed for was_killed, _ in outcomes), [story for _, story in outcomes if story]

    def _kill_at(self, point: str, *, wipes: bool) -> tuple[bool, str]:
        name, _, nth = point.partition(":")
        with self._beginning() as load:
            kill = Kill(load, None, f"{name}:kill:{nth}", reads=False, rereads=False, glances=True, wipes=wipes)
            was_killed = self._processes.run(loads.run, load, kill.fault).was_killed
            done = self._processes.run(loads.look, load, load.allowed())
            if not done.error:
                if wipes:
                    loads.wipe(load.folder)
                done = self._processes.run(loads.rerun_and_look, load, load.allowed()[1:2])
        return was_killed, f"{kill}\n{done.error or done.status}" if done.error or done.status else ""

    @contextmanager
    def _beginning(self) -> Iterator[Load]:
        """The load from its beginning, on a disk where a dead run has left scratch."""
        with tempfile.TemporaryDirectory(prefix="walk-") as folder:
            load = replace(self._load, place=self._load.place.copied(Path(folder)), folder=Path(folder) / "disk")
            (load.folder / ".dlt" / "scratch" / folder_name(loads.PIPELINE) / "run-1-dead").mkdir(parents=True)
            try:
                yield load
            finally:
                load.place.remove()


@contextmanager
def walk(destination: str, mode: str, processes: Processes, version: int = VERSION) -> Iterator[Walk]:
    """Prepare to kill a load of some version."""
    with tempfile.TemporaryDirectory(prefix="walk-") as folder:
        place = PLACES[destination](Path(folder))
        try:
            load = Load(place, Path(folder) / "disk", SEED, mode, version, schema_files=True)
            before = processes.run(loads.run_all_before, load)
            assert before.error is None, before.error
            yield Walk(load, processes)
        finally:
            place.remove()
