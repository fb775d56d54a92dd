"""What runs beside the reading of resources: deferred calls in a few threads, coroutines in one event loop.

Whoever starts something here waits for it or abandons it, so that nothing runs on when a run has ended.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import field
from queue import SimpleQueue
from types import BuiltinFunctionType, FunctionType, MethodType, TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.threads import Threads
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.protocols.interruption import interruption

if TYPE_CHECKING:
    import asyncio

P = ParamSpec("P")

DEFAULT_WORKERS = 5
DEFAULT_MAX_PARALLEL_ITEMS = 20


@dataclass(frozen=True, slots=True)
class Deferred:
    """A call that stands where its result will."""

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def __call__(self) -> Any:
        return self.function(*self.args, **self.kwargs)


def defer(function: Callable[P, Any]) -> Callable[P, Deferred]:
    """Let calls of a function be made in a thread: yield them from a resource, and their results take their places.

    >>> @defer
    ... def doubled(number):
    ...     return {"value": number * 2}
    >>> doubled(4)()
    {'value': 8}
    """

    @functools.wraps(function)
    def deferred(*args: P.args, **kwargs: P.kwargs) -> Deferred:
        return Deferred(function, args, kwargs)

    return deferred


_CALLS = frozenset({Deferred, FunctionType, MethodType, BuiltinFunctionType, functools.partial})


def is_promise(item: Any) -> bool:
    """Whether a yield stands for a result that is still to come: a call, or something to await."""
    kind = type(item)
    return kind is not dict and (kind in _CALLS or inspect.isawaitable(item))


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calls of a function give something to await."""
    innermost = getattr(function, "func", function)  # functools.partial
    return inspect.iscoroutinefunction(innermost) or inspect.iscoroutinefunction(type(innermost).__call__)


@dataclass(eq=False, slots=True)
class Pending:
    """Something that has been started.

    Attributes:
        name: What it is, for messages.
        task: Where it runs if it is a coroutine; set by the event loop.
    """

    name: str
    future: Future[Any]
    task: asyncio.Task[Any] | None = None


