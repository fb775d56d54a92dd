"""A wait for a database ends with a signal, and what it waited for is cancelled."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from dlt_orchestrate.load import interruption
from dlt_orchestrate.load.interruption import CallAbandoned, interruptibly


class Stop(BaseException):
    """What a handler of signals raises."""


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Sends the main thread a signal whose handler raises `Stop`."""

    def stop(*_: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR1, stop)
    main = threading.main_thread().ident
    assert main is not None
    yield lambda: signal.pthread_kill(main, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


def never() -> None:
    pytest.fail("cancelled")


def test_what_a_call_returns_or_raises_comes_through() -> None:
    def fails() -> None:
        raise ValueError("mine")

    assert interruptibly(lambda: threading.current_thread() is threading.main_thread(), never) is False
    with pytest.raises(ValueError, match="mine"):
        interruptibly(fails, never)


def test_other_threads_make_the_call_themselves() -> None:
    callers: list[threading.Thread] = []
    caller = threading.Thread(target=lambda: callers.append(interruptibly(threading.current_thread, never)))
    caller.start()
    caller.join()

    assert callers == [caller]


def test_a_signal_cancels_the_call_and_waits_until_it_has_ended(interrupt: Callable[[], None]) -> None:
    told: list[str] = []
    is_cancelled = threading.Event()

    def call() -> None:
        interrupt()
        is_cancelled.wait(60)
        told.append("ended")

    with pytest.raises(Stop):
        interruptibly(call, is_cancelled.set)

    assert told == ["ended"]


def test_a_call_that_does_not_end_is_abandoned(interrupt: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "GRACE_SECONDS", 0.01)
    may_end = threading.Event()

    def call() -> None:
        interrupt()
        may_end.wait(60)

    with pytest.raises(CallAbandoned) as caught:
        interruptibly(call, lambda: None)
    may_end.set()

    assert isinstance(caught.value.interruption, Stop)
