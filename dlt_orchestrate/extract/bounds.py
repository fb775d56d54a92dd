"""Where the extraction of a resource ends with an error, whatever its code does."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.errors import ResourceOutOfBoundsError
from dlt_orchestrate.flow.page import Page
from dlt_orchestrate.protocols.clock import Clock

DEFAULT_MAX_PAGES = 1_000_000
DEFAULT_MAX_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class ExtractionBounds:
    """Limits of one resource in one run, as section `[extract]` of the configuration says.

    Attributes:
        max_pages: Pages handed over; single records that a resource yields are gathered into pages first.
        max_seconds: From the first page asked for, with what is done with the pages meanwhile.
    """

    max_pages: int
    max_seconds: float

    @classmethod
    def configured(cls, resolver: Resolver) -> ExtractionBounds:
        """As `max_pages` and `max_seconds` of section `[extract]` say."""
        pages = resolver.lookup("max_pages", ("extract",), int)
        seconds = resolver.lookup("max_seconds", ("extract",), float)
        return cls(
            max_pages=DEFAULT_MAX_PAGES if pages is None else pages.value,
            max_seconds=DEFAULT_MAX_SECONDS if seconds is None else seconds.value,
        )

    def over(self, pages: Generator[Page, None, None], *, resource: str, clock: Clock) -> Iterator[Page]:
        """The pages, as long as they stay within the bounds.

        Raises:
            ResourceOutOfBoundsError: They do not.
        """
        started = clock.monotonic()
        with closing(pages):
            for number, page in enumerate(pages):
                if number >= self.max_pages:
                    raise ResourceOutOfBoundsError(resource=resource, limit="max_pages", value=self.max_pages)
                if clock.monotonic() - started > self.max_seconds:
                    raise ResourceOutOfBoundsError(resource=resource, limit="max_seconds", value=self.max_seconds)
                yield page
