"""Text files in blocks of whole records, with the number of each block's first line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import IO, NamedTuple

from dlt_orchestrate.errors import FileReadError

BLOCK_BYTES = 2**20
LONGEST_RECORD = 32 * 2**20
"""Bytes of one record. A quotation mark that is never closed would make one record of the rest of a file."""


class Block(NamedTuple):
    """Some records of a file.

    Attributes:
        first_line: The number of the line that it begins with, from 1.
        is_endless: Whether it is the one line that begins a record of more bytes than any may have.
    """

    first_line: int
    content: bytes
    is_endless: bool = False


class Quoting(NamedTuple):
    """How fields are quoted; line ends between quotation marks belong to a field."""

    quote: bytes = b'"'
    escape: bytes = b""

    def marks(self, content: bytes, start: int, end: int) -> int:
        """The quotation marks in a part of a text that open or close a field, doubled ones included."""
        count = content.count(self.quote, start, end)
        return count - content.count(self.escape + self.quote, start, end) if self.escape else count


def blocks(
    stream: IO[bytes], *, file: str, encoding: str = "utf-8", quoting: Quoting | None = None, size: int = BLOCK_BYTES
) -> Iterator[Block]:
    """The content in UTF-8, cut at the ends of records.

    Args:
        file: Its name, for messages.
        encoding: How it is written; a mark of byte order at its begin goes before.
        quoting: How fields are quoted that may hold line ends; None if a line is a record.

    Raises:
        FileReadError: It is not written in that encoding.
    """
    line, rest, newline, is_cut = 1, b"", b"\n", False
    texts = _utf8(stream, encoding, file, size)
    for number, text in enumerate(texts):
        if number == 0:
            newline = b"\r" if b"\n" not in text and b"\r" in text else b"\n"
        if is_cut:  # the rest of a line that was too long is no record
            start = text.find(newline) + 1
            line, is_cut, text = line + (start > 0), start == 0, text[start:] if start else b""
        content = rest + text
        end = _last_end(content, newline, quoting)
        while end == 0 and len(content) > LONGEST_RECORD:
            first = content.find(newline) + 1
            yield Block(line, content[: first or len(content)], is_endless=True)
            line, is_cut, content = line + (first > 0), first == 0, content[first:] if first else b""
            end = _last_end(content, newline, quoting)
        if end:
            yield Block(line, content[:end])
            line += content.count(newline, 0, end)
        rest = content[end:]
    if rest.strip():
        yield Block(line, rest)


def records(block: Block, quoting: Quoting | None) -> list[tuple[int, bytes]]:
    """The records of a block that are not blank, each with the number of its first line."""
    found: list[tuple[int, bytes]] = []
    line, held = block.first_line, b""
    newline = b"\n" if b"\n" in block.content else b"\r"
    for number, text in enumerate(block.content.split(newline), block.first_line):
        held = held + newline + text if held else text
        if quoting is None or quoting.marks(held, 0, len(held)) % 2 == 0:
            if held.strip():
                found.append((line, held))
            line, held = number + 1, b""
    if held.strip():
        found.append((line, held))
    return found


def _last_end(content: bytes, newline: bytes, quoting: Quoting | None) -> int:
    """Where the last record ends that is there as a whole; 0 if none is."""
    end = content.rfind(newline) + 1
    if quoting is None or end == 0:
        return end
    is_inside = quoting.marks(content, 0, end) % 2
    while end and is_inside:
        before = content.rfind(newline, 0, end - 1) + 1
        is_inside ^= quoting.marks(content, before, end) % 2
        end = before
    return end


def _utf8(stream: IO[bytes], encoding: str, file: str, size: int) -> Iterator[bytes]:
    """The content piece by piece in UTF-8, without a mark of byte order."""
    text = stream.read(size)
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    if text.startswith(codecs.BOM_UTF8):
        text, encoding = text[len(codecs.BOM_UTF8) :], "utf-8"
    try:
        name = codecs.lookup(encoding).name
        decode = None if name in ("utf-8", "ascii") else codecs.getincrementaldecoder(name)()
        while text:
            yield text if decode is None else decode.decode(text).encode("utf-8")
            text = stream.read(size)
        if decode is not None:
            yield decode.decode(b"", final=True).encode("utf-8")
    except LookupError:
        raise FileReadError(
            file=file, problem=f"there is no encoding {encoding!r}", advice="Name one of Python's."
        ) from None
    except UnicodeError as error:
        raise FileReadError(
            file=file, problem=f"it is not written in {encoding}: {error}", advice="Pass encoding=... to the reader."
        ) from None
