"""The state that the resources of a source share, while they are extracted side by side and committed one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.package import StateChange
from dlt_orchestrate.state.document import source_state, with_source_state
from dlt_orchestrate.state.values import decode, encode

State = dict[str, Any]
"""A shared state, encoded as it is stored."""


@dataclass(eq=False)
class Share:
    """What one resource has found in the state of its source, and left there, since its last commit."""

    source: str
    before: State
    after: State = field(default_factory=dict)

    def decoded(self) -> State:
        """What the resource finds, as values that its code may change."""
        state: State = decode(self.before)
        return state

    @property
    def change(self) -> StateChange:
        return StateChange(self.before, self.after)


class SharedStates:
    """The shared states of the sources of a run, by their names.

    A state is the stored one, changed while its source is evaluated, then by each resource. What a resource changes is
    seen by those that begin after it, and commits with its own rows, not before them. What the evaluation changed
    commits with the first resource of its source.

    Args:
        stored: The states as the run finds them.
    """

    def __init__(self, stored: Mapping[str, State]) -> None:
        self._stored = dict(stored)
        self._current = dict(stored)
        self._evaluated = dict(stored)
        self._committed = dict(stored)
        self._begun: set[str] = set()
        self._begin_lock = threading.Lock()
        self._lock = threading.Lock()

    @contextmanager
    def evaluating(self, source: str) -> Iterator[State]:
        """The state of a source, to be changed while it is evaluated; if that fails, nothing has changed."""
        before = self._current[source]
        state: State = decode(before)
        yield state
        _merge(self._current, source, StateChange(before, encode(state)))
        self._evaluated[source] = self._current[source]

    def share(self, source: str) -> Share:
        """What a resource finds that begins now."""
        return Share(source, self._current[source])

    @contextmanager
    def extracted(self, share: Share, state: State) -> Iterator[None]:
        """Take in what an extraction has made of its share; in the block no other one does.

        Raises:
            StateConflictError: A sibling that ran beside changed the same key.
        """
        share.after = encode(state)
        with self._lock:
            _merge(self._current, share.source, share.change)
            yield

    @contextmanager
    def committed(self, share: Share, changes: Mapping[str, StateChange]) -> Iterator[None]:
        """Take in that a part of an extraction was committed, with these changes; in the block no other one is.

        Raises:
            StateConflictError: A sibling that ran beside changed the same key.
        """
        with self._lock:
            self._begun.add(share.source)
            _merge(self._current, share.source, share.change)
            for source, change in changes.items():
                _merge(self._committed, source, change)
            share.before = share.after
            yield

    def begin(self, source: str) -> bool:
        """Whether the commit that comes now is the first one of a source; it has begun then, whatever comes of it."""
        with self.beginning(source) as is_first:
            self._begun.add(source)
        return is_first

    @contextmanager
    def beginning(self, source: str) -> Iterator[bool]:
        """Whether the commit in this block is the first one of a source; then others of it wait for it."""
        if source in self._begun:
            yield False
            return
        with self._begin_lock:
            yield source not in self._begun

    def going_with(self, share: Share, *, is_first: bool) -> dict[str, StateChange]:
        """What commits with the rows of a resource; with the first one of a source also what its evaluation changed."""
        change = share.change
        if is_first:
            # Siblings may have changed it, too, whose rows are not committed yet.
            change = StateChange(self._stored[share.source], _changed_alike(self._evaluated[share.source], change))
        return {share.source: change} if change.before != change.after else {}

    def uncommitted(self) -> dict[str, StateChange]:
        """What the evaluation and all resources have changed, past what was committed in parts."""
        changes = {name: StateChange(self._committed[name], state) for name, state in self._current.items()}
        return {name: change for name, change in changes.items() if change.before != change.after}


def _merge(states: dict[str, State], source: str, change: StateChange) -> None:
    merged = with_source_state({"sources": {source: states[source]}}, source, change.before, change.after)
    states[source] = source_state(merged, source)


def _changed_alike(state: State, change: StateChange) -> State:
    """A state with those keys set or taken away that a change of another one has set or taken away."""
    before, after, nothing = change.before, change.after, object()
    changed = {key for key in (*before, *after) if before.get(key, nothing) != after.get(key, nothing)}
    kept = {key: value for key, value in state.items() if key not in changed}
    return kept | {key: after[key] for key in after if key in changed}
