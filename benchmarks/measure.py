"""CPU time, elapsed time and memory of a process and all that it starts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.1
_PROC = Path("/proc")
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Cost:
    """What a process took, with all that it started.

    Attributes:
        cpu_seconds: User and system time.
        peak_bytes: Most memory at one time; what processes share counts once, where the system tells. It is at least the
            memory of the process that measures (a process begins as a copy of it), which therefore loads nothing large.
    """

    cpu_seconds: float
    wall_seconds: float
    peak_bytes: int


class ProcessError(Exception):
    """A measured process failed; its last words are the message."""


def measure(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> tuple[str, Cost]:
    """Run a process to its end; returns what it printed and what it took.

    Raises:
        ProcessError: It failed.
    """
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        # A session of its own, so that its processes can be told from others.
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        with _MemoryOfSession(process.pid) as memory, _stopped_with_us(process):
            printed = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
        process.stdout.close()
        elapsed = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            words = errors.read().decode(errors="replace").strip()
            raise ProcessError(f"{' '.join(command)} ended with {process.returncode}:\n{words[-4_000:]}")
    peak = max(usage.ru_maxrss * _MAXRSS_UNIT, memory.peak_bytes)
    return printed, Cost(usage.ru_utime + usage.ru_stime, elapsed, peak)


@contextmanager
def _stopped_with_us(process: subprocess.Popen[str]) -> Iterator[None]:
    """Nothing that was started goes on when the measuring is broken off."""
    try:
        yield
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


class _MemoryOfSession:
    """Watches the memory of a session while it has several processes; of a single one the system keeps the peak."""

    def __init__(self, session: int) -> None:
        self.peak_bytes = 0
        self._session = session
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _MemoryOfSession:
        if _PROC.is_dir():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            members = _processes_of(self._session)
            if len(members) > 1:
                self.peak_bytes = max(self.peak_bytes, sum(map(_proportional_bytes, members)))


def _processes_of(session: int) -> list[Path]:
    found = []
    for process in _PROC.glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(process)
    return found


def _proportional_bytes(process: Path) -> int:
    """Memory of a process, with its share of what it shares."""
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", (process / "smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
