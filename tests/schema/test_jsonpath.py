"""Paths lead to the values they name, and say so when they cannot be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlt_orchestrate.errors import InvalidPathError
from dlt_orchestrate.schema.jsonpath import assign, compile_path, find

RECORD = {"a": {"b": [{"c": 1}, {"c": None}, {}]}, "x.y": 2, "@next": 3, "with space": 4}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a", [RECORD["a"]]),
        ("$", [RECORD]),
        ("$.a.b[*].c", [1, None]),
        ("a.b.[0].c", [1]),
        ("a.b[-1]", [{}]),
        ("a.b[7]", []),
        ("a.*[0]", [{"c": 1}]),
        ("['x.y']", [2]),
        ('$["x.y"]', [2]),
        ("@next", [3]),
        ("with space", [4]),
        ("a.b.c", []),
        ("nothing", []),
    ],
)
def test_a_path_finds(path: str, found: list[Any]) -> None:
    assert find(path, RECORD) == found


@pytest.mark.parametrize("path", ["", "a..b", ".a", "a.", "a[", "a[x]", "a]", "$..a", "a[?(@.b)]"])
def test_a_path_that_cannot_be_read_is_an_error(path: str) -> None:
    with pytest.raises(InvalidPathError, match="cannot be read"):
        compile_path(path)


@given(st.text(min_size=1))
def test_any_key_can_be_quoted(key: str) -> None:
    escaped = key.replace("\\", "\\\\").replace("'", "\\'")

    assert find(f"['{escaped}']", {key: 1}) == [1]


def test_assigning_needs_a_path_of_keys() -> None:
    with pytest.raises(InvalidPathError):
        assign("a[0]", {}, 1)
