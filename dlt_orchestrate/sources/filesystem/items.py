"""What is known of a file, as a record, and its content."""

from __future__ import annotations

import io
import mimetypes
from datetime import datetime
from typing import IO, TYPE_CHECKING, Any, TypedDict

from dlt_orchestrate.sources.filesystem.compression import decompressed, packed_by_name
from dlt_orchestrate.sources.filesystem.storage import StoredFile

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from dlt_orchestrate.sources.filesystem.session import Session


class FileItem(TypedDict, total=False):
    """A file as a record.

    Attributes:
        file_url: Its address with protocol.
        file_name: The last part of its path.
        relative_path: Its path behind the `bucket_url`.
        mime_type: Told from its name.
        encoding: How it is packed, told from its name, such as `gzip`; None for a plain file.
        modification_date: When it was last written, in UTC.
        size_in_bytes: As it lies there, packed or not.
        file_content: Its bytes, if they were asked for.
    """

    file_url: str
    file_name: str
    relative_path: str
    mime_type: str
    encoding: str | None
    modification_date: datetime
    size_in_bytes: int
    file_content: bytes


class FileItemDict(dict[str, Any]):
    """A `FileItem` that can be opened.

    Attributes:
        stored: The file as it was listed.
        session: What the files of one run have in common.
        was_opened: Whether anybody asked for its content.
    """

    def __init__(self, stored: StoredFile, session: Session) -> None:
        name = stored.relative_path.rpartition("/")[2]
        super().__init__(
            file_url=stored.url,
            file_name=name,
            relative_path=stored.relative_path,
            mime_type=_mime_type(name),
            encoding=packed_by_name(name),
            modification_date=stored.modified,
            size_in_bytes=stored.size,
        )
        self.stored = stored
        self.session = session
        self.was_opened = False

    @property
    def fsspec(self) -> AbstractFileSystem:
        """The file system that the file lies in."""
        self.was_opened = True
        return self.session.storage.fs

    @property
    def local_file_path(self) -> str:
        """Its path on this machine.

        Raises:
            ValueError: It lies elsewhere.
        """
        if not self.session.storage.is_local:
            raise ValueError(f"{self['file_url']} is no file of this machine")
        self.was_opened = True
        return self.stored.path

    def open(self, mode: str = "rb", compression: str = "auto", **kwargs: Any) -> IO[Any]:
        """Open its content to read.

        Args:
            mode: `rb` for bytes, `r` or `rt` for text.
            compression: `auto` unpacks what is packed by gzip, bzip2, zstd or zip, `disable` nothing; or one of these.
            kwargs: Those of `io.TextIOWrapper`, such as `encoding`.
        """
        self.was_opened = True
        raw: IO[bytes] = self.session.storage.fs.open(self.stored.path, "rb")
        if compression != "disable":
            kind = None if compression in ("auto", "enable") else compression
            raw = decompressed(raw, self["file_url"], kind)
        if "b" in mode:
            return raw
        return io.TextIOWrapper(raw, **({"encoding": "utf-8"} | kwargs))

    def read_bytes(self) -> bytes:
        """Its bytes, as they lie there."""
        self.was_opened = True
        if "file_content" in self:
            return bytes(self["file_content"])
        return bytes(self.session.storage.fs.cat_file(self.stored.path))


def _mime_type(name: str) -> str:
    if name.endswith(".parquet"):
        return "application/parquet"
    if name.endswith((".jsonl", ".ndjson")):
        return "application/x-ndjson"
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
