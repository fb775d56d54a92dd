"""How often a long extraction is committed: what it has read so far, with where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError

DEFAULT_MINUTES = 10.0


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """When the next checkpoint is due: whichever comes first.

    Attributes:
        pages: Pages since the last one; None for any number.
        minutes: Minutes since the last one; None for any time. Both None: never.
    """

    pages: int | None = None
    minutes: float | None = None

    def __bool__(self) -> bool:
        return self.pages is not None or self.minutes is not None


NO_CHECKPOINTS = Checkpoints()


def to_checkpoints(given: Any, owner: str) -> Checkpoints | None:
    """What was given as `checkpoint`: a number of pages, `{"pages": 100, "minutes": 5}`, True for the default, or False.

    Args:
        owner: Who was given it, for messages.

    Raises:
        DeclarationError: It is none of these.

    >>> to_checkpoints(True, "Resource 'orders'")
    Checkpoints(pages=None, minutes=10.0)
    """
    if given is None or isinstance(given, Checkpoints):
        return given
    if given is False:
        return NO_CHECKPOINTS
    if given is True:
        return Checkpoints(minutes=DEFAULT_MINUTES)
    parts = given if isinstance(given, Mapping) else {"pages": given}
    pages, minutes = parts.get("pages"), parts.get("minutes")
    is_sound = (
        parts.keys() <= {"pages", "minutes"}
        and bool(parts)
        and (pages is None or (isinstance(pages, int) and not isinstance(pages, bool) and pages > 0))
        and (minutes is None or (isinstance(minutes, int | float) and not isinstance(minutes, bool) and minutes > 0))
    )
    if not is_sound:
        raise DeclarationError(
            f"{owner}: checkpoint={given!r} is not known. Pass a number of pages, such as 100, or "
            "{'pages': 100, 'minutes': 5}, or True for every 10 minutes, or False for none."
        )
    return Checkpoints(pages, float(minutes) if minutes is not None else None)
