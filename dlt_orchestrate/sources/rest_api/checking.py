"""From a configuration as it was written to one that can work: everything that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from pydantic import ValidationError

from dlt_orchestrate.config.markers import ConfigMarker
from dlt_orchestrate.config.references import REFERENCE_KINDS, Late, Place, named_value
from dlt_orchestrate.config.spelling import meant, nearest
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.asset_hints import AssetHints
from dlt_orchestrate.errors import ConfigProblem, RestApiConfigError
from dlt_orchestrate.sources.rest_api.models import (
    ClientConfig,
    EndpointConfig,
    IncrementalConfig,
    ProcessingStep,
    RateLimitConfig,
    ResourceConfig,
    ResponseAction,
    RESTAPIConfig,
)
from dlt_orchestrate.sources.rest_api.relations import Relation, relations
from dlt_orchestrate.sources.rest_api.schemes import AuthField, PaginatorField, parameters_of
from dlt_orchestrate.sources.rest_api.strict import STAND_INS, Strict, kind_of, problems_of

_NO_REFERENCES = ("params", "headers", "json", "data", "columns")
"""What may hold a key `secret` or `env` of its own: a mapping that stands there is no reference."""
_BODIES = ("json", "data")
_OPEN = (*_BODIES, "asset", "columns", "nested_hints", "references", "schema_contract", "processing_steps")
"""What may hold mappings of any keys."""
_PARTS: tuple[tuple[str, type[Strict]], ...] = (
    ("the configuration itself", RESTAPIConfig),
    ("'client'", ClientConfig),
    ("a resource", ResourceConfig),
    ("'endpoint'", EndpointConfig),
    ("'incremental'", IncrementalConfig),
    ("'rate_limit'", RateLimitConfig),
    ("'response_actions'", ResponseAction),
    ("'processing_steps'", ProcessingStep),
)


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that can work.

    Attributes:
        relations: That of each resource, in their order.
    """

    config: RESTAPIConfig
    relations: tuple[Relation, ...]


def checked(config: Any, *, owner: str) -> Checked:
    """Check a configuration that names nothing any more.

    Raises:
        RestApiConfigError: It cannot work; the error holds all that is wrong.
    """
    related = list[Relation]()
    found, problems = _validated(config)
    misnamed = dict(_misnamed_references(config, ()))
    problems = [problem for problem in problems if not any(problem.place[: len(at)] == at for at in misnamed)]
    problems += [ConfigProblem((*at, key), told) for at, (key, told) in misnamed.items()]
    if isinstance(config, Mapping):
        related, of_relations = relations(config, [problem.place for problem in problems])
        problems += of_relations
    if problems or found is None:
        raise RestApiConfigError(owner=owner, problems=sorted(problems, key=lambda problem: _order(problem.place)))
    return Checked(found, tuple(related))


def _validated(config: Any) -> tuple[RESTAPIConfig | None, list[ConfigProblem]]:
    """The configuration as a model, and what is wrong with it, of which values that are not read yet may be no part."""
    try:
        return RESTAPIConfig.model_validate(config), []
    except ValidationError as error:
        if problems := list(problems_of(error, _homes())):
            return None, problems
        unread = [(found["loc"], STAND_INS.get(found["type"])) for found in error.errors(include_url=False)]
    try:
        return RESTAPIConfig.model_validate(_with_stand_ins(config, dict(unread))), []
    except ValidationError as error:
        told = "should be written here itself: it cannot be named by 'secret' or 'env'"
        return None, [ConfigProblem(found["loc"], told) for found in error.errors(include_url=False)]


def _with_stand_ins(value: Any, of: Mapping[Place, Any], place: Place = ()) -> Any:
    """The value, with something of the right type at places where nothing was read yet."""
    if isinstance(value, Mapping):
        return {key: _with_stand_ins(part, of, (*place, key)) for key, part in value.items()}
    if type(value) in (list, tuple):
        return [_with_stand_ins(part, of, (*place, position)) for position, part in enumerate(value)]
    stand_in = of.get(place)
    return value if stand_in is None else stand_in


def problems_in(config: Any) -> tuple[ConfigProblem, ...]:
    """All that is wrong in a configuration that names nothing any more."""
    try:
        checked(config, owner="")
    except RestApiConfigError as error:
        return error.problems
    return ()


def as_written(config: Any) -> Any:
    """A configuration as a dictionary, whichever form it came in."""
    return config.model_dump(by_alias=True, exclude_unset=True) if isinstance(config, RESTAPIConfig) else config


def with_references(config: Any, sections: tuple[str, ...]) -> Any:
    """A configuration with a `Late` for what it only names: `{secret: NAME}`, `{env: NAME}`, `dlt.secrets.value`.

    Args:
        sections: Where values are looked up for which a marker stands, under their place: `client.auth.token`.
    """
    return _with_references(config, (), sections)


def _with_references(value: Any, place: tuple[str, ...], sections: tuple[str, ...]) -> Any:
    if isinstance(value, ConfigMarker):
        return Late(".".join(place), is_secret=value.is_secret, sections=sections)
    if isinstance(value, Mapping):
        named = named_value(value)
        is_in_body = any(key in _BODIES for key in place)
        if named is not None and place and place[-1] not in _NO_REFERENCES and (named.is_secret or not is_in_body):
            return named
        return {key: _with_references(part, (*place, str(key)), sections) for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_with_references(part, (*place, str(at)), sections) for at, part in enumerate(value))
    return value


def _misnamed_references(value: Any, place: Place) -> Iterator[tuple[Place, tuple[str, str]]]:
    """Where a value seems to be named by a key that is misspelt, or by something that is no name; with what is wrong."""
    if isinstance(value, Mapping):
        if len(value) == 1 and place and place[-1] not in _NO_REFERENCES and not any(key in _OPEN for key in place):
            ((key, name),) = value.items()
            if key in REFERENCE_KINDS and not isinstance(name, str):
                yield place, (key, f"should be the name of a value, not {kind_of(name)}")
            elif isinstance(name, str) and nearest(str(key), REFERENCE_KINDS) and key not in REFERENCE_KINDS:
                yield place, (str(key), f"is no key here. {meant(str(key), REFERENCE_KINDS)}")
        for key, part in value.items():
            yield from _misnamed_references(part, (*place, key))
    elif isinstance(value, list | tuple):
        for position, part in enumerate(value):
            yield from _misnamed_references(part, (*place, position))


@cache
def _homes() -> dict[str, str]:
    """Where each key belongs, in words: for keys that stand where they are none."""
    of_schemes = (("'paginator'", PaginatorField.registry()), ("'auth'", AuthField.registry()))
    found: dict[str, list[str]] = {"type": ["'auth'", "'paginator'"]}
    for home, keys in (
        *((home, [field.alias or name for name, field in model.model_fields.items()]) for home, model in _PARTS),
        ("'asset'", [hint.name for hint in fields(AssetHints)]),
        *((home, {key for made in known.values() for key in parameters_of(made)}) for home, known in of_schemes),
    ):
        for key in keys:
            found.setdefault(key, []).append(home)
    return {key: " or ".join(homes) for key, homes in found.items()}


def _order(place: tuple[str | int, ...]) -> tuple[Any, ...]:
    """The client first, then the defaults, then resources one after another."""
    first = ("client", "resource_defaults", "resources")
    rank = first.index(str(place[0])) if place and place[0] in first else -1
    return (rank, *((0, part, "") if isinstance(part, int) else (1, 0, str(part)) for part in place[1:]))
