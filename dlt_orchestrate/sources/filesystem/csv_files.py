"""CSV files, read block by block into Arrow tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, Literal

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare import current
from dlt_orchestrate.declare.mark import RejectedRow, reject
from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.errors import DeclarationError, FileReadError
from dlt_orchestrate.sources.filesystem.blocks import LONGEST_RECORD, Block, Quoting, blocks, records
from dlt_orchestrate.sources.filesystem.compression import unpacked
from dlt_orchestrate.sources.filesystem.csv_kinds import fixed_types
from dlt_orchestrate.sources.filesystem.items import FileItemDict
from dlt_orchestrate.sources.filesystem.reading import Opened, pages_by_file

if TYPE_CHECKING:
    import pyarrow as pa

    from dlt_orchestrate.sources.filesystem.csv_types import CsvTypes

OnBadLine = Literal["reject", "error"]

_DELIMITERS = ",;\t|"
_LOOKED_AT = 20
"""Lines in which another separator is looked for."""
_SHOWN_TEXT = 2_000
_OPEN = "a quotation mark is never closed"
KEY = "csv_types"


@transformer(name="read_csv", section="filesystem")
def read_csv(
    items: list[FileItemDict],
    chunksize: int | None = None,  # noqa: ARG001 - accepted as in dlt; blocks are measured in bytes
    sep: str | None = ",",
    header: bool | int | str | None = True,
    names: list[str] | None = None,
    usecols: list[str] | None = None,
    skiprows: int = 0,
    encoding: str = "utf-8",
    quotechar: str | None = '"',
    escapechar: str | None = None,
    na_values: list[str] | None = None,
    dtype: dict[str, str] | None = None,
    on_bad_lines: OnBadLine = "reject",
) -> Iterator[Any]:
    """Read CSV files; a column gets the type that its texts are written as, and keeps it (see docs/files.md).

    Args:
        items: A page of files.
        sep: What stands between fields; None to tell it from the first line: the most frequent of `, ; tab |`.
        header: Whether the first line names the columns (`True`, `0`, `"infer"`), or no line does (`False`, `None`).
        names: The columns, instead of those that the header names, or where there is none.
        usecols: The columns to keep.
        skiprows: Lines to leave out at the begin of each file.
        encoding: How the files are written; a mark of byte order goes before.
        quotechar: What fields are enclosed in; None for nothing.
        escapechar: What stands before a quotation mark that is a part of a field, where such marks are not doubled.
        na_values: Texts that stand for null, besides empty ones.
        dtype: Types by column: `text`, `bigint`, `double`, `bool`, `date`, `timestamp`, `naive_timestamp`.
        on_bad_lines: What becomes of lines that cannot be read: `reject` them, or fail the load: `error`.

    Raises:
        FileReadError, FileChangedError: A file cannot be read, or lacks one of `usecols`.
    """
    if not items:
        return
    from dlt_orchestrate.sources.filesystem.csv_types import CsvTypes

    kept = current.resource_state().setdefault(KEY, {})
    dialect = Dialect(
        sep=sep,
        has_header=header not in (None, False),
        names=names,
        keeps=usecols,
        skips=skiprows,
        encoding=encoding,
        quote=quotechar,
        escape=escapechar,
        nulls=("", *(na_values or ())),
        fails=on_bad_lines == "error",
    )
    types = CsvTypes(kept, fixed_types(dtype, "read_csv"))
    yield from pages_by_file(items, lambda opened: _pages(opened, dialect, types))


@dataclass(frozen=True)
class Dialect:
    """How CSV files are written."""

    sep: str | None
    has_header: bool
    names: Sequence[str] | None
    keeps: Sequence[str] | None
    skips: int
    encoding: str
    quote: str | None
    escape: str | None
    nulls: Sequence[str]
    fails: bool

    def __post_init__(self) -> None:
        for what, text in (("sep", self.sep), ("quotechar", self.quote), ("escapechar", self.escape)):
            if text is not None and (len(text) != 1 or not text.isascii()):
                raise DeclarationError(f"read_csv: {what} is one ASCII character, not {text!r}.")

    @property
    def quoting(self) -> Quoting | None:
        if self.quote is None:
            return None
        return Quoting(self.quote.encode(), (self.escape or "").encode())


def _pages(opened: Opened, dialect: Dialect, types: CsvTypes) -> Iterator[Any]:
    for name, stream in unpacked(opened.content, opened.name):
        yield from _File(name, dialect, types).pages(stream)


class _File:
    """One file on its way through the parser."""

    def __init__(self, name: str, dialect: Dialect, types: CsvTypes) -> None:
        self._name = name
        self._dialect = dialect
        self._types = types
        self._sep = dialect.sep
        self._columns: list[str] = []

    def pages(self, stream: IO[bytes]) -> Iterator[Any]:
        """The rows as Arrow tables, and those that cannot be read as rejected ones."""
        dialect = self._dialect
        skips = dialect.skips
        for block in blocks(stream, file=self._name, encoding=dialect.encoding, quoting=dialect.quoting):
            if skips and (skips := skips - len(lines := block.content.splitlines(keepends=True))) >= 0:
                continue
            if skips < 0:
                at = len(lines) + skips
                block, skips = Block(block.first_line + at, b"".join(lines[at:])), 0
            if block.is_endless:
                yield self._rejected(
                    block.first_line,
                    block.content,
                    f"its record is longer than {LONGEST_RECORD // 2**20} MB, as if a quotation mark were never closed",
                )
                continue
            if not self._columns:
                head, block = self._with_header(block)
                if not head:
                    continue
            if block.content.strip(b"\r\n"):
                yield from self._tables(block)

    def _with_header(self, block: Block) -> tuple[bytes, Block]:
        """The first record, and the block without it if it names the columns."""
        found = records(block, self._dialect.quoting)
        if not found:
            return b"", block
        line, head = found[0]
        if head.count(0) * 3 >= len(head):
            raise FileReadError(
                file=self._name,
                problem=f"line {line} is full of zero bytes, as in UTF-16 without a mark of byte order",
                advice="Pass encoding='utf-16-le' or 'utf-16-be' to the reader.",
            )
        if self._sep is None:
            self._sep = max(_DELIMITERS, key=lambda one: (head.count(one.encode()), -_DELIMITERS.index(one)))
        fields = self._fields(line, head)
        count = len(fields)
        names = list(self._dialect.names or (fields if self._dialect.has_header else [""] * count))
        self._columns = told_apart(names)
        self._expect_kept()
        self._types.expect_columns(self._columns, self._name)
        if count == 1:
            self._warn_of_separator([text for _, text in found[:_LOOKED_AT]])
        if not self._dialect.has_header:
            return head, block
        at = block.content.index(head) + len(head)
        rest = block.content[at:]
        end = 2 if rest.startswith(b"\r\n") else 1
        lines = block.content[: at + end].count(b"\n") or 1
        return head, Block(block.first_line + lines, rest[end:])

    def _expect_kept(self) -> None:
        """All columns that are to be kept are there: without one of them all would be read."""
        for name in self._dialect.keeps or ():
            if name not in self._columns:
                raise FileReadError(
                    file=self._name,
                    problem=f"it has no column {name!r}, which usecols names",
                    advice=meant(name, self._columns),
                )

    def _warn_of_separator(self, lines: list[bytes]) -> None:
        """Say so if the lines look as if other fields were in their one: each holds another separator as often."""
        for one in _DELIMITERS:
            counts = {line.count(one.encode()) for line in lines}
            if one != self._sep and len(counts) == 1 and counts != {0}:
                current.warn(
                    f"File {self._name}: each line is one field, {self._columns[0]!r} the only column, and {one!r} stands "
                    f"{counts.pop()} time(s) in each, as if it were the separator. If so, pass sep={one!r} to read_csv (in "
                    f"YAML, options: {{sep: {json.dumps(one)}}}), or sep=None to have it told from the first line."
                )
                return

    def _fields(self, line: int, head: bytes) -> list[str]:
        import pyarrow as pa

        try:
            table = self._parsed(head + b"\n", names=None)
        except pa.ArrowInvalid as error:
            raise FileReadError(
                file=self._name, problem=f"line {line}, which names the columns, cannot be read: {error}",
                advice="Pass sep=..., encoding=... or skiprows=... to the reader.",
            ) from None  # fmt: skip
        return ["" if column[0].as_py() is None else str(column[0].as_py()) for column in table.columns]

    def _tables(self, block: Block) -> Iterator[Any]:
        """The rows of a block, those around bad ones in tables of their own."""
        import pyarrow as pa

        try:
            yield from self._typed(block.content)
            return
        except pa.ArrowInvalid:
            pass
        yield from self._halved(records(block, self._dialect.quoting))

    def _halved(self, found: list[tuple[int, bytes]]) -> Iterator[Any]:
        import pyarrow as pa

        try:
            yield from self._typed(b"\n".join(text for _, text in found))
        except pa.ArrowInvalid as error:
            if len(found) == 1:
                yield from self._mended(*found[0], error)
                return
            half = len(found) // 2
            yield from self._halved(found[:half])
            yield from self._halved(found[half:])

    def _mended(self, line: int, text: bytes, error: Exception) -> Iterator[Any]:
        """A record that cannot be read; if it is only the first of its lines, where a quotation mark opens, the others."""
        import pyarrow as pa

        first, _, rest = text.partition(b"\n")
        if not rest or not self._is_odd(text):
            yield self._rejected(line, text, self._cause(error))
            return
        try:
            yield from self._typed(first)
        except pa.ArrowInvalid as own:
            yield self._rejected(line, first, self._cause(own))
        yield from self._halved(records(Block(line + 1, rest), self._dialect.quoting))

    def _typed(self, content: bytes) -> list[pa.Table]:
        import pyarrow as pa

        if not content.strip(b"\r\n"):
            return []
        table = self._parsed(content, self._columns)
        if self._is_odd(content) and self._leaves_open(content, table.num_rows):
            raise pa.ArrowInvalid(_OPEN)
        return self._types.typed(table)

    def _is_odd(self, content: bytes) -> bool:
        quoting = self._dialect.quoting
        return quoting is not None and quoting.marks(content, 0, len(content)) % 2 == 1

    def _leaves_open(self, content: bytes, rows: int) -> bool:
        """Whether the last field is enclosed and does not end: what follows would belong to it."""
        import pyarrow as pa

        try:
            return int(self._parsed(content.rstrip(b"\r\n") + b"\nx", self._columns).num_rows) == rows
        except pa.ArrowInvalid:
            return False

    def _parsed(self, content: bytes, names: list[str] | None) -> pa.Table:
        """The rows, all texts.

        Raises:
            pa.ArrowInvalid: One has other fields than the columns, or is not written in UTF-8.
        """
        import pyarrow as pa
        from pyarrow import csv

        quote, escape = self._dialect.quote, self._dialect.escape
        keeps = [name for name in names if self._dialect.keeps is None or name in self._dialect.keeps] if names else []
        return csv.read_csv(
            pa.BufferReader(content),
            read_options=csv.ReadOptions(
                use_threads=False, column_names=names, autogenerate_column_names=names is None, block_size=len(content) + 1
            ),
            parse_options=csv.ParseOptions(
                delimiter=self._sep,
                quote_char=quote or False,
                double_quote=bool(quote) and not escape,
                escape_char=escape or False,
                newlines_in_values=True,
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names or (f"f{at}" for at in range(10_000)), pa.string()),
                include_columns=keeps,
                null_values=list(self._dialect.nulls),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )

    def _cause(self, error: Exception) -> str:
        counts = re.search(r"Expected (\d+) columns, got (\d+)", str(error))
        if counts:
            return f"{counts[2]} field(s), where {counts[1]} are expected"
        return "it is not written in UTF-8" if "UTF8" in str(error) else str(error)

    def _rejected(self, line: int, text: bytes, cause: str) -> RejectedRow:
        if self._dialect.fails:
            raise FileReadError(file=self._name, problem=f"line {line}: {cause}", advice="on_bad_lines='reject' goes on.")
        return rejected_line(self._name, line, text, cause)


def rejected_line(file: str, line: int, text: bytes, cause: str) -> RejectedRow:
    """A line that cannot be read."""
    shown = text[:_SHOWN_TEXT].decode("utf-8", "backslashreplace").rstrip("\r\n")
    return reject({"file": file, "line": line, "text": shown}, f"line {line} of {file}: {cause}")


def told_apart(names: Sequence[str]) -> list[str]:
    """Names of columns: those that are missing are numbered, and so are those that come again.

    >>> told_apart(["id", "", "id"])
    ['id', 'column_2', 'id_2']
    """
    found: list[str] = []
    for position, given in enumerate(names, 1):
        base = name = given.strip() or f"column_{position}"
        number = 1
        while name in found:
            number += 1
            name = f"{base}_{number}"
        found.append(name)
    return found
