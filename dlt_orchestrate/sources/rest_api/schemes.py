"""The paginators and auth schemes that a configuration may name, with their fields taken from the classes themselves."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, create_model
from pydantic_core import CoreSchema, core_schema
from requests.auth import AuthBase

from dlt_orchestrate.config.inject import Placeholder
from dlt_orchestrate.config.redaction import Secret
from dlt_orchestrate.config.spelling import meant, nearest
from dlt_orchestrate.errors import DeclarationError
from dlt_orchestrate.http import auth, paginators
from dlt_orchestrate.http.paginators import BasePaginator
from dlt_orchestrate.sources.rest_api.functions import SessionField
from dlt_orchestrate.sources.rest_api.strict import Strict, kind_of

AUTO = "auto"
"""The type of a paginator that is detected on the first answer."""

REFERENCE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A value that is read when the source runs: from secrets.toml or an environment variable.",
    "oneOf": [
        {"properties": {kind: {"type": "string"}}, "required": [kind], "additionalProperties": False}
        for kind in ("secret", "env")
    ],
}

_PAGINATORS: dict[str, Any] = {
    "single_page": paginators.SinglePagePaginator,
    "header_link": paginators.HeaderLinkPaginator,
    "header_cursor": paginators.HeaderCursorPaginator,
    "json_link": paginators.JSONLinkPaginator,
    "json_response": paginators.JSONLinkPaginator,
    "cursor": paginators.JSONResponseCursorPaginator,
    "offset": paginators.OffsetPaginator,
    "page_number": paginators.PageNumberPaginator,
}
_AUTHS: dict[str, Any] = {
    "bearer": auth.BearerTokenAuth,
    "api_key": auth.APIKeyAuth,
    "http_basic": auth.HttpBasicAuth,
    "oauth2_client_credentials": auth.OAuth2ClientCredentials,
    "oauth_jwt": auth.OAuthJWTAuth,
}
_OLD_NAMES = ("json_response",)
_LEFT_OUT = ("self", "clock")
"""Parameters that only code can give."""


def register_paginator(name: str, paginator: type[BasePaginator]) -> None:
    """Let configurations name a paginator of your own; its parameters become the keys beside `type`."""
    _PAGINATORS[name] = paginator
    _model_of.cache_clear()


def register_auth(name: str, scheme: type[AuthBase]) -> None:
    """Let configurations name an auth scheme of your own; its parameters become the keys beside `type`."""
    _AUTHS[name] = scheme
    _model_of.cache_clear()


class _Scheme:
    """A field that names a scheme: by its type, by type and fields, or as an object; the object comes of it."""

    what: str
    default_type: str | None = None

    @classmethod
    def registry(cls) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def is_object(cls, value: Any) -> bool:
        raise NotImplementedError

    @classmethod
    def is_shown(cls, kind: Any) -> bool:  # noqa: ARG003 - those with secrets look at it
        """Whether a type that there is not may stand in a message."""
        return True

    @classmethod
    def read(cls, value: Any) -> Any:
        """The object that a configuration means; None for `auto`.

        Raises:
            ValueError, ValidationError: There is no such scheme, or it has no such fields.
        """
        if cls.is_object(value):
            return value
        if isinstance(value, Placeholder):
            return None
        given = {"type": value} if isinstance(value, str) else value
        if not isinstance(given, Mapping):
            raise ValueError(f"should be the name of {cls.what}, or a mapping with 'type', not {kind_of(value)}")
        kind = given.get("type", cls._untyped(given))
        if kind is None:
            raise _at("type", f"is missing. {cls._fitting(given)}", given)
        if kind == AUTO and cls is PaginatorField and given.keys() == {"type"}:
            return None
        if not isinstance(kind, str) or kind not in cls.registry():
            named = repr(kind) if cls.is_shown(kind) else "of that name"
            told = f"there is no {cls.what.split(' ', 1)[1]} {named}. {meant(str(kind), cls.known())}"
            raise ValueError(told) if isinstance(value, str) else _at("type", told, given)
        made = cls.registry()[kind]
        fields = _model_of(made, kind)(**{"type": kind, **given})
        arguments = {name: getattr(fields, name) for name in fields.model_fields_set if name != "type"}
        try:
            return made(**arguments)
        except (ValueError, DeclarationError) as error:
            if any(isinstance(argument, Placeholder) for argument in arguments.values()):
                return None
            raise ValueError(str(error)) from None

    @classmethod
    def _untyped(cls, given: Mapping[str, Any]) -> str | None:
        """The type of a mapping that names none: the default, if its keys are of that."""
        misspelt = next((key for key in given if nearest(str(key), ("type",))), None)
        if "type" not in given and misspelt is not None:
            raise _at(misspelt, f"is no key here. {meant(str(misspelt), ('type',))}", given)
        default = cls.default_type
        if default is None or not given:
            return default
        parameters = parameters_of(cls.registry()[default])
        return default if any(key in parameters or nearest(str(key), parameters) for key in given) else None

    @classmethod
    def _fitting(cls, given: Mapping[str, Any]) -> str:
        """What has all the keys that are given, but for the type."""
        keys = given.keys() - {"type"}
        fitting = [kind for kind in cls.registry() if keys and keys <= parameters_of(cls.registry()[kind]).keys()]
        return f"Did you mean {fitting[0]!r}?" if len(fitting) == 1 else f"Known are {', '.join(cls.known())}"

    @classmethod
    def known(cls) -> list[str]:
        return [*([AUTO] if cls is PaginatorField else []), *(name for name in cls.registry() if name not in _OLD_NAMES)]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        forms = [{"type": "string", "enum": cls.known()}]
        forms += [_inlined(_model_of(made, kind).model_json_schema()) for kind, made in cls.registry().items()]
        return {"anyOf": forms}


class PaginatorField(_Scheme):
    """How an API pages."""

    what = "a paginator"

    @classmethod
    def registry(cls) -> dict[str, Any]:
        return _PAGINATORS

    @classmethod
    def is_object(cls, value: Any) -> bool:
        return isinstance(value, BasePaginator)


class AuthField(_Scheme):
    """Credentials; a mapping without a type holds a bearer token."""

    what = "an auth scheme"
    default_type = "bearer"

    @classmethod
    def is_shown(cls, kind: Any) -> bool:
        return nearest(str(kind), cls.known()) is not None  # what is like none of them may be the token itself

    @classmethod
    def registry(cls) -> dict[str, Any]:
        return _AUTHS

    @classmethod
    def is_object(cls, value: Any) -> bool:
        is_pair = isinstance(value, tuple) and len(value) == 2
        return value is None or isinstance(value, AuthBase) or is_pair or (callable(value) and not isinstance(value, type))


class SecretText:
    """A text, also one that is kept from being shown."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls._read)

    @staticmethod
    def _read(value: Any) -> Any:
        if not isinstance(value, str | Secret):
            raise ValueError(f"should be a text, not {kind_of(value)}")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, REFERENCE_SCHEMA]}


