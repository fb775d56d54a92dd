"""Sources: recipes for several resources that belong together."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, overload

from dlt_orchestrate.config.inject import bind_with_config, wrong_arguments
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.config.spelling import likely
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.resource import Change, Resource, section_of
from dlt_orchestrate.errors import DeclarationError, SourceEmptyError, UnknownResourceError

if TYPE_CHECKING:
    from dlt_orchestrate.config.explain import Explanation
    from dlt_orchestrate.schema.document import Schema


@dataclass(frozen=True, slots=True)
class Settings:
    """What is declared of a source; the resources take it over where they declare nothing of their own."""

    name: str
    section: str
    max_table_nesting: int | None = None
    root_key: bool = False
    schema_contract: Any = None
    parallelized: bool = False


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What a user wants of the resources of one source, whichever objects a fresh evaluation makes.

    Attributes:
        selection: Names of the resources to load; None for those that are selected of themselves.
        changes: Edits by resource name, in the order they were made.
    """

    selection: tuple[str, ...] | None = None
    changes: dict[str, list[Change]] = field(default_factory=dict)
    of_all: tuple[Change, ...] = ()

    def copied(self) -> _Wishes:
        return replace(self, changes={name: list(changes) for name, changes in self.changes.items()})


class Source:
    """A recipe: a source function and its arguments. Nothing is resolved or run before its resources are asked for.

    Each run evaluates it afresh. Looking at resources evaluates it once and keeps what was made; edits of those are
    made again on every fresh evaluation.
    """

    def __init__(
        self, function: Callable[..., Any], settings: Settings, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        self._function = function
        self._settings = settings
        self._args = args
        self._kwargs = kwargs
        self._wishes = _Wishes()
        self._looked_at: dict[str, Resource] | None = None

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def section(self) -> str:
        """Where its configuration stands: the module of its function, unless declared otherwise."""
        return self._settings.section

    @property
    def max_table_nesting(self) -> int | None:
        return self._settings.max_table_nesting

    @property
    def root_key(self) -> bool:
        return self._settings.root_key

    @property
    def schema_contract(self) -> Any:
        return self._settings.schema_contract

    @property
    def function(self) -> Callable[..., Any]:
        """The function that returns the resources."""
        return self._function

    @property
    def resources(self) -> Mapping[str, Resource]:
        """All resources by name; evaluates the source, with configuration, when first asked."""
        if self._looked_at is None:
            found = {resource.name: resource for resource in self.evaluate(Resolver.from_environment())}
            for name, resource in found.items():
                resource.record_edits_in(self._wishes.changes.setdefault(name, []))
            self._looked_at = found
        return self._looked_at

    @property
    def selected_resources(self) -> Mapping[str, Resource]:
        """The resources that a run loads, by name."""
        return {name: resource for name, resource in self.resources.items() if resource.selected}

    @property
    def selection(self) -> tuple[str, ...] | None:
        """The names given to `with_resources`; None if it was not asked for."""
        return self._wishes.selection

    def discover_schema(self, item: Any = None) -> Schema:
        """The tables of the selected resources, as declared: what is known before a run. No record is read for it.

        Args:
            item: A record, for resources with a table that a function of the record tells; without it they are left out.
        """
        from dlt_orchestrate.declare.discovery import declared_schema

        return declared_schema(self.name, self.selected_resources.values(), item)

    def with_resources(self, *names: str) -> Source:
        """A clone that loads only these resources; whether they exist is told when it is evaluated."""
        chosen = self.clone()
        chosen._wishes = replace(chosen._wishes, selection=names)
        return chosen

    def add_limit(self, max_items: int | None = None, max_time: float | None = None, count_rows: bool = False) -> Source:
        """Limit every resource; transformers are limited by what they are fed with."""

        def limit(resource: Resource) -> None:
            if not resource.is_transformer:
                resource.add_limit(max_items, max_time, count_rows)

        return self._change_all(limit)

    def parallelize(self) -> Source:
        """Let the resources run beside each other."""

        def parallelize(resource: Resource) -> None:
            resource.parallelize()

        return self._change_all(parallelize)

    def clone(self) -> Source:
        """A copy with the same edits, that can be edited for itself."""
        copied = copy.copy(self)
        copied._wishes = self._wishes.copied()
        copied._looked_at = None
        return copied

    def evaluate(self, resolver: Resolver, *, placeholders: bool = False) -> tuple[Resource, ...]:
        """Call the function afresh: all its resources with the edits made again, selected or not.

        Args:
            placeholders: Whether values that are missing in the configuration are replaced instead of missed, so that
                the resources can be named where nothing runs.

        Raises:
            ConfigFieldMissingError: An argument is neither given nor configured.
            SourceEmptyError: The function returned something else than resources.
            UnknownResourceError: A resource was asked for that is not there.
        """
        ready = bind_with_config(
            self._function,
            self._args,
            self._kwargs,
            resolver=resolver,
            sections=("sources", self.section, self.name),
            owner=f"Source {self.name!r}",
            placeholders=placeholders,
        )
        made = _resources_in(self.name, self._function(*ready.args, **ready.kwargs))
        if not made:
            raise SourceEmptyError(source=self.name, found="an empty list")
        adopted = _adopt(made, self._settings)
        self._expect_distinct(adopted)
        return self._edited(adopted)

    def explained(self, resolver: Resolver) -> list[Explanation]:
        """What it takes from the configuration, and from where; the function is not called."""
        from dlt_orchestrate.config.explain import explain

        passed = inspect.signature(self._function).bind_partial(*self._args, **self._kwargs).arguments
        return explain(self._function, resolver, ("sources", self.section, self.name), passed)

    def __getattr__(self, name: str) -> Resource:
        # Names with an underscore are asked for by tools that probe objects, even before they have a name, as `copy` does.
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self.resources:
            return self.resources[name]
        raise AttributeError(f"Source {self.name!r} has no attribute or resource {name!r}.")

    def __iter__(self) -> Iterator[Any]:
        """The records of all selected resources, for trying it out."""
        for resource in self.selected_resources.values():
            yield from resource

    def __repr__(self) -> str:
        return f"Source({self.name!r})"

    def _change_all(self, change: Change) -> Source:
        self._wishes = replace(self._wishes, of_all=(*self._wishes.of_all, change))
        for resource in (self._looked_at or {}).values():
            resource.edit_unrecorded(change)
        return self

    def _expect_distinct(self, resources: Iterable[Resource]) -> None:
        seen: set[str] = set()
        for resource in resources:
            if resource.name in seen:
                raise DeclarationError(
                    f"Source {self.name!r}: two resources are named {resource.name!r}. "
                    "Give one another name with name=... or with_name(...); table_name=... lets both fill one table."
                )
            seen.add(resource.name)

    def _edited(self, resources: tuple[Resource, ...]) -> tuple[Resource, ...]:
        selection = self._wishes.selection
        known = [resource.name for resource in resources]
        unknown = [name for name in selection or () if name not in known]
        if unknown:
            raise UnknownResourceError(source=self.name, asked=unknown, known=known, likely=likely(unknown, known))
        for resource in resources:
            if selection is not None:
                resource.selected = resource.name in selection
        named = {resource.name: resource for resource in resources}
        for resource in _with_ancestors(resources):
            # What feeds a resource may be called like a sibling that it is not, as what lists files is.
            own = self._wishes.changes.get(resource.name, ()) if named.get(resource.name, resource) is resource else ()
            for change in (*self._wishes.of_all, *own):
                change(resource)
        return resources


class SourceFactory:
    """A decorated source function: calling it gives a `Source`."""

    def __init__(self, function: Callable[..., Any], settings: Settings) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._settings = settings

    @property
    def name(self) -> str:
        return self._settings.name

    @property
    def section(self) -> str:
        return self._settings.section

    def with_args(
        self,
        *,
        name: str | None = None,
        section: str | None = None,
        max_table_nesting: int | None = None,
        root_key: bool | None = None,
        schema_contract: Any = None,
        parallelized: bool | None = None,
    ) -> SourceFactory:
        """The same source under other settings; None leaves one as it is."""
        given = {key: value for key, value in locals().items() if key != "self" and value is not None}
        return SourceFactory(self._function, replace(self._settings, **given))

    def __call__(self, *args: Any, **kwargs: Any) -> Source:
        """A recipe: the function with these arguments, which nothing calls yet.

        Raises:
            InvalidArgumentsError: The function has no such parameters.
        """
        signature = inspect.signature(self._function)
        try:
            signature.bind_partial(*args, **kwargs)
        except TypeError as error:
            raise wrong_arguments(f"Source {self.name!r}", error, signature.parameters, kwargs) from None
        return Source(self._function, self._settings, args, kwargs)

    def __repr__(self) -> str:
        return f"SourceFactory({self.name!r})"


@overload
def source(function: Callable[..., Any], /) -> SourceFactory: ...


@overload
def source(
    *,
    name: str | None = None,
    section: str | None = None,
    max_table_nesting: int | None = None,
    root_key: bool = False,
    schema_contract: Any = None,
    spec: Any = None,
    parallelized: bool = False,
) -> Callable[[Callable[..., Any]], SourceFactory]: ...


def source(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    section: str | None = None,
    max_table_nesting: int | None = None,
    root_key: bool = False,
    schema_contract: Any = None,
    spec: Any = None,  # noqa: ARG001 - accepted as in dlt; signatures say the same here
    parallelized: bool = False,
) -> Any:
    """Declare a source: decorates a function that returns or yields resources.

    >>> from dlt_orchestrate.declare.resource import resource
    >>> @source
    ... def shop(first=1):
    ...     yield resource([{"id": first}], name="orders")
    >>> list(shop(first=7).orders)
    [{'id': 7}]
    """

    def declare(decorated: Callable[..., Any]) -> SourceFactory:
        settings = Settings(
            name=name or decorated.__name__,
            section=section or section_of(decorated),
            max_table_nesting=max_table_nesting,
            root_key=root_key,
            schema_contract=schema_contract,
            parallelized=parallelized,
        )
        return SourceFactory(decorated, settings)

    return declare if function is None else declare(function)


def _resources_in(source: str, found: Any) -> list[Resource]:
    """The resources that a source function returned or yielded, nested lists included."""
    if isinstance(found, Resource):
        return [found]
    if not isinstance(found, list | tuple | set | Iterator):
        raise SourceEmptyError(source=source, found="nothing" if found is None else f"a {type(found).__name__}")
    return [resource for item in found for resource in _resources_in(source, item)]


def _adopt(made: Iterable[Resource], settings: Settings) -> tuple[Resource, ...]:
    """Clones that live in the source; transformers are fed by the clones of their parents."""
    clones: dict[int, Resource] = {}

    def clone(resource: Resource) -> Resource:
        if id(resource) not in clones:
            inside = resource.within(
                section=settings.section,
                max_table_nesting=settings.max_table_nesting,
                schema_contract=settings.schema_contract,
                parallelized=settings.parallelized,
            )
            clones[id(resource)] = inside
            if resource.upstream is not None:
                inside.upstream = clone(resource.upstream)
        return clones[id(resource)]

    adopted = tuple(clone(resource) for resource in made)
    clones.clear()  # `clone` refers to itself: what it knows would stay until the garbage collector comes by
    return adopted


def _with_ancestors(resources: Iterable[Resource]) -> list[Resource]:
    """The resources and what they are fed by, each once."""
    found: dict[int, Resource] = {}
    for resource in resources:
        member: Resource | None = resource
        while member is not None:
            found[id(member)] = member
            member = member.upstream
    return list(found.values())
