"""How resources depend on each other: found in the configuration as it was written, also where parts of it are wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from dlt_orchestrate.config.inject import Placeholder as Unread
from dlt_orchestrate.config.spelling import likely, meant, nearest
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.resource import Resource
from dlt_orchestrate.errors import ConfigProblem, InvalidPathError
from dlt_orchestrate.schema.jsonpath import parse_path
from dlt_orchestrate.sources.rest_api.models import EndpointConfig, ResourceConfig
from dlt_orchestrate.sources.rest_api.placeholders import (
    CURSOR,
    CURSOR_VALUES,
    PARENTS,
    Placeholder,
    Template,
    is_path_part,
    parent_field,
)

Place = tuple[str | int, ...]

_ROOTS = (PARENTS, CURSOR)
_MERGED = ("params", "headers", "json")


@dataclass(frozen=True, slots=True)
class Relation:
    """What one resource needs of others.

    Attributes:
        parent: The resource whose rows it is asked for with; None for a resource that stands alone.
        bound: Fields of the parent by the names that stand for them in the path (`type: resolve`).
    """

    parent: str | None = None
    bound: Mapping[str, str] = field(default_factory=dict)


def relations(config: Mapping[str, Any], wrong: Sequence[Place] = ()) -> tuple[list[Relation], list[ConfigProblem]]:
    """The relation of each resource, in order, and all that is wrong with them.

    Args:
        wrong: Places where the configuration is known to be wrong: what only follows from that is not told.
    """
    listed = config.get("resources")
    listed = listed if isinstance(listed, Sequence) and not isinstance(listed, str) else []
    names = [_name_of(one) for one in listed]
    defaults = config.get("resource_defaults")
    of_all = any(place[0] == "resource_defaults" and _hides_relations(place[1:]) for place in wrong if place)
    torn = {place[1] for place in wrong if place[:1] == ("resources",) and len(place) > 1 and _hides_relations(place[2:])}
    readers = [
        _Reader(one, position, defaults, names, is_torn=of_all or position in torn) for position, one in enumerate(listed)
    ]
    found = [reader.read() for reader in readers]
    problems = list(dict.fromkeys(problem for reader in readers for problem in reader.problems))
    problems += _repeated(names)
    problems += _circles(names, found)
    return found, problems


def _hides_relations(place: Place) -> bool:
    """Whether what is wrong at a place of a resource, a key that is none or its request, may hide what it depends on."""
    key = place[0] if place else None
    if key == "endpoint":
        return len(place) == 1 or place[1] in ("path", "params") or place[1] not in EndpointConfig.model_fields
    return key not in ResourceConfig.model_fields


def _name_of(one: Any) -> str:
    """The name of a resource; empty if it has none."""
    name = one.name if isinstance(one, Resource) else one.get("name") if isinstance(one, Mapping) else one
    return name if isinstance(name, str) else ""


class _Reader:
    """Reads one resource."""

    def __init__(self, one: Any, position: int, defaults: Any, names: Sequence[str], *, is_torn: bool) -> None:
        self._one = one
        self._is_torn = is_torn
        self._is_any_nameless = not all(names)
        self._place: Place = ("resources", position)
        self._defaults = defaults if isinstance(defaults, Mapping) else {}
        self._own_name = names[position]
        self._names = tuple(name for name in names if name)
        self._bound: dict[str, str] = {}
        self._parents: dict[str, Place] = {}
        self._has_unknown_parent = False
        self.problems: list[ConfigProblem] = []

    def read(self) -> Relation:
        if isinstance(self._one, Resource) or not isinstance(self._one, Mapping | str):
            return Relation()
        endpoint = self._endpoint()
        path, path_place = endpoint.get("path", (self._own_name, (*self._place, "name")))
        self._read_bound(endpoint, path, path_place)
        self._read_texts(endpoint, path, path_place)
        self._expect_one_cursor(endpoint)
        self._expect_one_parent()
        parent = next(iter(self._parents), None)
        if parent is not None:
            self._expect_no_order(endpoint, parent)
        wanted, wanted_place = self._setting("include_from_parent")
        if wanted and parent is None and not self._is_torn and not self._has_unknown_parent:
            self._add(wanted_place, "is given, and the resource has no parent. Name one as in {resources.parent.field}")
        return Relation(parent, self._bound)

    def _endpoint(self) -> dict[str, tuple[Any, Place]]:
        """What stands in the endpoint and its defaults, each with its place; queries, headers and bodies key by key."""
        parts: dict[str, tuple[Any, Place]] = {}
        for holder, place in ((self._defaults, ("resource_defaults",)), (self._one, self._place)):
            given = holder.get("endpoint") if isinstance(holder, Mapping) else None
            if isinstance(given, str):
                parts["path"] = (given, (*place, "endpoint"))
            if not isinstance(given, Mapping):
                continue
            for key, value in given.items():
                at = (*place, "endpoint", key)
                if key in _MERGED and isinstance(value, Mapping):
                    merged = parts[key][0] if key in parts and isinstance(parts[key][0], dict) else {}
                    parts[key] = ({**merged, **{k: (v, (*at, k)) for k, v in value.items()}}, at)
                else:
                    parts[key] = (value, at)
        return parts

    def _setting(self, key: str) -> tuple[Any, Place]:
        if isinstance(self._one, Mapping) and key in self._one:
            return self._one[key], (*self._place, key)
        return self._defaults.get(key), ("resource_defaults", key)

    def _read_bound(self, endpoint: Mapping[str, tuple[Any, Place]], path: Any, path_place: Place) -> None:
        """Parameters that stand in the path by their names: those of type `resolve` have to, values may."""
        given, _ = endpoint.get("params", ({}, ()))
        params = given if isinstance(given, dict) else {}
        named = (
            {found.name for found in Template.of(path, all_braces=True).placeholders} if isinstance(path, str) else set()
        )
        open_names: set[str] = named - params.keys()
        for name, (value, place) in params.items():
            if not isinstance(value, Mapping) or value.get("type") != "resolve":
                if name in named and not self._is_torn:
                    self._expect_path_part(value, place)
                continue
            parent, key = value.get("resource"), value.get("field")
            if isinstance(parent, str) and isinstance(key, str):
                self._bound[name] = key
                self._expect_parent(parent, (*place, "resource"))
            if name not in named and not self._is_torn:
                near = f". {found}" if (found := likely([name], open_names)) else ""
                open_names.discard(nearest(name, open_names) or "")
                self._add(place, f"stands for a part of the path, and the path has no {{{name}}}{near}")
        for name in sorted(open_names):
            if "." not in name and name not in self._bound and not self._is_torn:
                near = f". {found}" if (found := likely([name], params.keys() - named)) else ""
                told = f"has {{{name}}}, which nothing stands for. Write {{resources.parent.field}}, or give a parameter "
                self._add(path_place, f"{told}{name!r}, a value or of type resolve{near}")

    def _expect_path_part(self, value: Any, place: Place) -> None:
        """A value in the path; one that is read only at run time is judged then."""
        if isinstance(value, Incremental) or (isinstance(value, Mapping) and value.get("type") == "incremental"):
            self._add(place, "is a cursor, and its name stands in the path. Write {incremental.start_value} there")
        elif not isinstance(value, Unread) and not is_path_part(value):
            self._add(place, f"is {value!r}, which is no part of a path")

    def _read_texts(self, endpoint: Mapping[str, tuple[Any, Place]], path: Any, path_place: Place) -> None:
        if isinstance(path, str):
            for found in Template.of(path, all_braces=True).placeholders:
                if found.name not in self._bound and "." in found.name:
                    self._read_placeholder(found, path_place, endpoint, is_path=True)
        for key in _MERGED:
            value, place = endpoint.get(key, (None, ()))
            for text, at in _texts(value, place):
                for found in Template.of(text).placeholders:
                    self._read_placeholder(found, at, endpoint)

    def _read_placeholder(
        self, found: Placeholder, place: Place, endpoint: Mapping[str, Any], *, is_path: bool = False
    ) -> None:
        if found.root == PARENTS:
            parent, key = parent_field(found.rest, self._names)
            self._expect_parent(parent, place)
            self._expect_path(key, found, place)
        elif found.root == CURSOR:
            if found.rest not in CURSOR_VALUES:
                self._add(place, f"{{{found.name}}} is no value of a cursor. {meant(found.rest, CURSOR_VALUES)}")
            elif not _cursors(endpoint):
                self._add(place, f"has {{{found.name}}}, and resource {self._own_name!r} has no 'incremental'")
        elif is_path or (likely := meant(found.root, _ROOTS)).startswith("Did"):
            told = meant(found.root, _ROOTS) if is_path else likely
            self._add(place, f"{{{found.name}}} begins with neither 'resources' nor 'incremental'. {told}")

    def _expect_parent(self, parent: str, place: Place) -> None:
        if parent == self._own_name:
            self._has_unknown_parent = True
            self._add(place, f"resource {parent!r} is asked for with its own rows")
        elif parent not in self._names:
            self._has_unknown_parent = True
            others = [name for name in self._names if name != self._own_name]
            if self._is_any_nameless and not nearest(parent, others):
                return  # it may be the one whose name is missing, which is told
            self._add(place, f"there is no resource {parent!r}. {meant(parent, others) if others else 'There is no other'}")
        else:
            self._parents.setdefault(parent, place)

    def _expect_path(self, key: str, found: Placeholder, place: Place) -> None:
        try:
            parse_path(key)
        except InvalidPathError:
            self._add(place, f"{{{found.name}}} names no field. Write {{resources.parent.field}}")

    def _expect_one_parent(self) -> None:
        first, *others = self._parents or ("",)
        for other in others:
            told = f"is asked for with rows of {other!r}, and with rows of {first!r} elsewhere. A resource has one parent; "
            self._add(self._parents[other], f"{told}what that has of its own parent it can hand on by include_from_parent")

    def _expect_one_cursor(self, endpoint: Mapping[str, tuple[Any, Place]]) -> None:
        for _, place in _cursors(endpoint)[1:]:
            self._add(place, "is a second cursor of the resource, which can have one")
        params, _ = endpoint.get("params", ({}, ()))
        incremental, at = endpoint.get("incremental", (None, ()))
        if isinstance(incremental, Mapping) and isinstance(params, dict):
            for key in ("start_param", "end_param"):
                if isinstance(incremental.get(key), str) and incremental[key] in params:
                    self._add((*at, key), f"parameter {incremental[key]!r} is given in 'params', too")

    def _expect_no_order(self, endpoint: Mapping[str, tuple[Any, Place]], parent: str) -> None:
        """An order would end the children of all rows with the first record of one row's that is out of range."""
        for value, place in _cursors(endpoint):
            order = value.row_order if isinstance(value, Incremental) else value.get("row_order")
            if order is not None:
                told = f"records of all rows of {parent!r} come in no common order. Leave it out"
                self._add(place if isinstance(value, Incremental) else (*place, "row_order"), told)

    def _add(self, place: Place, told: str) -> None:
        self.problems.append(ConfigProblem(place, told))