@lru_cache
def _model_of(made: Any, kind: str) -> type[BaseModel]:
    """The fields of a scheme: the parameters of its class."""
    hints = get_type_hints(made.__init__)
    fields: dict[str, Any] = {"type": (Literal[kind], Field(default=kind))}
    for name, parameter in parameters_of(made).items():
        default = ... if parameter.default is parameter.empty else parameter.default
        annotation = SessionField if name == "session" else _annotation(hints.get(name, Any))
        fields[name] = (annotation, Field(default=default))
    return create_model(f"{kind}", __base__=Strict, **fields)


def parameters_of(made: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class that a configuration may give."""
    return {
        name: parameter
        for name, parameter in inspect.signature(made).parameters.items()
        if name not in _LEFT_OUT and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def _annotation(hint: Any) -> Any:
    """The type of a field; a parameter that may be a secret takes what names one, too."""
    members = get_args(hint)
    if hint is Secret or Secret in members:
        return SecretText | None if type(None) in members else SecretText
    plain = (str, int, float, bool, type(None), list, dict)
    is_plain = all(member in plain or _origin_of(member) in (*plain, Literal, Mapping) for member in members or (hint,))
    return hint if is_plain or _origin_of(hint) is Literal else Any


def _origin_of(hint: Any) -> Any:
    origin = get_origin(hint)
    return Mapping if origin is Mapping else origin


def _at(key: str, told: str, given: Mapping[str, Any]) -> ValidationError:
    return ValidationError.from_exception_data(
        "scheme", [{"type": "value_error", "loc": (key,), "input": given.get(key), "ctx": {"error": ValueError(told)}}]
    )


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of one scheme, without a name of its own."""
    return {key: part for key, part in schema.items() if key != "title"}


Paginator = Annotated[Any, PaginatorField]
Auth = Annotated[Any, AuthField]
