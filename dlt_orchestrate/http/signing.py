"""What every kind of credentials shares: it changes a request, and shows its secrets to nobody."""

from __future__ import annotations

from typing import Any

import requests
from requests.auth import AuthBase

from dlt_orchestrate.config.redaction import Secret, learn, looks_secret, redact


class AuthConfigBase(AuthBase):
    """What credentials of your own are made from: change the request in `__call__`, and return it.

    Attributes that are named like secrets, such as `api_key`, appear in no message.
    """

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        raise NotImplementedError(f"{type(self).__name__} does not say how it signs requests: define __call__.")

    def __bool__(self) -> bool:
        return True

    def __setattr__(self, name: str, value: Any) -> None:
        if looks_secret(name):
            learn(value)
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        shown = (f"{name}={_shown(name, value)}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({', '.join(shown)})"


def revealed(secret: str | Secret | None) -> str | None:
    """The text of a secret, which no message will show from now on."""
    if secret is None:
        return None
    learn(secret)
    return secret.reveal() if isinstance(secret, Secret) else secret


def _shown(name: str, value: Any) -> str:
    return "***" if looks_secret(name) and value is not None else redact(repr(value))
