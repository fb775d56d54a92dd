"""Tokens that are fetched with other credentials, kept until they expire, and fetched anew where a server refuses them."""

from __future__ import annotations

import base64
import json
import re
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from math import inf
from typing import Any

import requests

from dlt_orchestrate.config.redaction import Secret, learn, redact_url
from dlt_orchestrate.errors import InvalidPrivateKeyError, MissingExtraError, RequestFailedError, ResponseNotJsonError
from dlt_orchestrate.http.failures import shown
from dlt_orchestrate.http.signing import AuthConfigBase, revealed
from dlt_orchestrate.protocols.clock import Clock, SystemClock

EXPIRATION_LEEWAY_SECONDS = 60.0
"""How long before its end a token is given up."""

_JWT_LIFETIME = timedelta(hours=1)
_HEADER_TEXT = re.compile(r"[\x21-\x7e]+")
_RENEWAL = "renewed_by"


class OAuth2AuthBase(AuthConfigBase):
    """Sends an access token as bearer token.

    Source: RFC 6750, section 2.1.
    """

    def __init__(self, access_token: str | Secret | None = None) -> None:
        self.access_token = revealed(access_token)

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.access_token:
            r.headers["Authorization"] = f"Bearer {self.access_token}"
        return r


class FetchedTokenAuth(OAuth2AuthBase):
    """Fetches its token where none is there, and before it expires; threads that share it wait for one fetch.

    Where a server refuses a token, the request is sent once more with a new one.

    Args:
        access_token_url: Where the token comes from.
        access_token: A token that is there already; used until a server refuses it.
        default_token_expiration: Seconds a token is used for where the server does not say how long it lasts.
        expiration_leeway: Seconds before its end that a token is used no more.
        session: Sends the token request; by default the session of the thread.
    """

    def __init__(
        self,
        access_token_url: str,
        *,
        access_token: str | Secret | None = None,
        default_token_expiration: float = 3600,
        expiration_leeway: float = EXPIRATION_LEEWAY_SECONDS,
        session: requests.Session | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(access_token)
        self.access_token_url = access_token_url
        self.default_token_expiration = default_token_expiration
        self.expiration_leeway = expiration_leeway
        self._session = session
        self._clock: Clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._usable_until = inf

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        with self._lock:
            if self.access_token is None or self.is_token_expired():
                self.obtain_token()
            sent = self.access_token
        super().__call__(r)
        setattr(r, _RENEWAL, lambda request: self._renew(request, sent))
        return r

    @abstractmethod
    def build_access_token_request(self) -> dict[str, Any]:
        """What is sent to get a token: arguments of `requests.post`, such as `headers` and `data`."""

    def parse_access_token(self, response_json: Any) -> Any:
        """The token in the answer."""
        return response_json.get("access_token") if isinstance(response_json, dict) else None

    def parse_expiration_in_seconds(self, response_json: Any) -> Any:
        """How long it lasts, by the answer."""
        return response_json.get("expires_in") if isinstance(response_json, dict) else None

    def is_token_expired(self) -> bool:
        """Whether the token is used no more."""
        return self._clock.monotonic() >= self._usable_until

    def obtain_token(self) -> None:
        """Fetch a new token.

        Raises:
            RequestFailedError: There is none in the answer, or no answer.
        """
        from dlt_orchestrate.http.session import default_session

        arguments = {"url": self.access_token_url, **self.build_access_token_request()}
        response = (self._session or default_session()).post(**arguments)
        response.raise_for_status()
        try:
            answer = response.json()
        except (ResponseNotJsonError, ValueError):
            answer = None  # its text may be half a token: no message shows it
        token = self.parse_access_token(answer)
        if not isinstance(token, str) or not _HEADER_TEXT.fullmatch(token):
            raise RequestFailedError(
                method="POST",
                url=redact_url(arguments["url"]),
                problem=f"the answer holds no 'access_token' that a header can carry; it is {_kind_of(answer, response)}",
                attempts=1,
                advice="Check the address, and the fields that the server wants.",
            )
        learn(token)
        self.access_token = token
        self._usable_until = self._clock.monotonic() + max(0.0, self._lifetime(answer) - self.expiration_leeway)

    def _renew(self, request: requests.PreparedRequest, refused: str | None) -> None:
        """Have a request carry another token than the one that was refused."""
        with self._lock:
            if self.access_token == refused:
                self.obtain_token()
        super().__call__(request)

    def _lifetime(self, answer: Any) -> float:
        """The seconds that a token lasts; what the server tells counts only if it is a number above zero."""
        try:
            seconds = float(self.parse_expiration_in_seconds(answer))
        except (TypeError, ValueError, OverflowError):
            return self.default_token_expiration
        return seconds if 0 < seconds < inf else self.default_token_expiration


class OAuth2ClientCredentials(FetchedTokenAuth):
    """Gets a token for a client id and secret.

    Servers that want the request otherwise are served by a subclass that defines `build_access_token_request`,
    `parse_access_token` or `parse_expiration_in_seconds`.

    Source: RFC 6749, section 4.4.

    Args:
        access_token_request_data: Further fields of the token request, such as `scope` or `audience`.
    """

    def __init__(
        self,
        access_token_url: str,
        client_id: str,
        client_secret: str | Secret | None,
        access_token_request_data: Mapping[str, Any] | None = None,
        default_token_expiration: float = 3600,
        session: requests.Session | None = None,
        clock: Clock | None = None,
        *,
        access_token: str | Secret | None = None,
        expiration_leeway: float = EXPIRATION_LEEWAY_SECONDS,
    ) -> None:
        super().__init__(
            access_token_url,
            access_token=access_token,
            default_token_expiration=default_token_expiration,
            expiration_leeway=expiration_leeway,
            session=session,
            clock=clock,
        )
        self.client_id = client_id
        self.client_secret = revealed(client_secret)
        self.access_token_request_data = dict(access_token_request_data or {})

    def build_access_token_request(self) -> dict[str, Any]:
        fields = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.client_secret}
        return {"data": {**fields, **self.access_token_request_data}}


