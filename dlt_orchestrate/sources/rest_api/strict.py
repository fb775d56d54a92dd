"""Models that answer a wrong key with what was probably meant, and errors told in words of the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, model_validator
from pydantic_core import InitErrorDetails

from dlt_orchestrate.config.inject import Placeholder
from dlt_orchestrate.config.redaction import looks_secret
from dlt_orchestrate.config.spelling import meant
from dlt_orchestrate.errors import ConfigProblem

_SHOWN_CHARACTERS = 60
_WORDS = {
    "missing": "is missing",
    "string_type": "should be a text",
    "int_type": "should be a whole number",
    "int_parsing": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_type": "should be a number",
    "float_parsing": "should be a number",
    "bool_type": "should be true or false",
    "bool_parsing": "should be true or false",
    "dict_type": "should be a mapping",
    "mapping_type": "should be a mapping",
    "model_type": "should be a mapping",
    "list_type": "should be a list",
}


class Strict(BaseModel):
    """Fields of a configuration; a key that is none of them is an error that says what was probably meant."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, validate_by_name=True, validate_by_alias=True)

    @model_validator(mode="wrap")
    @classmethod
    def _answer_wrong_keys(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Self:
        try:
            return handler(value)  # type: ignore[no-any-return]
        except ValidationError as error:
            known = [field.alias or name for name, field in cls.model_fields.items()]
            answered = [_answered(found, known) for found in error.errors(include_url=False)]
            raise ValidationError.from_exception_data(error.title, answered) from None


def _answered(found: Any, known: Sequence[str]) -> InitErrorDetails:
    place = found["loc"]
    if found["type"] == "extra_forbidden" and len(place) == 1:
        told = ValueError(f"is no key here. {meant(str(place[0]), known)}")
        return InitErrorDetails(type="value_error", loc=place, input=None, ctx={"error": told})
    return InitErrorDetails(type=found["type"], loc=place, input=found["input"], ctx=found.get("ctx", {}))


def problems_of(error: ValidationError) -> Iterator[ConfigProblem]:
    """What pydantic found, in words. Values that will be read only at run time are judged then."""
    for found in error.errors(include_url=False):
        if not isinstance(found["input"], Placeholder):
            yield ConfigProblem(found["loc"], _told(found))


def _told(found: Any) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind == "value_error":
        return str(context["error"]).rstrip(".")
    if kind in ("too_short", "string_too_short"):
        return "should not be empty"
    if kind == "literal_error":
        return f"should be {context['expected']}{_shown(found)}"
    told = _WORDS.get(kind)
    if told is None:
        told = str(found["msg"][:1].lower() + found["msg"][1:])
    return told if kind == "missing" else f"{told}{_shown(found)}"


def _shown(found: Any) -> str:
    """What stands there instead, unless it may be a secret or is long."""
    value = found["input"]
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str)):
        return f", not a {'mapping' if isinstance(value, Mapping) else 'list'}"
    if any(looks_secret(str(part)) or part in ("auth", "headers") for part in found["loc"]):
        return f", not a value of type {type(value).__name__}"
    text = repr(value)
    return f", not {text}" if len(text) <= _SHOWN_CHARACTERS else ""
