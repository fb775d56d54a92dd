"""One hook for fault injection: a named point in the code where a test can make a process fail.

Set `DLT_ORCHESTRATE_FAULT=NAME:ACTION[:NTH[:MILLISECONDS]]` in the environment of a process. The NTH time (default 1) it
passes point NAME it does ACTION: `kill` (SIGKILL to itself; with MILLISECONDS the system ends it that much later, wherever
it is then), `raise` (FaultInjected), `nospace` (OSError ENOSPC) or `sleep` (waits for an hour, to be stopped from outside).
Without the variable a fault point costs one comparison; with it, `passed` counts every point.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter

FAULT_VARIABLE = "DLT_ORCHESTRATE_FAULT"

passed: Counter[str] = Counter()
"""How often each point was passed while the variable was set."""


class FaultInjected(Exception):
    """Raised at a fault point on request; never in normal use."""


def faultpoint(name: str) -> None:
    """Fail here if the environment asks for it."""
    wanted = os.environ.get(FAULT_VARIABLE)
    if wanted is None:
        return
    passed[name] += 1
    point, action, nth, milliseconds, *_ = [*wanted.split(":"), "", "", ""]
    if point == name and passed[name] == int(nth or 1):
        _fail(name, action, float(milliseconds or 0))


def _fail(name: str, action: str, milliseconds: float) -> None:
    match action:
        case "kill" if milliseconds:
            # What SIGALRM does by default is to end the process, in the middle of anything.
            signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise FaultInjected(name)
        case "nospace":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        case "sleep":
            time.sleep(3600)
        case unknown:
            raise ValueError(f"{FAULT_VARIABLE}: unknown action {unknown!r} for fault point {name!r}")
