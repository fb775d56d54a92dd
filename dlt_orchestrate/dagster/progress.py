"""Signs of life of a long load: now and then the event log says how far it has come."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Literal

from dagster import AssetExecutionContext, AssetKey, AssetObservation

from dlt_orchestrate.dagster.spoken import spoken_count, spoken_span
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.protocols.progress import Progress as Watcher
from dlt_orchestrate.protocols.progress import Reached, unobserved

logger = logging.getLogger("dlt_orchestrate.dagster")

ProgressKind = Literal["log", "observe"]

PROGRESS_SECONDS = 60.0
"""Time between two events; a load that takes less tells none."""

_SHARE_OF_ELAPSED = 0.05
"""The longer a load takes, the rarer its events: 2 hours have some 70 of them, and not 120."""


@dataclass
class _InFlight:
    """A resource that is being loaded."""

    reached: Reached
    began_at: float
    moved_at: float
    told_at: float


@dataclass
class Progress:
    """Hears how far the resources of a step have come, and says so every now and then.

    What is said comes from a thread of its own, so that also a source that waits and a commit that takes long are heard of.

    Attributes:
        say: Puts it into the event log.
        every_seconds: The least time between two events, whatever they are about.
    """

    say: Callable[[AssetObservation], None]
    assets: Mapping[str, AssetKey]
    every_seconds: float
    clock: Callable[[], float] = time.monotonic
    _in_flight: dict[str, _InFlight] = field(init=False, default_factory=dict)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def hear(self, reached: Reached) -> None:
        """Take note of how far a resource has come."""
        now = self.clock()
        with self._lock:
            if reached.phase == "done":
                self._in_flight.pop(reached.resource, None)
                return
            known = self._in_flight.setdefault(reached.resource, _InFlight(reached, now, now, now))
            if reached != known.reached:
                known.reached, known.moved_at = reached, now

    def pause_seconds(self, began_at: float) -> float:
        """How long to be silent after an event."""
        return max(self.every_seconds, _SHARE_OF_ELAPSED * (self.clock() - began_at))

    def next_event(self) -> AssetObservation | None:
        """What is said next: of the resource in flight that was not spoken of for the longest time, if there is one."""
        now = self.clock()
        with self._lock:
            flying = [one for name, one in self._in_flight.items() if name in self.assets]
            if not flying:
                return None
            found = min(flying, key=lambda one: one.told_at)
            found.told_at = now
            return _observation(found, self.assets[found.reached.resource], now)

    def run(self, stop: threading.Event) -> None:
        """Say how far things are until `stop` is set."""
        began_at = self.clock()
        while not stop.wait(self.pause_seconds(began_at)):
            if (event := self.next_event()) is None or stop.is_set():
                continue
            try:
                self.say(event)
            except Exception as error:  # noqa: BLE001 - a load goes on, whatever becomes of what is said of it
                logger.warning("The event log did not take how far the load has come: %s", error)


@contextmanager
def progress_of(
    context: AssetExecutionContext, assets: Mapping[str, AssetKey], kind: ProgressKind | None, every_seconds: float
) -> Iterator[Watcher]:
    """What a run tells its progress to while the block runs.

    Args:
        kind: Lines of the log, observations of the assets with the same in numbers, or nothing.
    """
    if kind is None:
        yield unobserved
        return

    def say(event: AssetObservation) -> None:
        if kind == "observe":
            context.log_event(event)
        else:
            context.log.info(f"{event.asset_key.to_user_string()}: {event.description}")

    progress, stop = Progress(say, assets, every_seconds), threading.Event()
    thread = threading.Thread(target=progress.run, args=(stop,), name="dlt_orchestrate_progress", daemon=True)
    thread.start()
    try:
        yield progress.hear
    finally:
        stop.set()
        thread.join()


def _observation(found: _InFlight, key: AssetKey, now: float) -> AssetObservation:
    reached, elapsed, idle = found.reached, now - found.began_at, now - found.moved_at
    doing = "reading" if reached.phase == "extract" else "writing to the destination"
    rows, pages = spoken_count(reached.rows, "row"), spoken_count(reached.pages, "page")
    said = f"{rows} in {pages} after {spoken_span(elapsed)}, {doing}."
    if reached.phase == "extract" and idle > elapsed / 2 > 1:
        said += f" The last page came {spoken_span(idle)} ago." if reached.pages else " No page has come yet."
    return AssetObservation(
        key,
        description=said,
        metadata={
            "progress/rows": reached.rows,
            "progress/pages": reached.pages,
            "progress/bytes": reached.bytes,
            "progress/elapsed_seconds": round(elapsed, 1),
            "progress/phase": reached.phase,
        },
    )
