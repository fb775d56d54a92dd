"""Dataclasses that cost little to declare, since their methods are not written before somebody calls them.

`dataclasses.dataclass` writes and compiles six functions for a frozen class at once. That takes half a millisecond, and a
load of two rows imports more than a hundred such classes. Here `__init__` is compiled after the first few instances, and
the other methods are made without a compiler. What users see of a class is the same: its fields, `replace`, patterns,
equality, order, `FrozenInstanceError`. Instances of frozen classes with slots are made in two thirds of the time.
"""

from __future__ import annotations

import dataclasses
import operator
import sys
from collections.abc import Callable
from functools import partial
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # what type checkers see
else:

    def dataclass(
        cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, eq: bool = True, order: bool = False
    ) -> Any:
        """Declare a dataclass; the arguments are those of `dataclasses.dataclass`, as far as they are needed here."""

        def declared(cls: type) -> type:
            if hasattr(cls, "__dataclass_fields__"):  # a class that is derived from one, which is rare
                return dataclasses.dataclass(frozen=frozen, slots=slots, eq=eq, order=order)(cls)
            return _declared(cls, frozen=frozen, slots=slots, eq=eq, order=order)

        return declared if cls is None else declared(cls)


def _declared(cls: type, *, frozen: bool, slots: bool, eq: bool, order: bool) -> type:
    cls.__doc__ = cls.__doc__ or cls.__name__  # else `dataclasses` looks for a signature to put there
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
    methods: dict[str, Any] = {"__init__": _Init(made, frozen=frozen, slots=slots), "__repr__": _repr}
    fields = dataclasses.fields(made)
    if eq:
        methods |= _comparing(fields, is_hashable=frozen)
    if order:
        methods |= _ordering(fields)
    if frozen:
        methods |= {"__setattr__": _refuse_to_set, "__delattr__": _refuse_to_delete}
    if frozen and slots:
        methods |= {"__getstate__": _state, "__setstate__": _restore}
    for name, method in methods.items():
        if vars(made).get(name) is None:  # a class may bring its own; one with an `__eq__` has None for its hash
            setattr(made, name, method)
    # As they were asked for: `dataclasses` compares them with those of classes that are derived from this one.
    parameters = made.__dataclass_params__
    parameters.init = parameters.repr = True
    parameters.eq, parameters.order, parameters.frozen = eq, order, frozen
    return made  # type: ignore[no-any-return]


FEW_INSTANCES = 16
"""To compile an `__init__` takes as long as to fill some more instances field by field."""


class _Factory:
    """The default of parameters whose value a function makes."""

    def __repr__(self) -> str:
        return "<factory>"


