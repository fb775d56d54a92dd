"""Threads that a run starts and waits for, but that do not keep a process alive that was told to end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextvars import copy_context
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from dlt_orchestrate.protocols.interruption import interruption


class Threads:
    """A pool of at most so many threads; calls see what the code that handed them in may ask of its surroundings.

    At the end it waits for what runs, and calls off what has not begun; not for long if the run was interrupted.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._futures: set[Future[Any]] = set()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Let a thread call a function."""
        future: Future[Any] = Future()
        context = copy_context()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = context.run(function, *arguments)
            except BaseException as error:  # noqa: BLE001 - told to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            self._futures.add(future)
            future.add_done_callback(self._futures.discard)
            self._calls.put(call)
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._most:
                name = f"{self._name}_{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
        return future

    def close(self) -> None:
        """Call off what has not begun, wait for the rest, end the threads."""
        with self._lock:
            begun = [future for future in list(self._futures) if not future.cancel()]
            for _ in self._threads:
                self._calls.put(None)
        wait(begun, interruption().patience_seconds)
        for thread in self._threads:
            thread.join(interruption().patience_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # what it holds is not kept until the next one comes
            self._idle.release()
