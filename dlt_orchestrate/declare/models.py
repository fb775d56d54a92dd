"""Pydantic models as columns: what the fields of a model say of names, types and nulls, and how its instances are written.

What is read here are the annotations, as users write them. A column bears the name under which pydantic writes the field
(`model_dump(by_alias=True)`): its serialization alias, else its alias, else its name.
"""

from __future__ import annotations

import functools
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, Union, get_args, get_origin
from uuid import UUID

from dlt_orchestrate.dataclass import dataclass
from dlt_orchestrate.errors import DeclarationError

if TYPE_CHECKING:
    from pydantic import BaseModel

Hint = Mapping[str, Any]
Models = tuple[type["BaseModel"], ...]

_SWITCHES = frozenset({"skip_nested_types", "skip_complex_types", "is_authoritative_model"})
"""What `dlt_config` of a model may hold; of `is_authoritative_model` a model always is."""
_REFUSED_SWITCH = "return_validated_models"

_SCALARS: Sequence[tuple[type, Hint]] = (
    (bool, {"data_type": "bool"}),
    (int, {"data_type": "bigint"}),
    (float, {"data_type": "double"}),
    (str, {"data_type": "text"}),
    (datetime, {"data_type": "timestamp"}),
    (date, {"data_type": "date"}),
    (time, {"data_type": "time"}),
    (Decimal, {"data_type": "decimal"}),
    (bytes, {"data_type": "binary"}),
    (bytearray, {"data_type": "binary"}),
    (UUID, {"data_type": "text"}),
)
"""Python types and their columns; a type stands before those that it is derived from."""
_OF_PYDANTIC: Mapping[str, Hint] = {
    "AwareDatetime": {"data_type": "timestamp"},
    "NaiveDatetime": {"data_type": "timestamp", "timezone": False},
    "PastDatetime": {"data_type": "timestamp"},
    "FutureDatetime": {"data_type": "timestamp"},
    "PastDate": {"data_type": "date"},
    "FutureDate": {"data_type": "date"},
}
_TEXT: Hint = {"data_type": "text"}
_JSON: Hint = {"data_type": "json"}
_MOST_DIGITS = 38


class Writing(IntEnum):
    """What it takes to make a validated value one that columns hold; the higher includes the lower."""

    AS_IT_IS = 0
    DUMPED = 1
    """Pydantic writes it: it may hold models."""
    MADE_PLAIN = 2
    """It may hold types that pydantic leaves as they are and no column holds, such as addresses or sets."""
    MASKED = 3
    """It may hold secrets, of which pydantic writes only asterisks."""


@dataclass(frozen=True, slots=True)
class FieldType:
    """What an annotation says of a column.

    Attributes:
        hint: Its type as a column hint; empty where the data decide.
        nested: The model that its values are instances of.
    """

    hint: Hint
    nullable: bool = False
    writing: Writing = Writing.AS_IT_IS
    nested: type[BaseModel] | None = None


_OPEN = FieldType({}, nullable=True, writing=Writing.DUMPED)
"""Anything."""
_NOTHING = FieldType({}, nullable=True)
"""None."""


def is_model(declared: Any) -> TypeGuard[type[BaseModel]]:
    """Whether something is a pydantic model, without importing pydantic for it."""
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(declared, type) and issubclass(declared, pydantic.BaseModel)


