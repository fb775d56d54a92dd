"""Configured texts and TOML values become what the annotation says, or are refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

from dlt_orchestrate.config.coercion import NotOfThatType, coerce, takes_tables
from dlt_orchestrate.config.redaction import Secret
from dlt_orchestrate.config.resolver import Resolver
from dlt_orchestrate.errors import ConfigValueCoercionError


@dataclass
class Credentials:
    host: str
    port: int = 5432


class Endpoint(TypedDict):
    path: str


class Client(BaseModel):
    base_url: str


class Session:
    """A class that no text can be converted to."""


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("17", int, 17),
        ("17", str, "17"),
        ("17", Any, "17"),
        ("17", int | None, 17),
        ("1.5", float, 1.5),
        (2, float, 2.0),
        ("1.10", Decimal, Decimal("1.10")),
        ("yes", bool, True),
        ("False", bool, False),
        (True, bool, True),
        (17, str, "17"),
        (True, str, "true"),
        (date(2024, 1, 31), str, "2024-01-31"),
        ("2024-01-31", date, date(2024, 1, 31)),
        ("2024-01-31T12:00:00Z", datetime, datetime(2024, 1, 31, 12, tzinfo=UTC)),
        ('["a", "b"]', list[str], ["a", "b"]),
        ('["a", "b"]', list, ["a", "b"]),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ('["a"]', Sequence[str], ["a"]),
        (["1", "2"], list[int], [1, 2]),
        ('{"a": 1}', dict, {"a": 1}),
        ({"a": "1"}, dict[str, int], {"a": 1}),
        ('{"host": "db"}', Credentials, Credentials("db")),
        ({"host": "db", "port": "1"}, Credentials, Credentials("db", 1)),
        ({"path": "/issues"}, Endpoint, {"path": "/issues"}),
        ('{"base_url": "http://a"}', Client, Client(base_url="http://a")),
        ("replace", Literal["append", "replace"], "replace"),
        ("2", Literal[1, 2], 2),
        ("data", Path, Path("data")),
        ("12345", Annotated[int, Field(gt=3)], 12345),
        ("s3cret", Secret, Secret("s3cret")),
        ("s3cret", Secret | None, Secret("s3cret")),
        ("s3cret", SecretStr, SecretStr("s3cret")),
        (Secret("s3cret"), str, "s3cret"),
        ([1, {"a": 2}], Any, [1, {"a": 2}]),
    ],
)
def test_a_value_becomes_what_the_annotation_says(value: Any, annotation: Any, expected: Any) -> None:
    converted = coerce(value, annotation)

    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("seventeen", int),
        ("17.5", int),
        (True, int),
        (True, float),
        (2.5, int),
        ("maybe", bool),
        ("a, b", list[str]),
        ("abc", list),
        ('["a"]', list[int]),
        ([1, "x"], list[int]),
        ('{"port": 1}', Credentials),
        ("upsert", Literal["append", "replace"]),
        ("2", Annotated[int, Field(gt=3)]),
        ("ab", Annotated[str, Field(min_length=3)]),
        (17, Secret),
        ("session", Session),
        ('["x"]', list[Session]),
        ("x", "Undefined"),
        ([1], str),
    ],
)
def test_a_value_that_is_not_of_that_type_is_refused_without_showing_it(value: Any, annotation: Any) -> None:
    with pytest.raises(NotOfThatType) as caught:
        coerce(value, annotation)

    assert str(caught.value) == ""
    assert caught.value.__context__ is None


@given(st.integers() | st.booleans() | st.dates() | st.lists(st.text()) | st.dictionaries(st.text(), st.integers()))
def test_what_json_or_python_writes_is_read_back(value: Any) -> None:
    annotation = {list: list[str], dict: dict[str, int]}.get(type(value), type(value))
    text = json.dumps(value) if isinstance(value, (list, dict)) else str(value)

    assert coerce(text, annotation) == value


def test_a_list_or_table_without_annotation_is_the_functions_own() -> None:
    resolver = Resolver(()).with_values({"fields": ["a"]})

    resolver.lookup("fields").value.append("b")  # type: ignore[union-attr]

    assert resolver.lookup("fields").value == ["a"]  # type: ignore[union-attr]


def test_the_error_names_field_place_key_and_type_but_not_the_value() -> None:
    resolver = Resolver(()).with_values({"sources.github.pages": "ghp_1234"})

    with pytest.raises(ConfigValueCoercionError) as caught:
        resolver.lookup("pages", ("sources", "github"), dict[str, int] | None)

    assert str(caught.value) == (
        "The value for 'pages' found in dagster resource under sources.github.pages is not a valid dict[str, int] | None. "
        "Change the value (it is not shown here, since it may be a secret) or the annotation."
    )
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [(str, False), (int | None, False), (list[dict[str, str]], False), (Any, True), (dict, True), (Credentials, True)],
)
def test_a_table_is_a_value_only_where_the_annotation_can_hold_one(annotation: Any, expected: bool) -> None:
    assert takes_tables(annotation) is expected
