"""Pages of a parent that several resources of one run need: they are asked for once, and kept as long as there is room."""

from __future__ import annotations

import pickle
import threading
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.flow.typed_records import StraightPages, plain
from dlt_orchestrate.protocols.interruption import NO_RUN, Interruption, interruption
from dlt_orchestrate.sources.rest_api.asking import First

MOST_BYTES = 64 * 2**20
"""What is kept of all parents of a run; what does not fit is asked for again."""


class Sharing:
    """The pages that resources of one source have read in the present run, by the request for the first of them."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._bytes = 0
        self._kept: dict[Hashable, list[bytes]] = {}
        self._readers: dict[str, int] = {}
        self._run: Callable[[], Interruption | None] = lambda: None

    def expect(self, resources: Iterable[Resource]) -> None:
        """Learn which resources will be loaded, and so how often the pages of each will be needed."""
        for resource in resources:
            member: Resource | None = resource if resource.selected else None
            while member is not None:
                self._readers[member.name] = self._readers.get(member.name, 0) + 1
                member = member.upstream

    def read(self, resource: str, first: First) -> Iterator[Any] | None:
        """The pages that another resource has read with this request; None if they must be asked for."""
        if not self._is_shared(resource):
            return None
        kept = self._kept.get((resource, first.text))
        return None if kept is None else iter(map(pickle.loads, kept))

    def recorded(self, resource: str, first: First, pages: StraightPages) -> StraightPages:
        """The pages, which are kept once all of them were read, if anybody else will need them."""
        return _Recorded(self, (resource, first.text), pages) if self._is_shared(resource) else pages

    def make_room(self, size: int) -> bool:
        """Whether there is room for so many bytes more, which are taken then."""
        with self._lock:
            if self._bytes + size > self._most_bytes:
                return False
            self._bytes += size
            return True

    def give_back(self, size: int) -> None:
        """So many bytes are not needed after all."""
        with self._lock:
            self._bytes -= size

    def keep(self, key: Hashable, pages: list[bytes]) -> None:
        """Keep pages that were read to their end."""
        with self._lock:
            self._kept.setdefault(key, pages)

    def _is_shared(self, resource: str) -> bool:
        """Whether several resources of the present run need its pages. What an earlier run kept is forgotten."""
        running = interruption()
        if self._readers.get(resource, 0) < 2 or running is NO_RUN:
            return False
        with self._lock:
            if self._run() is not running:
                self._run = weakref.ref(running)
                self._kept, self._bytes = {}, 0
        return True


class _Recorded(StraightPages):
    """Pages that are kept while they are read."""

    def __init__(self, sharing: Sharing, key: Hashable, pages: StraightPages) -> None:
        self._sharing = sharing
        self._key = key
        self._pages = pages
        self._kept: list[bytes] | None = []

    @property
    def is_used_up(self) -> bool:
        return self._pages.is_used_up

    def __next__(self) -> Any:
        self._pages.refusals = self.refusals
        try:
            page = next(self._pages)
        except StopIteration:
            if self._kept is not None:
                self._sharing.keep(self._key, self._kept)
            raise
        finally:
            self._pages.refusals = None
        if self._kept is not None:
            text = pickle.dumps([plain(record) for record in page], protocol=5)
            self._kept.append(text)
            if not self._sharing.make_room(len(text)):
                self._kept.pop()
                self._forget()
        return page

    def close(self) -> None:
        """Ask for no further page; what was read of them is no whole."""
        self._forget()
        close = getattr(self._pages, "close", None)
        if close is not None:
            close()

    def _forget(self) -> None:
        if self._kept is not None:
            self._sharing.give_back(sum(map(len, self._kept)))
            self._kept = None