@dataclass(frozen=True)
class Model:
    """A pydantic model, read.

    Attributes:
        columns: Column hints by name.
        keys: The columns by the keys that records may have for them.
        extra: What the model itself does with fields it does not know: `allow`, `forbid` or `ignore`.
        made_plain: Columns whose values pydantic leaves in types that no column holds.
        is_its_dict: Whether the attributes of an instance are what pydantic would write.
    """

    type: type[BaseModel]
    columns: Mapping[str, Hint]
    keys: Mapping[str, str] = field(default_factory=dict)
    extra: str = "ignore"
    made_plain: tuple[str, ...] = ()
    is_its_dict: bool = False

    @property
    def contract(self) -> dict[str, str]:
        """The schema contract that holds as far as none is declared."""
        columns = {"allow": "evolve", "forbid": "freeze"}.get(self.extra, "discard_value")
        return {"tables": "evolve", "columns": columns, "data_type": "freeze"}

    def dumped(self, instance: BaseModel) -> Any:
        """An instance as a record."""
        return self.plain(instance.model_dump(by_alias=True, warnings=False))

    def plain(self, record: Any) -> Any:
        """A dumped record, with values that columns hold."""
        for name in self.made_plain:
            if isinstance(record, dict) and record.get(name) is not None:
                record[name] = _plain(record[name])
        return record

    def without_demands(self, columns: Mapping[str, Hint]) -> dict[str, Hint]:
        """Column hints of which those that the model demands to be filled need not be."""
        demanded = {name for name, hint in self.columns.items() if hint["nullable"] is False}
        return {name: {**hint, "nullable": None} if name in demanded else hint for name, hint in columns.items()}


@functools.cache
def read_model(model: type[BaseModel]) -> Model:
    """Read a model.

    Raises:
        DeclarationError: It is not completely defined, has secrets, or its `dlt_config` holds something unknown.
    """
    _expect_complete(model)
    skips_nested = _skips_nested(model)
    if _decorators(model, "model_serializers"):
        return Model(model, {}, extra=model.model_config.get("extra") or "ignore")
    found = dict(_columns(model))
    _expect_written(model, found)
    columns: dict[str, Hint] = {}
    for name, (kind, description) in found.items():
        columns |= _hints(name, kind, description, skips_nested=skips_nested)
    is_root = bool(getattr(model, "__pydantic_root_model__", False))
    return Model(
        model,
        columns,
        keys={} if is_root else dict(_keys(model)),
        extra=model.model_config.get("extra") or "ignore",
        made_plain=tuple(name for name, (kind, _) in found.items() if kind.writing is Writing.MADE_PLAIN),
        is_its_dict=not is_root
        and all(kind.writing is Writing.AS_IT_IS for kind, _ in found.values())
        and list(found) == list(model.model_fields),
    )


# --- fields --------------------------------------------------------------------------------------------------------


def _columns(model: type[BaseModel], above: Models = ()) -> Iterator[tuple[str, tuple[FieldType, str | None]]]:
    """The columns of a model: its fields, and what it computes.

    Args:
        above: The models that hold this one.
    """
    above = (*above, model)
    if getattr(model, "__pydantic_root_model__", False):
        yield from _columns_of_variants(model, above)
        return
    serialized = dict(_serialized_fields(model))
    for name, info in model.model_fields.items():
        if info.exclude:
            continue
        kind = serialized.get(name) or _read(info.annotation, info.metadata, above)
        may_lack = (info.default is None and not info.is_required()) or getattr(info, "exclude_if", None) is not None
        if getattr(info, "exclude_if", None) is not None:
            kind = replace(kind, writing=max(kind.writing, Writing.DUMPED))
        yield info.serialization_alias or name, (replace(kind, nullable=kind.nullable or may_lack), info.description)
    for name, computed in model.model_computed_fields.items():
        kind = serialized.get(name) or _read(computed.return_type, (), above)
        yield computed.alias or name, (replace(kind, writing=max(kind.writing, Writing.DUMPED)), computed.description)


def _columns_of_variants(model: type[BaseModel], above: Models) -> Iterator[tuple[str, tuple[FieldType, str | None]]]:
    """The columns of a root model over several models: those of all, nullable where one has them not."""
    root = model.model_fields["root"]
    variants = [dict(_columns(variant, above)) for variant in _models_in(root.annotation)]
    for name in dict.fromkeys(name for variant in variants for name in variant):
        having = [variant[name] for variant in variants if name in variant]
        kind = _joined([kind for kind, _ in having])
        yield name, (replace(kind, nullable=kind.nullable or len(having) < len(variants)), having[0][1])


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    annotation, _ = _bared(annotation, ())
    if _is_union(annotation):
        return [model for part in get_args(annotation) for model in _models_in(part)]
    return [annotation] if is_model(annotation) else []


