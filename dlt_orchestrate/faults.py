"""One hook for fault injection: a named point in the code where a test can make a process fail.

Set `DLT_ORCHESTRATE_FAULT=NAME:ACTION[:NTH]` in the environment of a process. The NTH time (default 1) it passes point
NAME it does ACTION: `kill` (SIGKILL to itself), `raise` (FaultInjected), `nospace` (OSError ENOSPC) or `sleep` (waits for
an hour, to be stopped from outside). Without the variable a fault point costs one comparison.
"""

from __future__ import annotations

import errno
import os
import signal
import time

FAULT_VARIABLE = "DLT_ORCHESTRATE_FAULT"

_passed: dict[str, int] = {}


class FaultInjected(Exception):
    """Raised at a fault point on request; never in normal use."""


def faultpoint(name: str) -> None:
    """Fail here if the environment asks for it."""
    wanted = os.environ.get(FAULT_VARIABLE)
    if wanted is None:
        return
    point, _, rest = wanted.partition(":")
    if point != name:
        return
    action, _, nth = rest.partition(":")
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] == int(nth or 1):
        _fail(name, action)


def _fail(name: str, action: str) -> None:
    match action:
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
