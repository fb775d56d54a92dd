"""Waiting for a database so that signals are heard: while its client waits, Python hears none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

GRACE_SECONDS = 5.0
"""How long a call that was cancelled is waited for."""

T = TypeVar("T")


class CallAbandoned(Exception):
    """A call went on after it was cancelled: what it works with must not be touched any more.

    Attributes:
        interruption: What ended the wait for it.
    """

    def __init__(self, interruption: BaseException) -> None:
        self.interruption = interruption
        super().__init__()


def interruptibly(call: Callable[[], T], cancel: Callable[[], None]) -> T:
    """The result of a call that may block for long.

    Signals come to the main thread, and what their handlers raise (`KeyboardInterrupt`, Dagster's cancellation) ends the
    wait there: the call is cancelled, waited for, and what was raised is raised. Other threads make the call themselves.

    Args:
        cancel: Ends the call early, from another thread.

    Raises:
        CallAbandoned: The call did not end in time after it was cancelled.
    """
    if threading.current_thread() is not threading.main_thread():
        return call()
    result: Future[T] = Future()

    def make() -> None:
        try:
            result.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            result.set_exception(error)

    # A daemon: a process must be able to end while a server does not answer.
    thread = threading.Thread(target=make, daemon=True, name="database call")
    try:
        thread.start()
        wait([result])
    except BaseException as interruption:
        cancel()
        if wait([result], GRACE_SECONDS).not_done:
            raise CallAbandoned(interruption) from interruption
        raise
    return result.result()
