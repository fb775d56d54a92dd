"""What the files of one run have in common: where they lie, which were loaded before, what readers have learnt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.mark import Arrived
from dlt_orchestrate.sources.filesystem.seen import SeenFiles
from dlt_orchestrate.sources.filesystem.storage import Storage, StoredFile

if TYPE_CHECKING:
    from dlt_orchestrate.sources.filesystem.items import FileItemDict


@dataclass
class Session:
    """One run over the files of a place.

    Attributes:
        seen: The files that were loaded before; None if that is not kept.
        needs_listed_version: Whether a cursor stands for the files as they were listed: one that has changed since is left
            to the next run, which will find it behind the cursor.
        learnt: What readers know of the files so far, by reader.
        is_limited: Whether a limit may end the run, so that files that were read ahead of it are not loaded.
    """

    storage: Storage
    seen: SeenFiles | None = None
    needs_listed_version: bool = False
    learnt: dict[str, Any] = field(default_factory=dict)
    is_limited: bool = False
    _unconfirmed: dict[str, StoredFile] = field(default_factory=dict)
    _confirmed: set[str] = field(default_factory=set)
    _has_reader: bool = False
    _handed_over: list[FileItemDict] = field(default_factory=list)

    def claim(self) -> None:
        """A reader that tells which files it has read takes the files of this run."""
        self._has_reader = True
        self._handed_over.clear()

    def finish(self, items: Iterable[FileItemDict]) -> None:
        """A reader is about to hand over the last rows of some files."""
        if self.seen is not None:
            stored = [item.stored for item in items]
            self.seen.note(stored)
            if self.is_limited:
                self._unconfirmed |= {file.path: file for file in stored if file.path not in self._confirmed}

    def arrived(self, items: Iterable[FileItemDict]) -> Iterator[Arrived]:
        """What to yield behind the last rows of some files, so that these count though a limit ends the run behind them."""
        if self.is_limited:
            paths = [item.stored.path for item in items]
            yield Arrived(lambda: self._confirm(paths))

    def forget_unconfirmed(self) -> None:
        """A limit has ended the run: what was read of other files has not come through."""
        if self.seen is not None:
            self.seen.forget(self._unconfirmed.values())

    def _confirm(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._confirmed.add(path)
            self._unconfirmed.pop(path, None)

    def pass_by(self, items: Sequence[FileItemDict]) -> None:
        """Files were handed over and the next ones are asked for: whoever opened some of them is done with them.

        Code that is none of ours may also read files without opening them here; that shows only at the end of a run.
        """
        if self.seen is None or self._has_reader:
            return
        waiting = [*self._handed_over, *items]
        self.finish([item for item in waiting if item.was_opened])
        self._handed_over = [item for item in waiting if not item.was_opened]

    @property
    def is_settled(self) -> bool:
        """Whether all files that were handed over are known to be read: none of them waits for a worker to open it."""
        return not self._handed_over

    def end(self) -> None:
        """All files were handed over, and asked for the next."""
        self.finish(self._handed_over)
        self._handed_over.clear()
