"""How an endpoint seems to page, by the names of its parameters and of what its answer holds around the records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.http.detection import plain_name
from dlt_orchestrate.http.selection import path_of
from dlt_orchestrate.sources.openapi.operations import Operation
from dlt_orchestrate.sources.openapi.records import Records
from dlt_orchestrate.sources.openapi.schemas import Shape, walk

_PAGES = frozenset("currentpage p page pageindex pageno pagenumber pagenum".split())
_OFFSETS = frozenset("from offset pageoffset skip start startat startindex".split())
_SIZES = frozenset("count limit maxresults pagelimit pagesize perpage psize rows size take top".split())
_CURSORS = frozenset(
    "after bookmark continuation continuationtoken cursor endcursor marker nextcursor nextpagetoken nexttoken pageafter "
    "pagecursor pagetoken paginationtoken scrollid startingafter startcursor token".split()
)
_LINKS = frozenset("next nexthref nextlink nextpage nextpagelink nextpageurl nexturi nexturl".split())
_CURSOR_FIELDS = frozenset(
    "after continuation continuationtoken cursor endcursor next nextcursor nextmarker nextpage nextpagetoken nexttoken "
    "paginationtoken scrollid".split()
)
_PAGE_COUNTS = frozenset("lastpage numpages pagecount pages pagestotal totalpages".split())
_RECORD_COUNTS = frozenset(
    "count recordstotal total totalcount totalelements totalhits totalitems totalrecords totalresults".split()
)
_HAS_MORE = frozenset("hasmore hasmoreitems hasnext hasnextpage more moreavailable".split())
_LARGEST_PAGE = 1000
_USUAL_PAGE = 100
_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Paging:
    """A guess.

    Attributes:
        paginator: As a configuration writes it.
        params: What goes with each request, such as the size of a page.
        notes: What is to be checked.
        own_params: The parameters that are the paginator's.
    """

    paginator: dict[str, Any]
    params: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    own_params: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Knob:
    """What a request says about its page: a query parameter, or a field of its body."""

    path: str
    in_body: bool
    shape: Shape

    def key(self, kind: str) -> str:
        """The argument of a paginator that names it: `cursor_param` or `cursor_body_path`."""
        return f"{kind}_body_path" if self.in_body else f"{kind}_param"

    def number(self, *keys: str) -> int | None:
        """A whole number that its schema holds."""
        for key in keys:
            found = self.shape.node.get(key)
            if isinstance(found, int) and not isinstance(found, bool):
                return found
        return None


def paging_of(operation: Operation, records: Records) -> Paging | None:
    """How it seems to page; None if nothing speaks of pages."""
    if not records.is_list:
        return None
    ask = _Asked(operation)
    around = _Around(operation.answer)
    size = ask.knob(_SIZES)
    for guess in (_by_header(operation), _by_link(around), _by_cursor(ask, around), _by_offset(ask, around, size)):
        if guess is not None:
            return _with_size(guess, size)
    by_page = _by_page(ask, around)
    return None if by_page is None else _with_size(by_page, size)


class _Asked:
    """What a request may say about its page."""

    def __init__(self, operation: Operation) -> None:
        self._knobs = [_Knob(one.name, in_body=False, shape=one.shape) for one in operation.query]
        if operation.body is not None:
            self._knobs += [
                _Knob(path_of(keys), in_body=True, shape=value)
                for keys, value in walk(operation.body, 2)
                if value.kind != "object"
            ]

    def knob(self, names: frozenset[str]) -> _Knob | None:
        """The first that has such a name; `page[number]` is one of `number` within `page`."""
        return next((knob for knob in self._knobs if _is_named(knob.path, names)), None)


class _Around:
    """What stands around the records of an answer."""

    def __init__(self, answer: Shape | None) -> None:
        fields = [] if answer is None or answer.kind != "object" else walk(answer, _DEPTH)
        self._fields = [(plain_name(keys[-1]), keys, value) for keys, value in fields if value.kind != "array"]

    def find(self, names: frozenset[str], *kinds: str) -> str | None:
        """The place of the first field of such a name and type."""
        found = [
            keys for keys, value in self.having(names) if value.kind != "object" and (not kinds or value.type in kinds)
        ]
        found.sort(key=lambda keys: not plain_name(keys[-1]).startswith("next"))
        return path_of(found[0]) if found else None

    def beside(self, keys: tuple[str, ...]) -> set[str]:
        """The names of what stands in the same object."""
        return {name for name, other, _ in self._fields if other[:-1] == keys[:-1]}

    def having(self, names: frozenset[str]) -> list[tuple[tuple[str, ...], Shape]]:
        """The fields of such a name."""
        return [(keys, value) for name, keys, value in self._fields if name in names]


def _by_header(operation: Operation) -> Paging | None:
    if not any(name.lower() == "link" for name in operation.answer_headers):
        return None
    return Paging({"type": "header_link"}, own_params=_counting_params(operation))


def _by_link(around: _Around) -> Paging | None:
    for keys, value in around.having(_LINKS):
        is_address = value.format in ("uri", "url", "uri-reference") or plain_name(keys[-1]).endswith(
            ("link", "url", "uri", "href")
        )
        is_among_links = len(keys) > 1 and plain_name(keys[-2]) in ("links", "link")
        has_address = value.kind == "object" and {"href", "url"} & set(value.properties)
        is_pair = plain_name(keys[-1]) == "next" and around.beside(keys) & {"previous", "prev"} and value.type != "integer"
        if is_address or is_among_links or has_address or is_pair:
            notes = () if is_address or has_address else (f"that {path_of(keys)!r} holds an address",)
            return Paging({"type": "json_link", "next_url_path": path_of(keys)}, notes=notes)
    return None


def _by_cursor(ask: _Asked, around: _Around) -> Paging | None:
    knob = ask.knob(_CURSORS)
    if knob is None:
        return None
    has_more = around.find(_HAS_MORE, "boolean")
    path = around.find(_CURSOR_FIELDS, "string", "integer", "")
    if path is None or path == has_more:
        return None if has_more is None else _after_last(knob, has_more)
    paginator: dict[str, Any] = {"type": "cursor", "cursor_path": path, knob.key("cursor"): knob.path}
    if has_more is not None:
        paginator["has_more_path"] = has_more
    return Paging(paginator, own_params=frozenset((knob.path,)))


def _after_last(knob: _Knob, has_more: str) -> Paging | None:
    """The cursor is the id of the last record, as in `starting_after`."""
    if plain_name(knob.path) not in ("after", "startingafter", "marker"):
        return None
    paginator = {"type": "cursor", "cursor_path": LAST_ID, knob.key("cursor"): knob.path, "has_more_path": has_more}
    return Paging(
        paginator, notes=(f"that {knob.path!r} takes the id of the last record",), own_params=frozenset((knob.path,))
    )


LAST_ID = "<last id>"
"""Stands for the place of the last record's key, which is known where the records are."""


