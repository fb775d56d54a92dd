"""Reading page after page, with a paginator that was given or one that is detected and then put to the proof."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import requests

from dlt_orchestrate.config.redaction import redact_url
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import IgnoreResponseException, PaginationError, PositionLostError
from dlt_orchestrate.flow.positions import Position, kept_positions
from dlt_orchestrate.flow.typed_records import StraightPages, TypedReader, TypedRecords, is_typed
from dlt_orchestrate.http.bookmarks import bookmark_of, kind_of, mark_of, move_to, rows_read_at
from dlt_orchestrate.http.detection import (
    Answer,
    Detection,
    detect,
    echoed_number,
    is_full_page,
    record_count,
    says_more,
)
from dlt_orchestrate.http.failures import HttpStatusError, shown
from dlt_orchestrate.http.guard import PageGuard, PageLimits, fingerprint
from dlt_orchestrate.http.paginators import (
    BasePaginator,
    SinglePagePaginator,
    looks_only_around,
    param_pairs,
    warn_of_fallen_total,
)
from dlt_orchestrate.http.response import Response, decode_json
from dlt_orchestrate.http.selection import WHOLE, Listing, find_selector, listing, rival_lists, select_rows
from dlt_orchestrate.protocols.clock import Clock
from dlt_orchestrate.schema.jsonpath import find, parse_path

_ADVICE = "Pass the paginator that fits the API, or paginator=SinglePagePaginator() if this one page is all you want."
_SHOWN_KEYS = 50
_ERROR_KEYS = ("error", "errors")
"""Where APIs tell of an error that answer with status 200 all the same."""
_LOST = frozenset({400, 404, 410, 416, 422})
"""What APIs answer that do not know a position any more."""
_log = logging.getLogger(__name__)


class PageData(list[Any]):
    """The records of one page.

    Attributes:
        request: What was asked.
        response: The answer.
        paginator: What found the next page; on a detected first page that is still a guess.
        auth: The credentials, if any were given.
        position: What stands behind the page, if anybody keeps it.
        listing: What the page lists, until it is handed out.
    """

    position: Position | None = None
    listing: Listing

    def __init__(
        self,
        rows: Iterable[Any],
        *,
        request: requests.Request,
        response: requests.Response,
        paginator: BasePaginator | None = None,
        auth: Any = None,
        listing: Listing | None = None,
    ) -> None:
        super().__init__(rows)
        self.listing = Listing.of(self) if listing is None else listing
        self.request = request
        self.response = response
        self.paginator = paginator
        self.auth = auth


Read = Callable[[bytes], Any]
"""Decodes a body into typed records; gives None where it cannot."""


class Pages(StraightPages):
    """The pages of one walk; nothing is asked for before its page is wanted.

    Attributes:
        typed: Reads pages into typed records; walks through pages alike may share one. By default each learns for itself.
    """

    typed: TypedReader | None = None

    def __init__(self, walk: Callable[[Pages], Iterator[PageData]]) -> None:
        self._items = walk(self)
        self._is_used_up = False

    def __next__(self) -> PageData:
        try:
            return next(self._items)
        except BaseException:
            self._is_used_up = True  # as a generator, which ends with its first error
            raise

    def close(self) -> None:
        """Ask for no further page."""
        self._is_used_up = True
        close = getattr(self._items, "close", None)
        if close is not None:
            close()

    @property
    def is_used_up(self) -> bool:
        return self._is_used_up


class PaginatorFactory(Protocol):
    """Recognises how an API pages; replaces the detection table."""

    def create_paginator(self, response: requests.Response) -> BasePaginator | None:
        """A paginator for an API that answers like this; None for a single page."""


@dataclass
class Paging:
    """One walk through the pages of an API.

    Attributes:
        fetch: Sends a request and returns its answer, with JSON in it, or raises.
        request: For the first page.
        paginator: Finds the next page; None to detect it.
        selector: Where the records stand; None to find it on the first page.
        factory: Detects instead of the detection table.
        limits: Where paging ends with an error.
        taken_by: Says whether the page that is being read goes to one who takes typed records.
        clock: Tells how long it takes.
    """

    fetch: Callable[[requests.Request, Read | None], Response]
    request: requests.Request
    paginator: BasePaginator | None
    selector: str | None
    factory: PaginatorFactory | None
    limits: PageLimits
    taken_by: StraightPages
    clock: Clock | None = None

    def pages(self) -> Iterator[PageData]:
        """Read the pages; each request is made when its page is asked for.

        Raises:
            PaginationError: Going on would lose, repeat or never end.
        """
        self._guard = PageGuard(self.limits, self.clock)
        self._typed = getattr(self.taken_by, "typed", None) or TypedReader()
        kept = kept_positions()
        self._walk = kept.begin(mark_of(self.request)) if kept is not None else None
        start = self._walk.start if self._walk is not None else None
        try:
            if self._walk is not None and self._walk.is_done:
                return
            if self.paginator is None:
                yield from self._with_detected(start)
            else:
                request = _own(self.request)
                self.paginator.init_request(request)
                if start is None:
                    first = self._read(request, by=self.paginator)
                else:
                    first = self._read_at(start, self.paginator, request)
                yield from self._with_given(self.paginator, first)
        except _EndOfPages:
            return

    def _with_given(self, paginator: BasePaginator, page: PageData) -> Iterator[PageData]:
        while True:
            paginator.update_state(page.response, page)
            request = _next_request(paginator, page.request)
            yield self._placed(_released(page, paginator), paginator, request)
            if request is None:
                return
            page = self._read(request, by=paginator)

    def _with_detected(self, start: Mapping[str, Any] | None) -> Iterator[PageData]:
        page = self._read(self.request)
        answer = self._answer(page)
        detection = self._detect(answer)
        proof = _Proof(detection, answer)
        for candidate in detection.candidates:
            candidate.update_state(page.response, page)
        if start is not None:
            yield from self._with_detected_from(start, detection, proof, page.request)
            return
        # More than one candidate: the second page tells which of them it is.
        is_only = len(detection.candidates) == 1
        ahead = detection.candidates[0].has_next_page and not proof.is_complete
        following = self.request if ahead else None
        yield self._placed(
            _released(page, detection.candidates[0]), detection.candidates[0] if is_only else None, following, proof
        )
        paginator, second = self._try_out(detection, proof, page)
        if second is not None:
            yield from self._proven(paginator, second, proof)
        proof.expect_all_read(page.response.url)

    def _with_detected_from(
        self, start: Mapping[str, Any], detection: Detection, proof: _Proof, first: requests.Request
    ) -> Iterator[PageData]:
        """Go on from a bookmark; the first page was read again to know how the API pages, and how much there is."""
        paginator = next((c for c in detection.candidates if type(c).__name__ == kind_of(start)), detection.candidates[0])
        page = self._read_at(start, paginator, first)
        proof.resume(paginator, rows_read_at(start))
        yield from self._proven(paginator, page, proof)
        proof.expect_all_read(page.response.url)

    def _read_at(self, start: Mapping[str, Any], paginator: BasePaginator, first: requests.Request) -> PageData:
        """Read the page that a bookmark leads to.

        Raises:
            PositionLostError: The API does not know it any more.
        """
        move_to(paginator, start, redact_url(first.url))
        request = _next_request(paginator, first)
        if request is None:
            raise _EndOfPages
        try:
            return self._read(request, by=paginator)
        except HttpStatusError as error:
            if error.status not in _LOST:
                raise
            raise PositionLostError(
                where=f"Paging through {redact_url(first.url)}",
                problem=f"the page that it led to is answered with status {error.status}, so the position seems to have "
                "expired",
            ) from error

    def _placed(
        self,
        page: Any,
        paginator: BasePaginator | None,
        following: requests.Request | None,
        proof: _Proof | None = None,
    ) -> Any:
        """The page with its position, if anybody keeps it.

        Args:
            paginator: What leads on; None if that cannot be told yet.
            following: The next request; None behind the last page.
        """
        if self._walk is None:
            return page
        if following is None:
            page.position = Position(self._walk.key, None)
        elif paginator is None:
            page.position = Position(self._walk.key, None, is_known=False)
        else:
            bookmark = bookmark_of(paginator, proof.rows_read if proof is not None else None)
            problem = f"its paginator, {paginator!r}, cannot be resumed" if bookmark is None else None
            page.position = Position(self._walk.key, bookmark, problem)
        return page

    def _try_out(self, detection: Detection, proof: _Proof, first: PageData) -> tuple[BasePaginator, PageData | None]:
        """Read the second page with the candidate that really leads to another page than the first."""
        for candidate in detection.candidates:
            request = None if proof.is_complete else _next_request(candidate, first.request)
            if request is None:
                return candidate, None
            page = self._read(request, is_trial=True)
            if self.limits.max_repeats > 0 or not proof.is_first_page(page):
                self._expect_new_page(page.listing, page.response)
                proof.set_out(candidate)
                return candidate, page
        raise PaginationError(
            url=redact_url(first.response.url),
            problem=f"the first answer looks like {detection.method}, but the next page was the first one again",
            advice=_ADVICE,
        )

    def _proven(self, paginator: BasePaginator, page: PageData, proof: _Proof) -> Iterator[PageData]:
        while True:
            proof.expect_progress(paginator, page)
            paginator.update_state(page.response, page)
            request = None if proof.is_complete else _next_request(paginator, page.request)
            yield self._placed(_released(page, paginator), paginator, request, proof)
            if request is None:
                return
            page = self._read(request, by=paginator)

    def _read(self, request: requests.Request, *, is_trial: bool = False, by: BasePaginator | None = None) -> PageData:
        self._guard.expect_new_request(request)
        read = self._typed_reading(by)
        try:
            response = self.fetch(request, read)
        except IgnoreResponseException:
            raise _EndOfPages from None
        self._guard.count_requests(len(response.history) + getattr(response, "attempts", 1))
        body = response.json()
        if self.selector is None:
            self.selector = self._found_selector(body, response.url)
        rows = [] if body is None else select_rows(body, self.selector)
        if not rows and isinstance(body, dict | list) and body and not find(self.selector, body):
            there = (
                [shown(key) for key in sorted(body)[:_SHOWN_KEYS]] if isinstance(body, dict) else f"a list of {len(body)}"
            )
            if isinstance(body, dict) and (told := next((key for key in _ERROR_KEYS if body.get(key)), None)):
                raise PaginationError(
                    url=redact_url(response.url),
                    problem=f"the answer has status {response.status_code}, nothing at {self.selector!r}, and an error at "
                    f"{told!r}, so it is not taken for the end",
                    advice="Run again. If the API means an empty page, ignore such answers by a response action.",
                )
            _log.warning("%s: nothing at %r; the answer has %s", redact_url(response.url), self.selector, there)
        listed = listing(body, self.selector, rows)
        if not is_trial:
            self._expect_new_page(listed, response)
        if not isinstance(rows, TypedRecords) and (read is not None or (is_trial and self.taken_by.refusals is not None)):
            self._typed.key = _only_key(self.selector)
            self._typed.learn(body)
        return PageData(
            rows, request=request, response=response, paginator=self.paginator, auth=request.auth, listing=listed
        )

    def _expect_new_page(self, listed: Listing, response: requests.Response) -> None:
        again = partial(self._entries_of, response)
        self._guard.expect_new_page(listed.entries, response.content, again, response.url)

    def _entries_of(self, response: requests.Response) -> Sequence[Any]:
        """What an answer lists, decoded anew."""
        body, selector = decode_json(response), self.selector or WHOLE
        return listing(body, selector, select_rows(body, selector)).entries

    def _typed_reading(self, paginator: BasePaginator | None) -> Read | None:
        """Reads a page of records typed, if they go to one who takes that, and nobody else looks at them."""
        refusals, selector = self.taken_by.refusals, self.selector or WHOLE
        if refusals is None or self._typed.has_given_up or (selector != WHOLE and _only_key(selector) is None):
            return None
        if not looks_only_around(paginator, _only_key(selector)):
            return None
        return partial(self._typed.read, refusals=refusals)

    def _found_selector(self, body: Any, url: str) -> str:
        selector = find_selector(body)
        if rivals := rival_lists(body, selector):
            _log.warning(
                "%s: the answer holds several lists of records; %r is read, and %s left out. Pass data_selector=... to say "
                "which one is meant.",
                redact_url(url),
                selector,
                " and ".join(map(repr, rivals)) + (" is" if len(rivals) == 1 else " are"),
            )
        return selector

    def _answer(self, page: PageData) -> Answer:
        body = page.response.json()
        return Answer(
            response=page.response,
            body=body,
            rows=page,
            listing=page.listing,
            is_list=isinstance(body, list) or self.selector != WHOLE,
            params=dict(param_pairs(page.request.params)),
        )

    def _detect(self, answer: Answer) -> Detection:
        if self.factory is None:
            return detect(answer)
        paginator = self.factory.create_paginator(answer.response) or SinglePagePaginator()
        return Detection("what the paginator factory made", (paginator,), names_its_end=True)


class _EndOfPages(Exception):  # no error: it leaves nested generators
    """A hook said that the answer holds no records."""


class _Proof:
    """Whether the pages bear out what was detected on the first of them."""

    def __init__(self, detection: Detection, answer: Answer) -> None:
        self._detection = detection
        self._starts = {id(candidate): getattr(candidate, "current_value", 0) for candidate in detection.candidates}
        self._echo = echoed_number(detection.echo_path, answer.body) if detection.echo_path else None
        self._position = 0
        self._count = record_count(answer)
        self._total = self._count.read(answer.response, answer.body) if self._count else None
        self._is_certain = self._total is not None and self._count is not None and self._count.is_certain
        self._more = says_more(answer)
        self._is_exact = answer.listing.is_exact
        self._rows_read = answer.listing.most
        self._is_full = is_full_page(answer)
        entries = answer.listing.entries
        self._first = fingerprint(entries)
        self._first_entries = {fingerprint(entry) for entry in entries} if len(detection.candidates) > 1 else set()

    @property
    def is_complete(self) -> bool:
        """Whether all records that the API counts were read, where nothing else tells the end."""
        is_counted = self._detection.ends_at_total and self._is_certain and self._is_exact
        return is_counted and self._rows_read >= (self._total or 0)

    @property
    def rows_read(self) -> int:
        return self._rows_read

    def resume(self, paginator: BasePaginator, rows_read: int) -> None:
        """Go on where an earlier walk was cut short, before the page at the paginator's position is looked at."""
        self.set_out(paginator)
        self._rows_read = rows_read

    def is_first_page(self, page: PageData) -> bool:
        """Whether a page is the first one again; a record or two may have come or gone meanwhile."""
        entries = page.listing.entries
        if not entries:
            return False
        if fingerprint(entries) == self._first:
            return True
        shared = sum(fingerprint(entry) in self._first_entries for entry in entries) if self._first_entries else 0
        return 2 * shared > len(entries)

    def set_out(self, candidate: BasePaginator) -> None:
        """Go on with the candidate that led to a second page."""
        self._position = self._starts[id(candidate)]

    def expect_progress(self, paginator: BasePaginator, page: PageData) -> None:
        """Raise if the answer repeats another position than the one asked for."""
        self._rows_read += page.listing.most
        self._more = None
        body = page.response.json()
        if self._count is not None and (total := self._count.read(page.response, body)) is not None:
            if getattr(paginator, "total_path", None) is None:  # else the paginator looks at it
                warn_of_fallen_total(page.response.url, self._total, total)
            self._total = total
        echo = echoed_number(self._detection.echo_path, body) if self._detection.echo_path else None
        position = getattr(paginator, "current_value", 0)
        if echo is not None and self._echo is not None and echo - self._echo != position - self._position:
            raise PaginationError(
                url=redact_url(page.response.url),
                problem=f"position {position} was asked for, and the answer says {echo} at {self._detection.echo_path!r}",
                advice=_ADVICE,
            )
        self._echo, self._position = echo, position

    def expect_all_read(self, url: str) -> None:
        """Raise, at the end, if the API has more records than were read."""
        missing = None
        is_short = self._total is not None and self._total > self._rows_read
        if is_short and self._is_certain:
            missing = f"the API counts {self._total} records, and {self._rows_read} were read"
        elif self._more is not None:
            missing = f"the answer says at {self._more!r} that there are more pages, but not how to ask for them"
        if missing and self._detection.names_its_end:
            _log.warning("Paging through %s: %s, and it names no further page.", redact_url(url), missing)
        elif missing:
            raise PaginationError(
                url=redact_url(url), problem=f"it was detected as {self._detection.method}; {missing}", advice=_ADVICE
            )
        elif is_short and self._count is not None and not self._detection.names_its_end:
            _log.warning(
                "Paging through %s: the answer says %s at %r, and %d records were read. If that is the number of records, "
                "pass the paginator that fits the API.",
                redact_url(url),
                self._total,
                self._count.path,
                self._rows_read,
            )
        elif self._is_full and self._detection.method == "a single page":
            _log.warning(
                "Paging through %s: as many records came as were asked for, and nothing says whether there are more.",
                redact_url(url),
            )


def _next_request(paginator: BasePaginator, request: requests.Request) -> requests.Request | None:
    """A request for the next page; None after the last one."""
    if not paginator.has_next_page:
        return None
    following = _own(request)
    paginator.update_request(following)
    return following


def _own(request: requests.Request) -> requests.Request:
    """A request that a paginator may change in place."""
    own = copy.copy(request)
    own.json = copy.deepcopy(request.json)
    own.params = copy.copy(request.params)
    own.data = copy.copy(request.data) if isinstance(request.data, dict) else request.data
    return own


def _only_key(selector: str) -> str | None:
    """The key that a path is made of; None if it is longer, or no key."""
    steps = parse_path(selector)
    return steps[0] if len(steps) == 1 and isinstance(steps[0], str) else None


def _released(page: PageData, paginator: BasePaginator) -> Any:
    """A page ready to hand out: from now on its records belong to whoever takes it. Typed ones come without the rest."""
    page.paginator = paginator
    page.listing = Listing.of(())
    page.response.decoded = None  # type: ignore[attr-defined]  # pages hold our Response
    return TypedRecords(page) if is_typed(page) else page
