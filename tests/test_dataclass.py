"""Classes that are declared with the package's own decorator are what `dataclasses` makes of them."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing
from collections.abc import Callable
from dataclasses import field
from typing import Any

import pytest

from dlt_orchestrate.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A value."""

    name: str
    rank: int = 1
    tags: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False, repr=False)


@dataclass(order=True)
class Ordered:
    number: int
    kept: list[int] = field(init=False, default_factory=list, compare=False)
    fixed: str = field(init=False, default="fixed")
    later: int = field(init=False)

    def __post_init__(self) -> None:
        self.later = self.number + 1


@dataclass(frozen=True)
class Bare:
    only: float
    other: int = field(default=2, kw_only=True)


@dataclass(frozen=True)
class Nothing:
    """Without fields."""


class Derived(Bare):
    """No dataclass itself: it may have attributes of its own."""

    def __init__(self, only: float) -> None:
        super().__init__(only)
        self.extra = 3


def the_same(cls: Any, **options: bool) -> Any:
    """What `dataclasses` makes of the same declaration."""
    namespace = {"__qualname__": cls.__qualname__, "__module__": cls.__module__}
    if hasattr(cls, "__post_init__"):
        namespace["__post_init__"] = cls.__post_init__
    fields = [(one.name, one.type, copy.copy(one)) for one in dataclasses.fields(cls)]
    return dataclasses.make_dataclass(cls.__name__, fields, namespace=namespace, **options)


def again(cls: Any, **options: bool) -> Any:
    """The same declaration once more, of which there are no instances yet."""
    namespace = {"__qualname__": cls.__qualname__, "__module__": cls.__module__}
    namespace |= {one.name: copy.copy(one) for one in dataclasses.fields(cls)}
    namespace["__annotations__"] = {one.name: one.type for one in dataclasses.fields(cls)}
    if hasattr(cls, "__post_init__"):
        namespace["__post_init__"] = cls.__post_init__
    return dataclass(**options)(type(cls.__name__, (), namespace))  # type: ignore[call-overload]


KINDS: list[tuple[Any, dict[str, bool], list[tuple[Any, ...]]]] = [
    (Place, {"frozen": True, "slots": True}, [("a",), ("a", 2), ("b", 1, ["x"]), ("a", 1, [], "note")]),
    (Ordered, {"order": True}, [(1,), (2,)]),
    (Bare, {"frozen": True}, [(1.0,), (2.0,)]),
    (Nothing, {"frozen": True}, [()]),
]
MANY = 20
"""Instances of a class after which its `__init__` has been compiled."""


@pytest.mark.parametrize(("cls", "options", "arguments"), KINDS)
@pytest.mark.parametrize("earlier", [0, MANY])
def test_instances_are_those_of_dataclasses(
    cls: Any, options: dict[str, bool], arguments: list[tuple[Any, ...]], earlier: int
) -> None:
    ours, theirs = again(cls, **options), the_same(cls, **options)
    for _ in range(earlier):
        ours(*arguments[0])

    mine, other = [ours(*given) for given in arguments], [theirs(*given) for given in arguments]

    assert list(map(repr, mine)) == list(map(repr, other))
    assert list(map(dataclasses.asdict, mine)) == list(map(dataclasses.asdict, other))
    assert [[a == b for a in mine] for b in mine] == [[a == b for a in other] for b in other]
    assert [a.__eq__(3) for a in mine] == [NotImplemented] * len(mine)
    assert [copy.deepcopy(one) == one for one in mine] == [copy.deepcopy(one) == one for one in other]


@pytest.mark.parametrize(("cls", "options", "arguments"), KINDS)
def test_classes_look_like_those_of_dataclasses(cls: Any, options: dict[str, bool], arguments: list[Any]) -> None:
    ours, theirs = again(cls, **options), the_same(cls, **options)

    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert typing.get_type_hints(ours.__init__) == typing.get_type_hints(theirs.__init__)
    assert ours.__match_args__ == theirs.__match_args__
    assert repr(ours.__dataclass_params__) == repr(theirs.__dataclass_params__)


ATTEMPTS = ["it(1, 2, 3, 4, 5)", "it(no=1)", "it()", "it('a', name='b')", "it(1, later=1)"] + [
    f"{attempt.format('it(*given)')}"
    for attempt in ("hash({0})", "{0} < {0}", "{0} <= {0}", "{0} > {0}", "{0} >= {0}", "it(only=1.0, other=3)")
]


@pytest.mark.parametrize(("cls", "options", "arguments"), KINDS)
@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("earlier", [0, MANY])
def test_what_can_and_cannot_be_done_is_the_same(
    cls: Any, options: dict[str, bool], arguments: list[tuple[Any, ...]], attempt: str, earlier: int
) -> None:
    def outcome(it: Any) -> str:
        for _ in range(earlier):
            it(*arguments[0])
        try:
            return repr(eval(attempt, {"it": it, "given": arguments[0]}))
        except TypeError as error:
            return f"TypeError: {error}"

    assert outcome(again(cls, **options)) == outcome(the_same(cls, **options))


def test_frozen_instances_cannot_be_changed() -> None:
    for instance, name in [(Place("a"), "name"), (Bare(1.0), "only"), (Bare(1.0), "new"), (Derived(1.0), "only")]:
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"):
            setattr(instance, name, 1)
        with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot delete field '{name}'"):
            delattr(instance, name)

    assert Derived(1.0).extra == 3
    assert repr(Derived(1.0)) == "Derived(only=1.0, other=2)"


def test_instances_can_be_pickled_replaced_and_matched() -> None:
    place = Place("a", tags=["x"])

    assert pickle.loads(pickle.dumps(place)) == place
    assert dataclasses.replace(place, rank=2) == Place("a", 2, ["x"])
    match place:
        case Place(name, rank):
            assert (name, rank) == ("a", 1)


def test_an_instance_that_holds_itself_can_be_shown() -> None:
    place = Place("a")
    place.tags.append(place)  # type: ignore[arg-type]

    assert repr(place) == "Place(name='a', rank=1, tags=[...])"


@pytest.mark.parametrize("decorator", [dataclass, dataclasses.dataclass])
def test_classes_are_derived_as_from_those_of_dataclasses(decorator: Callable[..., Any]) -> None:
    @decorator(frozen=True)
    class Wider(Bare):
        third: str = "c"

    assert repr(Wider(1.0)).endswith("Wider(only=1.0, other=2, third='c')")
    with pytest.raises(dataclasses.FrozenInstanceError):
        Wider(1.0).third = "d"  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot inherit non-frozen dataclass from a frozen one"):
        decorator(type("Loose", (Bare,), {}))


def test_a_method_of_the_class_itself_stays() -> None:
    @dataclass(frozen=True)
    class Own:
        number: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

        def __repr__(self) -> str:
            return "own"

    assert Own(1) == Own(2)
    assert repr(Own(1)) == "own"
    assert hash(Own(1)) == hash((1,))


def test_a_class_of_few_instances_is_never_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    few = again(Place, frozen=True, slots=True)
    monkeypatch.setattr("builtins.exec", lambda source, *scopes: compiled.append(source))

    assert [few("a", number) for number in range(3)] == [few("a", number) for number in range(3)]
    assert compiled == []

    with pytest.raises(KeyError, match="written"):
        [few("a", number) for number in range(MANY)]
    assert len(compiled) == 1