class OAuthJWTAuth(FetchedTokenAuth):
    """Gets a token for a statement that is signed with a private RSA key, as Google's and others' service accounts do.

    Needs the extra `jwt`.

    Source: RFC 7523, section 2.1.

    Args:
        private_key: In PEM; line ends may be written as `\\n`, as in environment variables.
        auth_endpoint: Where the token comes from.
        scopes: What the token shall allow.
        headers: Of the token request.
    """

    def __init__(
        self,
        client_id: str,
        private_key: str | Secret,
        auth_endpoint: str,
        scopes: str | Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        private_key_passphrase: str | Secret | None = None,
        default_token_expiration: float = 3600,
        *,
        expiration_leeway: float = EXPIRATION_LEEWAY_SECONDS,
        session: requests.Session | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(
            auth_endpoint,
            default_token_expiration=default_token_expiration,
            expiration_leeway=expiration_leeway,
            session=session,
            clock=clock,
        )
        self.client_id = client_id
        self.private_key = revealed(private_key)
        self.auth_endpoint = auth_endpoint
        self.scopes = scopes if isinstance(scopes, str) or scopes is None else " ".join(scopes)
        self.headers = dict(headers or {})
        self.private_key_passphrase = revealed(private_key_passphrase)

    def create_jwt_payload(self) -> dict[str, Any]:
        """What is stated: who asks, whom, for what, and until when; times are seconds since 1970."""
        now = self._clock.now()
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.auth_endpoint,
            "iat": int(now.timestamp()),
            "exp": int((now + _JWT_LIFETIME).timestamp()),
        }
        return claims if self.scopes is None else {**claims, "scope": self.scopes}

    def build_access_token_request(self) -> dict[str, Any]:
        statement = ".".join((_encoded({"alg": "RS256", "typ": "JWT"}), _encoded(self.create_jwt_payload())))
        signature = self._sign(statement.encode())
        return {
            "headers": self.headers,
            "data": {
                "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
                "assertion": f"{statement}.{_unpadded(signature)}",
            },
        }

    def _sign(self, statement: bytes) -> bytes:
        """Sign by RS256.

        Source: RFC 7518, section 3.3.
        """
        try:
            from cryptography.hazmat.primitives import hashes, serialization
            from cryptography.hazmat.primitives.asymmetric import padding, rsa
        except ImportError:
            raise MissingExtraError(feature="OAuthJWTAuth", extra="jwt") from None
        passphrase = self.private_key_passphrase
        try:
            key = serialization.load_pem_private_key(
                (self.private_key or "").replace("\\n", "\n").encode(), passphrase.encode() if passphrase else None
            )
        except (ValueError, TypeError) as error:
            problem = f"it cannot be read: {shown(str(error))}"
        else:
            if isinstance(key, rsa.RSAPrivateKey):
                return key.sign(statement, padding.PKCS1v15(), hashes.SHA256())
            problem = f"it is a {type(key).__name__}"
        raise InvalidPrivateKeyError(client_id=self.client_id, problem=problem) from None


def renewal_of(request: requests.PreparedRequest) -> Callable[[requests.PreparedRequest], None] | None:
    """What gives a request a new token in place of one that was refused; None if its credentials are what they are."""
    renewal: Callable[[requests.PreparedRequest], None] | None = getattr(request, _RENEWAL, None)
    return renewal


def _encoded(part: Mapping[str, Any]) -> str:
    return _unpadded(json.dumps(part, separators=(",", ":")).encode())


def _unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _kind_of(answer: Any, response: requests.Response) -> str:
    """What an answer is, without a value of it."""
    if isinstance(answer, dict):
        return f"an object with {', '.join(repr(shown(key)) for key in sorted(answer)[:10]) or 'nothing'}"
    return f"of content type {shown(response.headers.get('Content-Type', 'not given'))!r}, {len(response.content)} bytes"
