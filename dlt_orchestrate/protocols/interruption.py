"""Being told to stop: by Ctrl-C, by SIGTERM, by the cancellation of a Dagster run.

Python tells the main thread only, by an exception from its signal handler. A run remembers that exception while it lasts:
its threads end their waits and begin nothing new, and code that swallows the exception gains a page, not the run.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, TypeVar

from dlt_orchestrate.errors import RunStoppedError, TerminatedError

Step = TypeVar("Step")

STOP_SECONDS = 5.0
"""How long an interrupted run waits for its threads; they do not keep the process alive, and can commit nothing."""


class Interruption:
    """What a run has been told.

    Attributes:
        cause: The exception that ended it; None as long as it may go on.
    """

    def __init__(self) -> None:
        self.cause: BaseException | None = None
        self._told = threading.Event()
        self._told_at = 0.0

    def tell(self, cause: BaseException) -> None:
        """Stop, because of this."""
        if self.cause is None:
            self.cause, self._told_at = cause, time.monotonic()
        self._told.set()

    def expect_none(self) -> None:
        """Go on only if nobody has asked to stop.

        Raises:
            BaseException: The cause, in the main thread; `RunStoppedError` in others.
        """
        if self.cause is not None:
            raise self.cause if threading.current_thread() is threading.main_thread() else RunStoppedError

    def sleep(self, seconds: float) -> None:
        """Wait, at most until somebody asks to stop; raises as `expect_none`."""
        self._told.wait(seconds)
        self.expect_none()

    @property
    def patience_seconds(self) -> float | None:
        """How long to wait for a thread's end; None for as long as it takes."""
        return None if self.cause is None else max(0.0, self._told_at + STOP_SECONDS - time.monotonic())


_current: ContextVar[Interruption | None] = ContextVar("interruption", default=None)
NO_RUN = Interruption()
"""What code outside of runs belongs to; it is never told anything."""


def interruption() -> Interruption:
    """That of the run which this code belongs to; outside of runs one that is never told anything."""
    return _current.get() or NO_RUN


@contextmanager
def interruptible(told: Interruption | None = None) -> Iterator[Interruption]:
    """Remember what signals do to the run inside.

    In the main thread the handlers of SIGINT and SIGTERM are wrapped, and put back in the end: what they raise is
    remembered, whatever else they do is left to them. Where nothing handles SIGTERM, which would end the process at
    once, it raises `TerminatedError`.
    """
    told = told or _current.get() or Interruption()
    token = _current.set(told)
    wrapped = _wrap_handlers(told) if threading.current_thread() is threading.main_thread() else {}
    try:
        yield told
    finally:
        for number, (handler, ours) in wrapped.items():
            if signal.getsignal(number) is ours:
                signal.signal(number, handler)
        _current.reset(token)


def interruptible_steps(steps: Generator[Step, None, None]) -> Iterator[Step]:
    """The steps of a generator, each made as within `interruptible`; between them signals mean what they always do."""
    told = Interruption()
    try:
        while True:
            with interruptible(told):
                try:
                    step = next(steps)
                except StopIteration:
                    return
            yield step
    finally:
        with interruptible(told):
            steps.close()


def _wrap_handlers(told: Interruption) -> dict[int, tuple[Any, Any]]:
    wrapped: dict[int, tuple[Any, Any]] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        handle = _terminate if number == signal.SIGTERM and handler is signal.SIG_DFL else handler
        if callable(handle):
            ours = _telling(told, handle)
            signal.signal(number, ours)
            wrapped[number] = (handler, ours)
    return wrapped


def _telling(told: Interruption, handle: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
    def handler(number: int, frame: FrameType | None) -> None:
        try:
            handle(number, frame)
        except BaseException as error:
            told.tell(error)
            raise

    return handler


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise TerminatedError
