"""Functions in a configuration: as they are in Python, by their import path in YAML."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import requests
from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.sources.rest_api.strict import kind_of


class FunctionField:
    """A function, or the import path of one: `package.module:name`."""

    @classmethod
    def read(cls, value: Any) -> Any:
        """The function.

        Raises:
            ValueError: It is none, or cannot be imported.
        """
        found = imported(value) if isinstance(value, str) else value
        if not callable(found):
            raise ValueError(f"should be a function or the import path of one, not {kind_of(found)}")
        return found

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.read)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "description": "Import path of a function, package.module:name."}


def session_of(value: Any) -> Any:
    """A session, or the one that a function at an import path makes.

    Raises:
        ValueError: It is none.
    """
    found = FunctionField.read(value)() if isinstance(value, str) else value
    if found is not None and not isinstance(found, requests.Session) and not hasattr(found, "send"):
        raise ValueError(f"should be a session of requests, not {kind_of(found)}")
    return found


SessionField = Annotated[
    Any, AfterValidator(session_of), WithJsonSchema({"type": "string", "description": "Import path of a session."})
]


def imported(path: str) -> Any:
    """The object at an import path.

    Raises:
        ValueError: There is no such module, or nothing of that name in it.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise ValueError(f"{path!r} is no import path. Write package.module:name")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # a module that it imports is missing
        raise ValueError(f"there is no module {module_name!r} for {path!r}") from None
    for part in name.split("."):
        if not hasattr(found, part):
            there = [known for known in vars(found) if not known.startswith("_")]
            raise ValueError(f"module {module_name!r} has no {part!r}. {meant(part, there)}")
        found = getattr(found, part)
    return found
