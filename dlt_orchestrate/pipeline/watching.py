"""Whoever watches a run is told of it, and cannot harm it."""

from __future__ import annotations

import logging
from dataclasses import field

from dlt_orchestrate.config.redaction import redact
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.protocols.progress import Progress, Reached

logger = logging.getLogger("dlt_orchestrate.pipeline")


@dataclass
class Harmless:
    """Tells somebody of a run, and keeps what goes wrong with that away from the run.

    Attributes:
        watcher: Who is told, until it fails.
    """

    watcher: Progress
    _has_failed: bool = field(init=False, default=False)

    def __call__(self, reached: Reached) -> None:
        """Tell it, unless it has failed before."""
        if self._has_failed:
            return
        try:
            self.watcher(reached)
        except Exception as error:  # noqa: BLE001 - a load does not fail because of who watches it
            self._has_failed = True
            logger.warning(
                "The function given as progress failed at resource %r, and is told no more; the load goes on. %s: %s",
                reached.resource,
                type(error).__name__,
                redact(str(error)),
            )
