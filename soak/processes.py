"""Processes that may be killed: each is forked from one that has everything imported and nothing opened."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

STUCK_SECONDS = 120.0


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        status: 0, or a signal's number with a minus.
        value: What its work returned.
        error: What its work raised, as text: the kind of wrong, then the traceback.
        seconds: From the moment it had begun to work.
    """

    status: int | None
    value: Any = None
    error: str | None = None
    seconds: float = 0.0

    @property
    def was_killed(self) -> bool:
        return self.status in (-signal.SIGKILL, -signal.SIGALRM)


class Processes:
    """Starts processes by forking a server that has imported what loads import."""

    def __init__(self, *also_imported: str) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["soak.warm", *also_imported])

    def start(self, work: Callable[..., Any], *arguments: Any) -> Started:
        """Begin work in a process of its own; returns once it has begun."""
        receiving, sending = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(sending, work, arguments), daemon=True)
        process.start()
        sending.close()
        return Started(process, receiving)

    def run(self, work: Callable[..., Any], *arguments: Any, kill_after: float | None = None) -> Ended:
        """Do work in a process of its own, and kill it some seconds after it has begun."""
        started = self.start(work, *arguments)
        if kill_after is not None:
            started.wait_for_begin()
            time.sleep(kill_after)
            started.signal(signal.SIGKILL)
        return started.end()


class Started:
    """A process that works."""

    def __init__(self, process: Any, receiving: multiprocessing.connection.Connection) -> None:
        self._process = process
        self._receiving = receiving
        self._began: float | None = None

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    def wait_for_begin(self) -> None:
        """Wait until it works."""
        if self._began is None and self._receiving.poll(STUCK_SECONDS):
            with suppress(EOFError):  # it has died already
                self._receiving.recv()
            self._began = time.monotonic()

    def signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self, timeout: float = STUCK_SECONDS) -> Ended:
        """Wait for its end; what takes too long is killed, and said to be stuck."""
        self.wait_for_begin()
        value, error = None, None
        with suppress(EOFError):
            if self._receiving.poll(timeout):
                value, error = self._receiving.recv()
            else:
                error = f"stuck\nIt did not end in {timeout:.0f} s."
                self.signal(signal.SIGKILL)
        seconds = time.monotonic() - (self._began or 0.0)
        self._process.join(timeout)
        self._receiving.close()
        return Ended(self._process.exitcode, value, error, seconds)


def _work(sending: multiprocessing.connection.Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    from soak.loads import error_text

    sending.send("begun")
    try:
        outcome = (work(*arguments), None)
    except BaseException as error:  # noqa: BLE001 - told to the process that asked
        outcome = (None, error_text(error))
    sending.send(outcome)
