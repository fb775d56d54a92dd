"""Packed files: told by what they begin with, and unpacked while they are read."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from collections.abc import Iterator
from typing import IO, Any, Literal, cast

from dlt_orchestrate.errors import FileReadError

Packing = Literal["gzip", "bz2", "zstd", "zip"]

_ENDINGS: dict[str, Packing] = {
    "gz": "gzip",
    "gzip": "gzip",
    "bz2": "bz2",
    "zst": "zstd",
    "zstd": "zstd",
    "zip": "zip",
}
_HEAD_BYTES = 10


def packed_by_name(name: str) -> Packing | None:
    """How a file is packed, as its name says.

    >>> packed_by_name("orders.csv.gz"), packed_by_name("orders.csv")
    ('gzip', None)
    """
    _, point, ending = name.rpartition(".")
    return _ENDINGS.get(ending.lower()) if point else None


def packed_by_content(head: bytes) -> Packing | None:
    """How a file is packed that begins like this.

    Source: RFC 1952 (gzip), RFC 8878 (zstd); the markers of bzip2's first block; APPNOTE.TXT (zip).
    """
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if head.startswith(b"BZh") and head[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "bz2"
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd"
    return "zip" if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) else None


def unpacked(stream: IO[bytes], name: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The content of a file, unpacked; of an archive each file in it, by name.

    Raises:
        FileReadError: It is named like a packed file, and is none.
    """
    packing = _packing_of(stream, name)
    if packing != "zip":
        yield name, _opened(stream, packing)
        return
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as content:
                    yield f"{name}/{member.filename}", content


def decompressed(stream: IO[bytes], name: str, packing: str | None = None) -> IO[bytes]:
    """The content of a file, unpacked; of an archive its only file.

    Raises:
        FileReadError: It is named like a packed file, and is none, or it is an archive of several files.
    """
    found = packing or _packing_of(stream, name)
    if found != "zip":
        return _opened(stream, cast("Packing | None", found))
    archive = zipfile.ZipFile(stream)
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) != 1:
        raise FileReadError(
            file=name,
            problem=f"it is an archive of {len(members)} files, and one is expected",
            advice="Open it with compression='disable' and zipfile.ZipFile, or use a reader, which reads all of them.",
        )
    return archive.open(members[0])


def _packing_of(stream: IO[bytes], name: str) -> Packing | None:
    head = stream.read(_HEAD_BYTES)
    stream.seek(0)
    found = packed_by_content(head)
    expected = packed_by_name(name)
    if found is None and expected is not None and head:
        raise FileReadError(
            file=name,
            problem=f"its name says {expected}, and it does not begin like such a file",
            advice="It may still be written (see min_age_seconds), or be misnamed.",
        )
    return found


def _opened(stream: IO[bytes], packing: Packing | None) -> IO[bytes]:
    match packing:
        case "gzip":
            return gzip.open(stream)  # type: ignore[return-value]
        case "bz2":
            return bz2.open(stream)
        case "zstd":
            import pyarrow as pa

            return cast("IO[bytes]", io.BufferedReader(_Raw(pa.CompressedInputStream(stream, "zstd"))))
        case _:
            return stream


class _Raw(io.RawIOBase):
    """A stream of Arrow's as one of Python's."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found = self._stream.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)
