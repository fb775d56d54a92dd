"""Sheets of Excel files, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.errors import FileReadError, MissingExtraError
from dlt_orchestrate.sources.filesystem.csv_files import told_apart
from dlt_orchestrate.sources.filesystem.items import FileItemDict
from dlt_orchestrate.sources.filesystem.reading import Opened, pages_by_file

ROWS_AT_ONCE = 1_000


@transformer(name="read_excel", section="filesystem")
def read_excel(
    items: list[FileItemDict],
    sheet_name: str | None = None,
    skiprows: int = 0,
    chunksize: int = ROWS_AT_ONCE,
) -> Iterator[Any]:
    """Read a sheet of Excel files (`.xlsx`); the first row names the columns, and empty rows are left out.

    Formulas are read as the values that they had when the file was saved. Needs the extra `excel`.

    Args:
        items: A page of files.
        sheet_name: The sheet; the first one by default.
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
    book = load_workbook(opened.content, read_only=True, data_only=True)
    try:
        if sheet_name is not None and sheet_name not in book.sheetnames:
            raise FileReadError(
                file=opened.name,
                problem=f"it has no sheet {sheet_name!r}",
                advice=f"It has {', '.join(map(repr, book.sheetnames))}.",
            )
        sheet = book[sheet_name] if sheet_name is not None else book.worksheets[0]
        values = sheet.iter_rows(min_row=skips + 1, values_only=True)
        header = next(values, ())
        names = told_apart(["" if name is None else str(name) for name in header])
        page: list[dict[str, Any]] = []
        for row in values:
            if any(value is not None for value in row):
                page.append(dict(zip(names, row, strict=False)))
            if len(page) == rows:
                yield page
                page = []
        if page:
            yield page
    finally:
        book.close()