def _by_offset(ask: _Asked, around: _Around, size: _Knob | None) -> Paging | None:
    knob = ask.knob(_OFFSETS)
    if knob is None or size is None or (plain_name(knob.path) in ("from", "start") and knob.shape.type != "integer"):
        return None
    limit = _size_of(size) or _USUAL_PAGE
    notes = () if _size_of(size) else (f"that a page may hold {limit} records",)
    paginator: dict[str, Any] = {
        "type": "offset",
        "limit": limit,
        knob.key("offset"): knob.path,
        size.key("limit"): size.path,
        "total_path": around.find(_RECORD_COUNTS, "integer", "number"),
    }
    if (first := knob.number("default", "minimum")) == 1:
        paginator["offset"] = first
    return Paging(_with_has_more(paginator, around), notes=notes, own_params=frozenset((knob.path, size.path)))


def _by_page(ask: _Asked, around: _Around) -> Paging | None:
    knob = ask.knob(_PAGES)
    if knob is None or knob.shape.kind == "object":
        return None
    first = knob.number("default", "minimum")
    base = first if first in (0, 1) else 1
    notes = () if first in (0, 1) else ("that the first page is number 1",)
    paginator: dict[str, Any] = {
        "type": "page_number",
        "base_page": base,
        knob.key("page"): knob.path,
        "total_path": around.find(_PAGE_COUNTS, "integer", "number"),
    }
    return Paging(_with_has_more(paginator, around), notes=notes, own_params=frozenset((knob.path,)))


def _with_has_more(paginator: dict[str, Any], around: _Around) -> dict[str, Any]:
    has_more = around.find(_HAS_MORE, "boolean")
    if has_more is not None and paginator["total_path"] is None:
        paginator["has_more_path"] = has_more
    return paginator


def _with_size(paging: Paging, size: _Knob | None) -> Paging:
    """The guess with the largest page that the document allows; a paginator that counts records asks for that itself."""
    if size is None or size.path in paging.own_params:
        return paging
    own = paging.own_params | {size.path}
    largest = _size_of(size, only_maximum=True)
    if largest is None or size.in_body:
        return Paging(paging.paginator, paging.params, paging.notes, own)
    return Paging(paging.paginator, {size.path: largest}, paging.notes, own)


def _size_of(size: _Knob, *, only_maximum: bool = False) -> int | None:
    largest = size.number("maximum")
    if largest is not None and largest > 0:
        return min(largest, _LARGEST_PAGE)
    return None if only_maximum else size.number("default")


def _counting_params(operation: Operation) -> frozenset[str]:
    names = _PAGES | _CURSORS
    return frozenset(one.name for one in operation.query if one.plain_name in names)


def _is_named(path: str, names: frozenset[str]) -> bool:
    """Whether a parameter or a path has one of these names: as a whole, or by its last part."""
    parts = [part for part in path.replace("]", "").replace("[", ".").replace("'", "").split(".") if part]
    last = plain_name(parts[-1]) if parts else ""
    if len(parts) == 2 and plain_name(parts[0]) == "page" and last == "number":
        return "page" in names
    return plain_name("".join(parts)) in names or last in names
