"""JSON Lines: many records at once by a decoder that was told by earlier ones what to expect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import field
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.errors import FileReadError
from dlt_orchestrate.flow.typed_records import StraightPages, TypedReader
from dlt_orchestrate.http.exact_json import parse_json
from dlt_orchestrate.sources.filesystem.blocks import LONGEST_RECORD, Block, blocks, records
from dlt_orchestrate.sources.filesystem.compression import unpacked
from dlt_orchestrate.sources.filesystem.csv_files import OnBadLine, rejected_line
from dlt_orchestrate.sources.filesystem.items import FileItemDict
from dlt_orchestrate.sources.filesystem.reading import Opened, errors_named, expect_unchanged, opened_files

_TOGETHER_BYTES = 2**18
"""Lines of small files are decoded together up to this size."""
_LEARNT = "read_jsonl"


@transformer(name="read_jsonl", section="filesystem")
def read_jsonl(
    items: list[FileItemDict],
    chunksize: int | None = None,  # noqa: ARG001 - accepted as in dlt; blocks are measured in bytes
    encoding: str = "utf-8",
    on_bad_lines: OnBadLine = "reject",
) -> Iterator[Any]:
    """Read files of one JSON object a line.

    Args:
        items: A page of files.
        encoding: How the files are written; a mark of byte order goes before.
        on_bad_lines: What becomes of lines that are no JSON object: `reject` them, or fail the load: `error`.

    Raises:
        FileReadError, FileChangedError: A file cannot be read.
    """
    if items:
        yield from _Lines(lambda lines: _walk(items, lines, encoding, fails=on_bad_lines == "error"))


class _Lines(StraightPages):
    """The records of some files, page by page.

    What comes first is nothing: whoever takes typed records asks for them from the second item on.
    """

    def __init__(self, walk: Callable[[_Lines], Iterator[Any]]) -> None:
        self._pages = walk(self)
        self._has_begun = False
        self._is_used_up = False

    def __next__(self) -> Any:
        if not self._has_begun:
            self._has_begun = True
            return None
        try:
            return next(self._pages)
        except BaseException:
            self._is_used_up = True
            raise

    def close(self) -> None:
        """Read no further."""
        self._is_used_up = True
        self._pages.close()  # type: ignore[attr-defined]  # a generator

    @property
    def is_used_up(self) -> bool:
        return self._is_used_up


@dataclass
class _Waiting:
    """Lines that are decoded together, and the files that end with them."""

    parts: list[tuple[str, Block]] = field(default_factory=list)
    bytes: int = 0
    ended: list[FileItemDict] = field(default_factory=list)

    def add(self, name: str, block: Block) -> None:
        self.parts.append((name, block))
        self.bytes += len(block.content)


def _walk(items: list[FileItemDict], lines: _Lines, encoding: str, *, fails: bool) -> Iterator[Any]:
    session = items[0].session
    session.claim()
    typed: TypedReader = session.learnt.setdefault(_LEARNT, TypedReader())
    waiting = _Waiting()
    for opened in opened_files(items):
        with errors_named(opened.item):
            for name, block in _blocks(opened, encoding):
                if waiting.bytes + len(block.content) > _TOGETHER_BYTES:
                    yield from _decoded(waiting, typed, lines, fails=fails)
                    waiting = _Waiting()
                waiting.add(name, block)
            expect_unchanged(opened)
        waiting.ended.append(opened.item)
    yield from _decoded(waiting, typed, lines, fails=fails)


def _blocks(opened: Opened, encoding: str) -> Iterator[tuple[str, Block]]:
    for name, stream in unpacked(opened.content, opened.name):
        for block in blocks(stream, file=name, encoding=encoding):
            yield name, block


def _decoded(waiting: _Waiting, typed: TypedReader, lines: _Lines, *, fails: bool) -> Iterator[Any]:
    """The records of some lines; the files that end with them are noted before their last page is handed over."""
    found = list(_pages(waiting, typed, lines.refusals, fails=fails))
    if waiting.ended:
        yield from found[:-1]
        waiting.ended[0].session.finish(waiting.ended)
        found = found[-1:]
    yield from found
    if waiting.ended:
        yield from waiting.ended[0].session.arrived(waiting.ended)


def _pages(waiting: _Waiting, typed: TypedReader, refusals: Counter[str] | None, *, fails: bool) -> Iterator[Any]:
    contents = [block.content.strip() for _, block in waiting.parts if not block.is_endless]
    joined = b"\n".join(content for content in contents if content)
    if not joined:
        contents = []
    count = joined.count(b"\n") + 1
    text = b"[" + joined.replace(b"\n", b",") + b"]"
    if contents and len(contents) == len(waiting.parts):
        page = typed.read(text, refusals) if refusals is not None else None
        if page is not None and len(page) == count:
            yield page
            return
        try:
            plain = parse_json(text)
        except (ValueError, RecursionError):
            plain = []
        if len(plain) == count and set(map(type, plain)) == {dict}:
            typed.learn(plain)
            yield plain
            return
    for name, block in waiting.parts:
        yield from _one_by_one(name, block, fails=fails)


def _one_by_one(name: str, block: Block, *, fails: bool) -> Iterator[Any]:
    """The records of lines among which some are bad."""
    found: list[Any] = []
    for line, text in [(block.first_line, block.content)] if block.is_endless else records(block, None):
        cause = f"it is longer than {LONGEST_RECORD // 2**20} MB" if block.is_endless else ""
        record = None
        try:
            record = None if cause else parse_json(text)
        except (ValueError, RecursionError) as error:
            cause = f"it is no JSON: {error}"
        if not cause and type(record) is not dict:
            cause = f"it holds a {type(record).__name__}, and an object is expected"
        if not cause:
            found.append(record)
        elif fails:
            raise FileReadError(file=name, problem=f"line {line}: {cause}", advice="on_bad_lines='reject' goes on.")
        else:
            yield rejected_line(name, line, text, cause)
    if found:
        yield found
