"""Reading files whole: each as one version of it, whoever writes to it meanwhile."""

from __future__ import annotations

import io
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.threads import Threads
from dlt_orchestrate.errors import FileChangedError, FileReadError, IngestError
from dlt_orchestrate.sources.filesystem.items import FileItemDict
from dlt_orchestrate.sources.filesystem.storage import StoredFile, mark_of

SMALL_BYTES = 8 * 2**20
"""Files up to this size are read at once, and read anew if they change meanwhile; larger ones are read piece by piece."""
_ATTEMPTS = 3
_REMOTE_AT_ONCE = 8
_REMOTE_BLOCK_BYTES = 8 * 2**20

_log = logging.getLogger("dlt_orchestrate.sources.filesystem")


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is being read.

    Attributes:
        content: As it lies there, packed or not; it can be read from any position.
        is_whole: Whether all of it is in memory, as one version.
    """

    item: FileItemDict
    content: IO[bytes]
    is_whole: bool

    @property
    def name(self) -> str:
        return str(self.item["file_url"])


def opened_files(items: Iterable[FileItemDict]) -> Iterator[Opened]:
    """The files, one after the other; each is closed when the next is asked for.

    One that is gone is left out with a warning, as if it had not been listed. Small files of an object store are fetched
    some at a time, ahead of their turn.

    Raises:
        FileChangedError: Somebody wrote to a file while it was read.
        FileReadError: The store refused it.
    """
    with ExitStack() as threads:
        for fetch in _ahead(items, threads):
            with ExitStack() as file:
                with errors_named(fetch.item):
                    opened = fetch.opened(file)
                if opened is not None:
                    yield opened


def pages_by_file(items: Iterable[FileItemDict], read: Callable[[Opened], Iterator[Any]]) -> Iterator[Any]:
    """What `read` makes of each file; before the last page of one, it is known to be one version of it, and seen."""
    for opened in opened_files(items):
        session = opened.item.session
        session.claim()
        held: Any = _NOTHING
        with errors_named(opened.item):
            for page in read(opened):
                if held is not _NOTHING:
                    yield held
                held = page
            expect_unchanged(opened)
        session.finish((opened.item,))
        if held is not _NOTHING:
            yield held
        yield from session.arrived((opened.item,))


def expect_unchanged(opened: Opened) -> None:
    """Make sure that what was read of a file is one version of it.

    Raises:
        FileChangedError: It is not.
    """
    if opened.is_whole:
        return
    before, storage = opened.item.stored, opened.item.session.storage
    try:
        now = _of_handle(opened) if storage.is_local else storage.look(before.path)
    except FileNotFoundError:
        return  # it was removed, and not written to: stores and systems give its last version to the end
    if now.mark != before.mark:
        raise FileChangedError(file=opened.name, before=_told(before), after=_told(now))


_NOTHING: Any = object()


@dataclass(slots=True)
class _Fetch:
    """A file to read, and its content if that is fetched ahead."""

    item: FileItemDict
    content: Future[bytes] | None = None

    def opened(self, until: ExitStack) -> Opened | None:
        """The file; None if it is gone, or belongs to the next run."""
        item, storage = self.item, self.item.session.storage
        try:
            if "file_content" in item:
                return Opened(item, io.BytesIO(item["file_content"]), is_whole=True)
            if storage.is_local:
                return self._local(until)
            if self.content is not None:
                return self._whole(self.content.result())
            if item.stored.size <= SMALL_BYTES:
                return self._whole(fetched(item))
            _take(item, storage.look(item.stored.path))
            if _is_for_the_next_run(item):
                return None
            handle = until.enter_context(
                storage.fs.open(item.stored.path, "rb", block_size=_REMOTE_BLOCK_BYTES, cache_type="readahead")
            )
            return Opened(item, handle, is_whole=False)
        except FileNotFoundError:
            _log.warning("File %s was listed and is gone; it is left out.", item["file_url"])
            return None

    def _whole(self, content: bytes) -> Opened | None:
        return None if _is_for_the_next_run(self.item) else Opened(self.item, io.BytesIO(content), is_whole=True)

    def _local(self, until: ExitStack) -> Opened | None:
        item, storage = self.item, self.item.session.storage
        for _ in range(_ATTEMPTS):
            handle = until.enter_context(io.FileIO(item.stored.path))
            status = os.fstat(handle.fileno())
            if mark_of(status) != item.stored.mark:
                _take(item, storage.local_file(item.stored.path, status))
            if _is_for_the_next_run(item):
                return None
            if status.st_size > SMALL_BYTES:
                return Opened(item, handle, is_whole=False)
            content = handle.read()
            after = os.fstat(handle.fileno())
            handle.close()
            if mark_of(after) == item.stored.mark and len(content) == status.st_size:
                return Opened(item, io.BytesIO(content), is_whole=True)
        now = storage.local_file(item.stored.path, after)
        raise FileChangedError(file=item["file_url"], before=_told(item.stored), after=_told(now))


def fetched(item: FileItemDict) -> bytes:
    """The content of a small file in an object store, of the version that `item` stands for from now on.

    Raises:
        FileChangedError: It changes faster than it can be read.
        FileNotFoundError: It is gone.
    """
    storage, before = item.session.storage, item.stored
    for _ in range(_ATTEMPTS):
        content: bytes = storage.fs.cat_file(item.stored.path)
        now = storage.look(before.path)
        if now.mark == before.mark and len(content) == now.size:
            _take(item, now)
            return content
        before, earlier = now, before
    raise FileChangedError(file=item["file_url"], before=_told(earlier), after=_told(now))


def read_whole(item: FileItemDict) -> bytes:
    """The bytes of a file, as one version of it.

    Raises:
        FileChangedError, FileReadError: As of `opened_files`.
        FileNotFoundError: It is gone.
    """
    with errors_named(item), ExitStack() as until:
        if not item.session.storage.is_local:
            return fetched(item)
        opened = _Fetch(item).opened(until)
        content = opened.content.read() if opened else b""
        if opened is not None:
            expect_unchanged(opened)
        return content


def _ahead(items: Iterable[FileItemDict], until: ExitStack) -> Iterator[_Fetch]:
    """The files; of small ones in an object store, those after the first are on their way already."""
    threads: Threads | None = None
    waiting: deque[_Fetch] = deque()
    for item in items:
        is_fetched = not item.session.storage.is_local and item.stored.size <= SMALL_BYTES and "file_content" not in item
        if is_fetched and threads is None:
            threads = until.enter_context(Threads(_REMOTE_AT_ONCE, "dlt_orchestrate_files"))
        waiting.append(_Fetch(item, threads.submit(fetched, item) if is_fetched and threads else None))
        while len(waiting) > _REMOTE_AT_ONCE or (waiting and not is_fetched):
            yield waiting.popleft()
    yield from waiting


def _take(item: FileItemDict, stored: StoredFile) -> None:
    """Let an item stand for the version that is read; whether that is the listed one is known to the session."""
    if stored.mark != item.stored.mark:
        item.update(modification_date=stored.modified, size_in_bytes=stored.size)
        item.session.learnt.setdefault(_REPLACED, set()).add(item.stored.path)
        item.stored = stored


_REPLACED = "files that were replaced after they were listed"


def _is_for_the_next_run(item: FileItemDict) -> bool:
    """Whether a file has changed since a cursor took its listed version."""
    if not item.session.needs_listed_version or item.stored.path not in item.session.learnt.get(_REPLACED, ()):
        return False
    _log.warning("File %s was written to after it was listed; its new version is left to the next run.", item["file_url"])
    return True


def _of_handle(opened: Opened) -> StoredFile:
    return opened.item.session.storage.local_file(opened.item.stored.path, os.fstat(opened.content.fileno()))


@contextmanager
def errors_named(item: FileItemDict) -> Iterator[None]:
    """Errors of systems, stores and decoders as ours, with the file that they are about."""
    try:
        yield
    except IngestError:
        raise
    except Exception as error:
        is_known = isinstance(error, OSError | EOFError | ValueError)
        if not is_known and type(error).__module__.partition(".")[0] not in _THEIR_ERRORS:
            raise
        raise _named(item, error) from error


_THEIR_ERRORS = ("zlib", "zipfile", "botocore", "aiohttp", "openpyxl", "duckdb", "_duckdb", "pyarrow", "adlfs", "gcsfs")


def _named(item: FileItemDict, error: Exception) -> IngestError:
    if type(error).__name__ == "FileExpired":  # what s3fs raises for a range of another version
        return FileChangedError(file=item["file_url"], before=_told(item.stored), after="another version")
    return FileReadError(
        file=item["file_url"],
        problem=f"{type(error).__name__}: {error}",
        advice="If it may still be written when it is listed, leave young files out: min_age_seconds=60.",
    )


def _told(file: StoredFile) -> str:
    return f"{file.size:,} bytes of {file.modified.isoformat()}"