def _cursors(endpoint: Mapping[str, Any]) -> list[tuple[Any, Place]]:
    """What declares a cursor, each with its place."""
    params, _ = endpoint.get("params", ({}, ()))
    found = [
        (value, place)
        for value, place in (params.values() if isinstance(params, dict) else ())
        if isinstance(value, Incremental) or (isinstance(value, Mapping) and value.get("type") == "incremental")
    ]
    value, place = endpoint.get("incremental", (None, ()))
    return [(value, place), *found] if isinstance(value, Incremental | Mapping) else found


def _texts(value: Any, place: Place) -> Iterator[tuple[str, Place]]:
    """The texts in a value, each with its place; what was merged key by key carries its own."""
    if isinstance(value, str):
        yield value, place
    elif isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], tuple):
        yield from _texts(*value)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _texts(part, (*place, key))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from _texts(part, (*place, index))


def _repeated(names: Sequence[str]) -> Iterator[ConfigProblem]:
    for position, name in enumerate(names):
        if name and name in names[:position]:
            first = names.index(name)
            yield ConfigProblem(("resources", position, "name"), f"resources[{first}] is named {name!r}, too")


def _circles(names: Sequence[str], found: Sequence[Relation]) -> Iterator[ConfigProblem]:
    """Resources that are, over others, asked for with their own rows; told once for each circle."""
    parents = {name: relation.parent for name, relation in zip(names, found, strict=True) if relation.parent is not None}
    told: set[str] = set()
    for position, name in enumerate(names):
        way = [name]
        while way[-1] in parents and parents[way[-1]] not in way:
            way.append(str(parents[way[-1]]))
        if parents.get(way[-1]) == name and name not in told:
            told.update(way)
            shown = " -> ".join([*way, name])
            yield ConfigProblem(("resources", position), f"resources are parents of each other in a circle: {shown}")