def _hints(name: str, kind: FieldType, description: str | None, *, skips_nested: bool) -> dict[str, Hint]:
    """The columns of a field; none of its own where nested values are taken apart."""
    if skips_nested and kind.nested is not None:
        return {
            f"{name}__{inner}": {**hint, "nullable": bool(hint["nullable"] or kind.nullable)}
            for inner, hint in _nested_hints(kind.nested).items()
        }
    if skips_nested and kind.hint == _JSON:
        return {}
    described = {"description": description} if description else {}
    return {name: {**kind.hint, "nullable": kind.nullable, **described}}


def _nested_hints(model: type[BaseModel]) -> dict[str, Hint]:
    """The columns of a model within a model that is taken apart; a model that holds itself ends."""
    hints: dict[str, Hint] = {}
    for name, (kind, description) in _columns(model):
        if kind.nested is None or not _holds(kind.nested, model):
            hints |= _hints(name, kind, description, skips_nested=True)
    return hints


def _holds(model: type[BaseModel], wanted: type[BaseModel], seen: frozenset[Any] = frozenset()) -> bool:
    """Whether a model leads to another one by its fields."""
    if model is wanted:
        return True
    if model in seen:
        return False
    return any(kind.nested and _holds(kind.nested, wanted, seen | {model}) for _, (kind, _) in _columns(model))


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """The keys under which records may bring the fields, and their columns."""
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    for name, info in model.model_fields.items():
        column = info.serialization_alias or name
        alias: Any = info.validation_alias
        choices = getattr(alias, "choices", [alias])
        for choice in choices:
            if isinstance(choice, str):
                yield choice, column
        if alias is None or by_name:
            yield name, column


def _serialized_fields(model: type[BaseModel]) -> Iterator[tuple[str, FieldType]]:
    """Fields that functions of the model write, by what these functions say they return."""
    for decorator in _decorators(model, "field_serializers"):
        info = decorator.info
        if str(info.when_used).startswith("json"):
            continue
        kind = _returned(info.return_type)
        for name in (*model.model_fields, *model.model_computed_fields) if "*" in info.fields else info.fields:
            yield name, kind


def _decorators(model: type[BaseModel], kind: str) -> Collection[Any]:
    return list(getattr(getattr(model, "__pydantic_decorators__", None), kind, {}).values())


def _returned(annotation: Any) -> FieldType:
    """What a function that writes a field makes of it; anything, if it does not say."""
    if getattr(annotation, "__name__", type(annotation).__name__) == "PydanticUndefinedType":
        return _OPEN
    kind = _read(annotation)
    return replace(kind, nullable=True, writing=max(kind.writing, Writing.DUMPED), nested=None)


def _expect_complete(model: type[BaseModel]) -> None:
    from pydantic import PydanticUndefinedAnnotation, PydanticUserError

    try:
        model.model_rebuild()
    except (PydanticUndefinedAnnotation, PydanticUserError) as error:
        raise DeclarationError(
            f"Model {model.__qualname__!r} cannot be used as columns, since it is not completely defined: {error.message}. "
            "Define what its annotations name before it is used, or call its model_rebuild() after that."
        ) from None


def _expect_written(model: type[BaseModel], columns: Mapping[str, tuple[FieldType, str | None]]) -> None:
    for name, (kind, _) in columns.items():
        if kind.writing is Writing.MASKED:
            raise DeclarationError(
                f"Model {model.__qualname__!r}: its column {name!r} would hold a secret, of which pydantic writes only "
                "asterisks. Declare the field as str or bytes to load it, or keep it out with Field(exclude=True)."
            )


