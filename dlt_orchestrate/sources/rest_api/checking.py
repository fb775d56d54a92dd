"""From a configuration as it was written to one that can work: everything that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dlt_orchestrate.config.markers import ConfigMarker
from dlt_orchestrate.config.references import Late, named_value
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import ConfigProblem, RestApiConfigError
from dlt_orchestrate.sources.rest_api.models import RESTAPIConfig
from dlt_orchestrate.sources.rest_api.relations import Relation, relations
from dlt_orchestrate.sources.rest_api.strict import problems_of

_NO_REFERENCES = ("params", "headers", "json", "data", "columns")
"""What may hold a key `secret` or `env` of its own: a mapping that stands there is no reference."""
_BODIES = ("json", "data")


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
    found, related = None, list[Relation]()
    problems = list[ConfigProblem]()
    try:
        found = RESTAPIConfig.model_validate(config)
    except ValidationError as error:
        problems += problems_of(error)
    if isinstance(config, Mapping):
        related, of_relations = relations(config)
        problems += of_relations
    if problems or found is None:
        raise RestApiConfigError(owner=owner, problems=sorted(problems, key=lambda problem: _order(problem.place)))
    return Checked(found, tuple(related))


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


def _order(place: tuple[str | int, ...]) -> tuple[Any, ...]:
    """The client first, then the defaults, then resources one after another."""
    first = ("client", "resource_defaults", "resources")
    rank = first.index(str(place[0])) if place and place[0] in first else -1
    return (rank, *((0, part, "") if isinstance(part, int) else (1, 0, str(part)) for part in place[1:]))
