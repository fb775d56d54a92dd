"""Credentials on requests."""

from __future__ import annotations

from requests.auth import AuthBase as AuthBase

from dlt_orchestrate.http.auth import APIKeyAuth as APIKeyAuth
from dlt_orchestrate.http.auth import AuthConfigBase as AuthConfigBase
from dlt_orchestrate.http.auth import BearerTokenAuth as BearerTokenAuth
from dlt_orchestrate.http.auth import HttpBasicAuth as HttpBasicAuth
from dlt_orchestrate.http.auth import OAuth2AuthBase as OAuth2AuthBase
from dlt_orchestrate.http.auth import OAuth2ClientCredentials as OAuth2ClientCredentials
from dlt_orchestrate.http.auth import OAuthJWTAuth as OAuthJWTAuth