class Workers:
    """The threads and the event loop of one run; both start when first needed.

    Attributes:
        threads: Most deferred calls that run at once.
        max_items: Most results that one stream of yields is ahead of its reader, and most coroutines that run at once.
    """

    def __init__(self, threads: int = DEFAULT_WORKERS, max_items: int = DEFAULT_MAX_PARALLEL_ITEMS) -> None:
        for name, number in (("workers", threads), ("max_parallel_items", max_items)):
            if number < 1:
                raise DeclarationError(f"Section [extract] of the configuration: {name} must be at least 1, not {number}.")
        self.threads = threads
        self.max_items = max_items
        self._lock = threading.Lock()
        self._pool: Threads | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread: threading.Thread | None = None
        self._turns: asyncio.Semaphore | None = None

    @classmethod
    def configured(cls, resolver: Resolver) -> Workers:
        """As section `[extract]` of the configuration says: `workers` and `max_parallel_items`."""
        threads = resolver.lookup("workers", ("extract",), int)
        max_items = resolver.lookup("max_parallel_items", ("extract",), int)
        return cls(
            threads.value if threads else DEFAULT_WORKERS, max_items.value if max_items else DEFAULT_MAX_PARALLEL_ITEMS
        )

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End the threads; whatever was started has been waited for or abandoned by then."""
        with self._lock:
            pool, self._pool = self._pool, None
            loop, self._loop = self._loop, None
        if pool is not None:
            pool.close()
        if loop is not None:
            assert self._loop_thread is not None
            loop.call_soon_threadsafe(loop.stop)
            self._loop_thread.join(interruption().patience_seconds)

    def start(self, promise: Any) -> Pending:
        """Begin a call in a thread, or to await something; it sees what the running code may ask of its surroundings."""
        if inspect.isawaitable(promise):
            return self._spawn(f"the coroutine of {_name_of(promise)}", self._in_turn(promise), promise)
        return Pending(f"the deferred call of {_name_of(promise)}", self._threads().submit(promise))

    def result(self, promise: Any) -> Any:
        """The result of a promise."""
        pending = self.start(promise)
        try:
            return pending.future.result()
        finally:
            self.abandon((pending,))

    def read(self, items: AsyncIterator[Any], ahead: int = 0) -> AsyncReader:
        """Begin to read an asynchronous stream.

        Args:
            ahead: Items that may be read before they are asked for. With none the stream goes in step with its reader:
                what the reader does with an item is done before the next one is made.
        """
        return AsyncReader(self, items, ahead)

    def abandon(self, pendings: Iterable[Pending]) -> None:
        """Call off what nobody waits for any more, and wait for what cannot be called off."""
        begun = [pending for pending in pendings if not pending.future.done()]
        for pending in begun:
            if pending.task is None and not isinstance(pending.future, _TaskFuture):
                pending.future.cancel()
            else:
                self._running_loop().call_soon_threadsafe(_cancel, pending)
        wait([pending.future for pending in begun], interruption().patience_seconds)

    def release(self, semaphore: asyncio.Semaphore) -> None:
        """Give an asynchronous reader one more turn."""
        self._running_loop().call_soon_threadsafe(semaphore.release)

    def _spawn(self, name: str, coroutine: Coroutine[Any, Any, Any], awaited: Any = None) -> Pending:
        loop = self._running_loop()
        pending = Pending(name, _TaskFuture())

        def begin() -> None:
            pending.task = loop.create_task(coroutine)
            pending.task.add_done_callback(end)

        def end(task: asyncio.Task[Any]) -> None:
            if inspect.iscoroutine(awaited):
                awaited.close()  # one that was called off before its turn came has not been begun
            if task.cancelled():
                pending.future.cancel()
                pending.future.set_running_or_notify_cancel()
            elif (error := task.exception()) is not None:
                pending.future.set_exception(error)
            else:
                pending.future.set_result(task.result())

        loop.call_soon_threadsafe(begin)
        return pending

    async def _in_turn(self, awaitable: Awaitable[Any]) -> Any:
        assert self._turns is not None
        async with self._turns:
            return await awaitable

    def _threads(self) -> Threads:
        with self._lock:
            if self._pool is None:
                self._pool = Threads(self.threads, "dlt_orchestrate_defer")
            return self._pool

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                import asyncio

                self._loop = asyncio.new_event_loop()
                self._turns = asyncio.Semaphore(self.max_items)
                self._loop_thread = threading.Thread(
                    target=_run_until_stopped, args=(self._loop,), name="dlt_orchestrate_async", daemon=True
                )
                self._loop_thread.start()
            return self._loop


class AsyncReader:
    """Reads an asynchronous stream from a thread; the whole stream is one task of the event loop."""

    def __init__(self, workers: Workers, items: AsyncIterator[Any], ahead: int) -> None:
        import asyncio

        self._workers = workers
        self._is_ahead = ahead > 0
        self._wanted = asyncio.Semaphore(ahead)
        self._arrived: SimpleQueue[tuple[Any] | None] = SimpleQueue()
        self.pending = workers._spawn(_name_of(items), self._produce(items))
        self.pending.future.add_done_callback(lambda _: self._arrived.put(None))

    @property
    def is_done(self) -> bool:
        """Whether it has been read to its end, or has failed."""
        return self.pending.future.done()

    def __iter__(self) -> Iterator[Any]:
        try:
            while True:
                if not self._is_ahead:
                    self._workers.release(self._wanted)
                arrived = self._arrived.get()
                if arrived is None:
                    self.pending.future.result()
                    return
                if self._is_ahead:
                    self._workers.release(self._wanted)
                yield arrived[0]
        finally:
            self._workers.abandon((self.pending,))

    async def _produce(self, items: AsyncIterator[Any]) -> None:
        try:
            await self._wanted.acquire()
            async for item in items:
                self._arrived.put((item,))
                await self._wanted.acquire()
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()


class _TaskFuture(Future[Any]):
    """The outcome of a task of the event loop."""


def _run_until_stopped(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _cancel(pending: Pending) -> None:
    if pending.task is not None:
        pending.task.cancel()


def _name_of(promise: Any) -> str:
    called = promise.function if isinstance(promise, Deferred) else getattr(promise, "func", promise)
    return str(getattr(called, "__name__", type(called).__name__))
