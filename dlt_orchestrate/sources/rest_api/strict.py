"""Models that answer a wrong key with what was probably meant, and errors told in words of the configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidatorFunctionWrapHandler, model_validator
from pydantic_core import InitErrorDetails

from dlt_orchestrate.config.inject import Placeholder
from dlt_orchestrate.config.redaction import looks_secret
from dlt_orchestrate.config.spelling import likely, meant, nearest
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


STAND_INS: Mapping[str, Any] = {
    "int_type": 1,
    "int_parsing": 1,
    "float_type": 1.0,
    "float_parsing": 1.0,
    "bool_type": True,
    "bool_parsing": True,
}
"""What stands for a value that is read only at run time where its text would be an error of this type."""


class WrongKey(ValueError):
    """A key that is none where it stands."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.near = nearest(name, known)
        super().__init__(f"is no key here. {meant(name, known)}")


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
            own = [found for found in answered if len(found["loc"]) == 1]
            misspelt = {wrong.near for found in own if (wrong := _wrong_key(found)) is not None}
            answered = [found for found in answered if not (found["type"] == "missing" and found["loc"][-1] in misspelt)]
            raise ValidationError.from_exception_data(error.title, answered) from None


def _answered(found: Any, known: Sequence[str]) -> InitErrorDetails:
    place = found["loc"]
    if found["type"] == "extra_forbidden" and len(place) == 1:
        told = WrongKey(str(place[0]), known)
        return InitErrorDetails(type="value_error", loc=place, input=None, ctx={"error": told})
    return InitErrorDetails(type=found["type"], loc=place, input=found["input"], ctx=found.get("ctx", {}))


def _wrong_key(found: Any) -> WrongKey | None:
    wrong = found.get("ctx", {}).get("error")
    return wrong if isinstance(wrong, WrongKey) else None


def problems_of(error: ValidationError, homes: Mapping[str, str]) -> Iterator[ConfigProblem]:
    """What pydantic found, in words. Values that will be read only at run time are judged then.

    Args:
        homes: Where each key belongs, for keys that stand elsewhere.
    """
    everything = error.errors(include_url=False)
    astray = [found["loc"] for found in everything if _wrong_key(found) is not None]
    for found in everything:
        is_elsewhere = found["type"] == "missing" and any(_is_astray(found["loc"], place) for place in astray)
        if not isinstance(found["input"], Placeholder) and not is_elsewhere:
            yield ConfigProblem(found["loc"], _told(found, homes))


def _is_astray(missing: tuple[Any, ...], place: tuple[Any, ...]) -> bool:
    """Whether what is missing stands at another place: further out, or further in."""
    home, there = missing[:-1], place[:-1]
    return missing[-1] == place[-1] and home[: len(there)] == there[: len(home)]


def _told(found: Any, homes: Mapping[str, str]) -> str:
    kind, context = found["type"], found.get("ctx", {})
    wrong = _wrong_key(found)
    if wrong is not None and wrong.name in homes:
        return f"is no key here; it belongs in {homes[wrong.name]}"
    if kind == "value_error":
        return str(context["error"]).rstrip(".")
    if kind in ("too_short", "string_too_short"):
        return "should not be empty"
    if kind == "literal_error":
        near = likely([str(found["input"])], context["expected"].replace("'", "").replace(" or ", ", ").split(", "))
        return f"should be {context['expected']}{_shown(found)}{'. ' if near else ''}{near}"
    told = _WORDS.get(kind)
    if told is None:
        told = str(found["msg"].removeprefix("Input ")[:1].lower() + found["msg"].removeprefix("Input ")[1:])
    return told if kind == "missing" else f"{told}{_shown(found)}"


def _shown(found: Any) -> str:
    """What stands there instead, unless it may be a secret or is long."""
    value = found["input"]
    if value is None or isinstance(value, Mapping | list | tuple):
        return f", not {kind_of(value)}"
    if any(looks_secret(str(part)) or part in ("auth", "headers") for part in found["loc"]):
        # Where the value is of the right type it is a wrong one, and may be a secret that stands at a wrong place.
        return "" if found["type"] == "literal_error" and isinstance(value, str) else f", not {kind_of(value)}"
    text = repr(value)
    return f", not {text}" if len(text) <= _SHOWN_CHARACTERS else ""


def kind_of(value: Any) -> str:
    """What kind of value it is, as one would say it of a YAML file.

    >>> kind_of(None), kind_of(7), kind_of({"a": 1}), kind_of(object())
    ('null', 'a number', 'a mapping', 'a value of type object')
    """
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f"a value of type {type(value).__name__}"