class _Init:
    """Stands for the `__init__` of a class: it fills the first instances, and then is replaced by a compiled one.

    So it is too when somebody asks for the parameters, or gives wrong ones.
    """

    def __init__(self, cls: type, *, frozen: bool, slots: bool) -> None:
        self._cls: Any = cls
        self._frozen = frozen
        self._slots = slots
        self._instances = 0

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        self._instances += 1
        is_asked_for = instance is None or instance is self._cls  # the latter by `inspect`, since Python 3.13
        if is_asked_for or self._instances > FEW_INSTANCES:
            return self._compiled().__get__(instance, owner)
        return partial(self._fill, instance)

    def _fill(self, instance: Any, /, *given: Any, **named: Any) -> Any:
        fields = dataclasses.fields(self._cls)
        values = dict(zip((field.name for field in fields if field.init and not field.kw_only), given, strict=False))
        values |= named
        defaults = {field.name: _default(field) for field in fields if field.name not in values}
        known = {field.name for field in fields if field.init}
        missing = {name for name in known & defaults.keys() if defaults[name] is dataclasses.MISSING}
        if missing or len(values) < len(given) + len(named) or not values.keys() <= known:
            return self._compiled()(instance, *given, **named)  # says what is wrong
        put = object.__setattr__ if self._frozen else setattr
        for field in fields:
            value = values[field.name] if field.name in values else defaults[field.name]
            if value is not dataclasses.MISSING:
                put(instance, field.name, value)
        if hasattr(instance, "__post_init__"):
            instance.__post_init__()
        return None

    def _compiled(self) -> Any:
        compiled = _compiled_init(self._cls, frozen=self._frozen, slots=self._slots)
        self._cls.__init__ = compiled
        return compiled


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _compiled_init(cls: Any, *, frozen: bool, slots: bool) -> Callable[..., None]:
    """The `__init__` that `dataclasses` would write, in the module of the class."""
    fields = dataclasses.fields(cls)
    given = [field for field in fields if field.init]
    parameters = ["self", *(_parameter(field) for field in given if not field.kw_only)]
    if len(parameters) <= len(given):
        parameters += ["*", *(_parameter(field) for field in given if field.kw_only)]
    known: dict[str, Any] = {"__factory": _Factory(), "__set": object.__setattr__}
    body = ["self.__post_init__()"] if hasattr(cls, "__post_init__") else ["pass"]
    for field in reversed(fields):
        name, value = field.name, _value(field)
        known |= {f"__default_{name}": field.default, f"__make_{name}": field.default_factory}
        if value is None:
            continue
        if frozen and slots:
            known[f"__set_{name}"] = vars(cls)[name].__set__
            body.insert(0, f"__set_{name}(self, {value})")
        else:
            body.insert(0, f"__set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    lines = "\n  ".join(body)
    source = f"def written({', '.join(known)}):\n def __init__({', '.join(parameters)}):\n  {lines}\n return __init__"
    found: dict[str, Any] = {}
    exec(source, vars(sys.modules[cls.__module__]), found)  # noqa: S102 - names of fields, and nothing else
    written: Callable[..., None] = found["written"](**known)
    written.__qualname__ = f"{cls.__qualname__}.__init__"
    written.__annotations__ = {field.name: field.type for field in given} | {"return": None}
    return written


def _parameter(field: dataclasses.Field[Any]) -> str:
    """A field among the parameters of `__init__`, with its default."""
    if field.default is not dataclasses.MISSING:
        return f"{field.name}=__default_{field.name}"
    return field.name if field.default_factory is dataclasses.MISSING else f"{field.name}=__factory"


def _value(field: dataclasses.Field[Any]) -> str | None:
    """What `__init__` sets a field to; None if `__post_init__` does."""
    if field.default_factory is not dataclasses.MISSING:
        made = f"__make_{field.name}()"
        return f"{made} if {field.name} is __factory else {field.name}" if field.init else made
    if field.init:
        return field.name
    return None if field.default is dataclasses.MISSING else f"__default_{field.name}"


def _comparing(fields: tuple[dataclasses.Field[Any], ...], *, is_hashable: bool) -> dict[str, Any]:
    """`__eq__`, and the `__hash__` that goes with it."""
    values = _values_of([field.name for field in fields if field.compare])

    def __eq__(self: object, other: object) -> bool:  # noqa: N807
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(values(self) == values(other))

    def __hash__(self: object) -> int:  # noqa: N807
        return hash(hashed(self))

    hashed = _values_of([field.name for field in fields if (field.compare if field.hash is None else field.hash)])
    return {"__eq__": __eq__, "__hash__": __hash__ if is_hashable else None}


def _ordering(fields: tuple[dataclasses.Field[Any], ...]) -> dict[str, Any]:
    """The four comparisons of instances of one class, by the values of their fields."""
    values = _values_of([field.name for field in fields if field.compare])

    def by(compare: Callable[[Any, Any], bool]) -> Callable[[object, object], bool]:
        def compared(self: object, other: object) -> bool:
            return compare(values(self), values(other)) if other.__class__ is self.__class__ else NotImplemented

        return compared

    return {f"__{compare.__name__}__": by(compare) for compare in (operator.lt, operator.le, operator.gt, operator.ge)}


def _values_of(names: list[str]) -> Callable[[object], tuple[Any, ...]]:
    if len(names) > 1:
        return operator.attrgetter(*names)
    return lambda instance: tuple(getattr(instance, name) for name in names)


@recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse_to_set(self: Any, name: str, value: object) -> None:
    if _is_frozen(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _refuse_to_delete(self: Any, name: str) -> None:
    if _is_frozen(self, name):
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
    object.__delattr__(self, name)


def _is_frozen(instance: Any, name: str) -> bool:
    """Whether an attribute cannot be set; a class derived from a dataclass without being one may have its own."""
    return name in instance.__dataclass_fields__ or "__dataclass_fields__" in vars(type(instance))


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
