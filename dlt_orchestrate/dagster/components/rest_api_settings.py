"""What the component for REST APIs may be told in YAML; loaded only where there is such a component."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, field_validator
from pydantic_core import CoreSchema, core_schema

from dlt_orchestrate.config.inject import Placeholder
from dlt_orchestrate.config.references import with_placeholders
from dlt_orchestrate.dagster.components.settings import TargetSettings
from dlt_orchestrate.sources.rest_api.checking import problems_in, with_references
from dlt_orchestrate.sources.rest_api.json_schema import json_schema_in_place


class _Api:
    """A configuration, or the path of a file with one, for editors."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.any_schema()

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, json_schema_in_place()]}


class RestApiSettings(TargetSettings):
    """A REST API, where it goes, and how its resources become assets."""

    api: Annotated[Any, _Api] = Field(
        description="The configuration of the REST API: client, resource_defaults and resources; or the path of a YAML "
        "file beside this one. Secrets as {secret: NAME}, which are read in the step."
    )

    @field_validator("api")
    @classmethod
    def _expect_workable(cls, value: Any) -> Any:
        """Have the models of the source judge what is no template; each problem keeps its place, and so its line."""
        if isinstance(value, str):
            return value
        written = _with_texts_for_moments(value)
        found = problems_in(with_placeholders(with_references(_with_templates_left_open(written), ())))
        if found:
            raise ValidationError.from_exception_data(
                "api",
                [
                    {"type": "value_error", "loc": problem.place, "input": None, "ctx": {"error": ValueError(problem.told)}}
                    for problem in found
                ],
            )
        return written


def _with_texts_for_moments(value: Any) -> Any:
    """The value with the moments that YAML has read as the texts that APIs write."""
    if isinstance(value, date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {key: _with_texts_for_moments(part) for key, part in value.items()}
    return [_with_texts_for_moments(part) for part in value] if isinstance(value, list) else value


def _with_templates_left_open(value: Any) -> Any:
    """The value with templates that may become anything yet: what they are is judged once they are carried out."""
    if isinstance(value, str) and "{{" in value:
        return Placeholder(value)
    if isinstance(value, Mapping):
        return {key: _with_templates_left_open(part) for key, part in value.items()}
    return [_with_templates_left_open(part) for part in value] if isinstance(value, list) else value
