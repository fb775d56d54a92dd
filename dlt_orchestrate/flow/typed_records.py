"""Records that a decoder reads from JSON straight into typed rows, instead of dictionaries.

A typed row has a slot for each key and is made by msgspec, which was told by earlier records what each slot may hold. It
takes nothing else: an unknown key, a value of another class, anything that it cannot read exactly is refused, and the page
is read as dictionaries then. So a typed row stands for one dictionary, which `plain` gives back but for the order of keys.

Typed rows go from the reader of pages to normalize. User code never sees them: see `StraightPages`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import field
from types import GeneratorType
from typing import Annotated, Any, NamedTuple, Union

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.flow.positions import Position

DEEPEST = 32
"""Levels of nesting that typed rows have."""
MOST_KEYS = 2_000
"""Keys of all levels together."""
MOST_SHAPES = 20
"""How often what was learnt of the records is put right before it is given up."""

_FIELDS = "_dlt_orchestrate_fields"


class Field(NamedTuple):
    """One key of a kind of typed rows.

    Attributes:
        only: The type of all its values; None if they may be of several types, null, or missing.
    """

    key: str
    only: type | None


class TypedRecords(list[Any]):
    """Typed rows of one kind; never empty.

    Attributes:
        position: What stands behind the page that they are, if anybody keeps it.
    """

    position: Position | None = None


def fields_of(kind: type) -> tuple[Field, ...] | None:
    """The keys of a kind of typed rows; None for any other type."""
    fields: tuple[Field, ...] | None = getattr(kind, _FIELDS, None)
    return fields


def keys_of(record: Any) -> list[str]:
    """The keys of a dictionary or a typed row; of the latter also those that are missing."""
    fields = fields_of(type(record))
    return list(record) if fields is None else [field.key for field in fields]


def is_typed(records: Sequence[Any]) -> bool:
    """Whether all of the records are typed rows of one kind."""
    kinds = set(map(type, records))
    return len(kinds) == 1 and fields_of(*kinds) is not None


def columns_of(rows: Sequence[Any], at_once: int) -> list[list[Any]]:
    """The values of each key of typed rows of one kind; UNSET where it is missing.

    Args:
        at_once: Rows whose values are fetched together, since those of a row lie together in memory.
    """
    from msgspec.structs import astuple

    columns: list[list[Any]] = [[] for _ in fields_of(type(rows[0])) or ()]
    for start in range(0, len(rows), at_once):
        for column, values in zip(columns, zip(*map(astuple, rows[start : start + at_once]), strict=True), strict=True):
            column += values
    return columns


def values_of(rows: Sequence[Any], key: str) -> list[Any]:
    """The values of one key of typed rows of one kind; None where it is null or missing.

    Raises:
        KeyError: There is no such key.
    """
    from operator import attrgetter

    from msgspec import UNSET

    names = {field.key: f"f{position}" for position, field in enumerate(fields_of(type(rows[0])) or ())}
    return [None if value is UNSET else value for value in map(attrgetter(names[key]), rows)]


def plain(value: Any) -> Any:
    """The dictionary that a typed row stands for, and the same for the rows in a list."""
    if type(value) is list or type(value) is TypedRecords:
        return [plain(element) for element in value]
    fields = fields_of(type(value))
    if fields is None:
        return value
    from msgspec import UNSET
    from msgspec.structs import astuple

    items = zip(fields, astuple(value), strict=True)
    return {field.key: plain(inner) for field, inner in items if inner is not UNSET}


# --- who gets typed rows -----------------------------------------------------------------------------------------


class StraightPages(Iterator[Any]):
    """An iterator over pages of records that can hand them over typed, to one who takes them straight from it.

    Attributes:
        refusals: Set while the next page goes straight to one who takes typed rows; counts those that it refuses.
    """

    refusals: Counter[str] | None = None

    @property
    @abstractmethod
    def is_used_up(self) -> bool:
        """Whether it was read to its end, or closed."""

    def hand_over(self, items: Iterator[Any], refusals: Counter[str]) -> Any:
        """The next of `items`, which are read straight from these pages (see `straight_from`).

        Raises:
            StopIteration: There is none.
        """
        self.refusals = refusals
        try:
            return next(items)
        finally:
            self.refusals = None


def straight_from(items: Any) -> StraightPages | None:
    """The pages that make the next item of a running generator before any code of the generator runs.

    A generator that waits in `yield from` passes on what comes, and sees none of it.
    """
    while type(items) is GeneratorType:
        items = items.gi_yieldfrom
    return items if isinstance(items, StraightPages) else None


# --- learning and reading ----------------------------------------------------------------------------------------


class TypedReader:
    """Reads the pages of one walk, and learns from those that it cannot read.

    Attributes:
        key: Where the list of records stands in a page; None if it is the whole page.
    """

    def __init__(self, key: str | None = None) -> None:
        self.key = key
        self._around: dict[str, None] = {}
        self._seen = _SeenRecords()
        self._decoder: Any = None
        self._shapes = 0

    @property
    def has_given_up(self) -> bool:
        return self._shapes > MOST_SHAPES

    def read(self, content: bytes, refusals: Counter[str]) -> TypedRecords | dict[str, Any] | None:
        """A page, its records typed; None if they must be read as dictionaries, or if there are none."""
        import msgspec

        if self._decoder is None or self.has_given_up:
            return None
        try:
            page = self._decoder.decode(content)
        except msgspec.ValidationError:
            refusals["page: records of another shape"] += 1
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            refusals["page: no plain JSON"] += 1
        else:
            return self._opened(page)
        self._decoder = None  # until the page that it refuses has been learnt from
        return None

    def _opened(self, page: Any) -> TypedRecords | dict[str, Any] | None:
        if self.key is None:
            return TypedRecords(page) if page else None
        from msgspec import UNSET
        from msgspec.structs import astuple

        records, *around = astuple(page)
        found = {key: value for key, value in zip(self._around, around, strict=True) if value is not UNSET}
        return {**found, self.key: TypedRecords(records)} if records else None

    def learn(self, page: Any) -> None:
        """Look at a page whose records were read as dictionaries, before anyone changes them.

        It teaches nothing where no page was refused since the last one that did: then dictionaries were what was asked for.
        """
        if self._decoder is not None or self.has_given_up:
            return
        records = page if self.key is None else page.get(self.key) if type(page) is dict else None
        if type(records) is not list or not records or set(map(type, records)) != {dict}:
            return
        import msgspec

        self._shapes += 1
        for record in records:
            self._seen.add(record)
        with suppress(_OutOfBounds):
            row_type = _row_type(self._seen, _Budget(MOST_KEYS), DEEPEST)
            self._decoder = msgspec.json.Decoder(self._page_type(list[row_type], page))  # type: ignore[valid-type]

    def _page_type(self, records: Any, page: Any) -> Any:
        """The type of a page; what stands around the records is read as it comes."""
        if self.key is None:
            return records
        import msgspec

        self._around |= dict.fromkeys(key for key in page if key != self.key)
        slots = [
            (f"f{position}", Any | msgspec.UnsetType, msgspec.field(name=key, default=msgspec.UNSET))
            for position, key in enumerate(self._around, start=1)
        ]
        return _struct("TypedPage", [("f0", records, msgspec.field(name=self.key)), *slots])


class _OutOfBounds(Exception):
    """The records have too many keys, too many levels, or keys that the decoder cannot look for."""


@dataclass(slots=True)
class _Budget:
    keys: int


@dataclass(slots=True)
class _SeenRecords:
    """What was seen of the objects at one place."""

    count: int = 0
    values: dict[str, _SeenValues] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        self.count += 1
        for key, value in record.items():
            if key not in self.values:
                self.values[key] = _SeenValues()
            self.values[key].add(value)


@dataclass(slots=True)
class _SeenValues:
    """What was seen of the values at one place."""

    count: int = 0
    scalars: set[type] = field(default_factory=set)
    records: _SeenRecords | None = None
    elements: _SeenValues | None = None

    def add(self, value: Any) -> None:
        self.count += 1
        if type(value) is dict:
            self.records = self.records or _SeenRecords()
            self.records.add(value)
        elif type(value) is list:
            self.elements = self.elements or _SeenValues()
            for element in value:
                self.elements.add(element)
        else:
            self.scalars.add(type(value))


def _row_type(seen: _SeenRecords, budget: _Budget, levels: int) -> Any:
    """The kind of typed rows for objects like those that were seen.

    Raises:
        _OutOfBounds: There is none.
    """
    import msgspec

    budget.keys -= len(seen.values)
    if budget.keys < 0 or levels == 0:
        raise _OutOfBounds
    slots: list[tuple[str, Any, Any]] = []
    fields: list[Field] = []
    for position, (key, values) in enumerate(seen.values.items()):
        parts = list(_parts(values, budget, levels))
        is_optional = values.count < seen.count
        if is_optional:
            parts.append(msgspec.UnsetType)
        default = {"default": msgspec.UNSET} if is_optional else {}
        slots.append((f"f{position}", Union[tuple(parts)], msgspec.field(name=key, **default)))  # noqa: UP007 - made here
        fields.append(Field(key, parts[0] if len(parts) == 1 and parts[0] in (str, int, bool) else None))
    return _struct("TypedRow", slots, {_FIELDS: tuple(fields)})


def _struct(name: str, slots: list[tuple[str, Any, Any]], namespace: dict[str, Any] | None = None) -> Any:
    import msgspec

    try:
        return msgspec.defstruct(name, slots, namespace=namespace, kw_only=True, forbid_unknown_fields=True, gc=False)
    except ValueError:  # msgspec finds no keys with quotes, backslashes and control characters
        raise _OutOfBounds from None


def _parts(values: _SeenValues, budget: _Budget, levels: int) -> Iterable[Any]:
    """The types of values like those that were seen."""
    if values.scalars - _SCALARS.keys():
        raise _OutOfBounds
    yield from dict.fromkeys(part for kind in values.scalars for part in _SCALARS[kind])
    if values.records is not None:
        yield _row_type(values.records, budget, levels - 1)
    if values.elements is not None:
        yield _list_type(values.elements, budget, levels - 1)


def _list_type(elements: _SeenValues, budget: _Budget, levels: int) -> Any:
    import msgspec

    if levels == 0:
        raise _OutOfBounds
    parts = tuple(_parts(elements, budget, levels))
    return list[Union[parts]] if parts else Annotated[list, msgspec.Meta(max_length=0)]  # type: ignore[valid-type]  # noqa: UP007


# A slot for numbers with a point takes integers, too, or they would become such numbers.
_SCALARS: dict[type, tuple[Any, ...]] = {
    type(None): (None,),
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
}
