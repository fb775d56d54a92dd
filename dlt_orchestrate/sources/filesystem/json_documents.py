"""Files that are one JSON document each, with a list of records somewhere in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dlt_orchestrate.declare.transformer import transformer
from dlt_orchestrate.errors import FileReadError
from dlt_orchestrate.http.exact_json import parse_json
from dlt_orchestrate.schema.jsonpath import find
from dlt_orchestrate.sources.filesystem.compression import unpacked
from dlt_orchestrate.sources.filesystem.items import FileItemDict
from dlt_orchestrate.sources.filesystem.reading import Opened, pages_by_file

ROWS_AT_ONCE = 1_000


@transformer(name="read_json", section="filesystem")
def read_json(items: list[FileItemDict], data_selector: str = "$", chunksize: int = ROWS_AT_ONCE) -> Iterator[Any]:
    """Read files that are one JSON document: a list of records, or one record.

    A document is read as a whole; use JSON Lines for what is too large for that.

    Args:
        items: A page of files.
        data_selector: Where the records stand in the document, such as `data.items`; the document itself by default.
        chunksize: Records of one page.

    Raises:
        FileReadError, FileChangedError: A file cannot be read, or is no JSON.
    """
    yield from pages_by_file(items, lambda opened: _pages(opened, data_selector, chunksize))


def _pages(opened: Opened, selector: str, rows: int) -> Iterator[list[Any]]:
    for name, stream in unpacked(opened.content, opened.name):
        content = stream.read()
        try:
            document = parse_json(content.removeprefix(b"\xef\xbb\xbf"))
        except (ValueError, RecursionError) as error:
            advice = "If each line is a record, use read_jsonl."
            raise FileReadError(file=name, problem=f"it is no JSON document: {error}", advice=advice) from None
        found = [document] if selector == "$" else find(selector, document)
        if not found:
            keys = sorted(document) if isinstance(document, dict) else type(document).__name__
            raise FileReadError(file=name, problem=f"there is nothing at {selector!r}", advice=f"It has {keys}.")
        records = [record for part in found for record in (part if isinstance(part, list) else [part])]
        for start in range(0, len(records), rows):
            yield records[start : start + rows]
