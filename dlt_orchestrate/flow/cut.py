"""A place in the stream of a resource where all that came before it may be committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.cursor import CursorMove


@dataclass(slots=True, eq=False)
class Cut:
    """Goes through steps, cursors and transformers behind the last item that belongs before it, and is no item itself.

    Attributes:
        state: The resource's own state, as its code had left it at this place, JSON-like.
        shared: The same of the state that it shares with others.
        positions: Where the walks through pages stand, by their keys (see `flow.positions`); None if the cursors alone tell
            where to go on.
        cursors: By resource, where the cursor stood when this passed it (None if it has not moved), and how it moves.
    """

    state: Mapping[str, Any]
    shared: Mapping[str, Any]
    positions: Mapping[str, Any] | None = None
    cursors: dict[str, tuple[dict[str, Any] | None, CursorMove | None]] = field(default_factory=dict)
