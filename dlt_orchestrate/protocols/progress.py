"""Being told how far a run has come, while it runs."""

from __future__ import annotations

from typing import Literal, Protocol

from dlt_orchestrate.dataclass import dataclass

Phase = Literal["extract", "load", "done"]


@dataclass(frozen=True, slots=True)
class Reached:
    """How far one resource has come.

    Attributes:
        phase: What it is at. Pages are normalized while others are read, so that is a part of `extract`.
        rows: Records read so far; `pages` the pages that they came in.
        bytes: Size of their rows in memory, nested ones included; what waits to be normalized is not in it yet.
    """

    resource: str
    phase: Phase
    rows: int = 0
    pages: int = 0
    bytes: int = 0


class Progress(Protocol):
    """Is told after each page and when a resource goes on to its next phase, in whichever thread that happens.

    It holds up the load, so it must be quick. After an exception it is told no more, and the load goes on.
    """

    def __call__(self, reached: Reached) -> None: ...


def unobserved(reached: Reached) -> None:
    """Of a run that nobody watches."""
