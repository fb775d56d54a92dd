"""Conditional requests: what told the last answer apart is kept in the state, and sent with the next request.

Source: RFC 9110, section 13. What tells an answer apart, its `ETag` or `Last-Modified`, is about that answer alone: a page
that is the same as before says nothing about the pages behind it. So it is kept only where one page held everything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, MutableMapping
from typing import Any

import requests
from requests.auth import AuthBase

from dlt_orchestrate.declare import current
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.flow.typed_records import StraightPages
from dlt_orchestrate.sources.rest_api.asking import First

STATE_KEY = "rest_api_validators"
_VALIDATORS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}


class Memory:
    """What the state of the running resource holds of its last answer.

    Attributes:
        known: The conditions to send; empty if the request is another one than the last time, or nothing is known.
    """

    def __init__(self, resource: str, first: First, made_for: str) -> None:
        self._state = _state_of(resource)
        declared = "" if self._state is None else current.declared_text()
        self._request = hashlib.sha256(f"{first.text}\n{made_for}\n{declared}".encode()).hexdigest()
        held = self._state.get(STATE_KEY) if self._state is not None else None
        held = held if isinstance(held, dict) and held.get("request") == self._request else {}
        self.known: dict[str, str] = dict(held.get("conditions", {}))

    def keep(self, response: requests.Response) -> None:
        """Remember an answer that held everything; nothing of an earlier one if nothing tells this one apart."""
        self.forget()
        found = {_VALIDATORS[name]: value for name in _VALIDATORS if (value := response.headers.get(name))}
        if self._state is not None and found:
            self._state[STATE_KEY] = {"request": self._request, "conditions": found}

    def forget(self) -> None:
        """Let the next request be an unconditional one."""
        if self._state is not None:
            self._state.pop(STATE_KEY, None)


class FirstRequestOnly(AuthBase):
    """Sends conditions with the first request, and credentials with each: a later page was never seen before."""

    def __init__(self, conditions: dict[str, str], auth: Any) -> None:
        self._conditions = conditions
        self._auth = requests.auth.HTTPBasicAuth(*auth) if isinstance(auth, tuple) else auth

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared: requests.PreparedRequest = r if self._auth is None else self._auth(r)
        prepared.headers.update(self._conditions)
        self._conditions = {}
        return prepared


class CountedPages(StraightPages):
    """Pages, and how many there were; they are handed over typed as they would be without this."""

    def __init__(self, pages: StraightPages) -> None:
        self._pages = pages
        self.count = 0

    def __next__(self) -> Any:
        self._pages.refusals = self.refusals
        try:
            page = next(self._pages)
        finally:
            self._pages.refusals = None
        self.count += 1
        return page

    def close(self) -> None:
        """Ask for no further page."""
        close = getattr(self._pages, "close", None)
        if close is not None:
            close()

    @property
    def is_used_up(self) -> bool:
        return self._pages.is_used_up


def only_changed(pages: CountedPages, memory: Memory) -> Iterator[Any]:
    """The pages, of which the first was asked for with the conditions of `memory`; none if nothing has changed."""
    first = next(pages, None)
    if first is None:
        memory.forget()
        return
    response = first.response
    if response.status_code == 304:
        pages.close()
        current.keep_table()
        return
    yield first
    yield from pages
    if pages.count == 1:
        memory.keep(response)
    else:
        memory.forget()


def _state_of(resource: str) -> MutableMapping[str, Any] | None:
    """The state of the resource, if it is the one that is loaded, and not read for its children."""
    try:
        return current.resource_state(resource)
    except DeclarationError:
        return None
