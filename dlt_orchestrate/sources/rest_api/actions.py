"""What becomes of answers that are no records: ignored, refused, or looked at by a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Any

import requests

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import IgnoreResponseException
from dlt_orchestrate.http.failures import HttpStatusError
from dlt_orchestrate.sources.rest_api.models import ResponseAction


@dataclass(frozen=True, slots=True)
class Actions:
    """The response actions of an endpoint.

    Attributes:
        ignored: Error statuses that hold no records. That is told from the error, so that pages are still read fast.
        hooks: What looks at each answer before it is read, where a status alone does not tell.
    """

    ignored: frozenset[int] = frozenset()
    hooks: dict[str, list[Callable[..., Any]]] | None = field(default=None)

    @classmethod
    def of(cls, actions: Sequence[ResponseAction] | None) -> Actions:
        """The actions in the order in which they are looked through.

        Functions pass on what they make of an answer; the first `ignore` or `raise` that fits decides.
        """
        found = list(actions or ())
        if all(_is_of_error_status(action) for action in found):
            decided: dict[int, str] = {}
            for action in found:
                decided.setdefault(int(action.status_code or 0), action.action)
            return cls(frozenset(status for status, action in decided.items() if action == "ignore"))
        return cls(hooks={"response": [_looking_through(found)]})

    def ignore(self, error: HttpStatusError) -> bool:
        """Whether a failed request means that there are no records."""
        return error.status in self.ignored


def _is_of_error_status(action: ResponseAction) -> bool:
    is_told = isinstance(action.action, str) and action.content is None
    return is_told and action.status_code is not None and action.status_code >= 400


def _looking_through(actions: Sequence[ResponseAction]) -> Callable[..., Any]:
    def look(response: requests.Response, *args: Any, **kwargs: Any) -> requests.Response:
        for action in actions:
            if not _fits(action, response):
                continue
            if action.action == "ignore":
                raise IgnoreResponseException
            if action.action == "raise":
                raise HttpStatusError(response)
            for function in action.action:
                response = function(response, *args, **kwargs) or response
        return response

    return look


def _fits(action: ResponseAction, response: requests.Response) -> bool:
    has_status = action.status_code is None or action.status_code == response.status_code
    return has_status and (action.content is None or action.content in response.text)
