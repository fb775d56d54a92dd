"""What became of a commit whose connection broke at its very end: the destination knows, so it is asked.

For every destination that is behind a network. The load id is unique and is written in the commit itself, so its presence
says that all of the commit is there.
"""

from __future__ import annotations

from collections.abc import Callable

from dlt_orchestrate.errors import (
    CommitLostError,
    CommitOutcomeUnknownError,
    DestinationLockedError,
    DestinationUnavailableError,
)
from dlt_orchestrate.flow.package import CommitResult
from dlt_orchestrate.protocols.clock import Clock

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
DEFAULT_PATIENCE_SECONDS = 60.0


def settled(
    result: CommitResult,
    has_load: Callable[[str], bool],
    *,
    location: str,
    problem: str,
    clock: Clock,
    patience_seconds: float = DEFAULT_PATIENCE_SECONDS,
) -> CommitResult:
    """The result of the commit, once the destination has said that it was made.

    Args:
        result: What the commit did, if it was made.
        has_load: Asks on a new connection whether a load is there. It must wait until the broken session has ended, as
            by taking the commit lock: a server may still be at the commit when its client has lost the connection.
        problem: How the connection broke.
        patience_seconds: For how long a destination that cannot be reached is asked again.

    Raises:
        CommitLostError: It was not made.
        CommitOutcomeUnknownError: The destination could not be asked.
    """
    started, pause = clock.monotonic(), FIRST_PAUSE_SECONDS
    while True:
        try:
            is_there = has_load(result.load_id)
        except (DestinationUnavailableError, DestinationLockedError) as error:
            waited = clock.monotonic() - started
            if waited >= patience_seconds:
                raise CommitOutcomeUnknownError(
                    load_id=result.load_id, location=location, problem=str(error), waited_seconds=waited
                ) from error
        else:
            break
        clock.sleep(min(pause, patience_seconds - waited))
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
    if not is_there:
        raise CommitLostError(load_id=result.load_id, location=location, problem=problem)
    return result
