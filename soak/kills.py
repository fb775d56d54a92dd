"""A load is killed at random, run again once, and everything is compared with the model."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from soak import loads
from soak.loads import Load
from soak.modes import MODES
from soak.oracle import KINDS
from soak.places import PLACES
from soak.processes import Ended, Processes

VERSIONS = 12
"""Loads into one place; then a new one begins with an empty place, whose first load may be killed, too."""
MOST_PARTS = 8
"""Checkpoints of one load, however often it is killed."""
IN_THE_COMMIT = ("commit.before_commit:kill:1", "commit.before_close:kill:1", "commit.before_begin:kill:1")


@dataclass(frozen=True)
class Kill:
    """How one load is killed and run again.

    Attributes:
        after: Seconds from the start of the load; None for a kill at a fault point.
        fault: The fault point, how often it is passed before, and milliseconds more.
        reads: Whether the killed process has a reader in a thread.
        rereads: Whether the run after it has one.
        glances: Whether somebody looks between the kill and the next run.
        wipes: Whether the next run finds an empty disk.
    """

    load: Load
    after: float | None
    fault: str | None
    reads: bool
    rereads: bool
    glances: bool
    wipes: bool

    def __str__(self) -> str:
        load = self.load
        how = f"after {self.after:.4f} s" if self.after is not None else f"at {self.fault}"
        yes = [name for name in ("reads", "rereads", "glances", "wipes") if getattr(self, name)]
        key = "with a key" if load.key else "without a key"
        return f"{load.mode}, version {load.version}, commit={load.commit}, {key}: killed {how}; {', '.join(yes)}"


@dataclass
class Tally:
    """What came of the kills.

    Attributes:
        killed: Processes that died as asked; the others had ended before.
        committed: Of these, those that had committed (all of) their load by then, as far as somebody looked.
        reads: Snapshots that were read while a load ran.
        wrong: By kind.
        stories: What went wrong, with all that is needed to tell why.
    """

    killed: int = 0
    survived: int = 0
    glanced: int = 0
    committed: int = 0
    reads: int = 0
    seconds: float = 0.0
    wrong: Counter[str] = field(default_factory=Counter)
    stories: list[str] = field(default_factory=list)

    def line(self) -> str:
        kinds = ", ".join(f"{kind} {self.wrong[kind]}" for kind in KINDS)
        return (
            f"{self.killed} kills ({self.survived} ended before theirs; {self.committed} of {self.glanced} looked at had "
            f"committed), {self.reads} snapshots read, {self.seconds:.0f} s: {kinds}"
        )


class Killer:
    """Kills loads of one mode into one destination until enough have died."""

    def __init__(self, *, destination: str, mode: str, seed: int, processes: Processes | None = None) -> None:
        self._make = PLACES[destination]
        self._mode = MODES[mode]
        self._seed = seed
        self._draw = Random(f"{destination} {mode} {seed}")
        self._processes = processes or Processes()
        self._passed: dict[str, int] = {}
        self._usual_seconds = 0.15
        self._episodes = 0
        self.tally = Tally()

    def kill(self, kills: int) -> Tally:
        """Kill until that many loads have died in all; returns what came of it."""
        started = time.monotonic()
        while self.tally.killed < kills:
            self._episodes += 1
            with _folder() as folder:
                self._episode(Path(folder), self._episodes, kills)
        self.tally.seconds += time.monotonic() - started
        return self.tally

    def _episode(self, folder: Path, episode: int, kills: int) -> None:
        place = self._make(folder)
        try:
            load = Load(place, folder / "disk", self._seed * 1000 + episode, self._mode.name, 1)
            number_of_loads = 0
            for version in range(1, VERSIONS + 1):
                found = self._trial(self._choose(load.of(version)), folder / f"complaint-{version}", number_of_loads)
                if found is None or self.tally.killed >= kills:
                    return
                number_of_loads = found
        finally:
            place.remove()

    def _choose(self, load: Load) -> Kill:
        draw = self._draw
        alone = self._mode.refresh is None and draw.random() < 0.25
        load = replace(
            load,
            commit="resource" if alone else "run",
            key=f"attempt {load.version}" if draw.random() < 0.4 else None,
            spool_bytes=draw.choice([1, 2**20]),
            schema_files=draw.random() < 0.2,
        )
        after, fault, way = None, None, draw.random()
        if way < 0.4 or not self._passed:
            after = draw.random() * self._usual_seconds * 1.1
        elif way < 0.8:
            name = draw.choice(sorted(self._passed))
            late = draw.choice([0, draw.expovariate(1 / 4)])
            fault = f"{name}:kill:{draw.randint(1, self._passed[name])}:{late:.3f}"
        else:
            fault = f"{draw.choice(IN_THE_COMMIT)}:{draw.random() * 10:.3f}"
        reads, rereads, glances, wipes = (draw.random() < 0.5 for _ in range(4))
        return Kill(load, after, fault, reads, rereads, glances, wipes)

    def _trial(self, kill: Kill, complaints: Path, loads_before: int) -> int | None:
        """Kill, perhaps look, run again, look; returns the number of loads then, None if something is wrong."""
        load, allowed = kill.load, kill.load.allowed()
        work = (loads.run_and_read, load, kill.fault, complaints) if kill.reads else (loads.run, load, kill.fault)
        ended = self._processes.run(*work, kill_after=kill.after)
        if ended.was_killed:
            self.tally.killed += 1
        else:
            self.tally.survived += 1
            if self._is_wrong(kill, ended):
                return None
        committed = -1
        if kill.glances:
            glance = self._processes.run(loads.look, load, allowed)
            if self._is_wrong(kill, glance):
                return None
            committed = glance.value[1]
            self.tally.glanced += ended.was_killed
            self.tally.committed += ended.was_killed and committed == 1
        if kill.wipes:
            loads.wipe(load.folder)
        again = self._processes.run(loads.rerun_and_look, load, allowed[1:2], complaints if kill.rereads else None)
        if self._is_wrong(kill, again) or self._has_complaint(kill, complaints):
            return None
        self._passed = again.value.passed
        self._usual_seconds = 0.8 * self._usual_seconds + 0.2 * again.value.seconds
        if not self._is_number_right(kill, committed, loads_before, again.value.loads):
            return None
        return int(again.value.loads)

    def _is_number_right(self, kill: Kill, committed: int, before: int, found: int) -> bool:
        """Whether the version has been loaded as often as it must be: once, or once more where a load repeats itself."""
        once = len(loads.RESOURCES) if kill.load.each_alone else 1
        again = once if self._mode.repeats and kill.load.key is None else 0
        allowed = range(once, once + again + 1)
        if self._mode.partial is not None:
            # Each part is a load; how many come before the kill, and behind it, is a matter of chance.
            allowed = range(once, once + MOST_PARTS + 1)
        elif committed >= 0 and not kill.load.each_alone:
            allowed = range(once + again * committed, once + again * committed + 1)
        if found - before in allowed:
            return True
        self._wrong(kill, f"records\n{found - before} loads of one version; {allowed} were expected, committed={committed}")
        return False

    def _has_complaint(self, kill: Kill, complaints: Path) -> bool:
        reads = complaints.with_suffix(".reads")
        if reads.exists():
            self.tally.reads += reads.stat().st_size
        if complaints.exists():
            self._wrong(kill, complaints.read_text(encoding="utf-8"))
            return True
        return False

    def _is_wrong(self, kill: Kill, ended: Ended) -> bool:
        if ended.error is None and ended.status == 0:
            return False
        self._wrong(kill, ended.error or f"stuck\nIt ended with {ended.status}.")
        return True

    def _wrong(self, kill: Kill, text: str) -> None:
        kind, _, story = text.partition("\n")
        self.tally.wrong[kind] += 1
        self.tally.stories.append(f"seed {self._seed} ({kill.load.seed}): {kill}\n{kind}: {story}")


@contextmanager
def _folder() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="soak-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
