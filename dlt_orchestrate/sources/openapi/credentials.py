"""The credentials that a document asks for, each with a reference to a secret in place of its value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.sources.openapi.document import Document, Node


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a configuration says about them.

    Attributes:
        scheme: The name of the scheme in the document.
        auth: As a configuration writes it; None where that cannot be drafted.
        notes: What is to be checked, or to be done by hand.
    """

    scheme: str
    auth: dict[str, Any] | None
    notes: tuple[str, ...] = ()


def credentials_for(document: Document, security: Any, *, prefix: str, base_url: str) -> Credentials | None:
    """The first of the alternatives that can be drafted, else the first; None where none are asked for.

    Args:
        security: The requirements of the document, or of one endpoint.
        prefix: What the names of secrets begin with, such as `PETSTORE`.
    """
    schemes = dict(document.entries(document.child(document.root, "components"), "securitySchemes"))
    wanted = [one for one in security if isinstance(one, Mapping)] if isinstance(security, list) else []
    if not wanted or any(not one for one in wanted):
        return None
    found: list[Credentials] = []
    for one in wanted:
        name, *others = map(str, one)
        scopes = next(iter(one.values()))
        drafted = _credentials(name, schemes.get(name, {}), scopes, prefix=prefix, base_url=base_url)
        also = (f"{name!r} is wanted together with {', '.join(map(repr, others))}: add that by hand",) if others else ()
        found.append(Credentials(name, drafted.auth, (*drafted.notes, *also)))
    return next((one for one in found if one.auth is not None), found[0])


def _credentials(name: str, scheme: Node, scopes: Any, *, prefix: str, base_url: str) -> Credentials:
    match str(scheme.get("type", "")), str(scheme.get("scheme", "")).lower():
        case "http", "bearer":
            return Credentials(name, {"type": "bearer", "token": _secret(prefix, "TOKEN")})
        case "http", "basic":
            user, password = _secret(prefix, "USERNAME"), _secret(prefix, "PASSWORD")
            return Credentials(name, {"type": "http_basic", "username": user, "password": password})
        case "apiKey", _:
            return _api_key(name, scheme, prefix)
        case "oauth2", _:
            return _oauth2(name, scheme, scopes, prefix=prefix, base_url=base_url)
        case "openIdConnect", _:
            auth = {"type": "bearer", "token": _secret(prefix, "TOKEN")}
            return Credentials(name, auth, ("OpenID Connect: the token has to come from elsewhere, and expires",))
        case kind, how:
            scheme_type = " ".join(filter(None, (kind, how))) or "unknown"
            return Credentials(name, None, (f"credentials of type {scheme_type} ({name}) have to be set up in Python",))


def _api_key(name: str, scheme: Node, prefix: str) -> Credentials:
    key, location = str(scheme.get("name", "Authorization")), str(scheme.get("in", "header"))
    auth = {"type": "api_key", "name": key, "api_key": _secret(prefix, "API_KEY"), "location": location}
    notes = ("whether the key needs a word before it, such as 'Token '",) if key.lower() == "authorization" else ()
    return Credentials(name, auth, notes)


def _oauth2(name: str, scheme: Node, scopes: Any, *, prefix: str, base_url: str) -> Credentials:
    flows = scheme.get("flows")
    flow = flows.get("clientCredentials") if isinstance(flows, Mapping) else None
    if not isinstance(flow, Mapping):
        auth: dict[str, Any] = {"type": "bearer", "token": _secret(prefix, "TOKEN")}
        return Credentials(name, auth, ("no flow for machines is described: the token has to come from elsewhere",))
    auth = {
        "type": "oauth2_client_credentials",
        "access_token_url": urljoin(f"{base_url.rstrip('/')}/", str(flow.get("tokenUrl", ""))),
        "client_id": _secret(prefix, "CLIENT_ID"),
        "client_secret": _secret(prefix, "CLIENT_SECRET"),
    }
    if isinstance(scopes, list) and scopes:
        auth["access_token_request_data"] = {"scope": " ".join(map(str, scopes))}
    return Credentials(name, auth)


def _secret(prefix: str, what: str) -> dict[str, str]:
    return {"secret": f"{prefix}_{what}"}
