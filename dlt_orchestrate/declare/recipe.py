"""How a resource's records come about: a function that is called afresh for each run, or data that is at hand."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any, TypeVar

from dlt_orchestrate.config.inject import bind_with_config, wrong_arguments
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.declare.incremental import Incremental
from dlt_orchestrate.declare.mark import Arrived, Aside, Marked, RejectedRow
from dlt_orchestrate.declare.records import has_fields
from dlt_orchestrate.declare.steps import Reader, is_frame, settled
from dlt_orchestrate.declare.workers import is_promise
from dlt_orchestrate.errors import InvalidResourceDataError, SourceExhaustedError
from dlt_orchestrate.flow.cut import Cut
from dlt_orchestrate.flow.typed_records import StraightPages

_NO_RECORDS = (Mapping, str, bytes, bytearray, int, float, type(None))


_WHOLE_STREAM = "__takes_whole_stream__"

DECLARED_AS = "__declared_as__"
"""The attribute of a function that serves many resources: what it was made for, as text without secrets."""

Function = TypeVar("Function", bound=Callable[..., Any])


def whole_stream(function: Function) -> Function:
    """Have a transformer called once, with an iterator over all that its parent yields, instead of once for each yield."""
    setattr(function, _WHOLE_STREAM, True)
    return function


_ASKS_IF = "__asks_for_key_if__"


def asks_for_key_if(argument: str) -> Callable[[Function], Function]:
    """Say of a function that it asks for the key of the partition to load if one of its arguments is true, and else not."""

    def marked(function: Function) -> Function:
        setattr(function, _ASKS_IF, argument)
        return function

    return marked


class OneShot:
    """A running generator: it can be read once, whoever shares it."""

    def __init__(self, items: Iterator[Any] | AsyncIterator[Any]) -> None:
        self._items = items
        self._was_opened = False

    @property
    def is_async(self) -> bool:
        return isinstance(self._items, AsyncIterator)

    def open(self, reader: Reader) -> Iterator[Any]:
        if self._was_opened or _is_used_up(self._items):
            raise SourceExhaustedError(resource=reader.resource)
        self._was_opened = True
        return iter(reader.workers.read(self._items)) if isinstance(self._items, AsyncIterator) else self._items


def _is_used_up(items: Any) -> bool:
    """Whether a generator was read to its end elsewhere."""
    if isinstance(items, StraightPages):
        return items.is_used_up
    return inspect.isgenerator(items) and inspect.getgeneratorstate(items) == inspect.GEN_CLOSED


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """Data at hand: a list, any other iterable, a frame, or a running generator."""

    content: Any

    @classmethod
    def of(cls, resource: str, content: Any) -> DataRecipe:
        """Check that data holds records.

        Raises:
            InvalidResourceDataError: It is of a type that does not.
        """
        if isinstance(content, Iterator | AsyncIterator) and not is_frame(content):
            return cls(OneShot(content))
        _expect_records(resource, content)
        return cls(content)

    @property
    def rows(self) -> list[Any] | tuple[Any, ...] | None:
        """The records, if they are all at hand."""
        return self.content if isinstance(self.content, list | tuple) else None

    @property
    def is_async(self) -> bool:
        """Whether it is read in an event loop."""
        return self.content.is_async if isinstance(self.content, OneShot) else isinstance(self.content, AsyncIterable)

    def open(self, reader: Reader) -> Iterator[Any]:
        """The records, item by item; a frame is one item."""
        if isinstance(self.content, OneShot):
            return settled(self.content.open(reader), reader)
        if is_frame(self.content):
            return iter((self.content,))
        if isinstance(self.content, AsyncIterable):
            return settled(iter(reader.workers.read(aiter(self.content))), reader)
        return settled(self.content, reader)


@dataclass(frozen=True, slots=True)
class FunctionRecipe:
    """A function with the arguments that are bound so far.

    Attributes:
        takes_item: Whether its first parameter is an upstream item (transformers).
    """

    function: Callable[..., Any]
    takes_item: bool = False
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def takes_whole_stream(self) -> bool:
        """Whether it is called once for all upstream items, and may be ahead with them of what it yields."""
        return bool(getattr(self.function, _WHOLE_STREAM, False))

    @property
    def asks_for_key(self) -> bool:
        """Whether its arguments have it ask for the key of a partition; see `asks_for_key_if`."""
        argument = getattr(self.function, _ASKS_IF, None)
        return argument is not None and bool(self._given.get(argument))

    def bound(self, owner: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> FunctionRecipe:
        """This function with other arguments; those that are missing may come from the configuration.

        Raises:
            InvalidArgumentsError: It has no such parameters.
        """
        signature = inspect.signature(self.function)
        try:
            signature.bind_partial(*self._leading(_ITEM), *args, **kwargs)
        except TypeError as error:
            parameters = list(signature.parameters)[len(self._leading(_ITEM)) :]
            raise wrong_arguments(owner, error, parameters, kwargs) from None
        return replace(self, args=args, kwargs=dict(kwargs))

    @property
    def incremental(self) -> Incremental[Any] | None:
        """The cursor that an argument or a default declares."""
        found = self._incremental_parameter()
        if found is None:
            return None
        parameter, given = found
        declared = parameter.default if isinstance(parameter.default, Incremental) else None
        return given.over(declared) if isinstance(given, Incremental) else None

    @property
    def is_async(self) -> bool:
        """Whether it is read in an event loop."""
        function = inspect.unwrap(getattr(self.function, "func", self.function))  # functools.partial
        return inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function)

    def open(
        self,
        reader: Reader,
        resolver: Resolver,
        sections: tuple[str, ...],
        live: Incremental[Any] | None,
        upstream: Iterator[Any] | None,
    ) -> Iterator[Any]:
        """Call the function, with configuration and the live cursor, once or for each upstream item."""
        call = self._resolve(reader.resource, resolver, sections, live)
        if upstream is None:
            return settled(_yields(reader, call(())), reader)
        if self.takes_whole_stream:
            return settled(_yields(reader, call((_unmarked(upstream, reader),))), reader)
        return settled(_results(call, upstream), reader)

    def _resolve(
        self, resource: str, resolver: Resolver, sections: tuple[str, ...], live: Incremental[Any] | None
    ) -> Callable[[tuple[Any, ...]], Any]:
        args, kwargs = (*self._leading(_ITEM), *self.args), dict(self.kwargs)
        if live is not None and (found := self._incremental_parameter()) is not None:
            parameter, _ = found
            bound = inspect.signature(self.function).bind_partial(*args, **kwargs)
            bound.arguments[parameter.name] = live
            args, kwargs = bound.args, bound.kwargs
        ready = bind_with_config(
            self.function, args, kwargs, resolver=resolver, sections=sections, owner=f"Resource {resource!r}"
        )
        skipped = len(self._leading(_ITEM))
        return lambda leading: self.function(*leading, *ready.args[skipped:], **ready.kwargs)

    @property
    def _given(self) -> Mapping[str, Any]:
        """The arguments that are bound so far, by name."""
        return inspect.signature(self.function).bind_partial(*self._leading(_ITEM), *self.args, **self.kwargs).arguments

    def _leading(self, item: Any) -> tuple[Any, ...]:
        return (item,) if self.takes_item else ()

    def _incremental_parameter(self) -> tuple[inspect.Parameter, Any] | None:
        """The parameter that takes the cursor, told by argument, default or annotation; and what it is given."""
        signature, arguments = inspect.signature(self.function), self._given
        for parameter in signature.parameters.values():
            given = arguments.get(parameter.name, parameter.default)
            if isinstance(given, Incremental) or _names_incremental(parameter.annotation):
                return parameter, given
        return None


class _Item:
    """Stands for the upstream item while the other arguments of a transformer are bound."""


_ITEM = _Item()


def _names_incremental(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return annotation.partition("[")[0].rpartition(".")[2].lower() == "incremental"
    return annotation is Incremental or getattr(annotation, "__origin__", None) is Incremental


def _yields(reader: Reader, result: Any) -> Iterator[Any]:
    """The yields of a called function: of its generator, or of the data that it returned."""
    if is_promise(result):
        result = reader.workers.result(result)
    if isinstance(result, AsyncIterator):
        return iter(reader.workers.read(result))
    if isinstance(result, Iterator) and not is_frame(result):
        return result
    _expect_records(reader.resource, result)
    return iter((result,)) if is_frame(result) or isinstance(result, list) else iter(result)


def _results(call: Callable[[tuple[Any, ...]], Any], upstream: Iterable[Any]) -> Iterator[Any]:
    """What a transformer makes of each item: all that its generator yields, or the one thing that it returns."""
    for item in upstream:
        mark = item if type(item) is Marked else None
        inner = item.item if mark else item
        if type(inner) is Cut:
            yield inner
        elif not isinstance(inner, Aside):
            made = call((inner,))
            yield mark.holding(made) if mark else made
        elif isinstance(inner, RejectedRow | Arrived):
            yield item


def _unmarked(upstream: Iterable[Any], reader: Reader) -> Iterator[Any]:
    """What stands in the yields of a parent, whichever table they are marked for."""
    for item in upstream:
        inner = item.item if type(item) is Marked else item
        if not isinstance(inner, Aside):
            yield inner
        elif isinstance(inner, RejectedRow) and reader.keep is not None:
            reader.keep(item)
        elif isinstance(inner, Arrived):
            inner.call()  # who takes the stream as a whole has taken what came before


def _expect_records(resource: str, content: Any) -> None:
    if is_frame(content):
        return
    if isinstance(content, _NO_RECORDS) or has_fields(content) or not isinstance(content, Iterable | AsyncIterable):
        raise InvalidResourceDataError(resource=resource, data_type=type(content).__name__, advice=_advice(content))


def _advice(content: Any) -> str:
    if content is None:
        return "Return or yield the records; a function that has none returns an empty list."
    if isinstance(content, _NO_RECORDS) or has_fields(content):
        return "Enclose it in a list if it is one record."
    return "Make a list of it, or yield its records from a function."
