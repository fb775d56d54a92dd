"""Sheets of Excel files, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.errors import FileReadError, MissingExtraError
from dlt_orchestrate.schema.iso import duration_text
from dlt_orchestrate.sources.filesystem.csv_files import told_apart
from dlt_orchestrate.sources.filesystem.items import FileItemDict
from dlt_orchestrate.sources.filesystem.reading import Opened, pages_by_file

ROWS_AT_ONCE = 1_000
_MICROSECOND = timedelta(microseconds=1)


@transformer(name="read_excel", section="filesystem")
def read_excel(
    items: list[FileItemDict],
    sheet_name: str | None = None,
    skiprows: int = 0,
    chunksize: int = ROWS_AT_ONCE,
) -> Iterator[Any]:
    """Read a sheet of Excel files (`.xlsx`); the first row that is not empty names the columns, empty ones are left out.

    Formulas are read as the values that they had when the file was saved, of merged cells the first one has the value, and
    spans of time become texts of ISO 8601. Needs the extra `excel`.

    Args:
        items: A page of files.
        sheet_name: The sheet; the first one by default, which is an error if it is empty and there are others.
        skiprows: Rows above the one that names the columns.
        chunksize: Rows of one page.

    Raises:
        FileReadError, FileChangedError: A file cannot be read.
        MissingExtraError: The extra is not installed.
    """
    yield from pages_by_file(items, lambda opened: _pages(opened, sheet_name, skiprows, chunksize))


def _pages(opened: Opened, sheet_name: str | None, skips: int, rows: int) -> Iterator[list[dict[str, Any]]]:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise MissingExtraError(feature="Excel files", extra="excel") from None
    try:
        book = load_workbook(opened.content, read_only=True, data_only=True)
    except Exception as error:  # a part of a workbook that is missing or broken shows as whatever it leads to
        raise FileReadError(
            file=opened.name,
            problem=f"it is no workbook that can be opened ({type(error).__name__}: {error})",
            advice="Only .xlsx is read, without a password. If it may still be written when it is listed, leave young "
            "files out: min_age_seconds=60.",
        ) from error
    try:
        values = _rows(opened.name, book, sheet_name, skips)
        names = told_apart(["" if name is None else str(name) for name in next(values, ())])
        page: list[dict[str, Any]] = []
        for row in values:
            if len(row) > len(names):  # where a sheet does not say how wide it is, its rows come as long as they are
                names = told_apart([*names, *[""] * (len(row) - len(names))])
            page.append(dict(zip(names, map(_value, row), strict=False)))
            if len(page) == rows:
                yield page
                page = []
        if page:
            yield page
    finally:
        book.close()


def _rows(file: str, book: Any, wanted: str | None, skips: int) -> Iterator[Sequence[Any]]:
    """The rows of a sheet that are not empty."""
    sheets = {sheet.title: sheet for sheet in book.worksheets}  # without those that are a chart
    if not sheets or (wanted is not None and wanted not in sheets):
        raise FileReadError(
            file=file,
            problem=f"it has no sheet {wanted!r}" if wanted is not None else "it has no sheet",
            advice=f"It has {', '.join(map(repr, sheets)) or 'none with cells'}.",
        )
    title = wanted if wanted is not None else next(iter(sheets))
    is_empty = True
    for row in sheets[title].iter_rows(min_row=skips + 1, values_only=True):
        if any(value is not None for value in row):
            is_empty = False
            yield row
    if is_empty and wanted is None and len(sheets) > 1:
        raise FileReadError(
            file=file,
            problem=f"its first sheet, {title!r}, is empty, and there are others",
            advice=f"Say which one to read: sheet_name=..., one of {', '.join(map(repr, sheets))}.",
        )


def _value(value: Any) -> Any:
    """The value of a cell; a span of time, which no column holds, as ISO 8601 writes it."""
    return duration_text(value // _MICROSECOND, 10**6) if isinstance(value, timedelta) else value
