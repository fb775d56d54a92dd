"""Bookmarks: where a walk through pages stands, as JSON, so that a later run goes on from there."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import requests

from dlt_orchestrate.errors import PositionLostError
from dlt_orchestrate.http.credentials import without_credentials
from dlt_orchestrate.http.guard import fingerprint
from dlt_orchestrate.http.paginators import BasePaginator, param_pairs

_PACKAGE = __name__.partition(".")[0]
_KIND, _STATE, _ROWS = "paginator", "state", "rows"
_MOVING = frozenset({"current_value"})
"""Attributes of paginators that move with the pages, beside those that begin with an underscore."""


def mark_of(request: requests.Request) -> str:
    """Tells lists apart: by the request for the first page, without what is secret in it."""
    params = sorted((str(name), str(value)) for name, value in without_credentials(param_pairs(request.params)))
    asked = fingerprint([request.method, request.url, params, request.json, request.data])
    return base64.urlsafe_b64encode(asked[:9]).decode("ascii")


def bookmark_of(paginator: BasePaginator, rows_read: int | None = None) -> dict[str, Any] | None:
    """What leads to the page behind the one that a paginator has seen last; None if it cannot be kept.

    Args:
        rows_read: How many records came, where that is needed to tell the end.
    """
    if not _is_resumable(type(paginator)):
        return None
    state = dict(vars(paginator))
    if not all(value is None or isinstance(value, str | int | float | bool) for value in state.values()):
        return None
    rows = {} if rows_read is None else {_ROWS: rows_read}
    return {_KIND: type(paginator).__name__, _STATE: state, **rows}


def move_to(paginator: BasePaginator, bookmark: Mapping[str, Any], url: str) -> None:
    """Let a paginator go on from a bookmark.

    Raises:
        PositionLostError: It is not the paginator that the bookmark is of.
    """
    state = bookmark[_STATE]
    own = {name: value for name, value in vars(paginator).items() if not (name.startswith("_") or name in _MOVING)}
    if type(paginator).__name__ != bookmark[_KIND] or any(state.get(name) != value for name, value in own.items()):
        raise PositionLostError(
            where=f"Paging through {url}", problem=f"it pages by {paginator!r} now, and did not when it was cut short"
        )
    vars(paginator).update(state)


def kind_of(bookmark: Mapping[str, Any]) -> str:
    """The name of the paginator that a bookmark is of."""
    return str(bookmark[_KIND])


def rows_read_at(bookmark: Mapping[str, Any]) -> int:
    """How many records had come."""
    return int(bookmark.get(_ROWS, 0))


def _is_resumable(kind: type[BasePaginator]) -> bool:
    """Whether a kind of paginators says that it can be resumed; subclasses of a user's must say so themselves."""
    is_ours = kind.__module__.partition(".")[0] == _PACKAGE
    return kind.is_resumable if is_ours else bool(vars(kind).get("is_resumable", False))
