"""Where the extraction of a resource ends with an error, whatever its code does."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import fields
from typing import Any

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.steps import row_count
from dlt_orchestrate.errors import ConfigValueCoercionError, ResourceOutOfBoundsError
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.flow.typed_records import fields_of
from dlt_orchestrate.protocols.clock import Clock

BYTES_IN_FLIGHT = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ExtractionBounds:
    """Limits of one resource in one run, as section `[extract]` of the configuration says; 0 for no limit.

    Attributes:
        max_rows: Records handed over.
        max_pages: Pages handed over; single records that a resource yields are gathered into pages first.
        max_seconds: From the first page asked for, with what is done with the pages meanwhile; looked at with every page.
        max_page_rows: Records of one page.
        max_page_bytes: Bytes of one page, told from its first record.
        bytes_in_flight: Pages that wait to be normalized; a source that is faster than that is held back.
    """

    max_rows: int = 0
    max_pages: int = 1_000_000
    max_seconds: float = 7 * 24 * 3600.0
    max_page_rows: int = 10_000_000
    max_page_bytes: int = 2 * 2**30
    bytes_in_flight: int = BYTES_IN_FLIGHT

    @classmethod
    def configured(cls, resolver: Resolver, sections: Sequence[str] = ()) -> ExtractionBounds:
        """As section `[extract]` says, for a resource, its source or all.

        Raises:
            ConfigValueCoercionError: A limit is less than 0.
        """
        given: dict[str, Any] = {}
        for field in fields(cls):
            found = resolver.lookup(f"extract.{field.name}", sections, type(field.default))
            if found is None:
                continue
            if found.value < 0:
                raise ConfigValueCoercionError(
                    field=field.name, provider=found.provider, key=found.key, expected="number of 0 or more"
                )
            given[field.name] = found.value
        return cls(**given)

    def over(self, pages: Generator[Page, None, None], *, resource: str, clock: Clock) -> Iterator[Page]:
        """The pages, as long as they stay within the bounds.

        Raises:
            ResourceOutOfBoundsError: They do not.
        """
        started = clock.monotonic()
        rows = 0
        with closing(pages):
            number = 0
            for page in pages:
                if page.cut is not None:
                    yield page
                    continue
                number += 1
                of_page = row_count(page.frame) if page.frame is not None else len(page.rows)
                rows += of_page
                found = {
                    "max_page_rows": of_page,
                    "max_rows": rows,
                    "max_pages": number,
                    "max_seconds": clock.monotonic() - started,
                }
                if self.max_page_bytes:
                    found["max_page_bytes"] = about_bytes(page)
                for limit, value in found.items():
                    if value > getattr(self, limit) > 0:
                        raise ResourceOutOfBoundsError(resource=resource, limit=limit, value=getattr(self, limit))
                yield page


def about_bytes(page: Page) -> int:
    """Bytes of a page, told from its first record."""
    if page.frame is not None:
        return int(page.frame.nbytes)
    if not page.rows or (type(page.rows[0]) is not dict and fields_of(type(page.rows[0])) is None):
        return len(page.rows)
    return len(page.rows) * _printed_length(page.rows[0])


def _printed_length(record: Any) -> int:
    try:
        return len(repr(record))
    except Exception:  # noqa: BLE001 - nested too deeply to be printed, or objects of the user's
        return 1_000