def _skips_nested(model: type[BaseModel]) -> bool:
    switches = getattr(model, "dlt_config", None) or {}
    unknown = sorted(switches.keys() - _SWITCHES)
    if unknown == [_REFUSED_SWITCH] and not switches[_REFUSED_SWITCH]:
        unknown = []
    if unknown:
        raise DeclarationError(
            f"Model {model.__qualname__!r}: dlt_config holds {unknown[0]!r}, which is not supported. Behind the model "
            "records are dictionaries; what can be switched is 'skip_nested_types': nested values become columns and "
            "tables, as without a model, instead of JSON columns."
        )
    return bool(switches.get("skip_nested_types", switches.get("skip_complex_types", False)))


# --- annotations ---------------------------------------------------------------------------------------------------


def _read(annotation: Any, metadata: Iterable[Any] = (), above: Models = ()) -> FieldType:
    """What an annotation says of a column."""
    annotation, metadata = _bared(annotation, metadata)
    for serializer in metadata:
        if type(serializer).__name__ in ("PlainSerializer", "WrapSerializer"):
            return _OPEN if str(serializer.when_used).startswith("json") else _returned(serializer.return_type)
    if _is_union(annotation):
        return _joined([_read(part, (), above) for part in get_args(annotation)])
    if get_origin(annotation) is Literal:
        return _joined([_read_value(value) for value in get_args(annotation)])
    if annotation is None or annotation is type(None):
        return _NOTHING
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type) or kind in (Any, object):  # Any is a class
        return _OPEN
    if _is_pydantic(kind, "Json"):
        return _OPEN
    if kind.__module__.startswith("pydantic.") and kind.__name__ in _OF_PYDANTIC:
        return FieldType(_OF_PYDANTIC[kind.__name__])
    if any(_is_pydantic(base, name) for base in kind.__mro__ for name in ("SecretStr", "SecretBytes", "Secret")):
        return FieldType(_TEXT, writing=Writing.MASKED)
    if issubclass(kind, Enum):
        return replace(_joined([_read_value(member.value) for member in kind]), writing=Writing.MADE_PLAIN)
    if is_model(kind):
        return _read_nested(kind, above)
    for base, hint in _SCALARS:
        if issubclass(kind, base):
            of_decimal = _digits(metadata) if base is Decimal else {}
            return FieldType({**hint, **of_decimal})
    if _holds_items(kind):
        return FieldType(_JSON, writing=_writing_of_items(kind, get_args(annotation), above))
    return FieldType(_TEXT, writing=Writing.MADE_PLAIN)


def _bared(annotation: Any, metadata: Iterable[Any]) -> tuple[Any, tuple[Any, ...]]:
    """An annotation without the wrappers that name or refine it, and what they say."""
    found = list(metadata)
    while True:
        if get_origin(annotation) is typing.Annotated:
            found += annotation.__metadata__
            annotation = annotation.__origin__
        elif hasattr(annotation, "__supertype__"):  # NewType
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        elif isinstance(annotation, typing.TypeVar):
            annotation = annotation.__bound__ or Any
        else:
            return annotation, tuple(found)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def _is_pydantic(kind: type, name: str) -> bool:
    return kind.__module__.startswith("pydantic.") and kind.__name__ == name


def _read_value(value: Any) -> FieldType:
    return _NOTHING if value is None else _read(type(value))


def _read_nested(model: type[BaseModel], above: Models) -> FieldType:
    if model in above:  # it holds itself; what it takes to write it is found out where it was met first
        return FieldType(_JSON, writing=Writing.DUMPED, nested=model)
    if getattr(model, "__pydantic_root_model__", False):
        root = model.model_fields["root"]
        kind = _read(root.annotation, root.metadata, (*above, model))
        return replace(kind, writing=max(kind.writing, Writing.DUMPED))
    writing = max((kind.writing for _, (kind, _) in _columns(model, above)), default=Writing.DUMPED)
    return FieldType(_JSON, writing=max(writing, Writing.DUMPED), nested=model)


def _joined(parts: Sequence[FieldType]) -> FieldType:
    """The column that takes the values of several types: the one that holds all of them exactly."""
    nullable = any(part.nullable for part in parts)
    values = [part for part in parts if part is not _NOTHING]
    if not values:
        return _OPEN
    writing = max(part.writing for part in values)
    nested = values[0].nested if len(values) == 1 else None
    return FieldType(_joined_hint([part.hint for part in values]), nullable, writing, nested)


def _joined_hint(hints: Sequence[Hint]) -> Hint:
    kinds = {hint.get("data_type") for hint in hints}
    if None in kinds:
        return {}
    if all(hint == hints[0] for hint in hints):
        return hints[0]
    if "json" in kinds:
        return _JSON
    if kinds <= {"bigint", "double"}:
        return {"data_type": "double"}
    if kinds <= {"bigint", "double", "decimal"}:
        return {"data_type": "decimal"}
    if kinds <= {"date", "timestamp"}:
        return {"data_type": "timestamp"}
    return _TEXT


def _digits(metadata: Iterable[Any]) -> Hint:
    """Precision and scale of a decimal, as far as constraints name them."""
    parts = [part for entry in metadata for part in (entry, *(getattr(entry, "metadata", None) or ()))]
    most = next((part.max_digits for part in parts if getattr(part, "max_digits", None) is not None), None)
    places = next((part.decimal_places for part in parts if getattr(part, "decimal_places", None) is not None), None)
    if most is None and places is None:
        return {}
    if places is None and most is not None:
        # All of its digits may stand on either side of the point.
        return {"precision": 2 * most, "scale": most} if 2 * most <= _MOST_DIGITS else {}
    digits = _MOST_DIGITS if most is None else max(most, places)
    return {"precision": digits, "scale": places} if digits <= _MOST_DIGITS else {}


def _holds_items(kind: type) -> bool:
    """Whether values of a type are dictionaries, lists or objects with fields."""
    return issubclass(kind, Collection) or hasattr(kind, "__dataclass_fields__")


def _writing_of_items(kind: type, of: Sequence[Any], above: Models) -> Writing:
    if kind not in (dict, list):
        return Writing.MADE_PLAIN
    return max((_read(part, (), above).writing for part in of), default=Writing.DUMPED)


# --- values --------------------------------------------------------------------------------------------------------

_HELD = frozenset({bool, int, float, str, datetime, date, time, Decimal, bytes, UUID, type(None)})


def with_extras(value: Any, dumped: Any) -> Any:
    """What pydantic wrote, and the fields that models do not know but keep; it writes these only if they allow them."""
    kind = type(value)
    if is_model(kind) and isinstance(dumped, dict):
        names = {name: info.serialization_alias or name for name, info in kind.model_fields.items()}
        inner = {names.get(name, name): part for name, part in value.__dict__.items()}
        fields = {name: with_extras(inner.get(name), part) for name, part in dumped.items()}
        return {**fields, **{name: part for name, part in (value.__pydantic_extra__ or {}).items() if name not in fields}}
    if isinstance(value, dict) and isinstance(dumped, dict):
        return {key: with_extras(value.get(key), part) for key, part in dumped.items()}
    if isinstance(value, list | tuple) and isinstance(dumped, list | tuple) and len(value) == len(dumped):
        return [with_extras(inner, part) for inner, part in zip(value, dumped, strict=True)]
    return dumped


def _plain(value: Any) -> Any:
    """A value of a type that no column holds as one that a column does: as pydantic writes it in JSON; sets are sorted."""
    kind = type(value)
    if kind in _HELD:
        return value
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(_plain, value), key=lambda inner: (type(inner).__name__, repr(inner)))
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Enum):
        return _plain(value.value)
    for base in (bool, int, float, str, bytes, datetime, date, time, Decimal, UUID):
        if isinstance(value, base):
            return value
    return _as_json(value)


def _as_json(value: Any) -> Any:
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    write: Callable[..., Any] = to_jsonable_python
    try:
        return write(value, by_alias=True, bytes_mode="base64", inf_nan_mode="constants")
    except PydanticSerializationError:
        return value  # normalize rejects it, with its cause
